/*
 * Tombstones: small files that keep the deletion of a key, so that no copy which turns up later is
 * believed. Everything here blocks, and runs on the pool.
 */
#ifndef LARDER_VOLUME_TOMBSTONE_H
#define LARDER_VOLUME_TOMBSTONE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"
#include "volume/store.h"

struct key;

/* Keeps a tombstone for the key in the subvolume of `at` (whose `file` is only for the log), which
 * is made where it is missing. One of a larger or the same generation stays; one that is damaged is
 * replaced. Durable when it returns ST_OK, also where it was there already. ST_NOT_WRITER: see
 * store_pass_fence(). */
enum status tombstone_put(const struct store_at *at, const struct key *key,
                          uint64_t generation) MUST_CHECK;

/* Forgets it, durably, whatever its generation. ST_NOT_FOUND where there is none (that, too, is
 * durable); ST_NOT_WRITER. */
enum status tombstone_drop(const struct store_at *at, const struct key *key) MUST_CHECK;

/* Reads the tombstone at `path` below `dir_fd`. ST_NOT_FOUND; ST_CORRUPT where it is no number. */
enum status tombstone_read(int dir_fd, const char *path, uint64_t *generation) MUST_CHECK;

#endif
