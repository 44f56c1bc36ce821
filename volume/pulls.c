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

bool pulls_finish(struct pulls *pulls, struct pulls_entry *entry)
{
    (void)pthread_mutex_lock(&pulls->lock);
    bool on = !pulls->stopped && entry->state == PULLS_RUNS;
    if (on)
        entry->state = PULLS_FINISHING;
    (void)pthread_mutex_unlock(&pulls->lock);
    return on;
}

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
