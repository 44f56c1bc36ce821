/*
 * Directories that a value needs: made where they are missing, and made durable before the value in
 * them is acknowledged.
 *
 * An fsync of a directory says nothing of the entry for itself in the directory above. So whoever
 * makes directories syncs all of them, from the innermost to the first that was there; and whoever
 * only finds a directory that another has just made waits until that one has done so. Nothing is
 * remembered longer than that, so directories may be removed behind our back.
 */
#ifndef LARDER_VOLUME_PARENTS_H
#define LARDER_VOLUME_PARENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct subvolume;

/* One operation's hold on the directory of a file. Lives on the caller's stack from parents_open()
 * to parents_close(), and is the calling thread's; others read `number` and `path` while it is in
 * the set, under the set's lock. */
struct parents {
    struct subvolume *sub;
    const char *request;
    int root;         /* the subvolume's directory, the caller's */
    int fd;           /* the directory itself, for openat and the like */
    const char *path; /* of the file, below `root`; the caller's */
    size_t len;       /* of the directory's part of `path` */
    size_t there;     /* of the part of it that was there: what is longer was made now */
    bool making;      /* is in the set */
    bool everything;  /* is durable, also what others have made before */
    uint64_t number;  /* in the order of joining; so is the list, the last first */
    struct parents *next;
};

/*
 * Opens the directory that the file `path` stands in, below `root`. With `make` it is made where
 * missing. ST_NOT_FOUND where it is missing, ST_CONFLICT where a part of it is not a directory,
 * ST_URI_TOO_LONG, and those of subvolume_error(). After any result but ST_OK there is nothing to
 * close. Blocks.
 */
enum status parents_open(struct parents *p, struct subvolume *sub, int root, const char *path,
                         bool make, const char *request) MUST_CHECK;

/*
 * Makes durable the directories that were made, and with `changed` the content of the directory
 * itself; waits for others that are making a part of the path. ST_OK: all of it is on the disk.
 * Else nothing that relied on it may be acknowledged. Blocks, for as long as the fsyncs of others
 * take.
 */
enum status parents_close(struct parents *p, bool changed) MUST_CHECK;

/* One of many that are closed in one go. */
struct parents_closing {
    struct parents *parents;
    bool changed;
    enum status result; /* set */
};

/* The same for many, by one thread: their directories are synced as one where that is possible. */
enum { PARENTS_MANY = 64 };
void parents_close_many(struct parents_closing *list, unsigned count); /* PARENTS_MANY at most */

/* The last component of a path: the file's name in its directory. */
const char *parents_name(const char *path);

#endif
