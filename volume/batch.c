/*
 * Invariant: where jobs wait in a lane, a thread is at work on files there (`working`), which will
 * take them when it is done, or all threads that a lane may have are busy, and the first that is
 * done takes them. So a disk that hangs keeps its lane's threads, and nobody else's.
 *
 * A second thread works on files beside the first where that alone would take long (PLENTY).
 *
 * Who may touch a job: the lane from submit on, under the lock; the batch that has taken it; then
 * its owner again, on its own loop. All jobs of a batch that go to one loop go there in one
 * message.
 */
#include "volume/batch.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    DISKS = 64,       /* beyond these: without batches */
    MOST_THREADS = 8, /* of a lane */
    PLENTY = 16       /* so many wait for each thread that works: one more is worth being woken */
};

/* A thread's place in a lane, and what it has taken. */
struct batch {
    struct lane *lane;
    struct pool_job pool_job;
    bool busy;    /* a thread has it, or soon will */
    bool working; /* it counts in lane->working */
    unsigned count;
    struct batch_job *jobs[BATCH_MANY];
};

/* A disk. */
struct lane {
    struct batches *all;
    dev_t device;
    unsigned working; /* batches that are not waiting for the disk */
    size_t waiting;
    struct batch_job *first, **last;
    struct batch batches[MOST_THREADS];
};

struct batches {
    struct pool *pool;
    batches_run *run;
    unsigned threads; /* of each lane */
    size_t most_waiting;
    pthread_mutex_t lock; /* guards all of it but what a batch has taken */
    unsigned count;
    struct lane *lanes[DISKS]; /* they stay: a device number is used again */
};

struct batches *batches_new(struct pool *pool, batches_run *run, unsigned threads, size_t waiting)
{
    struct batches *new = calloc(1, sizeof *new);
    if (!new)
        return NULL;
    new->pool = pool;
    new->run = run;
    new->threads = threads < MOST_THREADS ? threads : MOST_THREADS;
    new->most_waiting = waiting;
    if (pthread_mutex_init(&new->lock, NULL)) {
        free(new);
        return NULL;
    }
    return new;
}

void batches_free(struct batches *batches)
{
    if (!batches)
        return;
    for (unsigned i = 0; i < batches->count; i++)
        free(batches->lanes[i]);
    (void)pthread_mutex_destroy(&batches->lock);
    free(batches);
}

/* --- What comes back --- */

/* On the loop of all of them. */
static void jobs_came_out(void *arg)
{
    struct batch_job *following;
    for (struct batch_job *job = arg; job; job = following) {
        following = job->behind; /* from here on the job is its owner's again */
        job->next(job->arg);
    }
}

/* Those from the i-th on that go to the same loop as it does, in one message. */
static void give_back(struct batch *batch, unsigned i)
{
    struct batch_job *first = batch->jobs[i];
    struct batch_job **last = &first->behind;
    for (unsigned k = i + 1; k < batch->count; k++)
        if (batch->jobs[k] && batch->jobs[k]->loop == first->loop) {
            *last = batch->jobs[k];
            last = &batch->jobs[k]->behind;
            batch->jobs[k] = NULL;
        }
    *last = NULL;
    first->message = (struct loop_message){.fn = jobs_came_out, .arg = first};
    loop_post(first->loop, &first->message);
}

/* --- The threads --- */

/* With the lock held. */
static bool take(struct lane *lane, struct batch *batch)
{
    for (batch->count = 0; lane->first && batch->count < BATCH_MANY; batch->count++) {
        batch->jobs[batch->count] = lane->first;
        lane->first = lane->first->behind;
        lane->waiting--;
    }
    if (!lane->first)
        lane->last = &lane->first;
    return batch->count > 0;
}

/* With the lock held. Whether one more thread is to work on files. */
static bool needs_thread(const struct lane *lane)
{
    return lane->first && (lane->working == 0 || lane->waiting >= (size_t)PLENTY * lane->working);
}

/* With the lock held. The batch that another thread is to begin, for start(); NULL: none. */
static struct batch *choose(struct lane *lane)
{
    if (!needs_thread(lane))
        return NULL;
    for (unsigned i = 0; i < lane->all->threads; i++) {
        struct batch *batch = &lane->batches[i];
        if (!batch->busy) {
            batch->busy = true;
            batch->working = true;
            lane->working++;
            return batch;
        }
    }
    return NULL;
}

/* Without the lock. */
static void start(struct batch *batch)
{
    if (batch)
        pool_continue(batch->lane->all->pool, &batch->pool_job);
}

/* With the lock held. */
static void stop_working(struct batch *batch)
{
    if (batch->working)
        batch->lane->working--;
    batch->working = false;
}

void batch_waits(struct batch *batch)
{
    struct batches *all = batch->lane->all;
    (void)pthread_mutex_lock(&all->lock);
    stop_working(batch);
    struct batch *other = choose(batch->lane);
    (void)pthread_mutex_unlock(&all->lock);
    start(other);
}

static void run_one(struct batches *all, struct batch *batch)
{
    void *args[BATCH_MANY];
    for (unsigned i = 0; i < batch->count; i++)
        args[i] = batch->jobs[i]->arg;
    all->run(args, batch->count, batch);
    for (unsigned i = 0; i < batch->count; i++)
        if (batch->jobs[i])
            give_back(batch, i);
}

/* With the lock held. Whether this thread goes on: it counts as working until then. */
static bool go_on(struct batch *batch)
{
    stop_working(batch);
    if (!needs_thread(batch->lane))
        return false;
    batch->working = true;
    batch->lane->working++;
    return true;
}

/* On the pool. */
static void work(void *arg)
{
    struct batch *batch = arg;
    struct batches *all = batch->lane->all;
    bool more;
    (void)pthread_mutex_lock(&all->lock);
    do {
        bool some = take(batch->lane, batch);
        (void)pthread_mutex_unlock(&all->lock);
        if (some)
            run_one(all, batch);
        (void)pthread_mutex_lock(&all->lock);
        more = go_on(batch);
    } while (more && pool_queued(all->pool) == 0);
    batch->busy = more;
    (void)pthread_mutex_unlock(&all->lock);
    if (more)
        start(batch); /* behind those that wait for the pool */
}

/* --- The lanes --- */

static struct lane *lane_new(struct batches *all, dev_t device)
{
    struct lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return NULL;
    lane->all = all;
    lane->device = device;
    lane->last = &lane->first;
    for (unsigned i = 0; i < MOST_THREADS; i++) {
        lane->batches[i].lane = lane;
        lane->batches[i].pool_job = (struct pool_job){.run = work, .arg = &lane->batches[i]};
    }
    return lane;
}

/* With the lock held. NULL: there is none for it. */
static struct lane *lane_of(struct batches *all, dev_t device)
{
    for (unsigned i = 0; i < all->count; i++)
        if (all->lanes[i]->device == device)
            return all->lanes[i];
    struct lane *lane = all->count < DISKS ? lane_new(all, device) : NULL;
    if (lane)
        all->lanes[all->count++] = lane;
    return lane;
}

bool batches_submit(struct batches *all, dev_t device, struct batch_job *job)
{
    struct batch *batch = NULL;
    (void)pthread_mutex_lock(&all->lock);
    struct lane *lane = lane_of(all, device);
    bool taken = lane && lane->waiting < all->most_waiting;
    if (taken) {
        job->behind = NULL;
        *lane->last = job;
        lane->last = &job->behind;
        lane->waiting++;
        batch = choose(lane);
    }
    (void)pthread_mutex_unlock(&all->lock);
    start(batch);
    return taken;
}
