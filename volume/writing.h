/*
 * A value while it is written: into a temp file of its subvolume, and by a rename to its place.
 * Everything here blocks, and runs on the pool; one thread at a time.
 */
#ifndef LARDER_VOLUME_WRITING_H
#define LARDER_VOLUME_WRITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/md5.h"
#include "common/status.h"
#include "volume/store.h"
#include "volume/trusted_file.h"

struct writing;

/* Enters the subvolume and makes the temp file. `at` must outlive it. ST_UNAVAILABLE,
 * ST_READ_ONLY, ST_NO_SPACE, ST_IO … */
enum status writing_begin(struct writing **writing, const struct store_at *at) MUST_CHECK;

/* The value goes to the disk past the page cache, where the file system can do that, as long as
 * whole blocks come, in memory that begins at one. For copies that nobody is going to read soon. */
enum { WRITING_BLOCK = 4096 };
void writing_bypass_cache(struct writing *writing);

/* Adds bytes. After a failure: writing_abort(). */
enum status writing_add(struct writing *writing, const void *data, size_t len) MUST_CHECK;

struct writing_end {
    const char *type;      /* Content-Type, or NULL */
    const char *expected;  /* 32 hex digits that the MD5 must be, or NULL */
    char md5[MD5_HEX + 1]; /* of what was stored: set */
    bool replaced;         /* there was a value before: set */
    /* Which file it became: set, `inode` 0 where that is not certain. */
    struct trusted_file stored;
};

/*
 * Makes it durable under its name. Frees `writing`, whatever the result. ST_OK: all of it is on the
 * disk. Else the temp file is gone (ST_DIGEST, ST_CONFLICT where a directory is in the way, …) and
 * what was there before is there still; only where the fsync of the directory failed, after the
 * rename, either the old or the new value is there, whole.
 */
enum status writing_finish(struct writing *writing, struct writing_end *end) MUST_CHECK;

/* One of many that are finished in one go. */
struct writing_last {
    struct writing *value;   /* freed, whatever the result */
    struct writing_end *end; /* set as above, but for `type` and `expected`, which are given */
    enum status result;      /* set; as writing_finish() says it */
};

/* The same for many values of one directory DIR, by one thread: with two syncs for all of them
 * where they are on one file system. Each has a result of its own. */
enum { WRITING_MANY = 64 };
void writing_finish_many(struct writing_last *list, unsigned count); /* WRITING_MANY at most */

/* Removes the temp file and frees. NULL is fine. */
void writing_abort(struct writing *writing);

#endif
