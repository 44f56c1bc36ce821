/*
 * Short exchanges with a volume: the request is in memory whole, the answer is small. Over kept
 * connections of our own, and behind the interface of common/http_client.h.
 *
 * Why not libcurl for these, as for the long ones: a PUT of 1 KiB makes three of them, and libcurl
 * took 57 % of the master's time then: it sends head and body apart, asks epoll about every
 * descriptor anew, and sets up and tears down a handle a request. Here an exchange is one send and
 * one recv.
 */
#ifndef LARDER_COMMON_HTTP_SHORT_H
#define LARDER_COMMON_HTTP_SHORT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/http_answer.h"
#include "common/loop.h"
#include "common/status.h"

struct http_short; /* the connections of one loop */
struct http_exchange;

/* One request. Everything but `body` is copied; that stays as it is until the exchange is over. */
struct http_exchange_spec {
    const char *method;
    const char *url;
    const char *const *fields; /* "Name: value" lines, ended by NULL; may be NULL */
    const char *body;
    size_t body_len;
    bool has_body;
    unsigned connect_timeout_ms, timeout_ms; /* the second of the whole; 0: none */
    /* Once, never before http_short_start() has returned, not after http_short_cancel().
     * ST_OK: there is an answer. ST_UNAVAILABLE: no connection. ST_PEER_TIMEOUT. ST_PEER: it broke
     * off, or the answer was no HTTP. The exchange is gone after it returns. */
    void (*done)(void *arg, struct http_exchange *exchange, enum status st);
    void *arg;
};

/* NULL: no memory. At most `max_idle` connections are kept while nothing is under way on them. */
struct http_short *http_short_new(struct loop *loop, unsigned max_idle) MUST_CHECK;
/* Cancels what is under way, closes all connections. */
void http_short_free(struct http_short *of);

/* Whether it can reach the URL's host, which takes its address: hosts that are addresses, and names
 * that http_short_know() has told lately. It asks no resolver, since that blocks. */
bool http_short_can(const struct http_short *of, const char *url) MUST_CHECK;
/* The URL's host was just reached at this numeric address. */
void http_short_know(struct http_short *of, const char *url, const char *address);

/* Sends the request. NULL where memory is short; nothing is called then. The loop's thread, like
 * everything here. An exchange on a kept connection that turns out to be closed is tried once more
 * on a new one, but for POST. */
struct http_exchange *http_short_start(struct http_short *of,
                                       const struct http_exchange_spec *spec) MUST_CHECK;
/* Ends it without calling `done`; not from within `done` of the same exchange. */
void http_short_cancel(struct http_exchange *exchange);

/* The answer, while `done` runs with ST_OK. */
const struct http_answer *http_short_answer(const struct http_exchange *exchange);

#endif
