/*
 * A directory of files that takes the place of another one, durably: what was made beside it
 * becomes visible under its name in one step. Everything here blocks on the disk.
 */
#ifndef LARDER_COMMON_SWAP_H
#define LARDER_COMMON_SWAP_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"

/* Syncs every file in `dir` (not below it), then `dir` itself. */
enum status swap_sync_files(const char *dir) MUST_CHECK;

/* Syncs the directory that `path` stands in: names that were made, changed or removed there are
 * durable afterwards. */
enum status swap_sync_parent(const char *path) MUST_CHECK;

/* What is called `path` is called `dir` afterwards, and what was called `dir`, `old`, a name that
 * is free; all three on one file system. In one step where the file system can exchange two names
 * (then `old` is taken afterwards), else in two. False, with errno, where it failed: then
 * everything has its name still. Does not sync. */
bool swap_exchange(const char *dir, const char *path, const char *old) MUST_CHECK;

#endif
