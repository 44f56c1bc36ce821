/*
 * Keys: opaque bytes, 2 to 1024 of them, the first a '/', no NUL. On the wire they are the path of
 * a URI, percent-encoded; they are decoded exactly once, and never normalized ('//', '.', '..' are
 * bytes like any other). Pure functions, any thread.
 */
#ifndef LARDER_COMMON_KEY_H
#define LARDER_COMMON_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

enum { KEY_MIN = 2, KEY_MAX = 1024 };

struct buf;

struct key {
    size_t len;
    char
        bytes[KEY_MAX + 1]; /* a NUL follows the last byte, for the convenience of logs and tests */
};

/* Decodes the path of a request target (without '?query'). ST_BAD_REQUEST for a broken escape, a
 * NUL, a missing leading '/' or fewer than 2 bytes; ST_URI_TOO_LONG beyond KEY_MAX. */
enum status key_from_path(struct key *key, const char *path, size_t len) MUST_CHECK;

/* Takes raw bytes; the same errors. */
enum status key_from_bytes(struct key *key, const void *bytes, size_t len) MUST_CHECK;

/* Appends `len` bytes percent-encoded as in a path: unreserved characters (RFC 3986) and '/' stay,
 * all else becomes %XX. So no CR, LF, space or quote gets through. */
void key_encode(struct buf *out, const void *bytes, size_t len);

/* Decodes percent escapes (and nothing else) of at most `max` bytes into `to`, without a NUL behind
 * them; the number of bytes, or -1 for a broken escape or where they do not fit. NULs are let
 * through, so the caller goes by the number. */
long key_decode(char *to, size_t max, const char *from, size_t len) MUST_CHECK;

/* One parameter of a query string, percent-decoded ('+' is a space). The number of bytes put into
 * `to` (NUL-terminated, cut never: -2 where it does not fit in `max` with its NUL, or is longer
 * than 4 KiB as sent), -1 where the parameter is not there, -2 for a broken escape. A parameter
 * without '=' has length 0; of several the first counts. `name` is compared as sent: nobody escapes
 * a name. */
long key_query(const char *query, size_t len, const char *name, char *to, size_t max) MUST_CHECK;
/* Whether the parameter is there, whatever its value: without one, or with a broken one, too. */
bool key_query_has(const char *query, size_t len, const char *name) MUST_CHECK;

#endif
