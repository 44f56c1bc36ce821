/*
 * The parts of a master, in the order in which they need each other: locks, table of volumes, pool
 * → the index → the volumes that it has → the roll → the loops, each with its server → janitor and
 * health checks on the first loop → the threads. Stopping is the same backwards, with one addition:
 * before anything is freed all loops come to rest, since a flow has its memory in several parts at
 * once.
 *
 * Threads: all of this runs on the main thread. What touches a loop after its thread has started
 * goes there as an errand (on_all_loops()).
 *
 * Each loop listens on the same port (SO_REUSEPORT), so the kernel deals connections out, and a
 * request stays where it came in.
 */
#include "master/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/checkpoint_load.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/placement.h"
#include "common/pool.h"
#include "common/thread.h"
#include "master/changes.h"
#include "master/cluster.h"
#include "master/config.h"
#include "master/gate.h"
#include "master/health.h"
#include "master/index.h"
#include "master/janitor.h"
#include "master/keylock.h"
#include "master/lease.h"
#include "master/ration.h"
#include "master/roll.h"
#include "master/routes.h"
#include "master/snapshots.h"
#include "master/volumes.h"
#include "master/worker.h"

enum { COPY_BYTES = 6 * 1024 * 1024 }; /* of values that a loop copies at the same time */
/* POOL_QUEUE: scans that wait; the next one is answered 503. IDLE_CONNECTIONS: a loop's to all
 * volumes. STOP_MS: for requests under way, when the master is to end. REPAIR_MS: until a `larder
 * verify --repair` that says nothing more is forgotten. BLOCKS_PART: of --cache, LevelDB's blocks
 * get one part of so many, records the others. ROSTER_PART: the roster of keys has one part of so
 * many as well, at most, beside it. */
enum {
    BLOCKS_PART = 8,
    ROSTER_PART = 8,
    POOL_QUEUE = 4096,
    IDLE_CONNECTIONS = 512,
    ADMIN_RESERVE = 16,
    STOP_MS = 10000,
    REPAIR_MS = 60000
};

/* `master` is its first member: count_idle() gets from the one to the other. */
struct server {
    struct master master;
    struct config const *config;
    struct health *health;
    pthread_t *threads;
    size_t thread_count;
    _Atomic size_t draining; /* workers that still have requests */
};

/* --- volumes: those of the index, then those of the command line --- */

/* The index is the authority on the volumes; false ends the scan, for lack of memory. */
static bool add_known(void *arg, const char *name, const char *value)
{
    struct volume_facts facts;
    volumes_read(&facts, value);
    return volumes_set(arg, name, &facts) == ST_OK;
}

/* One of the command line. What is the address of a volume that has moved is that volume. */
static enum status add_listed(struct volumes *volumes, const char *text)
{
    char name[VOLUME_NAME_MAX + 1];
    char there[VOLUME_NAME_MAX + 1];
    struct volume_facts facts;
    enum status st = placement_volume_name(text, strlen(text), name);
    if (st) {
        log_event(LOG_ERROR, "master",
                  "event=bad-volume volume=\"%s\" advice=\"--volumes host:port[/path],...\"", text);
        return st;
    }
    if (volumes_find(volumes, name, there))
        return ST_OK;
    if (!volumes_facts(volumes, name, &facts))
        return volumes_set(volumes, name, &facts);
    log_event(LOG_WARN, "master",
              "event=removed-volume volume=%s advice=\"it was taken out of the store: take it off "
              "--volumes, or add it again with 'larder add-volume'\"",
              name);
    return ST_OK;
}

/* Those of the index first: a volume of the command line may be one of them that has moved. */
static enum status add_volumes(struct server *server)
{
    const struct option_list *list = &server->config->volumes;
    enum status st = index_scan_volumes(server->master.index, add_known, server->master.volumes);
    for (size_t i = 0; i < list->count && !st; i++)
        st = add_listed(server->master.volumes, list->items[i]);
    size_t count = volumes_count(server->master.volumes);
    if (!st && count < server->config->replicas)
        log_event(LOG_WARN, "master", "event=few-volumes volumes=%zu replicas=%u", count,
                  server->config->replicas);
    return st;
}

/* What a GET would note of a key (volumes_look()); on the index's own thread. */
static uint64_t stamp(void *arg, const struct key *key, const struct record_view *view)
{
    const struct master *master = arg;
    return volumes_stamp(master->volumes, key, master->config->replicas, view->places,
                         view->place_count);
}

/* --- workers --- */

/* Until loop_stop(). */
static void *run_loop(void *arg)
{
    struct worker *worker = arg;
    loop_run(worker->loop);
    return NULL;
}

/* The first worker binds the port with `exclusive`, so that a second master on it is refused; the
 * others share it. Connections are divided evenly between the loops, rounded up. */
static enum status start_worker(struct server *server, size_t i, uint16_t port)
{
    struct worker *worker = &server->master.workers[i];
    const struct config *config = server->config;
    worker->master = &server->master;
    worker->random = loop_wall_ms() * 2654435761U + i + 1;
    worker->loop = loop_new();
    worker->client = worker->loop ? http_client_new(worker->loop, IDLE_CONNECTIONS) : NULL;
    worker->copies = worker->loop ? ration_new(worker->loop, COPY_BYTES) : NULL;
    if (!worker->client || !worker->copies)
        return ST_NO_MEMORY;
    const struct http_server_options options = {
        .loop = worker->loop,
        .listen = config->listen,
        .port = port,
        .exclusive = i == 0,
        .handler = routes_handle,
        .answering = server->master.cluster ? gate_answering : NULL,
        .expecting = routes_expect,
        .arg = worker,
        .name = "larder-master",
        .max_connections = config->max_connections / config->threads + 1,
        .admin_reserve = ADMIN_RESERVE,
    };
    return http_server_start(&worker->server, &options);
}

/* The first one decides the port, where any free one was asked for. */
static enum status start_workers(struct server *server)
{
    const struct config *config = server->config;
    uint16_t port = (uint16_t)config->port;
    server->master.workers = calloc(config->threads, sizeof *server->master.workers);
    server->threads = calloc(config->threads, sizeof *server->threads);
    if (!server->master.workers || !server->threads)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < config->threads; i++) {
        server->master.worker_count++;
        enum status st = start_worker(server, i, port);
        if (st)
            return st;
        port = http_server_port(server->master.workers[0].server);
    }
    server->master.janitor = janitor_new(&server->master.workers[0]);
    server->health = health_new(&server->master.workers[0]);
    server->master.snapshots = snapshots_new(&server->master.workers[0]);
    bool made = server->master.janitor && server->health && server->master.snapshots;
    return made ? ST_OK : ST_NO_MEMORY;
}

static enum status start_threads(struct server *server)
{
    for (size_t i = 0; i < server->master.worker_count; i++) {
        if (!thread_start(&server->threads[i], run_loop, &server->master.workers[i]))
            return ST_NO_MEMORY;
        server->thread_count++;
    }
    return ST_OK;
}

/* What a restore, or a master that was joining, has left when it was killed. */
static enum status clean_index(const char *path)
{
    struct buf why = BUF_INIT;
    enum status st = checkpoint_load_clean(path, &why);
    if (st)
        log_event(LOG_ERROR, "index", "event=clean-failed path=\"%s\" status=\"%s\" error=\"%s\"",
                  path, status_text(st), buf_text(&why));
    buf_free(&why);
    return st;
}

static enum status open_index(struct server *server)
{
    const struct config *config = server->config;
    enum status st = clean_index(config->db);
    if (st)
        return st;
    const struct index_options options = {
        .path = config->db,
        .sync = config->sync == 0,
        .cache_bytes = (size_t)config->cache_bytes / BLOCKS_PART,
        .recall_bytes = (size_t)(config->cache_bytes - config->cache_bytes / BLOCKS_PART),
        .roster_bytes = (size_t)config->cache_bytes / ROSTER_PART,
        .reserve_bytes = config->reserve_bytes,
        .log = cluster_log(server->master.cluster),
        .changes = server->master.changes,
    };
    return index_open(&server->master.index, &options);
}

/* Nothing is written or removed on the word of an index that may be out of date. */
static bool is_restored(const void *arg)
{
    return index_restored(arg);
}

/* The index before everything that listens: who cannot open it must not answer anybody. */
static enum status start_parts(struct server *server)
{
    struct master *master = &server->master;
    master->started_ms = loop_now_ms();
    master->config = server->config;
    master->locks = keylock_new();
    master->volumes = volumes_new(server->config->subvolumes, server->config->down_after_ms);
    master->pool = pool_new(server->config->pool_threads, POOL_QUEUE);
    master->changes = changes_new((size_t)server->config->watch_log_bytes);
    master->repairs = lease_new(REPAIR_MS);
    if (!master->locks || !master->volumes || !master->pool || !master->changes || !master->repairs)
        return ST_NO_MEMORY;
    enum status st = ST_OK;
    if (server->config->cluster.count) {
        st = cluster_new(&master->cluster, server->config, master);
        master->may_write = cluster_may_write;
        master->term = cluster_term;
    }
    if (!st)
        st = open_index(server);
    if (!st) {
        keylock_guard(master->locks, is_restored, master->index);
        st = add_volumes(server);
    }
    master->roll = st ? NULL : roll_new(master->index, master->volumes);
    if (!st && !master->roll)
        st = ST_NO_MEMORY;
    if (!st)
        st = start_workers(server);
    if (!st && master->cluster)
        st = cluster_start(master->cluster, server_port(server));
    if (!st)
        index_warm(master->index, stamp, master); /* before anybody can ask whether it reads */
    if (!st)
        st = start_threads(server);
    return st;
}

/* --- stopping --- */

/* The first loop last: what the others have still posted to it is for the janitor, which is freed
 * before the loops are. */
static void stop_loops(struct server *server)
{
    for (size_t i = server->thread_count; i-- > 0;) {
        loop_stop(server->master.workers[i].loop);
        (void)pthread_join(server->threads[i], NULL);
    }
    server->thread_count = 0;
}

/* All of a server, or as much as server_start() has made of it. The index first: flows that wait
 * for a commit are told before their loops end. Janitor and health go after the threads, and before
 * the loops whose timers they have. */
static void free_parts(struct server *server)
{
    struct master *master = &server->master;
    if (master->index)
        index_stop(master->index); /* the loops still deliver what it has to say */
    cluster_stop(master->cluster);
    stop_loops(server);
    cluster_free(master->cluster);
    pool_free(master->pool);
    snapshots_free(master->snapshots);
    index_close(master->index);
    health_free(server->health);
    janitor_free(master->janitor);
    for (size_t i = 0; i < master->worker_count; i++) {
        http_server_free(master->workers[i].server);
        http_client_free(master->workers[i].client);
        ration_free(master->workers[i].copies);
        loop_free(master->workers[i].loop);
        buf_free(&master->workers[i].texts[0]);
        buf_free(&master->workers[i].texts[1]);
    }
    roll_free(master->roll);
    changes_free(master->changes);
    volumes_free(master->volumes);
    keylock_free(master->locks);
    lease_free(master->repairs);
    free(master->workers);
    free(server->threads);
    free(server);
}

/* Everything that fails has logged why, or does so here. */
enum status server_start(struct server **to, const struct config *config)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return ST_NO_MEMORY;
    server->config = config;
    enum status st = start_parts(server);
    if (st) {
        log_event(LOG_ERROR, "master", "event=start-failed error=\"%s\"", status_text(st));
        free_parts(server);
        return st;
    }
    *to = server;
    return ST_OK;
}

uint16_t server_port(const struct server *server)
{
    return http_server_port(server->master.workers[0].server);
}

/* On a worker's loop. */
static void drain(void *arg)
{
    const struct worker *worker = arg;
    http_server_drain(worker->server);
    if (worker != worker->master->workers)
        return;
    janitor_stop(worker->master->janitor);
    snapshots_stop(worker->master->snapshots);
}

/* On a worker's loop: counts it out where it has come to rest. */
static void count_idle(void *arg)
{
    struct worker *worker = arg;
    struct server *server = (struct server *)(void *)worker->master; /* its first member */
    const struct master *master = worker->master;
    bool rest = worker != master->workers ||
                (janitor_idle(master->janitor) && snapshots_idle(master->snapshots));
    if (http_server_idle(worker->server) && rest)
        atomic_fetch_sub(&server->draining, 1);
}

/* A function that is to run once on every loop, and those that still have to. */
struct round {
    pthread_mutex_t lock;
    pthread_cond_t done;
    size_t left;
};

struct errand {
    struct loop_message message;
    struct round *round;
    void (*fn)(void *arg);
    void *arg;
};

static void run_errand(void *arg)
{
    struct errand *errand = arg;
    struct round *round = errand->round;
    errand->fn(errand->arg);
    (void)pthread_mutex_lock(&round->lock);
    if (--round->left == 0)
        (void)pthread_cond_signal(&round->done);
    (void)pthread_mutex_unlock(&round->lock);
}

/* Runs fn on all loops and waits until it has. False: no memory, nothing was run. */
static bool on_all_loops(struct server *server, void (*fn)(void *arg))
{
    struct round round = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                          server->thread_count};
    struct errand *errands = calloc(server->thread_count, sizeof *errands);
    if (!errands)
        return false;
    for (size_t i = 0; i < server->thread_count; i++) {
        struct worker *worker = &server->master.workers[i];
        errands[i] = (struct errand){.round = &round, .fn = fn, .arg = worker};
        errands[i].message.fn = run_errand;
        errands[i].message.arg = &errands[i];
        loop_post(worker->loop, &errands[i].message);
    }
    (void)pthread_mutex_lock(&round.lock);
    while (round.left)
        (void)pthread_cond_wait(&round.done, &round.lock);
    (void)pthread_mutex_unlock(&round.lock);
    free(errands);
    return true;
}

/* Again and again until all loops are idle in one and the same round, as a request of one loop may
 * make work for another. False: time is up. */
static bool wait_for_rest(struct server *server)
{
    uint64_t deadline = loop_now_ms() + STOP_MS;
    for (;;) {
        atomic_store(&server->draining, server->thread_count);
        if (!on_all_loops(server, count_idle))
            return false;
        if (atomic_load(&server->draining) == 0)
            return true;
        if (loop_now_ms() > deadline)
            return false;
        (void)usleep(20000);
    }
}

bool server_stop(struct server *server)
{
    changes_stop(server->master.changes); /* watches end, which would go on for ever */
    bool rested = on_all_loops(server, drain) && wait_for_rest(server);
    index_stop(server->master.index); /* what is queued becomes durable, and is told to its flows */
    if (!rested) {
        log_event(LOG_WARN, "master", "event=requests-cut-off");
        cluster_stop(server->master.cluster); /* others may write at once */
        return false;
    }
    free_parts(server);
    return true;
}
