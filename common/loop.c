/*
 * libevent with one thread a loop and no locks of its own. So everything of libevent is called on
 * the loop's thread, and other threads have one way in: the list of messages under `lock`, and the
 * eventfd that says that it is not empty. Even the stop goes that way, since event_base_loopbreak()
 * is not for other threads without libevent's locks.
 *
 * Invariant: where the list is not empty, the eventfd is readable, or whoever posted is about to
 * make it so. Only the post that finds the list empty writes, so a burst costs one system call.
 */
#include "common/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct loop {
    struct event_base *base;
    struct event *wake; /* the eventfd became readable: messages */
    int wake_fd;
    struct loop_later *later; /* in the order of setting; their owners' memory */
    struct loop_later **later_last;
    bool ended;                 /* loop_run() is to return */
    pthread_mutex_t lock;       /* guards what follows */
    struct loop_message *first; /* messages in the order of posting; their owners' memory */
    struct loop_message **last; /* where the next is hung */
    bool stopping;
};

struct loop_timer {
    struct event *event;
    void (*fn)(void *arg);
    void *arg;
};

struct loop_watch {
    struct event *event;
    void (*fn)(void *arg, bool readable, bool writable);
    void *arg;
};

/* Takes the whole list at once; messages that are posted meanwhile make the eventfd readable again.
 * So a message that posts itself does not keep timers and sockets waiting. */
static void deliver(struct loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    struct loop_message *message = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    (void)pthread_mutex_unlock(&loop->lock);
    while (message) {
        /* The message may be gone as soon as its function runs. */
        struct loop_message *next = message->next;
        message->fn(message->arg);
        message = next;
    }
}

/* The eventfd is read before the list is taken: the other way round, a post in between would be
 * left in the list with nothing to wake us. It stops only where the list is empty; otherwise it is
 * woken once more. */
static void woken(evutil_socket_t fd, short what UNUSED, void *arg)
{
    struct loop *loop = arg;
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        continue;
    deliver(loop);
    (void)pthread_mutex_lock(&loop->lock);
    bool stop = loop->stopping && !loop->first;
    (void)pthread_mutex_unlock(&loop->lock);
    loop->ended |= stop;
    if (stop)
        (void)event_base_loopbreak(loop->base);
}

/* One thread a loop needs no locks in libevent; the changelist saves epoll_ctl calls. With it
 * libevent takes a descriptor out of epoll after we have closed it: harmless, since the kernel did
 * so already, but where another thread has opened the same number again, ThreadSanitizer sees two
 * threads at one descriptor. So it does without. */
static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
#ifndef __SANITIZE_THREAD__
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
#endif
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return NULL;
    loop->last = &loop->first;
    loop->later_last = &loop->later;
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0)
        goto no_fd;
    if (pthread_mutex_init(&loop->lock, NULL))
        goto no_lock;
    if (!(loop->base = new_base()))
        goto no_base;
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, woken, loop);
    if (!loop->wake || event_add(loop->wake, NULL))
        goto no_wake;
    return loop;

no_wake:
    if (loop->wake)
        event_free(loop->wake);
    event_base_free(loop->base);
no_base:
    (void)pthread_mutex_destroy(&loop->lock);
no_lock:
    (void)close(loop->wake_fd);
no_fd:
    free(loop);
    return NULL;
}

/* Delivered and not dropped: a message may be all that knows of what it carries, as a job that
 * comes back from the pool. */
void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    deliver(loop);
    event_free(loop->wake);
    event_base_free(loop->base);
    (void)pthread_mutex_destroy(&loop->lock);
    (void)close(loop->wake_fd);
    free(loop);
}

/* Takes the whole list at once: what is set meanwhile is for the next turn. Each is taken out
 * before it is called, since it may set itself again, or clear others. */
static void run_later(struct loop *loop)
{
    struct loop_later end = {.fn = NULL};
    if (!loop->later)
        return;
    loop_later(loop, &end);
    for (;;) {
        struct loop_later *later = loop->later;
        loop_later_clear(loop, later);
        if (later == &end)
            return;
        later->fn(later->arg);
    }
}

/* A turn is what libevent calls one round: it waits, then tells all that has happened. */
void loop_run(struct loop *loop)
{
    loop->ended = false;
    while (!loop->ended) {
        int failed = event_base_loop(loop->base, EVLOOP_ONCE | (loop->later ? EVLOOP_NONBLOCK : 0));
        if (failed < 0) /* epoll itself: it would fail again at once, without an end */
            break;
        run_later(loop);
    }
    (void)pthread_mutex_lock(&loop->lock);
    loop->stopping = false; /* it may be run again */
    (void)pthread_mutex_unlock(&loop->lock);
}

/* EAGAIN (a counter at its limit) needs no care: it is readable then. */
static void wake(struct loop *loop)
{
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

void loop_stop(struct loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    loop->stopping = true;
    (void)pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

/* Any thread. The message is in the list before the eventfd is written, so the loop finds it when
 * it wakes. */
void loop_post(struct loop *loop, struct loop_message *message)
{
    message->next = NULL;
    (void)pthread_mutex_lock(&loop->lock);
    bool was_empty = !loop->first;
    *loop->last = message;
    loop->last = &message->next;
    (void)pthread_mutex_unlock(&loop->lock);
    if (was_empty)
        wake(loop);
}

void loop_later(struct loop *loop, struct loop_later *later)
{
    if (later->set)
        return;
    later->set = true;
    later->next = NULL;
    *loop->later_last = later;
    loop->later_last = &later->next;
}

/* There are a few at most: one a server. */
void loop_later_clear(struct loop *loop, struct loop_later *later)
{
    if (!later->set)
        return;
    struct loop_later **at = &loop->later;
    while (*at != later)
        at = &(*at)->next;
    *at = later->next;
    if (!*at)
        loop->later_last = at;
    later->set = false;
}

/* fn may free the timer. */
static void timer_due(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
    struct loop_timer *timer = arg;
    timer->fn(timer->arg);
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct loop_timer *timer = malloc(sizeof *timer);
    if (!timer)
        return NULL;
    timer->fn = fn;
    timer->arg = arg;
    timer->event = event_new(loop->base, -1, 0, timer_due, timer);
    if (!timer->event) {
        free(timer);
        return NULL;
    }
    return timer;
}

void loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
    struct timeval in = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    (void)event_add(timer->event, &in);
}

void loop_timer_clear(struct loop_timer *timer)
{
    (void)event_del(timer->event);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (!timer)
        return;
    event_free(timer->event);
    free(timer);
}

/* Nothing of the watch is touched after fn: it may be freed. */
static void watch_ready(evutil_socket_t fd UNUSED, short what, void *arg)
{
    struct loop_watch *watch = arg;
    watch->fn(watch->arg, (what & EV_READ) != 0, (what & EV_WRITE) != 0);
}

/* One event with EV_PERSIST: it stays in epoll between calls. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, bool readable, bool writable,
                                  void (*fn)(void *arg, bool readable, bool writable), void *arg)
{
    struct loop_watch *watch = malloc(sizeof *watch);
    if (!watch)
        return NULL;
    watch->fn = fn;
    watch->arg = arg;
    int what = EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
    watch->event = event_new(loop->base, fd, (short)what, watch_ready, watch);
    if (!watch->event || event_add(watch->event, NULL)) {
        loop_watch_free(watch);
        return NULL;
    }
    return watch;
}

void loop_watch_free(struct loop_watch *watch)
{
    if (!watch)
        return;
    if (watch->event)
        event_free(watch->event);
    free(watch);
}

/* Both clocks always exist; there is no failure to report. */
static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t loop_now_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

uint64_t loop_coarse_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC_COARSE);
}

uint64_t loop_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}
