/*
 * A window on a stream: a ring of bytes with absolute positions. Bytes come in at one end; several
 * readers go through it, each with a position of its own. What all have read may be overwritten,
 * but is kept as long as there is room.
 */
#ifndef LARDER_MASTER_WINDOW_H
#define LARDER_MASTER_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct window {
    char *bytes;
    size_t size;
    uint64_t start; /* position of the oldest byte that is still there */
    uint64_t end;   /* behind the newest: how many have come in all */
};

/* `size` bytes at most. 0, or -1 without memory. */
int window_init(struct window *window, size_t size) MUST_CHECK;
void window_free(struct window *window);

/* Takes up to `len` bytes; how many. Bytes before `needed` (the position of the slowest reader) may
 * be dropped for them. */
size_t window_write(struct window *window, const void *data, size_t len, uint64_t needed);
/* Copies up to `max` bytes from `position` on, which is between start and end, but not beyond
 * `limit`. */
size_t window_read(const struct window *window, uint64_t position, uint64_t limit, void *to,
                   size_t max);
/* The value's bytes from its first on, window->end of them: only as long as the window has room for
 * all of it. They stay where they are until the next write. */
const char *window_front(const struct window *window);

#endif
