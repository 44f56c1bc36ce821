/*
 * A growing byte buffer. A failed allocation is remembered: later additions do nothing, and
 * buf_ok() says so once at the end, so builders of text need no check at every line.
 */
#ifndef LARDER_COMMON_BUF_H
#define LARDER_COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

struct buf {
    char *data; /* NUL-terminated after every addition, NULL while empty and never grown */
    size_t len;
    size_t cap;
    bool failed;
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        NULL, 0, 0, false                                                                          \
    }

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *text);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Forgets the content, keeps the memory, clears the failure. */
void buf_clear(struct buf *b);

/* Shortens to `len` bytes; no-op where it is shorter already. */
void buf_truncate(struct buf *b, size_t len);

/* True where every addition since the last clear succeeded. */
bool buf_ok(const struct buf *b) MUST_CHECK;

/* The text; "" for an empty buffer, never NULL. The buffer keeps it. */
const char *buf_text(const struct buf *b);

/* Hands the memory to the caller (free() it) and leaves the buffer empty. NULL where it failed. */
char *buf_take(struct buf *b) MUST_CHECK;

/* Frees the memory; the buffer can be used again. */
void buf_free(struct buf *b);

#endif
