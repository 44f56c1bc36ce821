/*
 * A list of jobs under one lock, and threads that take from its front. The job is the caller's
 * memory, so submitting fails at the bound only, and finishing never.
 *
 * One thread is woken at a time, and wakes the next where more is queued when it comes: so all that
 * are needed run soon, but while the cores are busy, those that run take several jobs in a row
 * instead of each having a thread woken for it (two context switches a job, a third of a small
 * PUT's cost).
 *
 * Who may touch a job: its owner until it is submitted, the pool until loop_post(), then its owner
 * again, on the loop's thread. The lock that both sides take in between makes what one has written
 * visible to the other.
 */
#include "common/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/thread.h"

enum { LOOK_MS = 1000 }; /* an idle thread looks by itself whether there is work */

struct pool {
    pthread_mutex_t lock; /* guards all of it */
    pthread_cond_t work;  /* a job was queued, or the pool ends */
    struct pool_job *first;
    struct pool_job **last; /* where the next is hung */
    size_t queued;
    size_t max_queued;
    unsigned idle;    /* threads that wait for work */
    bool waking;      /* one of them was woken, and has not come yet */
    bool ending;      /* threads go when the list is empty, not before */
    unsigned threads; /* that were started */
    pthread_t thread[];
};

/* With the lock held. Whether the caller is to wake a thread, once it has let go of the lock: who
 * is woken would only wait for it. */
static bool needs_thread(struct pool *pool)
{
    if (!pool->first || pool->waking || pool->idle == 0)
        return false;
    pool->waking = true;
    return true;
}

/* Not longer than a moment: glibc before 2.41 can lose a signal where others come and go meanwhile
 * (its bug 25847), and with `waking` left set nobody would be woken again. */
static void wait_for_work(struct pool *pool)
{
    const struct timespec until = thread_time(LOOK_MS);
    pool->idle++;
    (void)thread_wait(&pool->work, &pool->lock, &until);
    pool->idle--;
    pool->waking = false; /* also where nobody has woken it: at worst one more is woken */
}

/* Waits for a job. NULL where the pool ends and nothing is left: jobs that were taken are always
 * run, because their owners wait for `done`. */
static struct pool_job *next_job(struct pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->ending)
        wait_for_work(pool);
    struct pool_job *job = pool->first;
    if (job) {
        pool->first = job->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->queued--;
    }
    bool wake = needs_thread(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    if (wake)
        (void)pthread_cond_signal(&pool->work);
    return job;
}

/* A thread. Nothing of the job is touched once it is posted: `done` may have freed it by then. */
static void *work(void *arg)
{
    struct pool_job *job;
    while ((job = next_job(arg))) {
        void (*done)(void *arg) = job->done;
        job->run(job->arg);
        if (!done)
            continue;
        job->message.fn = done;
        job->message.arg = job->arg;
        /* From here on the job is its owner's again. */
        loop_post(job->loop, &job->message);
    }
    return NULL;
}

static bool start_threads(struct pool *pool, unsigned threads)
{
    while (pool->threads < threads && thread_start(&pool->thread[pool->threads], work, pool))
        pool->threads++;
    return pool->threads == threads;
}

struct pool *pool_new(unsigned threads, size_t max_queued)
{
    struct pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->thread[0]);
    if (!pool)
        return NULL;
    pool->last = &pool->first;
    pool->max_queued = max_queued;
    if (pthread_mutex_init(&pool->lock, NULL))
        goto no_lock;
    if (!thread_condition_init(&pool->work))
        goto no_cond;
    /* pool_free() ends those that were started. */
    if (!start_threads(pool, threads)) {
        pool_free(pool);
        return NULL;
    }
    return pool;

no_cond:
    (void)pthread_mutex_destroy(&pool->lock);
no_lock:
    free(pool);
    return NULL;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        (void)pthread_join(pool->thread[i], NULL);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* With the lock held. */
static void append(struct pool *pool, struct pool_job *job)
{
    job->next = NULL;
    *pool->last = job;
    pool->last = &job->next;
    pool->queued++;
}

bool pool_submit(struct pool *pool, struct pool_job *job)
{
    (void)pthread_mutex_lock(&pool->lock);
    bool room = pool->queued < pool->max_queued;
    if (room)
        append(pool, job);
    bool wake = needs_thread(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    if (wake)
        (void)pthread_cond_signal(&pool->work);
    return room;
}

void pool_continue(struct pool *pool, struct pool_job *job)
{
    (void)pthread_mutex_lock(&pool->lock);
    append(pool, job);
    bool wake = needs_thread(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    if (wake)
        (void)pthread_cond_signal(&pool->work);
}

size_t pool_queued(struct pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    size_t queued = pool->queued;
    (void)pthread_mutex_unlock(&pool->lock);
    return queued;
}
