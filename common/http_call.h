/* What is asked of the HTTP client: one request, and who hears of it (http_client.h, http_curl.h).
 */
#ifndef LARDER_COMMON_HTTP_CALL_H
#define LARDER_COMMON_HTTP_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

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

#endif
