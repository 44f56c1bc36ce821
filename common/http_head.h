/*
 * The head of an HTTP/1 request, parsed strictly (RFC 9112): pure functions over bytes, no sockets,
 * no memory of their own, any thread. common/PROTOCOL.md has the table of what is refused, and with
 * which status. The limits are on what a client may make us keep before anyone knows what it wants.
 */
#ifndef LARDER_COMMON_HTTP_HEAD_H
#define LARDER_COMMON_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

enum {
    HTTP_HEAD_MAX = 16 * 1024, /* bytes of a head, with its empty line */
    HTTP_URI_MAX = 8 * 1024,   /* of the target: a key of 1024 bytes is 3 KiB when all is escaped */
    HTTP_FIELDS_MAX = 100
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_PUT,
    HTTP_POST,
    HTTP_DELETE,
    HTTP_UNLINK,
    HTTP_REBALANCE,
    HTTP_OPTIONS,
    HTTP_OTHER /* any other token: answered 405 */
};

struct http_field {
    const char *name;  /* as sent; NUL-terminated in place */
    const char *value; /* without white space around it; NUL-terminated in place */
};

/* The pointers go into the bytes that were parsed, which the caller keeps as long as this. */
struct http_head {
    enum http_method method;
    const char *method_name; /* as sent: methods tell upper case from lower (RFC 9110, 9.1) */
    const char
        *path; /* of the target, raw: before '?', not decoded; an absolute-form target is cut */
    size_t path_len;
    const char *query; /* after '?', raw; "" without one */
    size_t query_len;
    unsigned minor;        /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;       /* the client allows another request after this one */
    bool chunked;          /* the only transfer coding there is */
    bool has_length;       /* a Content-Length was sent */
    uint64_t length;       /* its value */
    bool expects_continue; /* HTTP/1.1 and Expect: 100-continue */
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t field_count;
};

/*
 * Looks for the end of a head at the front of `bytes`. Returns its length with the empty line, 0
 * where it is not complete yet. Leading CRLFs (RFC 9112, 2.2) count as part of it, at most 4 of
 * them. *refusal is set, and 0 returned, where what is there can never become a good head: too long
 * a line or head, bare LF, NUL, not a request line at all. `scanned` (may be NULL) remembers
 * between calls how far it has looked, beginning with 0.
 */
size_t http_head_find(const char *bytes, size_t len, size_t *scanned,
                      enum status *refusal) MUST_CHECK;

/* Parses a complete head of `len` bytes as http_head_find() measured it, writing NULs into it.
 * ST_OK, or the refusal: the connection is then to be closed after the answer. */
enum status http_head_parse(struct http_head *head, char *bytes, size_t len) MUST_CHECK;

/* The value of the first field of that name, in any case of letters; NULL without one. Host,
 * Content-Length and Transfer-Encoding are there once at most, or the head was refused. */
const char *http_head_field(const struct http_head *head, const char *name);

/* True where a body follows that must be read before the next request. False for a length of 0. */
bool http_head_has_body(const struct http_head *head);

#endif
