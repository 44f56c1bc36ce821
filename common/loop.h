/*
 * An event loop: one thread's timers, sockets and messages. libevent's event_base behind it.
 * A loop belongs to the thread that runs it; only loop_post() and loop_stop() may be called from
 * others. (Before it runs, and after, it belongs to whoever made it.)
 *
 * Nothing that is called from a loop may block: all connections of the loop would wait for it. What
 * blocks goes to the pool (pool.h), and comes back as a message.
 */
#ifndef LARDER_COMMON_LOOP_H
#define LARDER_COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct loop;
struct loop_timer;
struct loop_watch;

/* NULL where memory or descriptors are short. */
struct loop *loop_new(void) MUST_CHECK;

/* Frees a loop that does not run. Messages that were not delivered are delivered first, on this
 * thread; those that these post are lost. Timers and watches must be gone before. NULL is fine. */
void loop_free(struct loop *loop);

/* Runs until loop_stop(). Messages posted before the stop are delivered, and those that these post.
 * A stop that comes before loop_run() ends that at once. It may be run again afterwards. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Calls fn(arg) on the loop's thread, in the order of posting. From any thread. A struct of the
 * caller's own carries the message, so posting cannot fail; it must stay until fn is called. */
struct loop_message {
    void (*fn)(void *arg);
    void *arg;
    struct loop_message *next; /* the loop's */
};
void loop_post(struct loop *loop, struct loop_message *message);

/* Calls fn(arg) on the loop's thread when all that has happened in this turn has been told: once,
 * before the loop waits for more. Set from within an fn, it is for the next turn, which then does
 * not wait. No-op where it is set already. The struct is the caller's, zeroed before its first use;
 * it must stay until fn is called, or loop_later_clear(). On the loop's thread only. */
struct loop_later {
    void (*fn)(void *arg);
    void *arg;
    struct loop_later *next; /* the loop's, as is: */
    bool set;
};
void loop_later(struct loop *loop, struct loop_later *later);
/* fn is not called any more. No-op for one that is not set. */
void loop_later_clear(struct loop *loop, struct loop_later *later);

/* A timer that is not set yet; the caller owns it. NULL: no memory. fn runs on the loop's thread,
 * and may set the timer again, or free it. */
struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg) MUST_CHECK;
/* Calls fn once, in `ms` milliseconds from now; setting it again moves it. 0: on the next turn.
 * 'Now' is when the loop's turn began: libevent does not ask the clock in between, so after slow
 * work in the same turn a timer is due that much sooner. */
void loop_timer_set(struct loop_timer *timer, uint64_t ms);
/* fn is not called any more, also where it was due already. No-op for one that is not set. */
void loop_timer_clear(struct loop_timer *timer);
/* NULL is fine. */
void loop_timer_free(struct loop_timer *timer);

/* Calls fn whenever `fd` is readable and/or writable, for as long as it is: level-triggered. An
 * error or a hang-up is reported as what was asked for: the read or write tells. Until freed, also
 * from within fn; free it before the descriptor is closed. NULL: no memory. The descriptor stays
 * the caller's. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, bool readable, bool writable,
                                  void (*fn)(void *arg, bool readable, bool writable),
                                  void *arg) MUST_CHECK;
/* NULL is fine. */
void loop_watch_free(struct loop_watch *watch);

/* Milliseconds of a clock that never goes back (for deadlines; its zero means nothing), and of the
 * wall clock since 1970 (for what is kept or shown). Any thread. */
uint64_t loop_now_ms(void);
/* The same clock, a few milliseconds behind at most: for deadlines of seconds that are noted
 * several times a request. */
uint64_t loop_coarse_ms(void);
uint64_t loop_wall_ms(void);

#endif
