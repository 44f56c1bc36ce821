/*
 * All files of a subvolume in the order of their paths (directory by directory, names bytewise), so
 * that the last path is all that is needed to go on after it. Blocks. Nothing of the disk is open
 * between two calls, and memory is bounded whatever the size of a directory.
 */
#ifndef LARDER_VOLUME_SCRUB_WALK_H
#define LARDER_VOLUME_SCRUB_WALK_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"

struct scrub_walk;
struct subvolumes;

/* From the beginning, or from the first file after `after` (copied; it need not be there any more).
 * One thread at a time. NULL: no memory. */
struct scrub_walk *scrub_walk_new(struct subvolumes *all, unsigned subvolume,
                                  const char *after) MUST_CHECK;
/* NULL is fine. */
void scrub_walk_free(struct scrub_walk *walk);

/*
 * *path is that of the next file, below the subvolume; the walk's, until the next call. NULL: that
 * was all. Directories that cannot be read are logged and passed over. Where the subvolume is away
 * (ST_UNAVAILABLE and others), the same can be asked again later; after ST_NO_MEMORY begin a new
 * walk.
 */
enum status scrub_walk_next(struct scrub_walk *walk, const char **path) MUST_CHECK;

#endif
