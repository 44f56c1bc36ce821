/*
 * Work on a disk that goes faster for many at once: a thread of the pool takes all that waits for a
 * disk, up to BATCH_MANY, and works on it together. Small values are written so.
 *
 * While one thread works on files, what comes waits for it; when it comes to wait for the disk
 * (batch_waits()) the next thread begins with what has come meanwhile. So few writers have a thread
 * each, as if there were no batches, and many share one, its switches and its syncs.
 */
#ifndef LARDER_VOLUME_BATCH_H
#define LARDER_VOLUME_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/attr.h"
#include "common/loop.h"
#include "common/pool.h"

struct batch;
struct batches;

enum { BATCH_MANY = 64 };

/* A job; the caller's, as a pool_job. */
struct batch_job {
    void *arg;
    void (*next)(void *arg); /* when it has been run, on `loop`'s thread */
    struct loop *loop;
    /* The batches': */
    struct batch_job *behind; /* that came after it; that goes to the same loop */
    struct loop_message message;
};

/* On a thread of the pool, with the `arg`s of 1 to BATCH_MANY jobs of one disk; may block. */
typedef void batches_run(void *const *args, unsigned count, struct batch *batch);

/* At most `threads` (>= 1) of the pool's, which outlives them, work for a disk at a time, and
 * `waiting` jobs wait for it. NULL: no memory. */
struct batches *batches_new(struct pool *pool, batches_run *run, unsigned threads,
                            size_t waiting) MUST_CHECK;
/* The pool has been freed, so all jobs have been run. NULL is fine. */
void batches_free(struct batches *batches);

/* Where jobs are of one `device` (stat(2)) they are of one disk. False where too many wait, or the
 * disks are too many: nothing was taken, and it is to be done in another way. Any thread. */
bool batches_submit(struct batches *batches, dev_t device, struct batch_job *job) MUST_CHECK;

/* From `run`: what follows is waiting for the disk, so another thread may begin meanwhile. */
void batch_waits(struct batch *batch);

#endif
