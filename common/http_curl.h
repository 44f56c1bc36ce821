/*
 * Calls by libcurl, on a loop: bodies that stream, answers that stream, hosts whose names have to
 * be resolved. Behind the interface of common/http_client.h, whose contracts hold here too. The
 * only user of libcurl.
 */
#ifndef LARDER_COMMON_HTTP_CURL_H
#define LARDER_COMMON_HTTP_CURL_H

#include "common/attr.h"
#include "common/http_call.h"
#include "common/loop.h"

struct http_curl; /* a multi handle */
struct http_curl_call;

bool http_curl_global_init(void) MUST_CHECK;

struct http_curl *http_curl_new(struct loop *loop, unsigned max_idle) MUST_CHECK;
void http_curl_free(struct http_curl *curl);

/* Starts a call; over(spec->arg, st) is called instead of spec->done, and spec->body is not looked
 * at: `read` gives it, and `write`, which must be there, takes the answer's. NULL: no memory. */
struct http_curl_call *http_curl_start(struct http_curl *curl, const struct http_call_spec *spec,
                                       void (*over)(void *arg, enum status st)) MUST_CHECK;
void http_curl_resume(struct http_curl_call *call);
void http_curl_cancel(struct http_curl_call *call);

int http_curl_status(const struct http_curl_call *call);
const char *http_curl_field(const struct http_curl_call *call, const char *name);
void http_curl_each_field(const struct http_curl_call *call,
                          void (*fn)(void *arg, const char *name, const char *value), void *arg);
/* The numeric address that the URL's host had, and that URL; NULL where no connection was made. */
const char *http_curl_reached(const struct http_curl_call *call, const char **url);

#endif
