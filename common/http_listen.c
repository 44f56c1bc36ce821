/*
 * A socket that listens: connections that wait are accepted in batches, as long as there are
 * descriptors for them. Where there are none, accepting rests for a moment: the watch is
 * level-triggered, and would otherwise report the waiting ones again and again. The kernel keeps
 * them meanwhile.
 */
#include "common/http_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

enum {
    BACKLOG = 4096,      /* a burst; the kernel cuts it to net.core.somaxconn */
    ACCEPTS_A_TURN = 64, /* then those that were accepted before have their turn */
    PAUSE_MS = 100 /* without descriptors or memory: accepting again at once would only spin */
};

struct http_listen {
    struct loop *loop;
    int socket;
    struct loop_watch *watch; /* NULL while paused */
    struct loop_timer *pause; /* set while paused */
    bool starved;             /* the log says so already */
    uint16_t port;
    http_listen_fn accepted;
    http_listen_room_fn make_room;
    void *arg;
};

/* --- Accepting --- */

static void connection_waits(void *arg, bool readable UNUSED, bool writable UNUSED);

/* Where there is no memory for the watch either, it goes on resting: no connection is lost by
 * that. */
static void resume(void *arg)
{
    struct http_listen *listen = arg;
    listen->watch =
        loop_watch_new(listen->loop, listen->socket, true, false, connection_waits, listen);
    if (!listen->watch)
        loop_timer_set(listen->pause, PAUSE_MS);
}

static void pause_accepting(struct http_listen *listen)
{
    /* Once, and not ten times a second for as long as it lasts. */
    if (!listen->starved)
        log_event(LOG_WARN, "http",
                  "port=%u error=\"cannot accept connections, which wait until it can: %s\"",
                  listen->port, strerror(errno));
    listen->starved = true;
    loop_watch_free(listen->watch);
    listen->watch = NULL;
    loop_timer_set(listen->pause, PAUSE_MS);
}

/* Accepts one. False where there is none, or none can be had. Errors of the one connection that was
 * to be accepted are reported here by the kernel too: they concern nobody else. */
static bool accept_one(struct http_listen *listen)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int fd = accept4(listen->socket, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && listen->make_room(listen->arg))
        fd = accept4(listen->socket, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        listen->starved = false;
        listen->accepted(listen->arg, fd, &peer);
        return true;
    }
    switch (errno) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        pause_accepting(listen);
        return false;
    default:
        return true; /* that client is gone again (ECONNABORTED and network errors): the next */
    }
}

/* Until none waits, or enough have been accepted: level-triggered, the watch comes again for the
 * rest. */
static void connection_waits(void *arg, bool readable UNUSED, bool writable UNUSED)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++)
        if (!accept_one(arg))
            return;
}

/* --- Starting --- */

/* With SO_REUSEPORT a second program would get the port as well, and half of the connections. One
 * socket without it tells whether anybody listens. */
static bool is_free(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, info->ai_protocol);
    if (fd < 0)
        return false;
    int on = 1;
    bool free_port = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                     bind(fd, info->ai_addr, info->ai_addrlen) == 0;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return free_port;
}

/* A socket that listens on one address; -1 with errno set. SO_REUSEADDR, because a restart would
 * otherwise wait for the old connections' TIME_WAIT to pass. */
static int open_socket(const struct addrinfo *info, bool exclusive)
{
    if (exclusive && !is_free(info))
        return -1;
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    info->ai_protocol);
    if (fd < 0)
        return -1;
    /* Accepted sockets inherit TCP_NODELAY, so it costs them nothing. */
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
        bind(fd, info->ai_addr, info->ai_addrlen) || listen(fd, BACKLOG)) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* The addresses in the order of getaddrinfo(), which puts the one first that is likeliest to work
 * (RFC 6724). Only the error of the last is told; there is seldom more than one. */
static int open_any(const char *address, uint16_t port, bool exclusive)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    int code = getaddrinfo(address, service, &hints, &list);
    int fd = -1;
    for (struct addrinfo *info = list; !code && info && fd < 0; info = info->ai_next)
        fd = open_socket(info, exclusive);
    if (fd < 0)
        log_event(LOG_ERROR, "http", "address=%s port=%u error=\"cannot listen there: %s\"",
                  address, port, code && code != EAI_SYSTEM ? gai_strerror(code) : strerror(errno));
    if (list)
        freeaddrinfo(list);
    return fd;
}

/* The port that the kernel has chosen where 0 was asked for. */
static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len))
        return 0;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, &address, sizeof v4);
    memcpy(&v6, &address, sizeof v6);
    return ntohs(address.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

/* Unwinds in reverse; *started is set only where all of it stands. */
enum status http_listen_start(struct http_listen **started, struct loop *loop, const char *address,
                              uint16_t port, bool exclusive, http_listen_fn accepted,
                              http_listen_room_fn make_room, void *arg)
{
    enum status st = ST_NO_MEMORY;
    struct http_listen *listen = calloc(1, sizeof *listen);
    if (!listen)
        return st;
    listen->loop = loop;
    listen->accepted = accepted;
    listen->make_room = make_room;
    listen->arg = arg;
    listen->pause = loop_timer_new(loop, resume, listen);
    if (!listen->pause)
        goto no_timer;
    listen->socket = open_any(address, port, exclusive);
    if (listen->socket < 0) {
        st = ST_IO;
        goto no_socket;
    }
    listen->port = bound_port(listen->socket);
    listen->watch = loop_watch_new(loop, listen->socket, true, false, connection_waits, listen);
    if (!listen->watch)
        goto no_watch;
    *started = listen;
    return ST_OK;

no_watch:
    (void)close(listen->socket);
no_socket:
    loop_timer_free(listen->pause);
no_timer:
    free(listen);
    return st;
}

uint16_t http_listen_port(const struct http_listen *listen)
{
    return listen->port;
}

void http_listen_stop(struct http_listen *listen)
{
    if (!listen)
        return;
    /* Closing would reset them, and their clients believe that they are connected. */
    for (int i = 0; i < BACKLOG && accept_one(listen); i++)
        continue;
    loop_watch_free(listen->watch);
    (void)close(listen->socket);
    loop_timer_free(listen->pause);
    free(listen);
}
