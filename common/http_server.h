/*
 * An HTTP/1.1 server on one loop: our own reading of heads and bodies on plain sockets
 * (common/PROTOCOL.md says why evhttp is not under it, http_io.h why bufferevents are not). Several
 * servers, one a loop, listen on the same port (SO_REUSEPORT). http_request.h is what a handler
 * sees of it. Everything runs on the loop's thread. SIGPIPE must be ignored: sendfile raises it.
 */
#ifndef LARDER_COMMON_HTTP_SERVER_H
#define LARDER_COMMON_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/http_request.h"
#include "common/http_stats.h"
#include "common/loop.h"
#include "common/status.h"

struct http_server;

/* Called once for each request that is good so far, on the loop's thread, before its body is read.
 * It must not block, and must see to it that the request is answered. */
typedef void (*http_handler)(struct http_request *req, void *arg);

/* Called when a GET has arrived, before those that arrived with it are handled: what its answer
 * needs of memory can be fetched into the processor's cache meanwhile. Only a hint: the path is raw
 * and unchecked, and the request may be refused. */
typedef void (*http_hint)(const char *path, size_t len, void *arg);

struct http_server_options {
    struct loop *loop;
    const char *listen; /* IPv4 or IPv6 address, or a name that resolves to one */
    uint16_t port;      /* 0: any free one */
    bool exclusive;     /* fail where anybody listens there: for the first of several servers */
    http_handler handler;
    http_handler answering; /* may be NULL: called when an answer is about to begin, for fields of
                               every answer; not where the client is gone */
    http_hint expecting;    /* may be NULL */
    void *arg;
    const char *name;          /* for the Server header, e.g. "larder-master" */
    unsigned max_connections;  /* of this server; beyond: 503 and closed */
    unsigned admin_reserve;    /* connections beyond the maximum that may still ask for /admin/ */
    unsigned head_timeout_ms;  /* 0: 10 s, from the first byte of a head to its end */
    unsigned body_timeout_ms;  /* 0: 30 s without a byte of a body that is being read */
    unsigned idle_timeout_ms;  /* 0: 75 s between requests */
    unsigned write_timeout_ms; /* 0: 60 s in which the client takes nothing of an answer */
};

/* Starts to listen. ST_IO (logged, with the address and the reason) where it cannot, ST_NO_MEMORY.
 * The options are copied, but for the loop, which must outlive the server. Call it before the loop
 * runs or on its thread. */
enum status http_server_start(struct http_server **started,
                              const struct http_server_options *options) MUST_CHECK;
/* The port that it has got, also where 0 was asked for. */
uint16_t http_server_port(const struct http_server *server);
/* Live; only on the loop's thread. */
const struct http_server_stats *http_server_stats(const struct http_server *server);

/* No new connections; idle ones are closed; every answer from now on closes its connection. */
void http_server_drain(struct http_server *server);
/* True where no request is under way any more (after http_server_drain). */
bool http_server_idle(const struct http_server *server);
/* Closes what is left, and frees. Requests under way must not be touched afterwards. */
void http_server_free(struct http_server *server);

#endif
