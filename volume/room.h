/*
 * How much memory the answers of a volume may hold together. A reader keeps what is sent to him for
 * as long as he takes to receive it, so without a limit slow readers could take all there is. Any
 * thread.
 */
#ifndef LARDER_VOLUME_ROOM_H
#define LARDER_VOLUME_ROOM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

struct room;

/* NULL: no memory. Nothing is allocated by it but itself: it only counts. */
struct room *room_new(size_t bytes) MUST_CHECK;
void room_free(struct room *room);

/* False, at once, where less than `bytes` are left; then nothing was taken. */
bool room_take(struct room *room, size_t bytes) MUST_CHECK;
/* What was taken. */
void room_give_back(struct room *room, size_t bytes);

#endif
