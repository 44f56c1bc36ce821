/*
 * LevelDB by its C interface (leveldb/c.h), behind structs of our own. Numbers that the caller does
 * not give are LevelDB's own defaults (include/leveldb/options.h). Three options are not:
 * verify_checksums; paranoid_checks, without which one flipped bit in its log silently hid 429 of
 * 1,000 synced keys; and the Bloom filter.
 *
 * LevelDB wants what it was opened with (cache, filter, options) to stay until it is closed, so
 * `struct ldb` keeps all of it.
 */
#include "common/ldb.h"

#include <leveldb/c.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/ldb_log.h"
#include "common/planted.h"

/* What a point read that misses the cache reads, checks, unpacks and searches. LevelDB's own is 4
 * KiB; with 2 such a read takes 3 to 16 % less, in six comparisons of six. With 1 the blocks are
 * packed worse, and the tables' indexes, which stay in memory, grow. */
enum { BLOCK_BYTES = 2048 };

/* Unchanged from ldb_open() to ldb_close(), so any thread may read it. */
struct ldb {
    leveldb_t *db; /* NULL while it is being opened, and where that failed */
    leveldb_options_t *options;
    leveldb_readoptions_t *read; /* of ldb_get() */
    leveldb_readoptions_t *read_once;
    leveldb_writeoptions_t *write; /* without sync */
    leveldb_writeoptions_t *write_sync;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
};

struct ldb_batch {
    leveldb_writebatch_t *batch;
};

struct ldb_snapshot {
    struct ldb *db;
    const leveldb_snapshot_t *snapshot;
};

struct ldb_iter {
    leveldb_readoptions_t *read; /* its own */
    leveldb_iterator_t *iter;
};

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer does not see how the library, which was built without it, publishes what it has
 * written (atomics in its skip list), and takes every read beside a write for a race. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:leveldb::\n";
}
#endif

/* leveldb::EnvPosixTestHelper::SetReadOnlyMMapLimit(int), which the C interface has no word for. */
void ldb_limit_mappings(int files) __asm__(
    "_ZN7leveldb18EnvPosixTestHelper20SetReadOnlyMMapLimitEi");

static pthread_once_t mapping_once = PTHREAD_ONCE_INIT;

/* LevelDB maps up to 1000 tables into memory. What it compared with its checksum once, a table's
 * index and its filter, it then believes for good, though the pages may be read from the disk again
 * and again: a bit that has changed there is a key that is silently not found. And a page that
 * cannot be read, or is not there any more, is a SIGBUS. With pread it keeps what it has compared,
 * in its cache, and errors are errors. To be called before the library is used at all. */
static void map_nothing(void)
{
    ldb_limit_mappings(0);
}

/* LevelDB's C interface gives errors as text only, made by its util/status.cc ("IO error: ",
 * "Corruption: ", …) and strerror(). A full disk is looked for first: a text can be both that and
 * an I/O error. */
static enum status status_of_text(const char *text)
{
    if (strstr(text, "No space left") || strstr(text, "Disk quota"))
        return ST_NO_SPACE;
    if (strncmp(text, "IO error: lock ", 15) == 0) /* not every text with a "block" in it */
        return ST_LOCKED;
    if (strstr(text, "Corruption") || strstr(text, "corrupt"))
        return ST_CORRUPT;
    if (strstr(text, "does not exist") || strncmp(text, "NotFound", 8) == 0)
        return ST_NOT_FOUND;
    return ST_IO;
}

/* Takes LevelDB's text (may be NULL: no error) and hands it on, where anyone wants it. Copied, so
 * that callers can free() it, whatever allocator the library has. */
static enum status take_error(char *text, char **error)
{
    if (error)
        *error = NULL;
    if (!text)
        return ST_OK;
    enum status st = status_of_text(text);
    if (error)
        *error = strdup(text);
    leveldb_free(text);
    return st;
}

/* Tables are compressed by Snappy where LevelDB was built with it, else not; it reads both. */
static void set_options(struct ldb *db, const struct ldb_options *wanted)
{
    size_t cache = wanted->cache_bytes ? wanted->cache_bytes : (size_t)8 << 20;
    db->cache = leveldb_cache_create_lru(cache);
    /* 10 bits a key: a key that is not there, which every first PUT asks for, costs a read of the
     * disk in one of a hundred cases only (LevelDB's doc/index.md, 'Filters'). */
    db->filter = leveldb_filterpolicy_create_bloom(10);
    leveldb_options_set_create_if_missing(db->options, wanted->create);
    leveldb_options_set_error_if_exists(db->options, wanted->exclusive);
    leveldb_options_set_paranoid_checks(db->options, 1);
    leveldb_options_set_cache(db->options, db->cache);
    leveldb_options_set_filter_policy(db->options, db->filter);
    leveldb_options_set_write_buffer_size(db->options, wanted->buffer_bytes ? wanted->buffer_bytes
                                                                            : (size_t)4 << 20);
    leveldb_options_set_max_open_files(db->options,
                                       wanted->max_open_files ? wanted->max_open_files : 1000);
    leveldb_options_set_block_size(db->options, BLOCK_BYTES);
    leveldb_options_set_compression(db->options, leveldb_snappy_compression);
    leveldb_readoptions_set_verify_checksums(db->read, 1);
    leveldb_readoptions_set_verify_checksums(db->read_once, 1);
    leveldb_readoptions_set_fill_cache(db->read_once, 0);
    leveldb_writeoptions_set_sync(db->write_sync, 1);
}

enum status ldb_open(struct ldb **to, const char *path, const struct ldb_options *wanted,
                     char **error)
{
    *to = NULL;
    if (error)
        *error = NULL;
    /* Before LevelDB has it open: it replays its logs while it opens, and removes them afterwards,
     * with what it has dropped. */
    enum status st = ldb_log_check(path, error);
    if (st)
        return st;
    struct ldb *db = calloc(1, sizeof *db);
    if (!db)
        return ST_NO_MEMORY;
    (void)pthread_once(&mapping_once, map_nothing);
    db->options = leveldb_options_create();
    db->read = leveldb_readoptions_create();
    db->read_once = leveldb_readoptions_create();
    db->write = leveldb_writeoptions_create();
    db->write_sync = leveldb_writeoptions_create();
    set_options(db, wanted);
    char *text = NULL;
    db->db = leveldb_open(db->options, path, &text);
    st = take_error(text, error);
    if (st) {
        ldb_close(db);
        return st;
    }
    *to = db;
    return ST_OK;
}

/* In the order that LevelDB wants: the database before what it was opened with. Also used for one
 * that was not opened. */
void ldb_close(struct ldb *db)
{
    if (!db)
        return;
    if (db->db)
        leveldb_close(db->db);
    leveldb_writeoptions_destroy(db->write_sync);
    leveldb_writeoptions_destroy(db->write);
    leveldb_readoptions_destroy(db->read_once);
    leveldb_readoptions_destroy(db->read);
    leveldb_options_destroy(db->options);
    leveldb_filterpolicy_destroy(db->filter);
    leveldb_cache_destroy(db->cache);
    free(db);
}

/* No text and no value: the key is not there. Any failure has a text. */
static enum status get(struct ldb *db, const leveldb_readoptions_t *how, const void *key,
                       size_t key_len, struct buf *out)
{
    char *text = NULL;
    size_t len = 0;
    char *value = leveldb_get(db->db, how, key, key_len, &len, &text);
    enum status st = take_error(text, NULL);
    if (st)
        return st;
    if (!value)
        return ST_NOT_FOUND;
    buf_add(out, value, len);
    leveldb_free(value);
    return buf_ok(out) ? ST_OK : ST_NO_MEMORY;
}

enum status ldb_get(struct ldb *db, const void *key, size_t key_len, struct buf *out)
{
    return get(db, db->read, key, key_len, out);
}

enum status ldb_get_once(struct ldb *db, const void *key, size_t key_len, struct buf *out)
{
    return get(db, db->read_once, key, key_len, out);
}

uint64_t ldb_size(struct ldb *db, const char *from, const char *to)
{
    size_t from_len = strlen(from);
    size_t to_len = strlen(to);
    uint64_t size = 0;
    leveldb_approximate_sizes(db->db, 1, &from, &from_len, &to, &to_len, &size);
    return size;
}

struct ldb_batch *ldb_batch_new(void)
{
    struct ldb_batch *batch = malloc(sizeof *batch);
    if (batch)
        batch->batch = leveldb_writebatch_create();
    return batch;
}

void ldb_batch_free(struct ldb_batch *batch)
{
    if (!batch)
        return;
    leveldb_writebatch_destroy(batch->batch);
    free(batch);
}

void ldb_batch_clear(struct ldb_batch *batch)
{
    leveldb_writebatch_clear(batch->batch);
}

void ldb_batch_put(struct ldb_batch *batch, const void *key, size_t key_len, const void *value,
                   size_t value_len)
{
    leveldb_writebatch_put(batch->batch, key, key_len, value, value_len);
}

void ldb_batch_delete(struct ldb_batch *batch, const void *key, size_t key_len)
{
    leveldb_writebatch_delete(batch->batch, key, key_len);
}

enum status ldb_write(struct ldb *db, struct ldb_batch *batch, bool sync, char **error)
{
    char *text = NULL;
    /* Every change of the index goes through here, so here is where a fault suite that is not blind
     * must notice that the sync is missing. */
    bool synced = sync && !planted("skip-index-sync");
    leveldb_write(db->db, synced ? db->write_sync : db->write, batch->batch, &text);
    return take_error(text, error);
}

void ldb_flush(struct ldb *db)
{
    /* Before it compacts a range LevelDB writes the memtable to a table, and waits for it; the
     * range itself, one key that nobody has, is empty. */
    leveldb_compact_range(db->db, "", 0, "", 0);
}

struct ldb_snapshot *ldb_snapshot_new(struct ldb *db)
{
    struct ldb_snapshot *snapshot = malloc(sizeof *snapshot);
    if (!snapshot)
        return NULL;
    snapshot->db = db;
    snapshot->snapshot = leveldb_create_snapshot(db->db);
    return snapshot;
}

void ldb_snapshot_free(struct ldb_snapshot *snapshot)
{
    if (!snapshot)
        return;
    leveldb_release_snapshot(snapshot->db->db, snapshot->snapshot);
    free(snapshot);
}

/* `snapshot` NULL: the state of now. */
static struct ldb_iter *make_iter(struct ldb *db, const leveldb_snapshot_t *snapshot)
{
    struct ldb_iter *iter = malloc(sizeof *iter);
    if (!iter)
        return NULL;
    iter->read = leveldb_readoptions_create();
    leveldb_readoptions_set_verify_checksums(iter->read, 1);
    /* A long scan must not push out what point reads have in the cache. */
    leveldb_readoptions_set_fill_cache(iter->read, 0);
    if (snapshot)
        leveldb_readoptions_set_snapshot(iter->read, snapshot);
    iter->iter = leveldb_create_iterator(db->db, iter->read);
    return iter;
}

struct ldb_iter *ldb_iter_new(struct ldb *db)
{
    return make_iter(db, NULL);
}

struct ldb_iter *ldb_iter_new_at(struct ldb_snapshot *snapshot)
{
    return make_iter(snapshot->db, snapshot->snapshot);
}

void ldb_iter_free(struct ldb_iter *iter)
{
    if (!iter)
        return;
    leveldb_iter_destroy(iter->iter);
    leveldb_readoptions_destroy(iter->read);
    free(iter);
}

void ldb_iter_seek(struct ldb_iter *iter, const void *key, size_t key_len)
{
    leveldb_iter_seek(iter->iter, key, key_len);
}

bool ldb_iter_valid(const struct ldb_iter *iter)
{
    return leveldb_iter_valid(iter->iter);
}

void ldb_iter_next(struct ldb_iter *iter)
{
    leveldb_iter_next(iter->iter);
}

const char *ldb_iter_key(const struct ldb_iter *iter, size_t *len)
{
    return leveldb_iter_key(iter->iter, len);
}

const char *ldb_iter_value(const struct ldb_iter *iter, size_t *len)
{
    return leveldb_iter_value(iter->iter, len);
}

enum status ldb_iter_status(const struct ldb_iter *iter)
{
    char *text = NULL;
    leveldb_iter_get_error(iter->iter, &text);
    return take_error(text, NULL);
}

/* The options are only asked for the environment: LevelDB finds its files by their names. */
enum status ldb_destroy(const char *path)
{
    char *text = NULL;
    (void)pthread_once(&mapping_once, map_nothing);
    leveldb_options_t *options = leveldb_options_create();
    leveldb_destroy_db(options, path, &text);
    leveldb_options_destroy(options);
    return take_error(text, NULL);
}
