/* Values that volumes have laid aside as damaged: whether a key has lost something by it. Pure. */
#ifndef LARDER_TOOLS_ASIDE_H
#define LARDER_TOOLS_ASIDE_H

#include <stdbool.h>

#include "common/attr.h"

struct record;
struct scan_group;

/* True where a version that is in quarantine is newer than the one that `record` has come to, or
 * where that has none, and nothing tells that it was deleted: neither a tombstone, nor `known`, the
 * record of an earlier time (NULL: there is none). */
bool aside_counts(const struct scan_group *group, const struct record *known,
                  const struct record *record) MUST_CHECK;

#endif
