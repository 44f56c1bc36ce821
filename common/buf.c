/*
 * The one growing array of the project. Invariant: where `data` is not NULL, cap > len and
 * data[len] is 0, so buf_text() can be handed to whatever wants a C string.
 */
#include "common/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and a NUL. It doubles, so that a text built byte by byte costs a number of
 * reallocations that is logarithmic in its length. The limit of half the address space keeps both
 * the sum and the doubling from overflowing. On failure what is there stays valid. */
static bool reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return false;
    if (more >= SIZE_MAX / 2 - b->len) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + more + 1;
    if (b->data && need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap *= 2;
    char *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

char *buf_extend(struct buf *b, size_t len)
{
    if (!reserve(b, len))
        return NULL;
    char *at = b->data + b->len;
    b->len += len;
    b->data[b->len] = 0;
    return at;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    char *at = buf_extend(b, len);
    if (at && len)
        memcpy(at, data, len);
}

void buf_adds(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

/* Into what room there is, mostly enough. Where it is not, that tells the length, and it is
 * formatted again: va_copy, because the first vsnprintf uses the list up. */
void buf_addf(struct buf *b, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    va_list again;
    va_copy(again, values);
    size_t room = b->data && !b->failed ? b->cap - b->len : 0;
    int len = vsnprintf(room ? b->data + b->len : NULL, room, format, values);
    bool fits = len >= 0 && (size_t)len < room;
    if (len < 0)
        b->failed = true;
    else if (!fits && reserve(b, (size_t)len))
        (void)vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
    if (!b->failed)
        b->len += (size_t)len;
    else if (room)
        b->data[b->len] = 0; /* what was cut */
    va_end(again);
    va_end(values);
}

void buf_clear(struct buf *b)
{
    buf_truncate(b, 0);
    b->failed = false;
}

/* For builders that go back, as a walk does from one name to the next. Does not forgive a
 * failure. */
void buf_truncate(struct buf *b, size_t len)
{
    if (len >= b->len)
        return;
    b->len = len;
    b->data[len] = 0;
}

bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

const char *buf_text(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
    /* An empty text is a text too, not a failure. */
    if (!b->data && !b->failed)
        buf_add(b, "", 0);
    char *data = b->failed ? NULL : b->data;
    /* After a failure the beginning that is left is of no use to anybody. */
    if (!data)
        free(b->data);
    *b = (struct buf)BUF_INIT;
    return data;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf)BUF_INIT;
}
