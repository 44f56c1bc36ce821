/*
 * The way of one that waits: barrier_pass → `asking` (with all that came while the last read of the
 * head was under way) → head known → `waiting` → applied: through.
 */
#include "master/barrier.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/thread.h"
#include "master/etcd.h"
#include "master/index.h"
#include "master/oplog.h"

enum {
    PATIENCE_MS = 3000, /* of one that waits */
    HEAD_MS = 2000,     /* for a read of the head */
    LOOK_MS = 100       /* between looks for those whose patience is over */
};

/* Both lists are unordered and walked whole. They hold one entry a request at most, and the
 * limit of connections bounds those. */
struct barrier {
    struct barrier_options options;
    struct etcd *etcd;
    struct thread thread; /* its lock guards what follows */
    struct barrier_wait *asking;
    struct barrier_wait *waiting;
};

/* On the loop of who waits; the struct is its own again as soon as this runs. */
static void through(void *arg)
{
    struct barrier_wait *wait = arg;
    wait->through(wait->arg, wait->st);
}

/* From here on the struct belongs to the message, then to its owner: it must be off both lists. */
static void let(struct barrier_wait *wait, enum status st)
{
    wait->st = st;
    wait->message.fn = through;
    wait->message.arg = wait;
    loop_post(wait->loop, &wait->message);
}

/* Lets those through that the index has come up to, and those off whose patience is over. With the
 * lock held. */
static void settle(struct barrier *barrier, uint64_t sequence)
{
    uint64_t now = loop_now_ms();
    for (struct barrier_wait **at = &barrier->waiting; *at;) {
        struct barrier_wait *wait = *at;
        if (wait->sequence > sequence && now < wait->until_ms && !barrier->thread.ending) {
            at = &wait->next;
            continue;
        }
        *at = wait->next;
        let(wait, wait->sequence <= sequence ? ST_OK : ST_LAGGING);
    }
}

/* On the thread that has applied, for every entry: where nobody waits it costs a lock that
 * nobody else wants. */
void barrier_applied(struct barrier *barrier, uint64_t sequence)
{
    (void)pthread_mutex_lock(&barrier->thread.lock);
    if (barrier->waiting)
        settle(barrier, sequence);
    (void)pthread_mutex_unlock(&barrier->thread.lock);
}

/* The thread is woken by the first only; those that follow are found in the list when it takes
 * it. */
void barrier_pass(struct barrier *barrier, struct barrier_wait *wait, uint64_t least)
{
    wait->sequence = least;
    wait->until_ms = loop_now_ms() + PATIENCE_MS;
    (void)pthread_mutex_lock(&barrier->thread.lock);
    wait->next = barrier->asking;
    if (!barrier->asking)
        (void)pthread_cond_signal(&barrier->thread.changed);
    barrier->asking = wait;
    (void)pthread_mutex_unlock(&barrier->thread.lock);
}

/* Without a read of the head: who asks knows what it wants to see. */
void barrier_reach(struct barrier *barrier, struct barrier_wait *wait, uint64_t least)
{
    wait->sequence = least;
    wait->until_ms = loop_now_ms() + PATIENCE_MS;
    (void)pthread_mutex_lock(&barrier->thread.lock);
    wait->next = barrier->waiting;
    barrier->waiting = wait;
    /* After it is in the list: what is applied from now on finds it. */
    settle(barrier, index_sequence(barrier->options.index));
    (void)pthread_mutex_unlock(&barrier->thread.lock);
    barrier->options.want(barrier->options.arg, least);
}

/* --- the thread --- */

/* Takes all that ask; waits a while where nobody does. */
static struct barrier_wait *take(struct barrier *barrier, bool *ending)
{
    const struct timespec until = thread_time(LOOK_MS);
    (void)pthread_mutex_lock(&barrier->thread.lock);
    if (!barrier->asking && !barrier->thread.ending)
        (void)thread_wait(&barrier->thread.changed, &barrier->thread.lock, &until);
    struct barrier_wait *all = barrier->asking;
    barrier->asking = NULL;
    *ending = barrier->thread.ending;
    settle(barrier, index_sequence(barrier->options.index));
    (void)pthread_mutex_unlock(&barrier->thread.lock);
    return all;
}

/* They came before the head was read, so with that they have seen everything before them. They are
 * put into the list before the index is asked how far it is, so an entry that is applied in between
 * is noticed by one of the two. */
static void head_known(struct barrier *barrier, struct barrier_wait *all, uint64_t head)
{
    (void)pthread_mutex_lock(&barrier->thread.lock);
    while (all) {
        struct barrier_wait *wait = all;
        all = wait->next;
        if (wait->sequence < head)
            wait->sequence = head;
        wait->next = barrier->waiting;
        barrier->waiting = wait;
    }
    uint64_t sequence = index_sequence(barrier->options.index);
    settle(barrier, sequence);
    (void)pthread_mutex_unlock(&barrier->thread.lock);
    if (sequence < head)
        barrier->options.want(barrier->options.arg, head);
}

/* Without the lock: nobody else knows of these. */
static void head_failed(struct barrier_wait *all)
{
    while (all) {
        struct barrier_wait *wait = all;
        all = wait->next;
        let(wait, ST_LAGGING);
    }
}

/* One read at a time. Whoever comes while it is under way may not use its result, which may be
 * older than the request; it waits for the next. */
static void *run(void *arg)
{
    struct barrier *barrier = arg;
    bool ending = false;
    while (!ending) {
        struct barrier_wait *all = take(barrier, &ending);
        uint64_t head;
        if (!all)
            continue;
        if (!ending &&
            !oplog_head(barrier->options.keys, barrier->etcd, loop_now_ms() + HEAD_MS, &head))
            head_known(barrier, all, head);
        else
            head_failed(all);
    }
    return NULL;
}

/* The thread starts last, since it uses everything else at once. */
struct barrier *barrier_new(const struct barrier_options *options)
{
    struct barrier *barrier = calloc(1, sizeof *barrier);
    if (!barrier)
        return NULL;
    barrier->options = *options;
    barrier->etcd = etcd_new(options->endpoints, options->endpoint_count);
    if (barrier->etcd && thread_begin(&barrier->thread, run, barrier))
        return barrier;
    etcd_free(barrier->etcd);
    free(barrier);
    return NULL;
}

void barrier_stop(struct barrier *barrier)
{
    if (!barrier)
        return;
    etcd_end_thread(barrier->etcd, &barrier->thread);
    settle(barrier, 0);
    head_failed(barrier->asking);
    barrier->asking = NULL;
}

void barrier_free(struct barrier *barrier)
{
    if (!barrier)
        return;
    barrier_stop(barrier);
    etcd_free(barrier->etcd);
    thread_release(&barrier->thread);
    free(barrier);
}
