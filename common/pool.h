/*
 * A pool of threads for what can block on a disk. Its queue is bounded. Jobs begin in the order in
 * which they were handed in, and end in any.
 */
#ifndef LARDER_COMMON_POOL_H
#define LARDER_COMMON_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/loop.h"

struct pool;

/* A piece of work. The caller owns the struct, which stays untouched by it until `done` is called:
 * from pool_submit() on it belongs to the pool; without `done` until `run` is called. */
struct pool_job {
    void (*run)(void *arg);  /* on a thread of the pool; may block */
    void (*done)(void *arg); /* afterwards, on `loop`'s thread; NULL: the job is over with `run` */
    void *arg;
    struct loop *loop;           /* not used without `done` */
    struct loop_message message; /* the pool's */
    struct pool_job *next;       /* the pool's */
};

/* `threads` >= 1; `max_queued` jobs wait at most, beyond those that run. NULL: no memory or
 * threads. The threads take no signals. */
struct pool *pool_new(unsigned threads, size_t max_queued) MUST_CHECK;

/* Waits for all jobs, then ends the threads. Their `done` calls are posted by then, and not yet
 * made: free the pool before the loops, which deliver them. Nothing may be submitted meanwhile.
 * NULL is fine. */
void pool_free(struct pool *pool);

/* False where the queue is full: nothing was taken, answer 'busy'. `job` is taken otherwise. Any
 * thread. */
bool pool_submit(struct pool *pool, struct pool_job *job) MUST_CHECK;

/* As pool_submit, for the next step of work that was admitted already: goes beyond the bound, so
 * that what has begun can end. What has begun is bounded by whoever admitted it. Any thread. */
void pool_continue(struct pool *pool, struct pool_job *job);

/* Jobs that wait now. Any thread. */
size_t pool_queued(struct pool *pool);

#endif
