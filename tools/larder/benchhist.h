/*
 * A histogram of durations, log-linear as HdrHistogram's: every power of two is cut into 128 equal
 * buckets, so a quantile is at most 1/128 (0.8 %) above the true one; below 256 ns it is exact, as
 * are the largest value and the mean. Fixed memory: 37 KiB, however much is recorded. Durations
 * above 2 hours and 26 minutes count in the last bucket.
 */
#ifndef LARDER_TOOLS_BENCHHIST_H
#define LARDER_TOOLS_BENCHHIST_H

#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

enum {
    BENCHHIST_BITS = 7, /* of precision */
    BENCHHIST_OCTAVES = 36,
    BENCHHIST_BUCKETS = (BENCHHIST_OCTAVES + 1) << BENCHHIST_BITS
};

/* Zero it to make an empty one. */
struct benchhist {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint64_t buckets[BENCHHIST_BUCKETS];
};

void benchhist_add(struct benchhist *hist, uint64_t ns);

/* Adds all that `from` has. */
void benchhist_merge(struct benchhist *to, const struct benchhist *from);

/* The duration that the given part (0..1) of the recorded ones does not exceed: the upper end of
 * its bucket, never more than the largest. 0 for an empty histogram. */
uint64_t benchhist_quantile(const struct benchhist *hist, double part) MUST_CHECK;

/* 0 for an empty one. */
uint64_t benchhist_mean(const struct benchhist *hist) MUST_CHECK;

#endif
