/*
 * The index as it was at one sequence number, while it goes on. LevelDB keeps what a snapshot still
 * needs, so one that is held for long costs disk space. Everything here blocks on the disk.
 */
#ifndef LARDER_MASTER_INDEX_SNAPSHOT_H
#define LARDER_MASTER_INDEX_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct buf;
struct index;
struct index_snapshot;

/* Takes one of now; *sequence is that of the last change in it. ST_NO_MEMORY, ST_IO, ST_CORRUPT. */
enum status index_snapshot_take(struct index *index, struct index_snapshot **taken,
                                uint64_t *sequence) MUST_CHECK;
/* Before the index is closed. */
void index_snapshot_free(struct index_snapshot *snapshot);

/* Calls fn for each entry of the index, its own ("!…") too, behind the key `after` (empty: from the
 * first on), until fn returns false. ST_OK, or why it ended early: ST_GONE where the index had to
 * be opened anew after a failed write, which no snapshot survives. Key and value are fn's to look
 * at only. Any number of threads at the same time. */
enum status index_snapshot_scan(struct index_snapshot *snapshot, const struct buf *after,
                                bool (*fn)(void *arg, const char *key, size_t key_len,
                                           const char *value, size_t value_len),
                                void *arg) MUST_CHECK;

/* The database is about to be closed: snapshots end. With db_lock held for writing. */
void index_snapshot_drop_all(struct index *index);

#endif
