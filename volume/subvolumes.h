/*
 * The directory of a volume (DIR, which itself is subvolume 0) and all subvolumes in it. Opened
 * once at the start; from then on any thread.
 */
#ifndef LARDER_VOLUME_SUBVOLUMES_H
#define LARDER_VOLUME_SUBVOLUMES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct disk;
struct subvolume;
struct subvolumes;

struct subvolumes_options {
    const char *dir;         /* copied; made where missing, its last component only */
    const struct disk *disk; /* the caller's; must outlive the subvolumes */
    uint64_t reserve;        /* as in struct subvolume_home */
    bool sync;               /* false with --sync=none */
};

/*
 * Opens, locks and checks the directory: it must be writable, not in use, and the one that it was.
 * Looks at every subvolume that it has or had. Blocks. On failure *error is a malloc'ed text for
 * people (NULL where memory is short), and nothing is left open: ST_LOCKED (another process),
 * ST_FOREIGN (not the directory that it was), those of the system calls.
 */
enum status subvolumes_open(struct subvolumes **all, const struct subvolumes_options *options,
                            char **error) MUST_CHECK;
/* Nothing may use them any more. Lets go of the lock. NULL is fine. */
void subvolumes_free(struct subvolumes *all);

/* The identity of the volume: 32 hex digits. */
const char *subvolumes_id(const struct subvolumes *all);

/* DIR/.larder; it stays theirs. */
int subvolumes_own_fd(const struct subvolumes *all);

/* A subvolume by its index (see struct path); NULL where it is not known. Any thread, never blocks.
 * What it returns lives as long as the whole. */
struct subvolume *subvolumes_find(struct subvolumes *all, unsigned index);

/* As subvolumes_find(), but makes one (in memory) that is not known. Blocks. NULL: no memory. */
struct subvolume *subvolumes_get(struct subvolumes *all, unsigned index) MUST_CHECK;

/* Looks at every known disk, and at directories that were added. Blocks, on one disk after the
 * other; a disk at which another thread is looking is passed over, so one that hangs holds up the
 * first caller only. */
void subvolumes_check(struct subvolumes *all);

/* Calls fn for each known subvolume in the order of their numbers, DIR itself first. On the
 * caller's thread; fn must not block where the caller may not. */
void subvolumes_each(struct subvolumes *all, void (*fn)(void *arg, struct subvolume *sub),
                     void *arg);

#endif
