/*
 * All values in the quarantine of a subvolume, as the JSON of /admin/quarantine, in pieces.
 * Everything here blocks, and runs on the pool.
 */
#ifndef LARDER_VOLUME_QUARANTINE_WALK_H
#define LARDER_VOLUME_QUARANTINE_WALK_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"
#include "volume/store.h"

struct buf;
struct quarantine_walk;

/* Begins to go through the quarantine of a subvolume; nothing where there is none. `at` must
 * outlive the walk. On any result but ST_OK there is nothing to free. */
enum status quarantine_walk_begin(struct quarantine_walk **walk,
                                  const struct store_at *at) MUST_CHECK;
/* Appends the next part of {"quarantine": […]}, of about 64 KiB; *more is false when that was the
 * end. After an error the walk can only be freed. */
enum status quarantine_walk_next(struct quarantine_walk *walk, struct buf *out,
                                 bool *more) MUST_CHECK;
/* NULL is fine. */
void quarantine_walk_free(struct quarantine_walk *walk);

#endif
