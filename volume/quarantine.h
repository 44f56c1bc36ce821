/*
 * Values that turned out to be damaged: `.larder/quarantine` of each subvolume, where the files are
 * named as in quarantine_names.h. All of it blocks.
 *
 * ID.untold is durable before the value moves, so that a crash leaves nothing of which nobody
 * knows. Where a crash left it without its value, the value is where it was, and to be examined.
 */
#ifndef LARDER_VOLUME_QUARANTINE_H
#define LARDER_VOLUME_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/attr.h"
#include "common/status.h"
#include "volume/store.h"

enum { QUARANTINE_ID = 40 }; /* bytes, with the NUL */

struct quarantine_entry {
    char id[QUARANTINE_ID]; /* set by quarantine_take() */
    dev_t device;           /* the file that was examined; another one at its path is left alone. */
    ino_t inode;            /* both 0: whichever is there */
    const char *reason;
};

/*
 * Moves the value away, durably, under a new id. ST_NOT_FOUND where it is gone, or another one by
 * now: nothing has changed. ST_READ_ONLY and others: it stands where it was (or its move may not be
 * durable), and is to be reported all the same. Errors of the disk are noted (subvolume_error).
 */
enum status quarantine_take(const struct store_at *at, struct quarantine_entry *entry) MUST_CHECK;

/* Notes that a master knows of it, durably: ID.untold becomes ID.reason. ST_NOT_FOUND: somebody has
 * removed it. */
enum status quarantine_told(const struct store_at *at, const char *id) MUST_CHECK;

/* Forgets an entry whose value never came: removes the note. */
enum status quarantine_drop(const struct store_at *at, const char *id) MUST_CHECK;

/*
 * Goes through the quarantine of `at` and calls `found` for each entry that is untold, with the
 * path of its value ("": nobody can tell) and whether the value is there, until that says false.
 * Sets the subvolume's number of quarantined values. Fine where there is no quarantine.
 */
enum status quarantine_scan(const struct store_at *at,
                            bool (*found)(void *arg, const char *id, const char *path, bool there),
                            void *arg) MUST_CHECK;

#endif
