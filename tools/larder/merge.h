/* The list of keys and a scan, both in the order of keys, side by side. */
#ifndef LARDER_TOOLS_MERGE_H
#define LARDER_TOOLS_MERGE_H

#include "common/attr.h"
#include "common/status.h"

struct client;
struct info;
struct merge;
struct scan;
struct scan_group;

/* The client and the scan must outlive it. NULL: no memory. */
struct merge *merge_new(struct client *client, struct scan *scan) MUST_CHECK;
void merge_free(struct merge *merge);

/* The next key that either side has: its record (NULL where the index has none) and what was found
 * of it (an empty group where nothing was; its key is set all the same). Both belong to the merge,
 * until the next call. ST_NOT_FOUND at the end; for all else but ST_OK it has said why. */
enum status merge_next(struct merge *merge, const struct info **info,
                       const struct scan_group **group) MUST_CHECK;

#endif
