/*
 * The fsyncs of small values, many as one: those that come while a `syncfs` of their file system is
 * under way wait for the next one, which is theirs together. With 64 writers that is a fraction of
 * the journal's commits and of the flushes that an fsync of each file and directory costs.
 *
 * An fsync of one's own it stays where few write, since there is nothing to share; on file systems
 * other than those of which more is known (disk.h, `sharing`); where large values are written, and
 * where a syncfs took long, because it waits for whatever anybody has written to the file system;
 * and before Linux 5.17, whose syncfs does not tell all errors.
 */
#ifndef LARDER_VOLUME_SYNCER_H
#define LARDER_VOLUME_SYNCER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/attr.h"

struct disk;
struct syncer;

/* For all file systems below one directory. `disk` is the caller's. NULL: no memory. */
struct syncer *syncer_new(const struct disk *disk) MUST_CHECK;
/* Nobody is in it. NULL is fine. */
void syncer_free(struct syncer *syncer);

/*
 * Makes the file or directory `fd` durable; with *everything set to true also whatever else was
 * changed in its file system before the call. 0, or -1 and errno: nothing is to be believed then
 * that was not durable before, and a file system whose syncfs has failed once fails for good.
 * Blocks. Any thread.
 */
int syncer_sync(struct syncer *syncer, int fd, bool *everything) MUST_CHECK;

/* One of many that are synced in one go. */
struct syncer_file {
    int fd;
    int err;         /* errno of its failure, 0 where it is durable: set */
    bool everything; /* as above: set */
};

/*
 * The same for many at once, by one thread: those of one file system as one, and each with a result
 * of its own. For a few, and where no syncfs is of use, it is an fsync of each, one after the
 * other.
 */
void syncer_sync_many(struct syncer *syncer, struct syncer_file *files, unsigned count);

/* Whether it may be worth having many to sync in the file system `device` (stat(2)), as far as is
 * known: where each would have an fsync of its own, several threads are better. Any thread. */
bool syncer_takes_many(struct syncer *syncer, dev_t device);

/* A large value is being written, or is no more: until then everybody has fsyncs of his own. */
void syncer_large_begins(struct syncer *syncer);
void syncer_large_ends(struct syncer *syncer);

#endif
