/*
 * A list of the copies under way, and a pool of its own for them. An entry goes its way under the
 * lock: RUNS → FINISHING (the value is about to get its name, and nobody can stop it) or GIVEN_UP
 * (by a DELETE, which can rely on it that nothing turns up afterwards). The thread of a copy asks
 * between two chunks whether it goes on; nobody interrupts it.
 */
#include "volume/pulls.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/pool.h"
#include "common/status.h"
#include "volume/gate.h"
#include "volume/path.h"

/* THREADS: a copy's cost is a core's share of hashing and writing, and one fsync's wait, so more
 * would only take memory (1 MiB each). WAITING: a master that is told to come again copies by
 * itself, sooner than a long queue would. INSIDE: so many of them one disk may have. */
enum { THREADS = 16, INSIDE = THREADS - THREADS / 4, WAITING = 64 };

struct pulls {
    struct pool *pool;
    struct gates *gates;  /* the ways into it, one a subvolume */
    pthread_mutex_t lock; /* guards the rest; held for a few instructions only */
    bool stopped;
    struct pulls_entry *first;
};

/* On failure what was made is pulls_free()'s. */
static enum status make_threads(struct pulls *pulls)
{
    pulls->pool = pool_new(THREADS, WAITING);
    if (pulls->pool)
        pulls->gates = gates_new(pulls->pool, PATH_SUBVOLUMES, INSIDE, WAITING);
    return pulls->gates ? ST_OK : ST_NO_MEMORY;
}

struct pulls *pulls_new(void)
{
    struct pulls *pulls = calloc(1, sizeof *pulls);
    if (!pulls)
        return NULL;
    (void)pthread_mutex_init(&pulls->lock, NULL);
    if (!make_threads(pulls))
        return pulls;
    pulls_free(pulls);
    return NULL;
}

/* The pool first: it waits for its jobs, which go through the gates when they end. */
void pulls_free(struct pulls *pulls)
{
    if (!pulls)
        return;
    pulls_stop(pulls);
    pool_free(pulls->pool);
    gates_free(pulls->gates);
    (void)pthread_mutex_destroy(&pulls->lock);
    free(pulls);
}

void pulls_stop(struct pulls *pulls)
{
    (void)pthread_mutex_lock(&pulls->lock);
    pulls->stopped = true;
    (void)pthread_mutex_unlock(&pulls->lock);
}

bool pulls_submit(struct pulls *pulls, unsigned subvolume, struct gate_job *job)
{
    return gates_submit(pulls->gates, subvolume, job);
}

void pulls_add(struct pulls *pulls, struct pulls_entry *entry)
{
    (void)pthread_mutex_lock(&pulls->lock);
    entry->state = PULLS_RUNS;
    entry->next = pulls->first;
    pulls->first = entry;
    (void)pthread_mutex_unlock(&pulls->lock);
}

void pulls_remove(struct pulls *pulls, struct pulls_entry *entry)
{
    (void)pthread_mutex_lock(&pulls->lock);
    struct pulls_entry **at = &pulls->first;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    (void)pthread_mutex_unlock(&pulls->lock);
}

bool pulls_goes_on(struct pulls *pulls, const struct pulls_entry *entry)
{
    (void)pthread_mutex_lock(&pulls->lock);
    bool on = !pulls->stopped && entry->state != PULLS_GIVEN_UP;
    (void)pthread_mutex_unlock(&pulls->lock);
    return on;
}

/* From one state to the other in one look at both: a DELETE comes before it or after it. */
bool pulls_finish(struct pulls *pulls, struct pulls_entry *entry)
{
    (void)pthread_mutex_lock(&pulls->lock);
    bool on = !pulls->stopped && entry->state == PULLS_RUNS;
    if (on)
        entry->state = PULLS_FINISHING;
    (void)pthread_mutex_unlock(&pulls->lock);
    return on;
}

/* All of that path: two masters may have asked for the same. */
bool pulls_give_up(struct pulls *pulls, unsigned subvolume, const char *file)
{
    bool gone = true;
    (void)pthread_mutex_lock(&pulls->lock);
    for (struct pulls_entry *at = pulls->first; at; at = at->next) {
        if (at->subvolume != subvolume || strcmp(at->file, file) != 0)
            continue;
        if (at->state == PULLS_RUNS)
            at->state = PULLS_GIVEN_UP;
        gone = gone && at->state == PULLS_GIVEN_UP;
    }
    (void)pthread_mutex_unlock(&pulls->lock);
    return gone;
}
