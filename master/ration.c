/*
 * A queue of shares, first come first served: a large one at its front is not overtaken by small
 * ones, or it would never come. Somebody always gets one, even where it is larger than all, or a
 * single large value would wait for ever.
 *
 * Shares are granted by a timer, and so never inside of ration_ask() or ration_return(): whoever
 * returns a share is in the middle of its own end. One loop's own, without locks.
 */
#include "master/ration.h"

#include <stdlib.h>

#include "common/loop.h"

enum { SHARE_MAX = 1024 * 1024 }; /* a value takes no more memory than its window and buffers */

struct ration {
    struct loop_timer *turn; /* grants, outside of everybody's callbacks */
    uint64_t bytes, used;
    struct ration_share *first, **last; /* those that wait */
};

static bool fits(const struct ration *ration, const struct ration_share *share)
{
    return ration->used == 0 || ration->used + share->bytes <= ration->bytes;
}

/* `granted` may ask for, or return, other shares: the list is read anew each time. */
static void turned(void *arg)
{
    struct ration *ration = arg;
    while (ration->first && fits(ration, ration->first)) {
        struct ration_share *share = ration->first;
        ration->first = share->next;
        if (!ration->first)
            ration->last = &ration->first;
        ration->used += share->bytes;
        share->state = RATION_HOLDS;
        share->granted(share->arg);
    }
}

struct ration *ration_new(struct loop *loop, uint64_t bytes)
{
    struct ration *ration = calloc(1, sizeof *ration);
    if (!ration)
        return NULL;
    ration->bytes = bytes;
    ration->last = &ration->first;
    ration->turn = loop_timer_new(loop, turned, ration);
    if (!ration->turn) {
        free(ration);
        return NULL;
    }
    return ration;
}

void ration_free(struct ration *ration)
{
    if (!ration)
        return;
    loop_timer_free(ration->turn);
    free(ration);
}

void ration_ask(struct ration *ration, struct ration_share *share, uint64_t bytes)
{
    share->ration = ration;
    share->bytes = bytes < SHARE_MAX ? bytes : SHARE_MAX;
    share->state = RATION_WAITS;
    share->next = NULL;
    *ration->last = share;
    ration->last = &share->next;
    loop_timer_set(ration->turn, 0);
}

/* Those that give up are few (a stop), so a walk along the list will do. */
static void stop_waiting(struct ration_share *share)
{
    struct ration *ration = share->ration;
    struct ration_share **at = &ration->first;
    while (*at != share)
        at = &(*at)->next;
    *at = share->next;
    if (!*at)
        ration->last = at;
}

void ration_return(struct ration_share *share)
{
    if (share->state == RATION_NONE)
        return;
    struct ration *ration = share->ration;
    if (share->state == RATION_WAITS)
        stop_waiting(share);
    else
        ration->used -= share->bytes;
    share->state = RATION_NONE;
    if (ration->first)
        loop_timer_set(ration->turn, 0);
}
