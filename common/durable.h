/*
 * Small files that must be whole after a crash, and directories of our own: identity and lock.
 *
 * All of it blocks on the disk: for the pool's threads and for the start, not for loops. Errors are
 * those of status_of_errno(); nothing is logged here, the caller knows what the file is for. It
 * syncs always, whatever --sync says: these files are few, and small.
 */
#ifndef LARDER_COMMON_DURABLE_H
#define LARDER_COMMON_DURABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

struct buf;

enum { IDENTITY_SIZE = 32 }; /* hex digits */

/* Replaces dir_fd/name: temp file NAME.new, fsync, rename, fsync of the directory. On failure the
 * old content stands, with one exception: where only the last fsync failed, the new content is
 * there and may be gone after a power loss. One writer a name at a time, because the temp file is
 * shared; what a crash leaves of it the next write replaces. The directory that is synced is
 * dir_fd, so a `name` with a '/' in it is whole but not durable. ST_INTERNAL for a name of more
 * than 251 bytes. */
enum status durable_write(int dir_fd, const char *name, const void *data, size_t len) MUST_CHECK;
/* Reads dir_fd/name whole and appends it to `out`. ST_NOT_FOUND without it; ST_CORRUPT where `out`
 * grows beyond 1 MiB by it: none of our files is that large. */
enum status durable_read(int dir_fd, const char *name, struct buf *out) MUST_CHECK;
/* Makes a directory below dir_fd and syncs dir_fd; fine where it is there (a symbolic link to one
 * counts), ST_IO where the name is something else's. */
enum status durable_mkdir(int dir_fd, const char *name) MUST_CHECK;

/* Takes an exclusive lock on dir_fd/name, made where missing. The descriptor that holds it (close
 * it to let go), or -1 with *st set: ST_LOCKED where another process has it. It does not wait. The
 * kernel lets go when the process ends, however it ends, so no lock is ever stale. */
int durable_lock(int dir_fd, const char *name, enum status *st) MUST_CHECK;

/* A new random identity: 32 hex digits and a NUL. ST_IO where the kernel gives no random bytes. */
enum status durable_new_identity(char id[IDENTITY_SIZE + 1]) MUST_CHECK;

#endif
