/*
 * The parts of a volume: directory and subvolumes → pool and gates → what reading needs → the loops
 * (lanes), each with its own HTTP server on the one port → scrub → registrar and checks on lane 0 →
 * threads. server_free() goes backwards.
 *
 * Stopping is apart from freeing. server_stop() lets requests end within a time; where some do not,
 * or a thread of the scrub hangs on its disk, false says that memory may still be in use, and the
 * process ends without freeing anything.
 */
#include "volume/server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/thread.h"
#include "volume/batch.h"
#include "volume/called.h"
#include "volume/config.h"
#include "volume/flow.h"
#include "volume/gate.h"
#include "volume/masters.h"
#include "volume/path.h"
#include "volume/pulls.h"
#include "volume/register.h"
#include "volume/room.h"
#include "volume/routes.h"
#include "volume/scrub.h"
#include "volume/service.h"
#include "volume/spares.h"
#include "volume/subvolumes.h"
#include "volume/trusted.h"

enum {
    CHECK_EVERY_MS = 1000,
    DRAIN_LOOK_MS = 10,
    SCRUB_STOP_MS = 2000,
    ADMIN_RESERVE = 16,
    JOBS_A_THREAD = 64, /* that wait for a disk, or for the pool */
    ROOM_BYTES = 64 * 1024 * 1024
};

/* One event loop and what belongs to it. */
struct lane {
    struct server *server;
    struct service_lane own; /* what requests reach of it */
    pthread_t thread;
    bool running;
    struct loop_message drain; /* posted by server_stop() */
    struct loop_timer *look;   /* whether the loop is idle yet */
    bool idle;                 /* its last request was answered in time; read after the join */
};

struct server {
    struct service service;        /* what requests reach */
    struct registrar *registrar;   /* on lane 0; NULL without masters */
    uint64_t drain_until;          /* loop_now_ms() at which the loops stop anyway */
    struct loop_timer *check_time; /* on lane 0 */
    struct pool_job check_job;
    unsigned lanes;
    struct lane lane[];
};

/* --- What is done every second --- */

/* On the pool: a look at a disk that hangs must not take a loop with it. */
static void check_on_pool(void *arg)
{
    struct server *server = arg;
    spares_shrink(server->service.chunks); /* waits for no disk */
    subvolumes_check(server->service.all);
    scrub_look(server->service.scrub);
}

/* The next check is a second after this one's end, so they never pile up. */
static void check_was_done(void *arg)
{
    struct server *server = arg;
    if (server->check_time)
        loop_timer_set(server->check_time, CHECK_EVERY_MS);
}

static void check_is_due(void *arg)
{
    struct server *server = arg;
    pool_continue(server->service.pool, &server->check_job);
}

/* --- Starting --- */

/* The first lane binds the port for itself, so a second process on it is refused; connections are
 * divided evenly, rounded up. */
static enum status start_lane(struct server *server, unsigned i, uint16_t port)
{
    const struct config *config = server->service.config;
    struct lane *lane = &server->lane[i];
    unsigned share = (config->max_connections + server->lanes - 1) / server->lanes;
    struct http_server_options options = {
        .loop = lane->own.loop,
        .listen = config->listen,
        .port = port,
        .exclusive = i == 0,
        .handler = routes_handle,
        .arg = &server->service,
        .name = "larder-volume",
        .max_connections = share,
        .admin_reserve = ADMIN_RESERVE,
    };
    return http_server_start(&lane->own.http, &options);
}

static void look_whether_idle(void *arg);

static enum status make_lanes(struct server *server)
{
    server->service.lanes = &server->lane[0].own;
    for (unsigned i = 0; i < server->lanes; i++) {
        struct lane *lane = &server->lane[i];
        lane->server = server;
        lane->own.next = i + 1 < server->lanes ? &server->lane[i + 1].own : NULL;
        lane->own.loop = loop_new();
        if (!lane->own.loop)
            return ST_NO_MEMORY;
        lane->look = loop_timer_new(lane->own.loop, look_whether_idle, lane);
        if (!lane->look)
            return ST_NO_MEMORY;
        /* All of them on the port that the first one got. */
        enum status st =
            start_lane(server, i, i ? server_port(server) : (uint16_t)server->service.config->port);
        if (st)
            return st;
    }
    return ST_OK;
}

static void *run_lane(void *arg)
{
    struct lane *lane = arg;
    loop_run(lane->own.loop);
    return NULL;
}

static bool start_threads(struct server *server)
{
    bool good = true;
    for (unsigned i = 0; i < server->lanes && good; i++) {
        struct lane *lane = &server->lane[i];
        good = thread_start(&lane->thread, run_lane, lane);
        lane->running = good;
    }
    return good;
}

static enum status start_scrub(struct server *server)
{
    const uint64_t day_ms = 24ULL * 3600 * 1000;
    struct scrub_options options = {
        .all = server->service.all,
        .counters = &server->service.counters,
        .masters = &server->service.config->masters,
        .base = config_base(server->service.config, server_port(server)),
        .period_ms = server->service.config->scrub_days * day_ms,
    };
    if (!options.base)
        return ST_NO_MEMORY;
    server->service.scrub = scrub_new(&options);
    return server->service.scrub ? ST_OK : ST_NO_MEMORY;
}

/* What runs on lane 0 beside requests. */
static enum status start_services(struct server *server)
{
    struct loop *loop = server->lane[0].own.loop;
    server->check_job = (struct pool_job){
        .run = check_on_pool, .done = check_was_done, .arg = server, .loop = loop};
    server->check_time = loop_timer_new(loop, check_is_due, server);
    if (!server->check_time)
        return ST_NO_MEMORY;
    loop_timer_set(server->check_time, CHECK_EVERY_MS);
    if (server->service.config->masters.count == 0)
        return ST_OK;
    const struct registrar_options options = {.config = server->service.config,
                                              .id = subvolumes_id(server->service.all),
                                              .loop = loop,
                                              .port = server_port(server)};
    return registrar_new(&server->registrar, &options);
}

static enum status open_directory(struct server *server, const struct disk *disk)
{
    char *error = NULL;
    struct subvolumes_options options = {
        .dir = server->service.config->dir,
        .disk = disk,
        .reserve = server->service.config->reserve,
        .sync = server->service.config->sync == CONFIG_SYNC_FULL,
    };
    enum status st = subvolumes_open(&server->service.all, &options, &error);
    if (st)
        (void)fprintf(stderr, "larder-volume: %s\n", error ? error : status_text(st));
    free(error);
    if (!st) {
        server->service.called = called_new(subvolumes_own_fd(server->service.all));
        st = server->service.called ? ST_OK : ST_NO_MEMORY;
    }
    return st;
}

/* A quarter of the threads is left for the others, whatever happens to one disk. */
static enum status make_pool(struct server *server)
{
    unsigned threads = server->service.config->pool_threads;
    unsigned inside = threads > 1 ? threads / 2 : 1;
    unsigned together = threads > 3 ? threads / 4 : 1;
    size_t waiting = (size_t)threads * JOBS_A_THREAD;
    server->service.pool = pool_new(threads, waiting);
    server->service.pulls = pulls_new();
    server->service.masters =
        masters_new(&server->service.config->masters, subvolumes_own_fd(server->service.all));
    if (!server->service.pool || !server->service.pulls || !server->service.masters)
        return ST_NO_MEMORY;
    server->service.gates = gates_new(server->service.pool, PATH_SUBVOLUMES, inside, waiting);
    server->service.batches = batches_new(server->service.pool, put_write_many, together, waiting);
    return server->service.gates && server->service.batches ? ST_OK : ST_NO_MEMORY;
}

static enum status make_memory(struct service *service)
{
    service->trusted = trusted_new();
    service->room = room_new(ROOM_BYTES);
    service->chunks = put_chunks_new();
    return service->trusted && service->room && service->chunks ? ST_OK : ST_NO_MEMORY;
}

/* Prints what has not been printed yet. */
static enum status start_all(struct server *server, const struct disk *disk)
{
    enum status st = open_directory(server, disk);
    if (st)
        return st;
    st = make_pool(server);
    if (!st)
        st = make_memory(&server->service);
    if (!st)
        st = make_lanes(server);
    if (st == ST_IO)
        return st; /* the HTTP server has said why */
    if (!st)
        st = start_scrub(server);
    if (!st)
        st = start_services(server);
    if (!st && !start_threads(server))
        st = ST_BUSY;
    if (st)
        (void)fprintf(stderr, "larder-volume: cannot start on %s port %u: %s\n",
                      server->service.config->listen, server->service.config->port,
                      status_text(st));
    return st;
}

enum status server_start(struct server **server, const struct config *config,
                         const struct disk *disk)
{
    struct server *new = calloc(1, sizeof *new + config->threads * sizeof new->lane[0]);
    if (!new) {
        (void)fprintf(stderr, "larder-volume: out of memory\n");
        return ST_NO_MEMORY;
    }
    new->service.config = config;
    new->lanes = config->threads;
    new->service.started_ms = loop_wall_ms();
    enum status st = start_all(new, disk);
    if (st) {
        if (server_stop(new, 0))
            server_free(new);
        return st;
    }
    log_event(LOG_INFO, "volume", "listen=%s port=%u dir=\"%s\" id=%s threads=%u", config->listen,
              server_port(new), config->dir, subvolumes_id(new->service.all), config->threads);
    *server = new;
    return ST_OK;
}

/* --- Stopping --- */

static void look_whether_idle(void *arg)
{
    struct lane *lane = arg;
    lane->idle = http_server_idle(lane->own.http);
    if (lane->idle || loop_now_ms() >= lane->server->drain_until)
        loop_stop(lane->own.loop);
    else
        loop_timer_set(lane->look, DRAIN_LOOK_MS);
}

/* What sends requests of its own ends first; then those of clients are waited for. */
static void lane_drains(void *arg)
{
    struct lane *lane = arg;
    struct server *server = lane->server;
    if (lane == &server->lane[0]) {
        registrar_free(server->registrar);
        server->registrar = NULL;
        loop_timer_free(server->check_time);
        server->check_time = NULL;
    }
    http_server_drain(lane->own.http);
    look_whether_idle(lane);
}

bool server_stop(struct server *server, unsigned timeout_ms)
{
    bool idle = true;
    server->drain_until = loop_now_ms() + timeout_ms;
    if (server->service.pulls)
        pulls_stop(server->service.pulls);
    for (unsigned i = 0; i < server->lanes; i++) {
        struct lane *lane = &server->lane[i];
        lane->drain = (struct loop_message){.fn = lane_drains, .arg = lane};
        if (lane->running)
            loop_post(lane->own.loop, &lane->drain);
    }
    for (unsigned i = 0; i < server->lanes; i++) {
        struct lane *lane = &server->lane[i];
        if (!lane->running)
            continue;
        (void)pthread_join(lane->thread, NULL);
        lane->running = false;
        idle = idle && lane->idle;
    }
    return scrub_stop(server->service.scrub, SCRUB_STOP_MS) && idle;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    /* Jobs first: what they post to the loops is delivered when those are freed. */
    pulls_free(server->service.pulls);
    pool_free(server->service.pool);
    masters_free(server->service.masters);
    registrar_free(server->registrar);
    loop_timer_free(server->check_time);
    server->check_time = NULL;
    for (unsigned i = 0; i < server->lanes; i++) {
        struct lane *lane = &server->lane[i];
        http_server_free(lane->own.http);
        loop_timer_free(lane->look);
        loop_free(lane->own.loop);
    }
    scrub_free(server->service.scrub);
    gates_free(server->service.gates);
    batches_free(server->service.batches);
    trusted_free(server->service.trusted);
    room_free(server->service.room);
    spares_free(server->service.chunks);
    called_free(server->service.called);
    subvolumes_free(server->service.all);
    free(server);
}

uint16_t server_port(const struct server *server)
{
    return http_server_port(server->lane[0].own.http);
}
