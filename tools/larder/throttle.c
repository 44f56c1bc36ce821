/*
 * A debt in time: what was moved should have taken so long; what has passed since is paid off.
 * Whoever moves something sleeps for the whole debt, so with several threads each sleeps longer,
 * and the sum stays at the rate. Nothing is saved up: after a pause there is no burst.
 *
 * The lock is held for the reckoning alone, never while sleeping.
 */
#include "tools/larder/throttle.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/loop.h"
#include "tools/larder/interrupt.h"

struct throttle {
    pthread_mutex_t lock; /* over debt_ms and now_ms; the rate does not change */
    double rate;          /* bytes a millisecond; 0: no limit */
    double debt_ms;       /* how long what was moved should have taken, less what has passed */
    uint64_t now_ms;      /* when the debt was reckoned last */
};

struct throttle *throttle_new(unsigned long long rate)
{
    struct throttle *throttle = calloc(1, sizeof *throttle);
    if (!throttle)
        return NULL;
    throttle->rate = (double)rate / 1000;
    (void)pthread_mutex_init(&throttle->lock, NULL);
    return throttle;
}

void throttle_free(struct throttle *throttle)
{
    if (!throttle)
        return;
    (void)pthread_mutex_destroy(&throttle->lock);
    free(throttle);
}

uint64_t throttle_wait_ms(struct throttle *throttle, uint64_t bytes, uint64_t now_ms)
{
    if (throttle->rate <= 0)
        return 0;
    (void)pthread_mutex_lock(&throttle->lock);
    if (now_ms > throttle->now_ms) {
        throttle->debt_ms -= (double)(now_ms - throttle->now_ms);
        throttle->now_ms = now_ms;
    }
    /* Time in which nothing was moved is not saved up. */
    if (throttle->debt_ms < 0)
        throttle->debt_ms = 0;
    throttle->debt_ms += (double)bytes / throttle->rate;
    double wait = throttle->debt_ms;
    (void)pthread_mutex_unlock(&throttle->lock);
    return wait < 1e15 ? (uint64_t)wait : (uint64_t)1e15;
}

void throttle_moved(struct throttle *throttle, uint64_t bytes)
{
    uint64_t wait = throttle_wait_ms(throttle, bytes, loop_now_ms());
    /* Less than a sleep can be told apart adds up in the debt. */
    if (wait >= 5)
        interrupt_sleep(wait);
}
