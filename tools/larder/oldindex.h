/*
 * What an index knows that is to be replaced: its volumes, so that a rebuild does not forget one
 * that was added while the master ran; whether it has keys. The index itself is not opened, since
 * that would change its files: a shadow of it is, DIR.rebuild-old, with links to its tables (which
 * never change) and copies of the small rest.
 */
#ifndef LARDER_TOOLS_OLDINDEX_H
#define LARDER_TOOLS_OLDINDEX_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/options.h"
#include "common/status.h"

/* Begins zeroed. */
struct oldindex_volumes {
    struct option_list names;
    struct option_list addresses; /* where each is reached, in the same order */
};

/* Adds the volumes that the index in `dir` has; what was added before a failure is the caller's as
 * well. ST_NOT_FOUND where there is no index; all else (ST_CORRUPT, ST_IO …) means that it cannot
 * be read. The caller holds its lock. */
enum status oldindex_read(const char *dir, struct oldindex_volumes *volumes) MUST_CHECK;
void oldindex_volumes_free(struct oldindex_volumes *volumes);

/* *any: the index in `dir` has a key, or work to do for one. Errors as above; the caller holds its
 * lock. */
enum status oldindex_has_keys(const char *dir, bool *any) MUST_CHECK;

#endif
