/* What the limits of `make bench` are measured with. */
#ifndef LARDER_TESTS_BENCH_BENCH_H
#define LARDER_TESTS_BENCH_BENCH_H

#include <stdint.h>
#include <time.h>

/* Seconds, of a clock that is never set. */
static inline double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64 (Marsaglia, "Xorshift RNGs", 2003); its state is not 0. */
#define RANDOM_SEED 88172645463325252ULL
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
