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
#include "common/http_call.h"
#include "common/loop.h"
#include "common/status.h"

struct http_client;

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
