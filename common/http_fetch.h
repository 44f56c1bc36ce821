/* A blocking HTTP client, for tools: a loop of its own under http_client.h. One fetcher a thread.
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
void http_fetcher_free(struct http_fetcher *fetcher);

/* Runs the call to its end; the result is that of `done` (http_client.h). `done`,
 * `pause_after_write` and pauses are not used; without `write` the body is kept whole. The answer
 * stays until the next fetch. */
enum status http_fetch(struct http_fetcher *fetcher, const struct http_call_spec *spec) MUST_CHECK;
int http_fetch_status(const struct http_fetcher *fetcher);
/* A header of the answer, in any case of letters; NULL without it. */
const char *http_fetch_field(const struct http_fetcher *fetcher, const char *name);
const char *http_fetch_body(const struct http_fetcher *fetcher, size_t *len);

#endif
