/*
 * One thread of `larder bench`: an epoll set, its share of the clients, and when they begin.
 *
 * Closed loop: a client begins its next operation when the last one has ended. Open loop (--rate):
 * operation number k is due at start + k / rate, whatever became of those before it. It begins then
 * if a client is free, else as soon as one is; its latency counts from when it was due. So a server
 * that stands still is seen in the latencies of all that it kept from beginning ('coordinated
 * omission' is the name of not seeing that), and what never began is counted as missed.
 */
#ifndef LARDER_TOOLS_BENCHLOOP_H
#define LARDER_TOOLS_BENCHLOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct benchloop;
struct benchplan;
struct benchtally;
struct benchvalues;

/* What all threads share. */
struct benchrun {
    const struct benchplan *plan;
    const struct benchvalues *values;
    uint64_t start_ns;          /* CLOCK_MONOTONIC */
    uint64_t end_ns;            /* nothing begins after it; UINT64_MAX: no bound */
    atomic_uint_fast64_t begun; /* operations; gives each its number */
    atomic_uint_fast64_t ended; /* operations, well or not; for the progress line only */
    atomic_bool stop;           /* end at once; what is under way is not counted */
};

/* Thread number `number` with so many clients. `run` is the caller's, and stays. NULL where memory
 * or descriptors are short, or the server's name cannot be resolved (*why, a constant text, says
 * which). Called by the main thread, as is benchloop_free(), before and after the thread. */
struct benchloop *benchloop_new(struct benchrun *run, unsigned number, unsigned clients,
                                const char **why) MUST_CHECK;
void benchloop_free(struct benchloop *loop);

/* Works until the plan is done, or run->stop. Blocks; the loop is the calling thread's until it
 * returns. */
void benchloop_run(struct benchloop *loop);

/* What it counted; the loop keeps it. */
const struct benchtally *benchloop_tally(const struct benchloop *loop);

#endif
