/*
 * Gates before the pool, one a disk: a disk that hangs takes some of the threads with it, and not
 * all. What comes while enough of its jobs are inside waits at the gate, in order.
 */
#ifndef LARDER_VOLUME_GATE_H
#define LARDER_VOLUME_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/pool.h"

struct gates;

/* A job for the pool that goes through a gate; the caller's, as a pool_job. */
struct gate_job {
    void (*run)(void *arg);  /* on a thread of the pool */
    void (*next)(void *arg); /* afterwards, on `loop`'s thread */
    void *arg;
    struct loop *loop;
    /* The gates': */
    struct gates *gates;
    unsigned gate;
    struct pool_job pool_job;
    struct gate_job *behind; /* the one that came after it */
};

/* `gates` of them before `pool`, which outlives them: at most `inside` jobs of each are in the pool
 * at a time, and `waiting` wait. NULL: no memory. */
struct gates *gates_new(struct pool *pool, unsigned gates, unsigned inside,
                        size_t waiting) MUST_CHECK;
/* Nothing waits at them, and nothing is inside, or will come out. */
void gates_free(struct gates *gates);

/* False where too many wait already: nothing was taken. Any thread. */
bool gates_submit(struct gates *gates, unsigned gate, struct gate_job *job) MUST_CHECK;
/* For the next step of what has begun: never refused. */
void gates_continue(struct gates *gates, unsigned gate, struct gate_job *job);

#endif
