/*
 * Generation 0 is given again to a key of which nothing is left in the index. So a record of an
 * earlier index may speak of another version 0 than the one that is on the volumes; only the time
 * at which files were made tells them apart. Pure.
 */
#ifndef LARDER_TOOLS_AGAIN_H
#define LARDER_TOOLS_AGAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scan_file;
struct scan_group;

/* True where a version 0 of the key came after an index that was made at `made_ms` (unix
 * milliseconds; 0: not known, then nothing did). A tombstone on any volume says that something was
 * left of the key, so it is false then. */
bool again_came(const struct scan_group *group, uint64_t made_ms);

/* True where one of the `count` copies is as old as that index, so that the others were made of it,
 * and all are of the version that the index knew. */
bool again_has_old(const struct scan_file *files, size_t count, uint64_t made_ms);

#endif
