/*
 * A blocking HTTP client, for tools and threads: a loop of its own under http_client.h. One fetcher
 * a thread, one call at a time; its connections are kept from call to call.
 */
#ifndef LARDER_COMMON_HTTP_FETCH_H
#define LARDER_COMMON_HTTP_FETCH_H

#include <stddef.h>

#include "common/attr.h"
#include "common/http_client.h"
#include "common/status.h"

struct http_fetcher;

/* NULL: no memory or descriptors. */
struct http_fetcher *http_fetcher_new(void) MUST_CHECK;
/* Closes its connections. NULL is fine. */
void http_fetcher_free(struct http_fetcher *fetcher);

/* Runs the call to its end; the result is that of `done` (http_client.h), or ST_NO_MEMORY where it
 * could not be started or its headers not kept. `done`, `pause_after_write` and pauses are not used
 * (a `read` that wants to pause breaks off); without `write` the body is kept whole, however long.
 * Without a timeout_ms or stall_ms in `spec` it may wait for ever. The answer stays until the next
 * fetch. */
enum status http_fetch(struct http_fetcher *fetcher, const struct http_call_spec *spec) MUST_CHECK;
/* From any thread: the call that is under way ends now with ST_CLOSED, and so does each that is
 * begun before http_fetcher_resume(), which is for the fetcher's own thread. */
void http_fetcher_interrupt(struct http_fetcher *fetcher);
void http_fetcher_resume(struct http_fetcher *fetcher);
/* The HTTP status; 0 where no answer came. Valid from the first `write` on, too. */
int http_fetch_status(const struct http_fetcher *fetcher);
/* A header of the answer, in any case of letters; NULL without it. The first of several. */
const char *http_fetch_field(const struct http_fetcher *fetcher, const char *name);
/* The body, with a NUL behind it; "" where `write` took it. Belongs to the fetcher. */
const char *http_fetch_body(const struct http_fetcher *fetcher, size_t *len);

#endif
