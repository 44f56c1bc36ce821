/*
 * A write to LevelDB that failed leaves its log in a state that LevelDB itself does not know: what
 * is written behind a torn entry may be lost at the next start. So after a failed write nothing
 * more is written; the committer opens the database anew first, as soon as its disk has room again.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/entry.h"
#include "common/log.h"
#include "common/planted.h"
#include "common/thread.h"
#include "master/index_snapshot.h"
#include "master/index_state.h"

enum {
    GROUP_MAX = 4 * 1024 * 1024,   /* bytes of operations in one write */
    REOPEN_ROOM = 8 * 1024 * 1024, /* LevelDB writes a few files when it opens */
    ROOM_MS = 10 /* so long it is believed that there is room: the usual reserve of 16 MiB is not
                    written in that time */
};

/* --- the batch --- */

void index_fill_batch(struct index *index, const char *ops, size_t len)
{
    const char *end = ops + len;
    struct entry_op op;
    while (entry_next_op(&ops, end, &op)) {
        if (index_tell_stage(index, op.key, op.key_len, op.value, op.value_len))
            continue;
        bool is_key = *op.key == '/';
        if (index->roster && is_key && op.value)
            roster_add(index->roster, op.key, op.key_len);
        if (index->recall && is_key)
            recall_changing(index->recall, op.key, op.key_len);
        if (op.value)
            ldb_batch_put(index->batch, op.key, op.key_len, op.value, op.value_len);
        else
            ldb_batch_delete(index->batch, op.key, op.key_len);
    }
}

/* --- the committer --- */

static uint64_t free_bytes(const struct index *index)
{
    struct statvfs is;
    if (statvfs(index->path, &is))
        return 0;
    return (uint64_t)is.f_bavail * is.f_frsize;
}

/* Whether the reserve is free. Asked for each group it would be a fiftieth of the master's work. */
static bool has_room(struct index *index)
{
    uint64_t now = loop_now_ms();
    (void)pthread_mutex_lock(&index->write_lock); /* who writes may have found out otherwise */
    bool room = now < index->room_until_ms;
    if (!room && free_bytes(index) >= index->options.reserve_bytes) {
        index->room_until_ms = now + ROOM_MS;
        room = true;
    }
    (void)pthread_mutex_unlock(&index->write_lock);
    return room;
}

/* Opens the database anew after a failed write. Readers wait meanwhile, a few milliseconds. */
static enum status reopen(struct index *index)
{
    if (free_bytes(index) < REOPEN_ROOM)
        return ST_NO_SPACE;
    char *error = NULL;
    (void)pthread_rwlock_wrlock(&index->db_lock);
    index_snapshot_drop_all(index);
    ldb_close(index->db);
    enum status st = ldb_open(&index->db, index->path, &index->db_options, &error);
    /* What the failed write was to change may have changed with this, and not before. */
    if (index->recall)
        recall_forget(index->recall);
    /* While it is not open nothing keeps another process from putting another index there. */
    if (st && index->roster)
        roster_void(index->roster);
    (void)pthread_rwlock_unlock(&index->db_lock);
    log_event(st ? LOG_ERROR : LOG_WARN, "index", "event=reopened status=\"%s\" error=\"%s\"",
              status_text(st), error ? error : "");
    free(error);
    index->broken = st != ST_OK;
    index->reopened = true;
    return st;
}

enum status index_write(struct index *index, bool sync, uint64_t sequence)
{
    enum status st;
    if (index->broken && (st = reopen(index)))
        return st;
    char number[24];
    int len = snprintf(number, sizeof number, "%" PRIu64, sequence);
    if (sequence)
        ldb_batch_put(index->batch, INDEX_SEQUENCE, sizeof INDEX_SEQUENCE - 1, number, (size_t)len);
    char *error = NULL;
    st = ldb_write(index->db, index->batch, sync, &error);
    if (st) {
        index->broken = true;
        index->room_until_ms = 0;
        log_event(LOG_ERROR, "index", "event=write-failed status=\"%s\" error=\"%s\"",
                  status_text(st), error ? error : "");
    }
    free(error);
    return st;
}

/* A group may have so many bytes of operations. In the log of several masters that is exact: one
 * change beyond it belongs to the next entry. */
static bool fits(const struct index *index, size_t bytes, const struct index_change *next)
{
    if (index->options.log)
        return bytes == 0 || bytes + next->ops.len <= ENTRY_OPS_MAX;
    return bytes < GROUP_MAX;
}

/* Takes a group of changes off the queue; NULL at the end. Of several masters only those of the
 * term, or all of another: *term is theirs. */
static struct index_change *next_group(struct index *index, uint64_t *term, uint32_t *count)
{
    (void)pthread_mutex_lock(&index->lock);
    while (!index->first && !index->ending)
        (void)pthread_cond_wait(&index->queued, &index->lock);
    struct index_change *group = index->first;
    struct index_change **end = &index->first;
    size_t bytes = 0;
    *count = 0;
    *term = group ? group->term : 0;
    while (*end && (*end)->term == *term && fits(index, bytes, *end)) {
        bytes += (*end)->ops.len;
        index->waiting--;
        (*count)++;
        end = &(*end)->next;
    }
    index->first = *end;
    if (!index->first)
        index->last = &index->first;
    *end = NULL;
    (void)pthread_mutex_unlock(&index->lock);
    return group;
}

static void change_done(void *arg)
{
    struct index_change *change = arg;
    change->committed(change->arg, change->st);
}

/* Empties the list. */
static void tell_owners(struct index_change **group, enum status st)
{
    while (*group) {
        struct index_change *change = *group;
        *group = change->next; /* the change is its owner's as soon as the message is posted */
        change->st = st;
        change->message.fn = change_done;
        change->message.arg = change;
        loop_post(change->loop, &change->message);
    }
}

/* The log of a single master: LevelDB's synced write. */
static enum status commit_locally(struct index *index, const struct index_change *group,
                                  uint32_t count)
{
    bool lazy = true;
    if (!has_room(index))
        return ST_NO_SPACE;
    (void)pthread_mutex_lock(&index->lock);
    uint64_t sequence = index->sequence += count;
    (void)pthread_mutex_unlock(&index->lock);
    (void)pthread_mutex_lock(&index->write_lock);
    ldb_batch_clear(index->batch);
    for (; group; group = group->next) {
        index_fill_batch(index, buf_text(&group->ops), group->ops.len);
        lazy = lazy && group->lazy;
    }
    enum status st = index_write(index, index->options.sync && !lazy, sequence);
    index_tell_applied(index, st, sequence);
    (void)pthread_mutex_unlock(&index->write_lock);
    return st;
}

static enum status commit_shared(struct index *index, const struct index_change *group,
                                 uint64_t term, uint32_t count)
{
    if (!has_room(index))
        return ST_NO_SPACE; /* what is in the log must be applied here, too */
    return index_commit_to_log(index, group, term, count);
}

static void commit_group(struct index *index, struct index_change *group, uint64_t term,
                         uint32_t count)
{
    if (planted("ack-before-commit"))
        tell_owners(&group, ST_OK);
    enum status st = index->options.log ? commit_shared(index, group, term, count)
                                        : commit_locally(index, group, count);
    (void)pthread_mutex_lock(&index->lock);
    if (st != ST_NOT_WRITER && st != ST_UNKNOWN) /* those say nothing of the log */
        index->health = st;
    index->writes++;
    index->changes += count;
    (void)pthread_mutex_unlock(&index->lock);
    tell_owners(&group, st);
}

static void *committer(void *arg)
{
    struct index *index = arg;
    struct index_change *group;
    uint64_t term;
    uint32_t count;
    while ((group = next_group(index, &term, &count)))
        commit_group(index, group, term, count);
    return NULL;
}

void index_commit(struct index *index, struct index_change *change)
{
    if (!buf_ok(&change->ops)) {
        change->st = ST_NO_MEMORY;
        change->message.fn = change_done;
        change->message.arg = change;
        loop_post(change->loop, &change->message);
        return;
    }
    change->next = NULL;
    (void)pthread_mutex_lock(&index->lock);
    if (!change->term || !index->options.log)
        change->term = index->term;
    *index->last = change;
    index->last = &change->next;
    index->waiting++;
    (void)pthread_cond_signal(&index->queued);
    (void)pthread_mutex_unlock(&index->lock);
}

/* --- open, close --- */

/* Reads one of the index's own values as text; a new index has none: then it is `fresh`, and
 * written. */
static enum status load_value(struct index *index, const char *key, const char *fresh,
                              struct buf *text)
{
    buf_clear(text);
    enum status st = ldb_get(index->db, key, strlen(key), text);
    if (st != ST_NOT_FOUND)
        return st;
    buf_adds(text, fresh);
    ldb_batch_clear(index->batch);
    ldb_batch_put(index->batch, key, strlen(key), fresh, strlen(fresh));
    return buf_ok(text) ? ldb_write(index->db, index->batch, true, NULL) : ST_NO_MEMORY;
}

/* The number of the last change, the identity, the age, and whether it was restored. */
static enum status load_meta(struct index *index)
{
    char id[IDENTITY_SIZE + 1];
    char now[24];
    struct buf text = BUF_INIT;
    enum status st = durable_new_identity(id);
    (void)snprintf(now, sizeof now, "%" PRIu64, loop_wall_ms());
    if (!st)
        st = load_value(index, INDEX_SEQUENCE, "0", &text);
    if (!st) {
        index->recorded = index->sequence = strtoull(buf_text(&text), NULL, 10);
        if (index->options.log)
            st = index_number_leave(index);
        else if (index->sequence)
            st = index_number_begin(index);
    }
    if (!st) {
        st = load_value(index, INDEX_BORN, now, &text);
    }
    if (!st) {
        atomic_store(&index->born_ms, strtoull(buf_text(&text), NULL, 10));
        st = load_value(index, INDEX_ID, id, &text);
    }
    if (!st && text.len != IDENTITY_SIZE)
        st = ST_CORRUPT;
    if (!st)
        memcpy(index->id, text.data, IDENTITY_SIZE + 1);
    buf_clear(&text);
    index->restored_next = false; /* it may be another index than before */
    atomic_store(&index->restored_made_ms, 0);
    if (!st && !(st = ldb_get(index->db, INDEX_RESTORED, strlen(INDEX_RESTORED), &text)))
        index_tell_loaded(index, &text);
    atomic_store(&index->restored, index->restored_next);
    buf_free(&text);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static void explain(enum status st, const char *path, const char *error)
{
    const char *advice = "see the error";
    if (st == ST_LOCKED)
        advice = "another process has this index open: stop it first";
    else if (st == ST_CORRUPT)
        advice =
            "make a new index from the volumes with 'larder rebuild'; this one is left as it is";
    else if (st == ST_NO_SPACE)
        advice = "make room on the disk of the index";
    log_event(LOG_ERROR, "index",
              "event=open-failed path=\"%s\" status=\"%s\" error=\"%s\" advice=\"%s\"", path,
              status_text(st), error ? error : "", advice);
}

enum status index_open_db(struct index *index)
{
    char *error = NULL;
    if (mkdir(index->path, 0755) == 0) {
        /* LevelDB makes the directory too, but does not sync the one above it. */
        int own = open(index->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int parent = own < 0 ? -1 : openat(own, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent >= 0) {
            (void)fsync(parent);
            (void)close(parent);
        }
        if (own >= 0)
            (void)close(own);
    }
    enum status st = ldb_open(&index->db, index->path, &index->db_options, &error);
    if (!st)
        st = load_meta(index);
    if (!st)
        st = index_load_log(index);
    if (st)
        explain(st, index->path, error);
    free(error);
    return st;
}

static void free_index(struct index *index)
{
    ldb_close(index->db);
    recall_free(index->recall);
    roster_free(index->roster);
    ldb_batch_free(index->batch);
    buf_free(&index->ops);
    (void)pthread_mutex_destroy(&index->write_lock);
    (void)pthread_rwlock_destroy(&index->db_lock);
    (void)pthread_mutex_destroy(&index->lock);
    (void)pthread_mutex_destroy(&index->snapshots_lock);
    (void)pthread_mutex_destroy(&index->damage.lock);
    (void)pthread_cond_destroy(&index->queued);
    free(index->path);
    free(index);
}

/* Many readers must not keep the committer from opening the database anew. */
static void init_db_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t kind;
    (void)pthread_rwlockattr_init(&kind);
    (void)pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(lock, &kind);
    (void)pthread_rwlockattr_destroy(&kind);
}

/* A roster as large as the index asks for, with room to grow to four times the keys: on the disk a
 * short key has some 36 bytes, and ten bits of the roster will do for one. None for an index that
 * has more than the largest one can tell apart. */
static struct roster *make_roster(const struct index *index)
{
    enum { PART = 8, WORTH_IT = 4 };
    size_t most = index->options.roster_bytes;
    size_t least = most / 4;
    uint64_t wanted = ldb_size(index->db, "/", "0") / PART; /* '0' is behind '/' */
    if (wanted / WORTH_IT > most)
        return NULL;
    return roster_new(wanted < least ? least : wanted < most ? (size_t)wanted : most);
}

enum status index_open(struct index **to, const struct index_options *options)
{
    struct index *index = calloc(1, sizeof *index);
    if (!index)
        return ST_NO_MEMORY;
    index->options = *options;
    index->db_options.create = true;
    index->db_options.cache_bytes = options->cache_bytes;
    index->last = &index->first;
    init_db_lock(&index->db_lock);
    (void)pthread_mutex_init(&index->lock, NULL);
    (void)pthread_mutex_init(&index->write_lock, NULL);
    (void)pthread_mutex_init(&index->snapshots_lock, NULL);
    (void)pthread_mutex_init(&index->damage.lock, NULL);
    (void)pthread_cond_init(&index->queued, NULL);
    index->path = strdup(options->path);
    index->batch = ldb_batch_new();
    if (options->recall_bytes)
        index->recall = recall_new(options->recall_bytes);
    bool whole = index->path && index->batch && (index->recall || !options->recall_bytes);
    enum status st = whole ? index_open_db(index) : ST_NO_MEMORY;
    if (!st && options->roster_bytes) /* without one it is only slower */
        index->roster = make_roster(index);
    if (!st && options->changes)
        changes_begin(options->changes, index->sequence);
    if (!st)
        st = thread_start(&index->committer, committer, index) ? ST_OK : ST_NO_MEMORY;
    if (st) {
        free_index(index);
        return st;
    }
    *to = index;
    return ST_OK;
}

void index_stop(struct index *index)
{
    index_warm_stop(index);
    (void)pthread_mutex_lock(&index->lock);
    index->ending = true;
    (void)pthread_cond_signal(&index->queued);
    (void)pthread_mutex_unlock(&index->lock);
    if (!index->stopped)
        (void)pthread_join(index->committer, NULL);
    index->stopped = true;
}

void index_close(struct index *index)
{
    if (!index)
        return;
    index_stop(index);
    if (!index->options.log)
        index_number_end(index);
    free_index(index);
}

uint64_t index_sequence(struct index *index)
{
    (void)pthread_mutex_lock(&index->lock);
    uint64_t sequence = index->sequence;
    (void)pthread_mutex_unlock(&index->lock);
    return sequence;
}

size_t index_queued(struct index *index)
{
    (void)pthread_mutex_lock(&index->lock);
    size_t waiting = index->waiting;
    (void)pthread_mutex_unlock(&index->lock);
    return waiting;
}

enum status index_health(struct index *index)
{
    (void)pthread_mutex_lock(&index->lock);
    enum status st = index->health;
    (void)pthread_mutex_unlock(&index->lock);
    return st;
}

void index_counters(struct index *index, uint64_t *changes, uint64_t *writes)
{
    (void)pthread_mutex_lock(&index->lock);
    *changes = index->changes;
    *writes = index->writes;
    (void)pthread_mutex_unlock(&index->lock);
}
