/*
 * LevelDB, in our words: the only user of its library. Everything here blocks on the disk.
 * Opened with paranoid checks, and every read verifies checksums.
 *
 * A database may be used by any number of threads at once (LevelDB locks inside);
 * a batch and an iterator by one at a time. Where LevelDB itself is out of memory the process ends:
 * it throws, and C cannot catch.
 */
#ifndef LARDER_COMMON_LDB_H
#define LARDER_COMMON_LDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct ldb;
struct ldb_batch;
struct ldb_iter;
struct ldb_snapshot;
struct buf;

struct ldb_options {
    bool create;         /* make it where it is missing */
    bool exclusive;      /* fail where it is there */
    size_t cache_bytes;  /* block cache; 0: 8 MiB */
    size_t buffer_bytes; /* memtable; 0: 4 MiB */
    int max_open_files;  /* descriptors for tables; 0: 1000 */
};

/* Opens `path`, after a look at its logs (ldb_log.h); what is in the logs is replayed, so it may
 * take seconds. On failure *to is NULL and *error (may be NULL) gets a malloc'ed text for people;
 * ST_LOCKED where another process has it open, ST_NOT_FOUND where it is missing, ST_CORRUPT,
 * ST_NO_SPACE, ST_NO_MEMORY (no text), ST_IO. */
enum status ldb_open(struct ldb **to, const char *path, const struct ldb_options *wanted,
                     char **error) MUST_CHECK;
/* Its iterators must be freed before. NULL is fine. */
void ldb_close(struct ldb *db);

/* Appends the value of now to `out`. ST_NOT_FOUND, ST_CORRUPT, ST_IO, ST_NO_MEMORY. */
enum status ldb_get(struct ldb *db, const void *key, size_t key_len, struct buf *out) MUST_CHECK;
/* The same where the caller keeps the value himself: what it was read from does not go into the
 * cache. */
enum status ldb_get_once(struct ldb *db, const void *key, size_t key_len,
                         struct buf *out) MUST_CHECK;

/* About how many bytes of tables lie between two keys (strings), the second excluded: as they are
 * on the disk, without what was written last. */
uint64_t ldb_size(struct ldb *db, const char *from, const char *to) MUST_CHECK;

/* Changes that are written together, applied in the order in which they were added. Keys and values
 * are copied. The batch stays as it is after ldb_write(), to be cleared, used again or freed. */
struct ldb_batch *ldb_batch_new(void) MUST_CHECK;
void ldb_batch_free(struct ldb_batch *batch);
void ldb_batch_clear(struct ldb_batch *batch);
void ldb_batch_put(struct ldb_batch *batch, const void *key, size_t key_len, const void *value,
                   size_t value_len);
void ldb_batch_delete(struct ldb_batch *batch, const void *key, size_t key_len);

/* Writes all of it or nothing; with `sync` it is on the disk when this returns, without it
 * LevelDB's log may lose it (and later writes with it) at power loss. *error (may be NULL) as for
 * ldb_open(). After a failure the log's end is not known any more: close the database and open it
 * again before the next write. */
enum status ldb_write(struct ldb *db, struct ldb_batch *batch, bool sync, char **error) MUST_CHECK;

/* Everything written so far becomes part of a table on the disk. A synced write alone does not do
 * that: writes in a log file that was rotated out just before may not be on the disk, and a power
 * loss would leave a hole in front of what was synced. A failure shows at the next write. */
void ldb_flush(struct ldb *db);

/* A view that later writes do not change, for iterators that come one after the other. To be freed
 * before its database is closed. NULL: no memory. */
struct ldb_snapshot *ldb_snapshot_new(struct ldb *db) MUST_CHECK;
void ldb_snapshot_free(struct ldb_snapshot *snapshot);

/* Iterates in bytewise order over the state of now: later writes are not seen. Positioned by
 * ldb_iter_seek: at that key, or the next there is. NULL: no memory. What it reads does not go into
 * the cache. */
struct ldb_iter *ldb_iter_new(struct ldb *db) MUST_CHECK;
/* The same over a snapshot, which must outlive it. */
struct ldb_iter *ldb_iter_new_at(struct ldb_snapshot *snapshot) MUST_CHECK;
void ldb_iter_free(struct ldb_iter *iter);
void ldb_iter_seek(struct ldb_iter *iter, const void *key, size_t key_len);
bool ldb_iter_valid(const struct ldb_iter *iter);
void ldb_iter_next(struct ldb_iter *iter);
/* Both belong to the iterator, until it moves. */
const char *ldb_iter_key(const struct ldb_iter *iter, size_t *len);
const char *ldb_iter_value(const struct ldb_iter *iter, size_t *len);
/* ST_OK, or why it ended early. Ask it whenever ldb_iter_valid() turned false. */
enum status ldb_iter_status(const struct ldb_iter *iter) MUST_CHECK;

/* Removes a database from the disk, which nobody may have open; fine where there is none. Files
 * that are not LevelDB's stay. */
enum status ldb_destroy(const char *path) MUST_CHECK;

#endif
