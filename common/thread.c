#include "common/thread.h"

#include <signal.h>
#include <time.h>

bool thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(thread, NULL, run, arg) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

bool thread_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes))
        return false;
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    bool made = pthread_cond_init(condition, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return made;
}

bool thread_wait(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until)
{
    return pthread_cond_timedwait(condition, lock, until) == 0;
}

struct timespec thread_time(unsigned ms)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += ms / 1000;
    time.tv_nsec += (long)(ms % 1000) * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

bool thread_begin(struct thread *thread, void *(*run)(void *arg), void *arg)
{
    if (pthread_mutex_init(&thread->lock, NULL))
        return false;
    if (!thread_condition_init(&thread->changed))
        goto no_condition;
    if (thread_start(&thread->id, run, arg))
        return true;
    (void)pthread_cond_destroy(&thread->changed);
no_condition:
    (void)pthread_mutex_destroy(&thread->lock);
    return false;
}

void thread_end(struct thread *thread)
{
    (void)pthread_mutex_lock(&thread->lock);
    thread->ending = true;
    (void)pthread_cond_signal(&thread->changed);
    (void)pthread_mutex_unlock(&thread->lock);
    if (!thread->ended)
        (void)pthread_join(thread->id, NULL);
    thread->ended = true;
}

bool thread_is_ending(struct thread *thread)
{
    (void)pthread_mutex_lock(&thread->lock);
    bool ending = thread->ending;
    (void)pthread_mutex_unlock(&thread->lock);
    return ending;
}

bool thread_pause(struct thread *thread, unsigned ms)
{
    const struct timespec until = thread_time(ms);
    (void)pthread_mutex_lock(&thread->lock);
    while (!thread->ending && thread_wait(&thread->changed, &thread->lock, &until))
        continue;
    bool ending = thread->ending;
    (void)pthread_mutex_unlock(&thread->lock);
    return ending;
}

void thread_release(struct thread *thread)
{
    (void)pthread_cond_destroy(&thread->changed);
    (void)pthread_mutex_destroy(&thread->lock);
}
