/*
 * checkpoint_load_begin → entries through the sink, as they come → checkpoint_load_finish →
 * checkpoint_load_swap. Up to the swap everything happens in DIR.checkpoint-new, which is this
 * process's alone (LevelDB locks it); DIR is not read, written or opened.
 *
 * Nothing is believed that was only written: what was put in is summed up on the way, and the
 * finished database is opened as a master will open it and summed up again. Both sums must agree.
 * LevelDB's own checksums do not tell of entries that are missing altogether.
 *
 * Nothing is synced before the end either, since a crash before the swap leaves an index that
 * nobody has begun to use; a leftover is removed by the next begin, or by a master's start.
 */
#include "common/checkpoint_load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/checkpoint_fetch.h"
#include "common/ldb.h"
#include "common/loop.h"
#include "common/swap.h"

/* Of one write; and of LevelDB's memtable, large because all comes in one go and nobody reads. */
enum { BATCH_BYTES = 1024 * 1024, BUFFER_BYTES = 32 * 1024 * 1024 };

/* Order does not matter to it, so what is added to an index may come at any time. */
struct sum {
    uint64_t entries, bytes;
    unsigned char mixed[MD5_SIZE]; /* of the digests of all entries */
};

/* `db` is there from the beginning to the end of the finish, and what says whether there is
 * anything to remove. */
struct checkpoint_load {
    enum checkpoint_load_kind kind;
    char *path; /* DIR.checkpoint-new */
    struct ldb *db;
    struct ldb_batch *batch;
    size_t batch_bytes;
    struct sum sum; /* of what was written */
    uint64_t sequence;
    uint64_t made_ms;
    char *fault; /* why the sink refused an entry */
};

/* Hands `st` on, with a text where one is wanted. */
PRINTF_LIKE(3, 4)
static enum status explain(enum status st, struct buf *why, const char *format, ...)
{
    char text[600];
    if (!st || !why || why->len)
        return st;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_adds(why, text);
    return st;
}

/* DIR, without '/' at its end, and the suffix. NULL: no memory. */
static char *beside(const char *dir, const char *suffix)
{
    size_t len = strlen(dir);
    char *path = NULL;
    while (len > 1 && dir[len - 1] == '/')
        len--;
    return asprintf(&path, "%.*s%s", (int)len, dir, suffix) < 0 ? NULL : path;
}

/* lstat: a link is there, wherever it leads. */
static bool is_there(const char *path)
{
    struct stat is;
    return lstat(path, &is) == 0;
}

/* --- the database --- */

/* The exclusive or of digests: the same whatever the order, so it need not be that of the database.
 */
static enum status add_sum(struct sum *sum, const char *key, size_t key_len, const char *value,
                           size_t value_len)
{
    unsigned char digest[MD5_SIZE];
    enum status st = md5_pair(key, key_len, value, value_len, digest);
    for (size_t i = 0; i < MD5_SIZE; i++)
        sum->mixed[i] ^= digest[i];
    sum->entries++;
    sum->bytes += key_len + value_len;
    return st;
}

/* A leftover of a killed run is removed first. One of a run that goes on is locked, and stays. */
static enum status open_fresh(struct checkpoint_load *load, struct buf *why)
{
    const struct ldb_options options = {
        .create = true, .exclusive = true, .buffer_bytes = BUFFER_BYTES};
    char *error = NULL;
    enum status st = is_there(load->path) ? ldb_destroy(load->path) : ST_OK;
    if (!st)
        st = ldb_open(&load->db, load->path, &options, &error);
    if (st == ST_LOCKED)
        (void)explain(st, why, "%s is in use: something else is at work on it", load->path);
    else
        (void)explain(st, why, "could not make %s: %s; is there space and the right to write?",
                      load->path, error ? error : status_text(st));
    free(error);
    return st;
}

/* The reason is kept: the sink can only hand a status through the reader, and its caller asks for
 * the text afterwards (checkpoint_load_explain). */
static enum status flush(struct checkpoint_load *load, bool sync, struct buf *why)
{
    char *error = NULL;
    enum status st = ldb_write(load->db, load->batch, sync, &error);
    (void)explain(st, why, "could not write %s: %s", load->path, error ? error : status_text(st));
    if (st) {
        free(load->fault);
        load->fault = error;
    }
    ldb_batch_clear(load->batch);
    load->batch_bytes = 0;
    return st;
}

/* Summed up before it is written, from the caller's bytes: an error on the way to the disk is not
 * in the sum. */
static enum status put(struct checkpoint_load *load, const char *key, size_t key_len,
                       const char *value, size_t value_len)
{
    enum status st = add_sum(&load->sum, key, key_len, value, value_len);
    ldb_batch_put(load->batch, key, key_len, value, value_len);
    load->batch_bytes += key_len + value_len;
    if (!st && load->batch_bytes >= BATCH_BYTES)
        st = flush(load, false, NULL);
    return st;
}

/* --- loading --- */

/* Nothing of the checkpoint is needed yet: its head comes through the sink. */
enum status checkpoint_load_begin(struct checkpoint_load **begun, const char *dir,
                                  enum checkpoint_load_kind kind, struct buf *why)
{
    *begun = NULL;
    struct checkpoint_load *load = calloc(1, sizeof *load);
    if (!load)
        return ST_NO_MEMORY;
    load->kind = kind;
    load->path = beside(dir, ".checkpoint-new");
    load->batch = ldb_batch_new();
    enum status st = load->path && load->batch ? open_fresh(load, why) : ST_NO_MEMORY;
    if (st) {
        checkpoint_load_free(load);
        return st;
    }
    *begun = load;
    return ST_OK;
}

/* Removing may fail as well; then it is a leftover, which the next one meets. */
void checkpoint_load_free(struct checkpoint_load *load)
{
    if (!load)
        return;
    ldb_batch_free(load->batch);
    if (load->db) { /* else it is finished, or there never was one */
        ldb_close(load->db);
        (void)!ldb_destroy(load->path);
    }
    free(load->fault);
    free(load->path);
    free(load);
}

enum status checkpoint_load_explain(const struct checkpoint_load *load, enum status st,
                                    struct buf *why)
{
    return explain(st, why, "could not write %s: %s", load->path,
                   load->fault ? load->fault : status_text(st));
}

/* A master that let its snapshot go begins another checkpoint: not an entry of the first may stay.
 */
enum status checkpoint_load_anew(struct checkpoint_load *load)
{
    ldb_close(load->db);
    load->db = NULL;
    ldb_batch_clear(load->batch);
    load->batch_bytes = 0;
    memset(&load->sum, 0, sizeof load->sum);
    return open_fresh(load, NULL);
}

/* Only a restore has a use for it (put_own). */
static enum status load_head(void *arg, const struct checkpoint_head *head)
{
    struct checkpoint_load *load = arg;
    load->sequence = head->sequence;
    load->made_ms = head->made_ms;
    return ST_OK;
}

/* What an index that goes on from a backup must have of its own. */
static bool is_own(const char *key, size_t len)
{
    static const char *const own[] = {"!mid",      "!mborn",   "!mrestored", "!msequence",
                                      "!mcluster", "!msynced", "!mclosed"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strlen(own[i]) == len && memcmp(own[i], key, len) == 0)
            return true;
    return false;
}

static enum status load_entry(void *arg, const char *key, size_t key_len, const char *value,
                              size_t value_len)
{
    struct checkpoint_load *load = arg;
    if (load->kind == CHECKPOINT_LOAD_RESTORE && is_own(key, key_len))
        return ST_OK;
    return put(load, key, key_len, value, value_len);
}

const struct checkpoint_sink checkpoint_load_sink = {load_head, load_entry, NULL};

/* A number that the lost index gave after the backup must not be given again: who watches would
 * take a new change for one that he knows. The clock in microseconds is beyond them, as long as no
 * index makes a million changes a second. */
static enum status put_own(struct checkpoint_load *load)
{
    char text[64];
    uint64_t now_us = loop_wall_ms() * 1000;
    uint64_t sequence = load->sequence < now_us ? now_us : load->sequence + 1;
    int len = snprintf(text, sizeof text, "%" PRIu64, sequence);
    enum status st = put(load, "!msequence", 10, text, (size_t)len);
    len = snprintf(text, sizeof text, "{\"made\":%" PRIu64 ",\"sequence\":%" PRIu64 "}",
                   load->made_ms, load->sequence);
    return st ? st : put(load, "!mrestored", 10, text, (size_t)len);
}

/* --- finishing --- */

/* All of it, as it can be read back. */
static enum status sum_up(struct ldb *db, struct sum *sum)
{
    struct ldb_iter *iter = ldb_iter_new(db);
    if (!iter)
        return ST_NO_MEMORY;
    enum status st = ST_OK;
    for (ldb_iter_seek(iter, "", 0); ldb_iter_valid(iter) && !st; ldb_iter_next(iter)) {
        size_t key_len;
        size_t value_len;
        const char *key = ldb_iter_key(iter, &key_len);
        const char *value = ldb_iter_value(iter, &value_len);
        st = add_sum(sum, key, key_len, value, value_len);
    }
    if (!st)
        st = ldb_iter_status(iter);
    ldb_iter_free(iter);
    return st;
}

/* Opened anew, as a master will open it. */
static enum status verify(struct checkpoint_load *load, struct buf *why)
{
    const struct ldb_options options = {.buffer_bytes = BUFFER_BYTES};
    struct sum sum = {0};
    char *error = NULL;
    enum status st = ldb_open(&load->db, load->path, &options, &error);
    if (!st)
        st = sum_up(load->db, &sum);
    if (!st && (sum.entries != load->sum.entries || sum.bytes != load->sum.bytes ||
                memcmp(sum.mixed, load->sum.mixed, sizeof sum.mixed) != 0))
        st = ST_CORRUPT;
    (void)explain(st, why, "%s was not read back as it was written: %s; see to the disk",
                  load->path, error ? error : status_text(st));
    free(error);
    return st;
}

/* In this order: the last batch with a sync, closed, opened and compared, closed, every file
 * synced. From the second closing on it is kept whatever happens: it is whole, and may have cost
 * hours. */
enum status checkpoint_load_finish(struct checkpoint_load *load, struct buf *why)
{
    enum status st = load->kind == CHECKPOINT_LOAD_RESTORE ? put_own(load) : ST_OK;
    if (!st)
        st = flush(load, true, why);
    if (!st) {
        ldb_close(load->db);
        load->db = NULL;
        st = verify(load, why);
    }
    if (!st) {
        ldb_close(load->db);
        load->db = NULL; /* from here on it is not removed any more */
        /* LevelDB synced its tables, but not every log that it still wants to read. */
        st = explain(swap_sync_files(load->path), why, "could not sync %s", load->path);
    }
    return st;
}

/* --- putting it in its place --- */

static enum status sync_names(const char *dir, struct buf *why)
{
    return explain(swap_sync_parent(dir), why, "could not sync the directory of %s", dir);
}

/* A crash between the two renames of a file system that cannot exchange names leaves no DIR, but
 * DIR.checkpoint-old: checkpoint_load_clean() has it back. */
static enum status put_in_place(const char *dir, const char *new, const char *old, struct buf *why)
{
    /* Where there is no DIR, or an empty one, a plain rename will do. */
    if (rename(new, dir) == 0)
        return sync_names(dir, why);
    bool occupied = errno == ENOTEMPTY || errno == EEXIST;
    if (occupied && swap_exchange(dir, new, old))
        return sync_names(dir, why);
    return explain(status_of_errno(errno), why, "could not put %s in the place of %s: %s", new, dir,
                   strerror(errno));
}

/* The old one goes when the new one has its name durably, not before. */
enum status checkpoint_load_swap(const char *dir, struct buf *why)
{
    char *place = beside(dir, "");
    char *new = beside(dir, ".checkpoint-new");
    char *old = beside(dir, ".checkpoint-old");
    enum status st = ST_NO_MEMORY;
    if (place && new &&old)
        st = put_in_place(place, new, old, why);
    /* What is left of the old one is removed at the next start, where that fails here. */
    if (!st && is_there(old))
        (void)!ldb_destroy(old);
    free(place);
    free(new);
    free(old);
    return st;
}

static enum status remove_leftover(const char *path, struct buf *why)
{
    if (!is_there(path))
        return ST_OK;
    enum status st = ldb_destroy(path);
    return st == ST_LOCKED ? explain(st, why, "%s is in use: a restore is at work", path)
                           : explain(st, why, "could not remove %s; remove it by hand", path);
}

/* Whether another process has DIR open, or holds it for a restore: what is beside it is not left
 * over then, though nobody may have that open just now. Only looked at: a lock that is taken here
 * and let go of would be this process's own. */
static bool is_held(const char *dir)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *path = beside(dir, "/LOCK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    bool held = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    if (fd >= 0)
        (void)close(fd);
    free(path);
    return held;
}

/* What can stand beside DIR: `new` alone (a load that was killed, or is still at work: then DIR is
 * held), `old` beside DIR (a swap that was done), `old` without DIR (one that was cut in two: it
 * goes back, since whether `new` was whole is not known any more). */
enum status checkpoint_load_clean(const char *dir, struct buf *why)
{
    char *place = beside(dir, "");
    char *new = beside(dir, ".checkpoint-new");
    char *old = beside(dir, ".checkpoint-old");
    enum status st = place && new &&old ? ST_OK : ST_NO_MEMORY;
    bool any = !st && (is_there(new) || is_there(old));
    if (any && is_held(dir))
        st = explain(ST_LOCKED, why, "%s is in use: a restore is at work, or another master", dir);
    if (any && !st && !is_there(place) && is_there(old)) {
        if (rename(old, place))
            st = explain(status_of_errno(errno), why, "could not put %s back in its place: %s", old,
                         strerror(errno));
    }
    if (!st)
        st = remove_leftover(new, why);
    if (!st)
        st = remove_leftover(old, why);
    if (any && !st)
        st = sync_names(place, why);
    free(place);
    free(new);
    free(old);
    return st;
}

/* --- all of it --- */

/* What checkpoint_fetch() gives its functions: the load, and whom its caller wants to be asked. */
struct joining {
    struct checkpoint_load *load;
    bool (*stopped)(void *arg);
    void *arg;
};

static enum status joining_anew(void *arg)
{
    const struct joining *joining = arg;
    return checkpoint_load_anew(joining->load);
}

static bool joining_stopped(void *arg)
{
    const struct joining *joining = arg;
    return joining->stopped && joining->stopped(joining->arg);
}

/* The sink and the fetch each fail in their own words: who was first keeps `why`. */
enum status checkpoint_load_fetch(const char *const *masters, const char *dir,
                                  bool (*stopped)(void *arg), void *arg,
                                  struct checkpoint_head *head, struct buf *why)
{
    struct joining joining = {NULL, stopped, arg};
    struct checkpoint_reader *reader = NULL;
    enum status st = checkpoint_load_begin(&joining.load, dir, CHECKPOINT_LOAD_COPY, why);
    if (!st && !(reader = checkpoint_reader_new(&checkpoint_load_sink, joining.load)))
        st = ST_NO_MEMORY;
    if (!st) {
        const struct checkpoint_fetch fetch = {.masters = masters,
                                               .reader = reader,
                                               .anew = joining_anew,
                                               .stopped = joining_stopped,
                                               .arg = &joining};
        st = checkpoint_fetch(&fetch, why);
        (void)checkpoint_load_explain(joining.load, st, why);
    }
    if (!st)
        st = checkpoint_load_finish(joining.load, why);
    if (!st)
        *head = *checkpoint_reader_head(reader);
    checkpoint_reader_free(reader);
    checkpoint_load_free(joining.load);
    return st;
}
