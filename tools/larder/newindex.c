/*
 * The life of a new index: newindex_begin (hold_old, open_new) → newindex_add, newindex_add_volume
 * → newindex_finish (the last batch synced, closed, every file synced, swap).
 *
 * Invariant: DIR is at any moment the old index or the new one, whole, but for two renames in
 * between where the file system cannot exchange names. Whatever fails before the swap removes the
 * new one; from the closing on it is kept, as it is whole and cost hours.
 *
 * The trap that shaped it: LevelDB changes the files of an index by opening it (it replays the
 * log), and may not open a damaged one at all. So the old one is never opened: its lock is taken as
 * LevelDB takes it (fcntl on LOCK), and no more. The records are in the format of
 * master/index_state.h; prefixes of the keys: "!v" volumes, "!w" work, "!m" the index's own.
 */
#include "tools/larder/newindex.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#include "tools/larder/say.h"

enum { BATCH_ENTRIES = 1000, BUFFER_BYTES = 32 * 1024 * 1024 };

struct newindex {
    char *dir;      /* without '/' at its end */
    char *path;     /* of the new one: DIR.rebuild-new */
    int lock;       /* descriptor that holds the lock of the old one, -1 where there is none */
    struct ldb *db; /* NULL once it is whole: then nothing is removed */
    struct ldb_batch *batch;
    struct buf key;    /* scratch */
    size_t entries;    /* in the batch */
    uint64_t sequence; /* of the last batch */
    uint64_t now_ms;   /* unix time at the beginning, as of which volumes were added */
};

/* --- taking hold --- */

/* What LevelDB makes in its directory. */
static bool is_leveldb_file(const char *name)
{
    size_t len = strlen(name);
    return strcmp(name, "CURRENT") == 0 || strcmp(name, "LOCK") == 0 ||
           strncmp(name, "MANIFEST-", 9) == 0 ||
           (len > 4 &&
            (strcmp(name + len - 4, ".ldb") == 0 || strcmp(name + len - 4, ".sst") == 0));
}

/* Looks into DIR: *any entries at all, *index where LevelDB's are among them. */
static enum status look_into(const char *dir, bool *any, bool *index)
{
    *any = *index = false;
    DIR *list = opendir(dir);
    if (!list)
        return status_of_errno(errno);
    const struct dirent *entry;
    while ((entry = readdir(list))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        *any = true;
        *index = *index || is_leveldb_file(entry->d_name);
    }
    (void)closedir(list);
    return ST_OK;
}

/* The lock that LevelDB itself takes, so it works for a damaged index as well, which LevelDB would
 * not open; and nothing in the old index changes. A master has it as long as it runs. It is let go
 * of with its descriptor: this process may open LOCK nowhere else, since closing any descriptor of
 * a file drops its fcntl locks. */
static enum status lock_old(struct newindex *index)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *path = NULL;
    if (asprintf(&path, "%s/LOCK", index->dir) < 0)
        return ST_NO_MEMORY;
    enum status st = ST_OK;
    index->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (index->lock < 0) {
        st = status_of_errno(errno);
        say_error("could not lock the index %s: %s: %s", index->dir, path, strerror(errno));
    } else if (fcntl(index->lock, F_SETLK, &lock) != 0) {
        st = errno == EAGAIN || errno == EACCES ? ST_LOCKED : status_of_errno(errno);
        if (st == ST_LOCKED)
            say_error("the index %s is in use: stop its master first", index->dir);
        else
            say_error("could not lock the index %s: %s", index->dir, strerror(errno));
    }
    free(path);
    return st;
}

/* Anything that is no index is refused: a slip in --db must not move somebody's directory away. */
static enum status hold_old(struct newindex *index)
{
    struct stat there;
    bool any;
    bool is_index;
    if (lstat(index->dir, &there) != 0) {
        if (errno == ENOENT)
            return ST_OK;
        say_error("could not look at %s: %s", index->dir, strerror(errno));
        return status_of_errno(errno);
    }
    enum status st = S_ISDIR(there.st_mode) ? look_into(index->dir, &any, &is_index) : ST_EXISTS;
    if (!st && any && !is_index)
        st = ST_EXISTS;
    if (st == ST_EXISTS)
        say_error("%s is there and is no index; it will not be replaced. Give --db another name",
                  index->dir);
    else if (st)
        say_error("could not read the directory %s: %s", index->dir, strerror(errno));
    return !st && any ? lock_old(index) : st;
}

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
    index->lock = -1;
    index->now_ms = loop_wall_ms();
    /* Beyond any number that the lost index gave, for who watches it (PROTOCOL.md, 'Index'). */
    index->sequence = index->now_ms * 1000;
    index->batch = ldb_batch_new();
    index->dir = strdup(dir);
    size_t len = strlen(dir);
    while (index->dir && len > 1 && index->dir[len - 1] == '/')
        index->dir[--len] = 0;
    enum status st = ST_NO_MEMORY;
    if (index->batch && index->dir && asprintf(&index->path, "%s.rebuild-new", index->dir) > 0)
        st = hold_old(index);
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
    return index->lock >= 0;
}

const char *newindex_dir(const struct newindex *index)
{
    return index->dir;
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
    if (index->lock >= 0)
        (void)close(index->lock);
    free(index->path);
    free(index->dir);
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

/* On failure the new index stays under its name: hours of work are not thrown away. */
static enum status swap(struct newindex *index, char **old)
{
    bool good;
    if (index->lock < 0) {
        good = rename(index->path, index->dir) == 0; /* nothing there, or an empty directory */
    } else {
        *old = old_name(index->dir);
        if (!*old)
            return ST_NO_MEMORY;
        good = swap_exchange(index->dir, index->path, *old);
    }
    if (good)
        return swap_sync_parent(index->dir);
    say_error("the new index is whole, but could not be put in the place of %s: %s. It is in %s: "
              "move it by hand",
              index->dir, strerror(errno), index->path);
    free(*old);
    *old = NULL;
    return ST_IO;
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
