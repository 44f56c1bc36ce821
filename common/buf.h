/*
 * A growing byte buffer. A failed allocation is remembered: later additions do nothing, and
 * buf_ok() says so once at the end, so builders of text need no check at every line.
 *
 * Whoever holds the struct owns the memory; a copy of the struct shares it, and only one of the two
 * may be used further. Nothing here locks: one thread at a time.
 */
#ifndef LARDER_COMMON_BUF_H
#define LARDER_COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

struct buf {
    char *data;  /* NUL-terminated after every addition, NULL while empty and never grown */
    size_t len;  /* bytes, without the NUL */
    size_t cap;  /* bytes allocated, with room for it */
    bool failed; /* what is here is a beginning of what was to be; only buf_clear() forgives it */
};

/* A struct of zeros is an empty buffer too, so one inside a calloc'ed struct needs no init. */
#define BUF_INIT                                                                                   \
    {                                                                                              \
        NULL, 0, 0, false                                                                          \
    }

/* Append. `data` may hold any bytes, NULs too, and must not point into the buffer itself, which may
 * move. With len 0 only the NUL is put there. */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *text);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Appends `len` bytes that the caller writes, at once: where they are, or NULL where there is no
 * memory. The NUL behind them is there already. */
char *buf_extend(struct buf *b, size_t len) MUST_CHECK;

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
