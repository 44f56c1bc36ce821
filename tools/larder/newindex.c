/*
 * The life of a new index: newindex_begin (indexdir_hold, open_new) → newindex_add,
 * newindex_add_volume → newindex_finish (the last batch synced, closed, every file synced, swap).
 *
 * Invariant: DIR is at any moment the old index or the new one, whole, but for two renames in
 * between where the file system cannot exchange names. Whatever fails before the swap removes the
 * new one; from the closing on it is kept, as it is whole and cost hours.
 *
 * The trap that shaped it: LevelDB changes the files of an index by opening it (it replays the
 * log), and may not open a damaged one at all. So the old one is never opened, but locked as
 * LevelDB locks it (indexdir.h), and no more. The records are in the format of
 * master/index_state.h; prefixes of the keys: "!v" volumes, "!w" work, "!m" the index's own.
 */
#include "tools/larder/newindex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/key.h"
#include "common/ldb.h"
#include "common/loop.h"
#include "common/record.h"
#include "common/swap.h"
#include "tools/larder/indexdir.h"
#include "tools/larder/say.h"

enum { BATCH_ENTRIES = 1000, BUFFER_BYTES = 32 * 1024 * 1024 };

struct newindex {
    struct indexdir *held; /* DIR, from the beginning to the end */
    char *path;            /* of the new one: DIR.rebuild-new */
    struct ldb *db;        /* NULL once it is whole: then nothing is removed */
    bool in_place;         /* it has the name DIR */
    struct ldb_batch *batch;
    struct buf key;    /* scratch */
    size_t entries;    /* in the batch */
    uint64_t sequence; /* of the last batch */
    uint64_t now_ms;   /* unix time at the beginning, as of which volumes were added */
};

/* --- the beginning --- */

/* The memtable is large, since all of it is written in one go and nobody reads meanwhile. */
static enum status open_new(struct newindex *index)
{
    const struct ldb_options options = {
        .create = true, .exclusive = true, .buffer_bytes = BUFFER_BYTES};
    struct stat there;
    enum status st = stat(index->path, &there) == 0 ? ldb_destroy(index->path) : ST_OK;
    char *why = NULL;
    if (!st)
        st = ldb_open(&index->db, index->path, &options, &why);
    if (st == ST_LOCKED)
        say_error("%s is in use: another rebuild of this index is at work", index->path);
    else if (st)
        say_error("could not make the new index %s: %s; is there space and the right to write?",
                  index->path, why ? why : status_text(st));
    free(why);
    return st;
}

enum status newindex_begin(struct newindex **made, const char *dir)
{
    *made = NULL;
    struct newindex *index = calloc(1, sizeof *index);
    if (!index)
        return ST_NO_MEMORY;
    index->now_ms = loop_wall_ms();
    /* Beyond any number that the lost index gave, for who watches it (PROTOCOL.md, 'Index'). */
    index->sequence = index->now_ms * 1000;
    index->batch = ldb_batch_new();
    enum status st = index->batch ? indexdir_hold(&index->held, dir) : ST_NO_MEMORY;
    if (!st && asprintf(&index->path, "%s.rebuild-new", indexdir_path(index->held)) < 0) {
        index->path = NULL;
        st = ST_NO_MEMORY;
    }
    if (!st)
        st = open_new(index);
    if (st) {
        newindex_free(index);
        return st;
    }
    *made = index;
    return ST_OK;
}

bool newindex_replaces(const struct newindex *index)
{
    return !indexdir_is_fresh(index->held);
}

const char *newindex_dir(const struct newindex *index)
{
    return indexdir_path(index->held);
}

/* The lock goes last, with its descriptor: until then no master can start on DIR. */
void newindex_free(struct newindex *index)
{
    if (!index)
        return;
    ldb_batch_free(index->batch);
    buf_free(&index->key);
    if (index->db) {
        ldb_close(index->db);
        if (ldb_destroy(index->path))
            say_error("could not remove %s; remove it by hand", index->path);
    }
    indexdir_release(index->held, !index->in_place);
    free(index->path);
    free(index);
}

/* --- filling --- */

/* Every batch bears the sequence number, as the master's own do. */
static enum status flush(struct newindex *index, bool sync)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)++index->sequence);
    ldb_batch_put(index->batch, "!msequence", 10, text, (size_t)len);
    char *why = NULL;
    enum status st = ldb_write(index->db, index->batch, sync, &why);
    if (st)
        say_error("could not write the new index %s: %s", index->path, why ? why : status_text(st));
    free(why);
    ldb_batch_clear(index->batch);
    index->entries = 0;
    return st;
}

/* The entry goes into the batch, and the batch to the index when it is full. Not synced: before
 * newindex_finish() there is nothing that a crash could lose. */
static enum status put(struct newindex *index, const char *prefix, const void *name, size_t len,
                       const struct buf *value)
{
    struct buf *key = &index->key;
    buf_clear(key);
    buf_adds(key, prefix);
    buf_add(key, name, len);
    if (!buf_ok(value) || !buf_ok(key))
        return ST_NO_MEMORY;
    ldb_batch_put(index->batch, key->data, key->len, buf_text(value), value->len);
    return ++index->entries < BATCH_ENTRIES ? ST_OK : flush(index, false);
}

/* A record and its mark of work are two entries, as the master writes them; the janitor looks for
 * the marks alone. */
enum status newindex_add(struct newindex *index, const struct key *key, const struct record *record)
{
    struct buf value = BUF_INIT;
    enum status st = ST_OK;
    if (record_encode(record, key, &value))
        st = put(index, "", key->bytes, key->len, &value);
    buf_clear(&value);
    if (!st && record_encode_work(record, &value))
        st = put(index, "!w", key->bytes, key->len, &value);
    buf_free(&value);
    return st;
}

/* As master/volumes_facts.c writes and reads it; `added` is the time of this rebuild. */
enum status newindex_add_volume(struct newindex *index, const char *name, const char *address,
                                const char *identity)
{
    struct buf value = BUF_INIT;
    buf_addf(&value, "{\"id\":\"%s\",\"added\":%llu", identity, (unsigned long long)index->now_ms);
    if (strcmp(address, name) != 0)
        buf_addf(&value, ",\"address\":\"%s\"", address);
    buf_addc(&value, '}');
    enum status st = put(index, "!v", name, strlen(name), &value);
    buf_free(&value);
    return st;
}

/* --- putting it in its place --- */

/* DIR.old-TIME, or, where that is taken already, DIR.old-TIME-2 and so on. NULL: no memory. */
static char *old_name(const char *dir)
{
    time_t now = time(NULL);
    struct tm parts;
    char stamp[32];
    if (!gmtime_r(&now, &parts) || !strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &parts))
        return NULL;
    for (int i = 1;; i++) {
        char *name = NULL;
        char number[16] = "";
        if (i > 1)
            (void)snprintf(number, sizeof number, "-%d", i);
        if (asprintf(&name, "%s.old-%s%s", dir, stamp, number) < 0)
            return NULL;
        if (access(name, F_OK) != 0)
            return name;
        free(name);
    }
}

/* What had the place of an index, and was none, is not kept: a directory with our lock in it. Left
 * over where that fails, it is in nobody's way. LevelDB lets go of the lock with that, which stands
 * for nothing any more. */
static void remove_fresh(char **old)
{
    (void)!ldb_destroy(*old);
    free(*old);
    *old = NULL;
}

/* On failure the new index stays under its name: hours of work are not thrown away. */
static enum status swap(struct newindex *index, char **old)
{
    const char *dir = indexdir_path(index->held);
    *old = old_name(dir);
    if (!*old)
        return ST_NO_MEMORY;
    index->in_place = swap_exchange(dir, index->path, *old);
    if (!index->in_place) {
        say_error("the new index is whole, but could not be put in the place of %s: %s. It is in "
                  "%s: move it by hand",
                  dir, strerror(errno), index->path);
        free(*old);
        *old = NULL;
        return ST_IO;
    }
    enum status st = swap_sync_parent(dir);
    if (indexdir_is_fresh(index->held))
        remove_fresh(old);
    return st;
}

/* A new identity, as /admin/status shows it: this is another index. */
enum status newindex_finish(struct newindex *index, char **old)
{
    *old = NULL;
    char id[IDENTITY_SIZE + 1];
    enum status st = durable_new_identity(id);
    if (st)
        return st;
    ldb_batch_put(index->batch, "!mid", 4, id, IDENTITY_SIZE);
    st = flush(index, true);
    if (st)
        return st;
    ldb_close(index->db);
    index->db = NULL; /* from here on it is not removed any more */
    /* LevelDB synced its tables, but not every log that it still wants to read at the next start.
     */
    st = swap_sync_files(index->path);
    if (st) {
        say_error("could not sync the new index %s: %s. Nothing was replaced; remove it, see to "
                  "the disk, and begin again",
                  index->path, status_text(st));
        return st;
    }
    return swap(index, old);
}
