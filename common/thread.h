/* A thread of our own: signals are left to the main thread, waits go by the monotonic clock. */
#ifndef LARDER_COMMON_THREAD_H
#define LARDER_COMMON_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "common/attr.h"

/* Starts `run(arg)` with all signals blocked. False: there are too many threads. */
bool thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg) MUST_CHECK;

/* A condition that thread_wait() can wait for. False: the system has no room for it. */
bool thread_condition_init(pthread_cond_t *condition) MUST_CHECK;
/* Waits for a signal, but not beyond `until`. False: the time is up. */
bool thread_wait(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until);
/* The time `ms` milliseconds from now. */
struct timespec thread_time(unsigned ms);

/* A thread that its owner starts and ends, with the lock for what the two share. All fields are for
 * both; a zeroed struct is one that was never begun. */
struct thread {
    pthread_mutex_t lock;   /* also over what the owner says */
    pthread_cond_t changed; /* something that the thread waits for, or `ending` */
    bool ending;            /* it is to come to its end */
    bool ended;             /* it has; the owner's */
    pthread_t id;
};

/* False: it cannot be had, and nothing is left to end or to release. */
bool thread_begin(struct thread *thread, void *(*run)(void *arg), void *arg) MUST_CHECK;
/* Says that it is to end (where the owner has not said so yet), and waits until it has. Once more
 * is fine. */
void thread_end(struct thread *thread);
/* Whether that was said. */
bool thread_is_ending(struct thread *thread);
/* For the thread: waits for so long, or until it is to end; true where it is. */
bool thread_pause(struct thread *thread, unsigned ms);
/* After thread_end(). */
void thread_release(struct thread *thread);

#endif
