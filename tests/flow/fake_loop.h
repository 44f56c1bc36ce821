/* A loop whose time passes only when the test says so. */
#ifndef LARDER_TESTS_FLOW_FAKE_LOOP_H
#define LARDER_TESTS_FLOW_FAKE_LOOP_H

#include "common/loop.h"
#include "tests/flow/fake_base.h"

struct loop {
    char unused;
};

struct loop_timer {
    void (*fn)(void *arg);
    void *arg;
    uint64_t due;
    bool set;
    struct loop_timer *next;
};

enum { WALL_MS = 1700000000 }; /* the wall clock at the start of each test */

static uint64_t fake_now = 1000;
static struct loop_timer *fake_timers;

uint64_t loop_now_ms(void)
{
    return fake_now;
}

uint64_t loop_wall_ms(void)
{
    return WALL_MS + fake_now - 1000;
}

struct loop_timer *loop_timer_new(struct loop *loop UNUSED, void (*fn)(void *arg), void *arg)
{
    struct loop_timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    timer->fn = fn;
    timer->arg = arg;
    timer->next = fake_timers;
    fake_timers = timer;
    return timer;
}

void loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
    timer->due = fake_now + ms;
    timer->set = true;
}

void loop_timer_clear(struct loop_timer *timer)
{
    timer->set = false;
}

void loop_timer_free(struct loop_timer *timer)
{
    struct loop_timer **at = &fake_timers;
    if (!timer)
        return;
    while (*at != timer) {
        ck_assert_msg(*at != NULL, "a timer is freed twice");
        at = &(*at)->next;
    }
    *at = timer->next;
    free(timer);
}

/* Messages are delivered at once; or, with `wait`, on the loop's next turn. */
static struct {
    bool wait;
    struct loop_message *first;
} fake_posts;

void loop_post(struct loop *loop UNUSED, struct loop_message *message)
{
    struct loop_message **at = &fake_posts.first;
    if (!fake_posts.wait) {
        message->fn(message->arg);
        return;
    }
    while (*at)
        at = &(*at)->next;
    message->next = NULL;
    *at = message;
}

static inline void deliver_posts(void)
{
    while (fake_posts.first) {
        struct loop_message *message = fake_posts.first;
        fake_posts.first = message->next;
        message->fn(message->arg);
    }
}

/* The timer that is due first, not later than `until`; NULL: none. */
static inline struct loop_timer *first_due(uint64_t until)
{
    struct loop_timer *first = NULL;
    for (struct loop_timer *timer = fake_timers; timer; timer = timer->next)
        if (timer->set && timer->due <= until && (!first || timer->due < first->due))
            first = timer;
    return first;
}

/* Lets `ms` milliseconds go by, with everything that is due meanwhile. */
static inline void time_passes(uint64_t ms)
{
    uint64_t until = fake_now + ms;
    struct loop_timer *timer;
    unsigned turns = 0;
    deliver_posts();
    while ((timer = first_due(until))) {
        ck_assert_msg(++turns < 100000, "a timer is set again and again");
        fake_now = timer->due > fake_now ? timer->due : fake_now;
        timer->set = false;
        timer->fn(timer->arg);
        deliver_posts();
    }
    fake_now = until;
}

/* The loop's next turn: what was to be done at once. */
static inline void loop_turns(void)
{
    time_passes(0);
}

#endif
