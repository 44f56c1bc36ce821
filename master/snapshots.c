/*
 * Looking for what is due goes snapshots_tick (loop) → snapshots_swept (pool) → snapshots_rest
 * (loop), every few seconds.
 */
#include "master/snapshots.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "common/pool.h"
#include "master/index.h"
#include "master/index_snapshot.h"
#include "master/worker.h"

enum { TICK_MS = 5000 };

struct snapshot {
    struct checkpoint_head head;
    struct index_snapshot *index;
    uint64_t taken_ms; /* loop_now_ms(), as all times here */
    uint64_t idle_ms;  /* since when nobody reads it */
    unsigned readers;
    bool listed; /* in the table; else its last reader frees it */
};

struct snapshots {
    struct worker *worker;
    struct loop_timer *timer;
    struct pool_job job;
    bool sweeping; /* the job is the pool's now */
    _Atomic bool stopped;
    pthread_mutex_t lock; /* over all below, and the members of each */
    struct snapshot *table[SNAPSHOTS_MAX];
    unsigned readers; /* of all */
};

static void snapshots_tick(void *arg);
static void snapshots_swept(void *arg);
static void snapshots_rest(void *arg);

struct snapshots *snapshots_new(struct worker *worker)
{
    struct snapshots *snapshots = calloc(1, sizeof *snapshots);
    if (!snapshots)
        return NULL;
    snapshots->worker = worker;
    snapshots->timer = loop_timer_new(worker->loop, snapshots_tick, snapshots);
    if (!snapshots->timer) {
        free(snapshots);
        return NULL;
    }
    (void)pthread_mutex_init(&snapshots->lock, NULL);
    loop_timer_set(snapshots->timer, TICK_MS);
    return snapshots;
}

static void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    index_snapshot_free(snapshot->index);
    free(snapshot);
}

void snapshots_free(struct snapshots *snapshots)
{
    if (!snapshots)
        return;
    for (size_t i = 0; i < SNAPSHOTS_MAX; i++)
        snapshot_free(snapshots->table[i]);
    loop_timer_free(snapshots->timer);
    (void)pthread_mutex_destroy(&snapshots->lock);
    free(snapshots);
}

/* --- what is due --- */

static void snapshots_tick(void *arg)
{
    struct snapshots *snapshots = arg;
    bool any = false;
    (void)pthread_mutex_lock(&snapshots->lock);
    for (size_t i = 0; i < SNAPSHOTS_MAX; i++)
        any = any || snapshots->table[i];
    (void)pthread_mutex_unlock(&snapshots->lock);
    snapshots->job = (struct pool_job){.run = snapshots_swept,
                                       .done = snapshots_rest,
                                       .arg = snapshots,
                                       .loop = snapshots->worker->loop};
    snapshots->sweeping = any && pool_submit(snapshots->worker->master->pool, &snapshots->job);
    if (!snapshots->sweeping)
        snapshots_rest(snapshots);
}

static void snapshots_swept(void *arg)
{
    snapshots_sweep(arg);
}

static void snapshots_rest(void *arg)
{
    struct snapshots *snapshots = arg;
    snapshots->sweeping = false;
    if (!atomic_load(&snapshots->stopped))
        loop_timer_set(snapshots->timer, TICK_MS);
}

void snapshots_stop(struct snapshots *snapshots)
{
    atomic_store(&snapshots->stopped, true);
    loop_timer_clear(snapshots->timer);
}

bool snapshots_stopped(const struct snapshots *snapshots)
{
    return atomic_load(&snapshots->stopped);
}

bool snapshots_idle(const struct snapshots *snapshots)
{
    return !snapshots->sweeping;
}

static bool is_too_old(const struct snapshot *snapshot, uint64_t now)
{
    return now - snapshot->taken_ms >= SNAPSHOTS_AGE_MS;
}

void snapshots_sweep(struct snapshots *snapshots)
{
    struct snapshot *due[SNAPSHOTS_MAX] = {NULL};
    uint64_t now = loop_now_ms();
    (void)pthread_mutex_lock(&snapshots->lock);
    for (size_t i = 0; i < SNAPSHOTS_MAX; i++) {
        struct snapshot *snapshot = snapshots->table[i];
        if (snapshot && !snapshot->readers &&
            (is_too_old(snapshot, now) || now - snapshot->idle_ms >= SNAPSHOTS_HELD_MS)) {
            due[i] = snapshot;
            snapshots->table[i] = NULL;
        }
    }
    (void)pthread_mutex_unlock(&snapshots->lock);
    for (size_t i = 0; i < SNAPSHOTS_MAX; i++)
        snapshot_free(due[i]);
}

/* --- taking --- */

static struct snapshot *make_snapshot(struct snapshots *snapshots, enum status *st)
{
    struct index *index = snapshots->worker->master->index;
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    *st = snapshot ? durable_new_identity(snapshot->head.id) : ST_NO_MEMORY;
    if (!*st)
        *st = index_snapshot_take(index, &snapshot->index, &snapshot->head.sequence);
    if (*st) {
        free(snapshot);
        return NULL;
    }
    index_id(index, snapshot->head.store);
    snapshot->head.made_ms = loop_wall_ms();
    snapshot->taken_ms = loop_now_ms();
    snapshot->readers = 1;
    return snapshot;
}

/* The place for a new one: a free one, else that of the one which nobody has read for longest; its
 * reader may come back, but this one is here. */
static struct snapshot **find_place(struct snapshots *snapshots)
{
    struct snapshot **best = NULL;
    for (size_t i = 0; i < SNAPSHOTS_MAX; i++) {
        struct snapshot **at = &snapshots->table[i];
        if (!*at)
            return at;
        if (!(*at)->readers && (!best || (*at)->idle_ms < (*best)->idle_ms))
            best = at;
    }
    return best;
}

/* A reader more, where there is room for one. */
static bool admit(struct snapshots *snapshots)
{
    bool room = snapshots->readers < SNAPSHOTS_MAX;
    snapshots->readers += room;
    return room;
}

enum status snapshots_take(struct snapshots *snapshots, struct snapshot **taken)
{
    enum status st = ST_OK;
    (void)pthread_mutex_lock(&snapshots->lock);
    bool admitted = admit(snapshots);
    (void)pthread_mutex_unlock(&snapshots->lock);
    struct snapshot *snapshot = admitted ? make_snapshot(snapshots, &st) : NULL;
    struct snapshot *evicted = NULL;
    (void)pthread_mutex_lock(&snapshots->lock);
    if (snapshot) {
        /* No more are read than there are places, this one counted; so there is one. */
        struct snapshot **place = find_place(snapshots);
        evicted = *place;
        *place = snapshot;
        snapshot->listed = true;
    } else if (admitted) {
        snapshots->readers--;
    }
    (void)pthread_mutex_unlock(&snapshots->lock);
    snapshot_free(evicted);
    *taken = snapshot;
    return admitted ? st : ST_BUSY;
}

enum status snapshots_resume(struct snapshots *snapshots, const char *id, struct snapshot **taken)
{
    enum status st = ST_GONE;
    (void)pthread_mutex_lock(&snapshots->lock);
    for (size_t i = 0; i < SNAPSHOTS_MAX && st == ST_GONE; i++) {
        struct snapshot *snapshot = snapshots->table[i];
        if (!snapshot || strcmp(snapshot->head.id, id) != 0 || is_too_old(snapshot, loop_now_ms()))
            continue;
        st = admit(snapshots) ? ST_OK : ST_BUSY;
        snapshot->readers += !st;
        *taken = snapshot;
    }
    (void)pthread_mutex_unlock(&snapshots->lock);
    return st;
}

void snapshots_release(struct snapshots *snapshots, struct snapshot *snapshot, bool keep)
{
    (void)pthread_mutex_lock(&snapshots->lock);
    snapshots->readers--;
    snapshot->readers--;
    snapshot->idle_ms = loop_now_ms();
    for (size_t i = 0; i < SNAPSHOTS_MAX && !keep; i++)
        if (snapshots->table[i] == snapshot) {
            snapshots->table[i] = NULL;
            snapshot->listed = false;
        }
    bool last = !snapshot->listed && !snapshot->readers;
    (void)pthread_mutex_unlock(&snapshots->lock);
    if (last)
        snapshot_free(snapshot);
}

const struct checkpoint_head *snapshots_head(const struct snapshot *snapshot)
{
    return &snapshot->head;
}

struct index_snapshot *snapshots_index(const struct snapshot *snapshot)
{
    return snapshot->index;
}

bool snapshots_expired(const struct snapshot *snapshot)
{
    return is_too_old(snapshot, loop_now_ms());
}
