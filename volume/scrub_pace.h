/* How fast a disk is read for its scrub: pure functions. */
#ifndef LARDER_VOLUME_SCRUB_PACE_H
#define LARDER_VOLUME_SCRUB_PACE_H

#include <stdint.h>

#include "common/attr.h"

enum {
    /* Finding a value costs the disk as much as reading so many bytes. */
    SCRUB_PACE_VALUE = 16 * 1024,
    /* No slower than this, in bytes a second: a small store is done in hours, and then left alone.
     */
    SCRUB_PACE_FLOOR = 1024 * 1024
};

/* The bytes a second at which `used` bytes in `files` files are read in 9/10 of `period_ms`: the
 * rest is for a disk that fills meanwhile. At least SCRUB_PACE_FLOOR. UINT64_MAX where there is no
 * period. */
uint64_t scrub_pace_rate(uint64_t used, uint64_t files, uint64_t period_ms) MUST_CHECK;

/* Of one thread; zeros to begin with. */
struct scrub_pace {
    uint64_t free_at_us; /* when what was read so far has been paid for */
};

/* Notes that `cost` bytes were read, and says how many microseconds to wait before the next, at
 * `rate` (UINT64_MAX: none). Time in which nothing was read is not saved up, but for a second. */
uint64_t scrub_pace_spend(struct scrub_pace *pace, uint64_t now_us, uint64_t cost,
                          uint64_t rate) MUST_CHECK;

#endif
