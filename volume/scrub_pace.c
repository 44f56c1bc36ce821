/*
 * A bucket that is emptied at the rate: each reading pays for itself by moving free_at_us on, and
 * the next waits until then. So a rate holds over a value, whatever the sizes of its steps, and a
 * step that took long by itself is followed by less of a pause.
 */
#include "volume/scrub_pace.h"

enum { SECOND_US = 1000 * 1000 };

uint64_t scrub_pace_rate(uint64_t used, uint64_t files, uint64_t period_ms)
{
    /* In this order nothing overflows below 2^53 bytes, which no disk has. */
    uint64_t seconds = period_ms / 1000 * 9 / 10;
    if (seconds == 0)
        return UINT64_MAX;
    uint64_t work = used + files * SCRUB_PACE_VALUE;
    uint64_t rate = work / seconds;
    return rate > SCRUB_PACE_FLOOR ? rate : SCRUB_PACE_FLOOR;
}

uint64_t scrub_pace_spend(struct scrub_pace *pace, uint64_t now_us, uint64_t cost, uint64_t rate)
{
    /* Without a limit nothing is owed, also when one is set later. */
    if (rate == UINT64_MAX || rate == 0) {
        pace->free_at_us = now_us;
        return 0;
    }
    /* A thread that was kept from reading for an hour must not then read an hour's worth at
     * once. */
    uint64_t saved = now_us > SECOND_US ? now_us - SECOND_US : 0;
    if (pace->free_at_us < saved)
        pace->free_at_us = saved;
    /* Whole seconds apart: cost times a million may not fit. */
    pace->free_at_us += cost / rate * SECOND_US + cost % rate * SECOND_US / rate;
    return pace->free_at_us > now_us ? pace->free_at_us - now_us : 0;
}
