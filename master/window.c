/*
 * Positions count from the stream's first byte and never wrap (64 bits); only where a byte stands
 * in memory is reckoned modulo the size. So 'how much is there' and 'who is behind' are
 * subtractions, and an empty ring is not mistaken for a full one.
 *
 * No lock: writer and readers are on one loop.
 */
#include "master/window.h"

#include <stdlib.h>
#include <string.h>

int window_init(struct window *window, size_t size)
{
    *window = (struct window){malloc(size), size, 0, 0};
    return window->bytes ? 0 : -1;
}

void window_free(struct window *window)
{
    free(window->bytes);
    window->bytes = NULL;
}

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Takes less than is given where the slowest reader holds the room: the caller then pauses its
 * source. */
size_t window_write(struct window *window, const void *data, size_t len, uint64_t needed)
{
    size_t taken = min(len, window->size - (size_t)(window->end - needed));
    /* Forget only what must be forgotten: a replacement may still want the beginning. */
    if (window->end + taken - window->start > window->size)
        window->start = window->end + taken - window->size;
    size_t at = (size_t)(window->end % window->size);
    size_t first = min(taken, window->size - at);
    if (taken) {
        memcpy(window->bytes + at, data, first);
        memcpy(window->bytes, (const char *)data + first, taken - first);
    }
    window->end += taken;
    return taken;
}

/* The window does not know its readers; each brings its position. */
size_t window_read(const struct window *window, uint64_t position, uint64_t limit, void *to,
                   size_t max)
{
    uint64_t end = limit < window->end ? limit : window->end;
    if (position >= end)
        return 0;
    size_t n = min(max, (size_t)(end - position));
    size_t at = (size_t)(position % window->size);
    size_t first = min(n, window->size - at);
    memcpy(to, window->bytes + at, first);
    memcpy((char *)to + first, window->bytes, n - first);
    return n;
}

const char *window_front(const struct window *window)
{
    return window->bytes;
}
