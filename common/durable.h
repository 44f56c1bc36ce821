/*
 * Small files that must be whole after a crash, and directories of our own: identity and lock.
 */
#ifndef LARDER_COMMON_DURABLE_H
#define LARDER_COMMON_DURABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

struct buf;

enum { IDENTITY_SIZE = 32 }; /* hex digits */

/* Replaces dir_fd/name: temp file, fsync, rename, fsync of the directory. */
enum status durable_write(int dir_fd, const char *name, const void *data, size_t len) MUST_CHECK;
/* Reads dir_fd/name whole (at most 1 MiB). ST_NOT_FOUND without it. */
enum status durable_read(int dir_fd, const char *name, struct buf *out) MUST_CHECK;
/* Makes a directory below dir_fd and syncs its parent; fine where it is there. */
enum status durable_mkdir(int dir_fd, const char *name) MUST_CHECK;

/* Takes an exclusive lock on dir_fd/name, made where missing. The descriptor that holds it (close
 * it to let go), or -1 with *st set: ST_LOCKED where another process has it. */
int durable_lock(int dir_fd, const char *name, enum status *st) MUST_CHECK;

/* A new random identity: 32 hex digits and a NUL. */
enum status durable_new_identity(char id[IDENTITY_SIZE + 1]) MUST_CHECK;

#endif
