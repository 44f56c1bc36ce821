/*
 * A write to LevelDB that failed leaves its log in a state that LevelDB itself does not know: what
 * is written behind a torn entry may be lost at the next start. So after a failed write nothing
 * more is written; the committer opens the database anew first, as soon as its disk has room again.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/log.h"
#include "common/planted.h"
#include "master/index_snapshot.h"
#include "master/index_state.h"

enum {
    GROUP_MAX = 4 * 1024 * 1024,   /* bytes of operations in one write */
    REOPEN_ROOM = 8 * 1024 * 1024, /* LevelDB writes a few files when it opens */
    ROOM_MS = 10 /* so long it is believed that there is room: the usual reserve of 16 MiB is not
                    written in that time */
};

/* --- changes: operations as bytes, [key length][value length][key][value] --- */

struct op_head {
    uint32_t key_len;
    uint32_t value_len; /* OP_DELETE: the key is removed */
};
#define OP_DELETE UINT32_MAX

static void add_op(struct buf *ops, const char *prefix, const char *key, size_t key_len,
                   const struct buf *value)
{
    size_t prefix_len = strlen(prefix);
    struct op_head head = {(uint32_t)(prefix_len + key_len),
                           value ? (uint32_t)value->len : OP_DELETE};
    buf_add(ops, &head, sizeof head);
    buf_add(ops, prefix, prefix_len);
    buf_add(ops, key, key_len);
    if (value)
        buf_add(ops, buf_text(value), value->len);
}

void index_change_begin(struct index_change *change, struct loop *loop,
                        void (*committed)(void *arg, enum status st), void *arg)
{
    buf_clear(&change->ops);
    change->lazy = false;
    change->loop = loop;
    change->committed = committed;
    change->arg = arg;
    change->st = ST_OK;
}

void index_change_record(struct index_change *change, const struct key *key,
                         const struct record *rec)
{
    struct buf value = BUF_INIT;
    bool there = record_encode(rec, key, &value);
    add_op(&change->ops, "", key->bytes, key->len, there ? &value : NULL);
    change->ops.failed |= !buf_ok(&value);
    buf_clear(&value);
    bool work = record_encode_work(rec, &value);
    add_op(&change->ops, INDEX_WORK, key->bytes, key->len, work ? &value : NULL);
    change->ops.failed |= !buf_ok(&value);
    buf_free(&value);
}

void index_change_volume(struct index_change *change, const char *name, const char *value)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, value);
    add_op(&change->ops, INDEX_VOLUME, name, strlen(name), &text);
    change->ops.failed |= !buf_ok(&text);
    buf_free(&text);
}

void index_change_event(struct index_change *change, enum changes_event event,
                        const struct key *key, uint64_t size, const char *md5)
{
    struct buf text = BUF_INIT;
    changes_encode(&text, event, size, md5);
    add_op(&change->ops, INDEX_EVENT, key ? key->bytes : "", key ? key->len : 0, &text);
    change->ops.failed |= !buf_ok(&text);
    buf_free(&text);
}

void index_change_restored(struct index_change *change, bool restored)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, "{}");
    add_op(&change->ops, INDEX_RESTORED, "", 0, restored ? &text : NULL);
    change->ops.failed |= !buf_ok(&text);
    buf_free(&text);
}

void index_change_free(struct index_change *change)
{
    buf_free(&change->ops);
}

/* What add_op() has written, in memory only and on this machine only: so lengths are in its own
 * order of bytes. */
static void fill_batch(struct index *index, const struct buf *ops)
{
    const char *at = ops->data;
    const char *end = at + ops->len;
    while (at < end) {
        struct op_head head;
        memcpy(&head, at, sizeof head);
        const char *key = at + sizeof head;
        at = key + head.key_len;
        const char *value = head.value_len == OP_DELETE ? NULL : at;
        size_t value_len = value ? head.value_len : 0;
        at += value_len;
        if (index_tell_stage(index, key, head.key_len, value, value_len))
            continue;
        if (index->recall && *key == '/')
            recall_changing(index->recall, key, head.key_len);
        if (value)
            ldb_batch_put(index->batch, key, head.key_len, value, value_len);
        else
            ldb_batch_delete(index->batch, key, head.key_len);
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
    if (now < index->room_until_ms)
        return true;
    if (free_bytes(index) < index->options.reserve_bytes)
        return false;
    index->room_until_ms = now + ROOM_MS;
    return true;
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
    (void)pthread_rwlock_unlock(&index->db_lock);
    log_event(st ? LOG_ERROR : LOG_WARN, "index", "event=reopened status=\"%s\" error=\"%s\"",
              status_text(st), error ? error : "");
    free(error);
    index->broken = st != ST_OK;
    index->reopened = true;
    return st;
}

/* Writes what is in the batch, with the next sequence number. */
static enum status write_group(struct index *index, bool lazy, uint64_t sequence)
{
    enum status st;
    if (!has_room(index))
        return ST_NO_SPACE;
    if (index->broken && (st = reopen(index)))
        return st;
    char number[24];
    int len = snprintf(number, sizeof number, "%" PRIu64, sequence);
    ldb_batch_put(index->batch, INDEX_SEQUENCE, sizeof INDEX_SEQUENCE - 1, number, (size_t)len);
    char *error = NULL;
    st = ldb_write(index->db, index->batch, index->options.sync && !lazy, &error);
    if (st) {
        index->broken = true;
        index->room_until_ms = 0;
        log_event(LOG_ERROR, "index", "event=write-failed status=\"%s\" error=\"%s\"",
                  status_text(st), error ? error : "");
    }
    free(error);
    return st;
}

/* Takes a group of changes off the queue; NULL at the end. */
static struct index_change *next_group(struct index *index, uint64_t *sequence)
{
    (void)pthread_mutex_lock(&index->lock);
    while (!index->first && !index->ending)
        (void)pthread_cond_wait(&index->queued, &index->lock);
    struct index_change *group = index->first;
    struct index_change **end = &index->first;
    size_t bytes = 0;
    while (*end && bytes < GROUP_MAX) {
        bytes += (*end)->ops.len;
        index->waiting--;
        index->sequence++;
        end = &(*end)->next;
    }
    index->first = *end;
    if (!index->first)
        index->last = &index->first;
    *end = NULL;
    *sequence = index->sequence;
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

static void commit_group(struct index *index, struct index_change *group, uint64_t sequence)
{
    bool lazy = true;
    uint64_t count = 0;
    ldb_batch_clear(index->batch);
    for (struct index_change *change = group; change; change = change->next) {
        fill_batch(index, &change->ops);
        lazy = lazy && change->lazy;
        count++;
    }
    if (planted("ack-before-commit"))
        tell_owners(&group, ST_OK);
    enum status st = write_group(index, lazy, sequence);
    if (index->recall)
        recall_changed(index->recall);
    index_tell_applied(index, st, sequence);
    (void)pthread_mutex_lock(&index->lock);
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
    uint64_t sequence;
    while ((group = next_group(index, &sequence)))
        commit_group(index, group, sequence);
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
        index->sequence = strtoull(buf_text(&text), NULL, 10);
        st = index->sequence ? index_number_begin(index) : ST_OK;
    }
    if (!st) {
        st = load_value(index, INDEX_BORN, now, &text);
    }
    if (!st) {
        index->born_ms = strtoull(buf_text(&text), NULL, 10);
        st = load_value(index, INDEX_ID, id, &text);
    }
    if (!st && text.len != IDENTITY_SIZE)
        st = ST_CORRUPT;
    if (!st)
        memcpy(index->id, text.data, IDENTITY_SIZE + 1);
    buf_clear(&text);
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

static enum status open_db(struct index *index)
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
    if (st)
        explain(st, index->path, error);
    free(error);
    return st;
}

static enum status start_committer(struct index *index)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&index->committer, NULL, committer, index);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? ST_NO_MEMORY : ST_OK;
}

static void free_index(struct index *index)
{
    ldb_close(index->db);
    recall_free(index->recall);
    ldb_batch_free(index->batch);
    (void)pthread_rwlock_destroy(&index->db_lock);
    (void)pthread_mutex_destroy(&index->lock);
    (void)pthread_mutex_destroy(&index->snapshots_lock);
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
    (void)pthread_mutex_init(&index->snapshots_lock, NULL);
    (void)pthread_cond_init(&index->queued, NULL);
    index->path = strdup(options->path);
    index->batch = ldb_batch_new();
    if (options->recall_bytes)
        index->recall = recall_new(options->recall_bytes);
    bool whole = index->path && index->batch && (index->recall || !options->recall_bytes);
    enum status st = whole ? open_db(index) : ST_NO_MEMORY;
    if (!st && options->changes)
        changes_begin(options->changes, index->sequence);
    if (!st)
        st = start_committer(index);
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
