/*
 * The server as a whole: who is let in, who has taken too long, and how it ends. What happens on a
 * connection is http_turn.c's.
 */
#include "common/http_server.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http_conn.h"
#include "common/http_listen.h"
#include "common/http_turn.h"
#include "common/log.h"
#include "common/version.h"

enum {
    HEAD_TIMEOUT_MS = 10 * 1000,
    BODY_TIMEOUT_MS = 30 * 1000,
    IDLE_TIMEOUT_MS = 75 * 1000,
    WRITE_TIMEOUT_MS = 60 * 1000,
    SPARED_MS = 1000, /* idle for less, it is likely to be used again at once */
    SWEEP_MIN_MS = 10,
    SWEEP_MAX_MS = 1000
};

struct http_server {
    struct http_hub hub;
    struct http_listen *listen; /* NULL once it drains */
    struct loop_timer *sweep;   /* set while there are connections */
    uint16_t port;
    unsigned admin_reserve;
    unsigned sweep_ms;
    bool sweeping;
};

/* --- Deadlines --- */

/* One timer for all connections: a second more or less does not matter to any of them. */
static void sweep_due(void *arg)
{
    struct http_server *server = arg;
    uint64_t now = loop_now_ms();
    /* Closed connections leave the list on the next turn, so it stays whole under the loop. */
    for (struct http_conn *conn = server->hub.first; conn; conn = conn->next)
        http_turn_expire(conn, now);
    server->sweeping = server->hub.first != NULL;
    if (server->sweeping)
        loop_timer_set(server->sweep, server->sweep_ms);
}

/* A quarter of the shortest time-out. */
static unsigned sweep_interval(const struct http_hub *hub)
{
    const unsigned all[] = {hub->head_timeout_ms, hub->body_timeout_ms, hub->idle_timeout_ms,
                            hub->write_timeout_ms, SWEEP_MAX_MS * 4};
    unsigned shortest = all[0];
    for (size_t i = 1; i < sizeof all / sizeof *all; i++)
        if (all[i] < shortest)
            shortest = all[i];
    return shortest / 4 < SWEEP_MIN_MS ? SWEEP_MIN_MS : shortest / 4;
}

/* --- Connections --- */

/* Says why before it closes, as far as that goes without waiting. */
static void turn_away(int socket)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                                 "Retry-After: 1\r\nContent-Length: 0\r\n\r\n";
    ssize_t sent = send(socket, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    (void)close(socket);
}

/* Closes the connection that has been idle for the longest time; false where none is. A client that
 * keeps connections for later must not keep others out. What it has sent by now is still read: then
 * the connection is not idle, and another turn may find one that is. */
static bool close_idlest(void *arg)
{
    struct http_server *server = arg;
    struct http_conn *idlest = NULL;
    uint64_t since = loop_now_ms() - SPARED_MS;
    for (struct http_conn *conn = server->hub.first; conn; conn = conn->next) {
        bool idle = conn->phase == HTTP_PHASE_HEAD && conn->head_since == 0 && conn->in.len == 0;
        if (idle && conn->phase_since < since) {
            since = conn->phase_since;
            idlest = conn;
        }
    }
    if (!idlest)
        return false;
    http_turn_drain(idlest);
    return idlest->phase == HTTP_PHASE_CLOSED;
}

/* Up to max_connections everybody is served; the next admin_reserve may still ask for /admin/, so
 * that a server which is overrun can be looked at; nobody after that. */
static void accepted(void *arg, int socket, const struct sockaddr_storage *peer)
{
    struct http_server *server = arg;
    struct http_hub *hub = &server->hub;
    uint64_t most = hub->max_connections;
    if (hub->stats.connections >= most)
        (void)close_idlest(server);
    if (hub->stats.connections >= most + server->admin_reserve) {
        hub->stats.refused++;
        turn_away(socket);
        return;
    }
    bool reserve = hub->stats.connections >= most;
    struct http_conn *conn = http_conn_new(hub, socket, peer);
    if (!conn) {
        log_event(LOG_ERROR, "http", "error=\"no memory for a connection\"");
        hub->stats.refused++;
        turn_away(socket);
        return;
    }
    conn->reserve = reserve;
    hub->stats.accepted++;
    http_turn_run(conn); /* begins to watch it */
    if (!server->sweeping) {
        server->sweeping = true;
        loop_timer_set(server->sweep, server->sweep_ms);
    }
}

/* --- The server --- */

static unsigned or_default(unsigned ms, unsigned otherwise)
{
    return ms ? ms : otherwise;
}

/* The part that the connections share; they know nothing of struct http_server. */
static void hub_init(struct http_hub *hub, const struct http_server_options *options)
{
    static atomic_uint servers;
    hub->loop = options->loop;
    hub->handler = options->handler;
    hub->answering = options->answering;
    hub->expecting = options->expecting;
    hub->handler_arg = options->arg;
    hub->max_connections = options->max_connections;
    hub->head_timeout_ms = or_default(options->head_timeout_ms, HEAD_TIMEOUT_MS);
    hub->body_timeout_ms = or_default(options->body_timeout_ms, BODY_TIMEOUT_MS);
    hub->idle_timeout_ms = or_default(options->idle_timeout_ms, IDLE_TIMEOUT_MS);
    hub->write_timeout_ms = or_default(options->write_timeout_ms, WRITE_TIMEOUT_MS);
    hub->ready_last = &hub->ready;
    hub->turn = (struct loop_later){.fn = http_turn_ready, .arg = hub};
    hub->number = atomic_fetch_add(&servers, 1) + 1;
    (void)snprintf(hub->server_line, sizeof hub->server_line, "Server: %.40s/%s\r\n", options->name,
                   LARDER_VERSION);
}

enum status http_server_start(struct http_server **started,
                              const struct http_server_options *options)
{
    enum status st = ST_NO_MEMORY;
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        return st;
    hub_init(&server->hub, options);
    server->admin_reserve = options->admin_reserve;
    server->sweep_ms = sweep_interval(&server->hub);
    server->sweep = loop_timer_new(options->loop, sweep_due, server);
    if (!server->sweep)
        goto no_sweep;
    st = http_listen_start(&server->listen, options->loop, options->listen, options->port,
                           options->exclusive, accepted, close_idlest, server);
    if (st)
        goto no_listen;
    server->port = http_listen_port(server->listen);
    *started = server;
    return ST_OK;

no_listen:
    loop_timer_free(server->sweep);
no_sweep:
    free(server);
    return st;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

const struct http_server_stats *http_server_stats(const struct http_server *server)
{
    return &server->hub.stats;
}

void http_server_drain(struct http_server *server)
{
    if (server->hub.draining)
        return;
    server->hub.draining = true;
    http_listen_stop(server->listen);
    server->listen = NULL;
    for (struct http_conn *conn = server->hub.first; conn; conn = conn->next)
        http_turn_drain(conn);
}

bool http_server_idle(const struct http_server *server)
{
    return server->hub.under_way == 0 && !server->hub.ready; /* heads that have just been read */
}

/* Frees all, whatever they are at; none is told. */
static void drop_connections(struct http_hub *hub)
{
    for (struct http_conn *conn = hub->ready; conn; conn = conn->ready_next)
        conn->ready = false;
    hub->ready = NULL;
    while (hub->first)
        http_conn_free(hub->first);
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    /* Stopping hands over the connections that wait; they are dropped with the others. */
    http_listen_stop(server->listen);
    drop_connections(&server->hub);
    loop_timer_free(server->sweep);
    loop_later_clear(server->hub.loop, &server->hub.turn);
    free(server);
}
