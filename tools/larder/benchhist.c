/*
 * A bucket's number is the value's highest bit (its octave) and the BENCHHIST_BITS bits below it.
 * Both ways are shifts, so recording costs a few instructions and no division. The scheme is that
 * of HdrHistogram (Gil Tene).
 *
 * One thread a histogram; they are merged after the threads have ended.
 */
#include "tools/larder/benchhist.h"

/* About 2^43 ns. What is longer is recorded as this, though max_ns and the mean keep its true
 * length. */
static const uint64_t longest = ((uint64_t)1 << (BENCHHIST_OCTAVES + BENCHHIST_BITS)) - 1;

/* Values of one octave share their highest bit; the BITS below it choose the bucket. Below 2 *
 * 2^BITS a bucket is one nanosecond. */
static size_t bucket_of(uint64_t ns)
{
    if (ns > longest)
        ns = longest;
    if (ns >> BENCHHIST_BITS == 0)
        return (size_t)ns;
    unsigned octave = 63U - (unsigned)__builtin_clzll(ns) - BENCHHIST_BITS;
    return ((size_t)octave << BENCHHIST_BITS) + (size_t)(ns >> octave);
}

/* The largest value that falls into it. */
static uint64_t upper_end(size_t bucket)
{
    if (bucket >> (BENCHHIST_BITS + 1) == 0)
        return bucket;
    unsigned octave = (unsigned)(bucket >> BENCHHIST_BITS) - 1;
    uint64_t within = bucket - ((uint64_t)octave << BENCHHIST_BITS);
    return ((within + 1) << octave) - 1;
}

void benchhist_add(struct benchhist *hist, uint64_t ns)
{
    hist->count++;
    hist->sum_ns += ns;
    if (ns > hist->max_ns)
        hist->max_ns = ns;
    hist->buckets[bucket_of(ns)]++;
}

/* Buckets are the same for all, so nothing is lost. */
void benchhist_merge(struct benchhist *to, const struct benchhist *from)
{
    to->count += from->count;
    to->sum_ns += from->sum_ns;
    if (from->max_ns > to->max_ns)
        to->max_ns = from->max_ns;
    for (size_t i = 0; i < BENCHHIST_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
}

/* The rank is rounded up: p50 of two values is the smaller one, p99.9 of ten the largest. The last
 * bucket has no upper end, so what falls into it is told by the largest. */
uint64_t benchhist_quantile(const struct benchhist *hist, double part)
{
    double exact = part * (double)hist->count;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank == 0)
        rank++;
    uint64_t seen = 0;
    for (size_t i = 0; i < BENCHHIST_BUCKETS && hist->count; i++) {
        seen += hist->buckets[i];
        if (seen >= rank && i + 1 < BENCHHIST_BUCKETS) {
            uint64_t end = upper_end(i);
            return end < hist->max_ns ? end : hist->max_ns;
        }
    }
    return hist->max_ns;
}

uint64_t benchhist_mean(const struct benchhist *hist)
{
    return hist->count ? hist->sum_ns / hist->count : 0;
}
