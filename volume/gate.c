/*
 * Why gates: a system call on a disk that hangs does not come back, and cannot be broken off.
 * Without them its requests would take one thread of the pool after the other, until none was left
 * for the disks that work. So each disk has a number of places in the pool (most_inside), and what
 * comes beyond waits here, where it costs no thread.
 *
 * Invariant: a gate has jobs waiting only while all its places are taken; a place that gets free
 * goes from hand to hand, and `inside` is not even changed. A job that hangs keeps its place for
 * ever, and the gate lets nobody in any more, which is what is wanted.
 *
 * The pool's own bound is passed by (pool_continue()): the gates have counted already.
 *
 * Who may touch a job: the gates from submit on, then the pool, then its owner again, in
 * job_came_out() on its own loop.
 */
#include "volume/gate.h"

#include <pthread.h>
#include <stdlib.h>

struct gate {
    unsigned inside; /* in the pool: queued there or running */
    size_t waiting;
    struct gate_job *first, *last; /* that wait */
};

struct gates {
    struct pool *pool;
    unsigned most_inside; /* of each gate; fewer than the pool has threads */
    size_t most_waiting;  /* at each gate */
    pthread_mutex_t lock; /* guards the gates; held for a few instructions only */
    struct gate list[];
};

struct gates *gates_new(struct pool *pool, unsigned gates, unsigned inside, size_t waiting)
{
    struct gates *new = calloc(1, sizeof *new + gates * sizeof new->list[0]);
    if (!new)
        return NULL;
    new->pool = pool;
    new->most_inside = inside;
    new->most_waiting = waiting;
    if (pthread_mutex_init(&new->lock, NULL)) {
        free(new);
        return NULL;
    }
    return new;
}

void gates_free(struct gates *gates)
{
    if (!gates)
        return;
    (void)pthread_mutex_destroy(&gates->lock);
    free(gates);
}

static void job_runs(void *arg)
{
    struct gate_job *job = arg;
    job->run(job->arg);
}

/* On the loop of the job that came out: its place goes to the first that waits. */
static void job_came_out(void *arg)
{
    struct gate_job *job = arg;
    struct gates *gates = job->gates;
    struct gate *gate = &gates->list[job->gate];
    (void)pthread_mutex_lock(&gates->lock);
    struct gate_job *following = gate->first;
    if (following) {
        gate->first = following->behind;
        gate->waiting--;
    } else {
        gate->inside--;
    }
    (void)pthread_mutex_unlock(&gates->lock);
    if (following)
        pool_continue(gates->pool, &following->pool_job);
    /* From here on the job is its owner's again. */
    job->next(job->arg);
}

static void make_pool_job(struct gates *gates, unsigned gate, struct gate_job *job)
{
    job->gates = gates;
    job->gate = gate;
    job->behind = NULL;
    job->pool_job =
        (struct pool_job){.run = job_runs, .done = job_came_out, .arg = job, .loop = job->loop};
}

/* With the lock held. True where the job may go into the pool now; else it waits. */
static bool enter_or_wait(struct gates *gates, struct gate *gate, struct gate_job *job)
{
    if (gate->inside < gates->most_inside) {
        gate->inside++;
        return true;
    }
    if (gate->first)
        gate->last->behind = job;
    else
        gate->first = job;
    gate->last = job;
    gate->waiting++;
    return false;
}

/* The bound is on those that wait, so with 0 nobody would come in: the caller gives more. */
bool gates_submit(struct gates *gates, unsigned gate_number, struct gate_job *job)
{
    struct gate *gate = &gates->list[gate_number];
    make_pool_job(gates, gate_number, job);
    (void)pthread_mutex_lock(&gates->lock);
    bool taken = gate->waiting < gates->most_waiting;
    bool enters = taken && enter_or_wait(gates, gate, job);
    (void)pthread_mutex_unlock(&gates->lock);
    if (enters)
        pool_continue(gates->pool, &job->pool_job);
    return taken;
}

/* A next step may wait beyond the bound: it was let in once, and refusing it now would leave a
 * request half done. */
void gates_continue(struct gates *gates, unsigned gate_number, struct gate_job *job)
{
    make_pool_job(gates, gate_number, job);
    (void)pthread_mutex_lock(&gates->lock);
    bool enters = enter_or_wait(gates, &gates->list[gate_number], job);
    (void)pthread_mutex_unlock(&gates->lock);
    if (enters)
        pool_continue(gates->pool, &job->pool_job);
}
