/*
 * Values that were verified lately, and may be sent without being read first.
 *
 * A value is known by its file: device, inode, size, and ctime, which every change of its bytes or
 * attributes moves. So an entry never has to be taken back; it is found no more. It expires after a
 * minute, because a disk may lose what it had without a change of the file. The table is of fixed
 * size and forgets: what is not in it is verified again, which does no harm.
 *
 * Any thread. Nothing here blocks for longer than another's look-up.
 */
#ifndef LARDER_VOLUME_TRUSTED_H
#define LARDER_VOLUME_TRUSTED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "common/attr.h"

/* Entries, and how long they hold (milliseconds). */
enum { TRUSTED_ENTRIES = 64 * 1024, TRUSTED_MS = 60 * 1000 };

struct trusted;

/* Which file, and in which state. */
struct trusted_file {
    uint64_t device, inode; /* inode 0: none */
    uint64_t changed_ns;    /* its ctime */
    uint64_t size;
};

/* What fstat said before the value was read, or after it was written. */
struct trusted_file trusted_identify(dev_t device, ino_t inode, struct timespec changed,
                                     uint64_t size);

/* About 2.5 MiB, from now on and for good. NULL: no memory. */
struct trusted *trusted_new(void) MUST_CHECK;
void trusted_free(struct trusted *trusted);

/* The value was found to be what its MD5 says. No-op for no file. */
void trusted_add(struct trusted *trusted, const struct trusted_file *file);
bool trusted_has(struct trusted *trusted, const struct trusted_file *file) MUST_CHECK;
/* It has to be verified again: its bytes have left the page cache. */
void trusted_remove(struct trusted *trusted, const struct trusted_file *file);

/* The same at a given time of loop_now_ms(): for tests. */
void trusted_add_at(struct trusted *trusted, const struct trusted_file *file, uint64_t now_ms);
bool trusted_has_at(struct trusted *trusted, const struct trusted_file *file,
                    uint64_t now_ms) MUST_CHECK;

#endif
