/*
 * All tombstones of a subvolume, as the JSON of /admin/tombstones, in pieces. Everything here
 * blocks, and runs on the pool.
 */
#ifndef LARDER_VOLUME_TOMBSTONE_WALK_H
#define LARDER_VOLUME_TOMBSTONE_WALK_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"
#include "volume/store.h"

struct buf;
struct tombstone_walk;

/* Begins to go through the tombstones of a subvolume; none where nothing was ever written. `at`
 * must outlive the walk. On any result but ST_OK there is nothing to free. */
enum status tombstone_walk_begin(struct tombstone_walk **walk,
                                 const struct store_at *at) MUST_CHECK;
/* Appends the next part of {"tombstones": […]}, of about 64 KiB; *more is false when that was the
 * end. After an error the walk can only be freed. One that is made or dropped meanwhile may be in
 * it or not. */
enum status tombstone_walk_next(struct tombstone_walk *walk, struct buf *out,
                                bool *more) MUST_CHECK;
/* NULL is fine. */
void tombstone_walk_free(struct tombstone_walk *walk);

#endif
