/*
 * An HTTP client: asynchronous on a loop (http_client), blocking on a thread (http_fetch).
 * Keep-alive, no Expect, no redirects followed, no proxies. Whatever streams, and hosts whose names
 * must be resolved, go by libcurl (http_curl.h); short exchanges over connections of our own
 * (http_short.h has the reason).
 */
#ifndef LARDER_COMMON_HTTP_CLIENT_H
#define LARDER_COMMON_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/loop.h"
#include "common/status.h"

struct http_client;
struct http_call;

#define HTTP_READ_ABORT ((size_t)-1)
#define HTTP_READ_PAUSE ((size_t)-2)

/* One request. The strings and arrays are copied; `arg` goes to every function. */
struct http_call_spec {
    const char *method;
    const char *url;
    const char *const *fields; /* "Name: value" lines, ended by NULL; may be NULL */
    /* The body, where there is one: its length (-1: not known, sent chunked) and who gives it.
     * `read` fills up to max bytes and returns how many; 0 ends a chunked body; HTTP_READ_PAUSE:
     * none yet, ask again after http_call_resume(); HTTP_READ_ABORT breaks off. Or `body`: all of
     * it in memory, which must stay as it is until the call is over; `read` is NULL then. */
    bool has_body;
    int64_t body_length;
    size_t (*read)(void *arg, char *to, size_t max);
    const char *body;
    /* Takes bytes of the answer's body; false: break off. NULL: up to 64 KiB are kept for
     * http_call_body(). With `pause_after_write` the call is paused after each piece until
     * http_call_resume(). */
    bool (*write)(void *arg, const char *data, size_t len);
    bool pause_after_write;
    /* Once, when it is over, never before http_call_start() returned, not after http_call_cancel().
     * ST_OK: there is an answer, of any HTTP status. ST_UNAVAILABLE: no connection;
     * ST_PEER_TIMEOUT; ST_PEER: it broke off. The call is freed after it returns. */
    void (*done)(void *arg, struct http_call *call, enum status st);
    void *arg;
    unsigned connect_timeout_ms; /* 0: 1000 */
    unsigned timeout_ms;         /* for the whole call; 0: none, the caller watches over it */
    unsigned stall_ms; /* ST_PEER_TIMEOUT where not a byte moves for so long (whole seconds, not for
                          calls that pause); 0: none */
};

/* NULL: no memory. `max_idle` connections are kept. */
struct http_client *http_client_new(struct loop *loop, unsigned max_idle) MUST_CHECK;
/* Cancels what is under way. */
void http_client_free(struct http_client *client);

/* Starts a call; NULL where memory is short (nothing is called then). */
struct http_call *http_call_start(struct http_client *client,
                                  const struct http_call_spec *spec) MUST_CHECK;
/* There is something to read, or room for more; no-op where it is not paused. Not from its
 * callbacks' own stack is not required: it takes effect on the loop's next turn. */
void http_call_resume(struct http_call *call);
/* Ends it without calling `done`; the call is gone. May be called from anywhere but its own
 * callbacks `read` and `write`. */
void http_call_cancel(struct http_call *call);

/* The answer, while `done` runs (the status from the first `write` on). */
int http_call_status(const struct http_call *call);
/* A header of the answer, in any case of letters; NULL without it. */
const char *http_call_field(const struct http_call *call, const char *name);
/* Calls fn for each header of the answer. */
void http_call_each_field(const struct http_call *call,
                          void (*fn)(void *arg, const char *name, const char *value), void *arg);
const char *http_call_body(const struct http_call *call, size_t *len);

/* Once a process, before threads are started; false where libcurl cannot be used. */
bool http_client_global_init(void) MUST_CHECK;

#endif
