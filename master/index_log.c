/*
 * The index of one of several masters: its state is what the log's entries have made of it
 * (DESIGN.md, 'Several masters'). The writer's committer appends an entry and applies it; on the
 * others the follower applies what it has fetched. Whoever comes second finds it applied already.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/entry.h"
#include "common/log.h"
#include "master/index_snapshot.h"
#include "master/index_state.h"

#define NO_TERM UINT64_MAX

/* --- terms --- */

uint64_t index_term(struct index *index)
{
    (void)pthread_mutex_lock(&index->lock);
    uint64_t term = index->term;
    (void)pthread_mutex_unlock(&index->lock);
    return term;
}

/* Not 0 outside of a term: that would mean 'now' to index_commit(), which may be in the next one.
 */
uint64_t index_reading_term(struct index *index)
{
    uint64_t term = index->options.log ? index_term(index) : 0;
    return index->options.log && !term ? NO_TERM : term;
}

/* With the lock held. Both ends of a term are the same to who commits: changes of another term than
 * this are refused from now on. */
static void set_term(struct index *index, uint64_t term)
{
    index->term = term;
    index->health = ST_OK; /* what an earlier term met says nothing of this one */
}

void index_begin_term(struct index *index, uint64_t term)
{
    (void)pthread_mutex_lock(&index->lock);
    set_term(index, term);
    (void)pthread_mutex_unlock(&index->lock);
}

/* Who ends a term may come late: the committer learns only from the answer to an append what became
 * of it, and by then the next term of this master may have begun. */
void index_end_term(struct index *index, uint64_t term)
{
    (void)pthread_mutex_lock(&index->lock);
    if (index->term == term)
        set_term(index, 0);
    (void)pthread_mutex_unlock(&index->lock);
}

/* --- applying --- */

/* What entries say of volumes belongs in their table, too. */
static void tell_of_volumes(const struct index *index, const struct entry *entry)
{
    static const size_t prefix = sizeof INDEX_VOLUME - 1;
    const struct index_log *log = index->options.log;
    const char *at = entry->ops;
    struct entry_op op;
    while (entry_next_op(&at, entry->ops + entry->ops_len, &op)) {
        if (!op.value || op.key_len <= prefix || memcmp(op.key, INDEX_VOLUME, prefix) != 0)
            continue;
        char *name = strndup(op.key + prefix, op.key_len - prefix);
        char *value = strndup(op.value, op.value_len);
        if (name && value)
            log->volume(log->arg, name, value);
        else
            log_event(LOG_ERROR, "index", "event=volume-not-taken error=\"out of memory\"");
        free(name);
        free(value);
    }
}

/* With write_lock held. */
/* The sequence moves only after what it stands for can be read. */
static enum status apply_next(struct index *index, const struct entry *entry)
{
    ldb_batch_clear(index->batch);
    index_fill_batch(index, entry->ops, entry->ops_len);
    enum status st = index_write(index, false, entry_last(entry));
    index_tell_applied(index, st, entry_last(entry));
    if (st)
        return st;
    (void)pthread_mutex_lock(&index->lock);
    index->sequence = entry_last(entry);
    (void)pthread_mutex_unlock(&index->lock);
    return ST_OK;
}

/* Where it was applied before, nothing happens. *fresh: it was not. */
static enum status apply(struct index *index, const struct entry *entry, bool *fresh)
{
    const struct index_log *log = index->options.log;
    enum status st = ST_OK;
    (void)pthread_mutex_lock(&index->write_lock);
    uint64_t sequence = index_sequence(index);
    *fresh = entry_last(entry) > sequence;
    if (*fresh)
        st = entry->first == sequence + 1 ? apply_next(index, entry) : ST_CONFLICT;
    (void)pthread_mutex_unlock(&index->write_lock);
    if (!st && *fresh)
        log->applied(log->arg, entry_last(entry));
    return st;
}

enum status index_apply(struct index *index, const struct entry *entry)
{
    bool fresh;
    /* First, so that who begins to write when all is applied knows all volumes. */
    if (entry->first == index_sequence(index) + 1)
        tell_of_volumes(index, entry);
    return apply(index, entry, &fresh);
}

/* An entry that is in the log, and could not be applied here, counts. */
uint64_t index_logged(struct index *index)
{
    (void)pthread_mutex_lock(&index->lock);
    uint64_t logged = index->logged > index->sequence ? index->logged : index->sequence;
    (void)pthread_mutex_unlock(&index->lock);
    return logged;
}

/* --- committing, on the committer's thread --- */

enum status index_commit_to_log(struct index *index, const struct index_change *group,
                                uint64_t term, uint32_t count)
{
    const struct index_log *log = index->options.log;
    struct buf *ops = &index->ops;
    /* A group has one term. That it is still the present one is what makes its records valid;
     * that nobody else appends between this look and the append is etcd's part. */
    if (term == 0 || term != index_term(index))
        return ST_NOT_WRITER;
    buf_clear(ops);
    for (; group; group = group->next)
        buf_add(ops, buf_text(&group->ops), group->ops.len);
    if (!buf_ok(ops))
        return ST_NO_MEMORY;
    const struct entry entry = {.first = index_sequence(index) + 1,
                                .count = count,
                                .term = term,
                                .ops = buf_text(ops),
                                .ops_len = ops->len};
    enum status st = log->append(log->arg, term, entry.first, count, ops);
    (void)pthread_mutex_lock(&index->lock);
    if (!st)
        index->logged = entry_last(&entry);
    (void)pthread_mutex_unlock(&index->lock);
    if (st == ST_UNKNOWN || st == ST_NOT_WRITER)
        index_end_term(index, term);
    /* It is in the log, so the answer is 'done'. But who writes goes on from what is here, so the
     * term is over where that is not the same. (Volumes are told of by the flow that changes them.)
     */
    bool fresh;
    if (!st && apply(index, &entry, &fresh))
        index_end_term(index, term);
    return st;
}

/* --- the disk --- */

/* Writes one of the index's own values; NULL removes it. With write_lock held. */
/* With a sync, but for --sync=none: these are few, and each is relied upon at the next start. */
static enum status write_value(struct index *index, const char *key, const char *value)
{
    ldb_batch_clear(index->batch);
    if (value)
        ldb_batch_put(index->batch, key, strlen(key), value, strlen(value));
    else
        ldb_batch_delete(index->batch, key, strlen(key));
    return index_write(index, index->options.sync, 0);
}

/* With write_lock held. */
static enum status note_synced(struct index *index, uint64_t sequence)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64, sequence);
    enum status st = write_value(index, INDEX_SYNCED, number);
    if (!st)
        index->synced = sequence;
    return st;
}

enum status index_flush(struct index *index, uint64_t *synced)
{
    uint64_t sequence = index_sequence(index);
    (void)pthread_mutex_lock(&index->write_lock);
    bool done = index->synced == sequence;
    *synced = index->synced;
    (void)pthread_mutex_unlock(&index->write_lock);
    if (done)
        return ST_OK;
    /* Entries are applied meanwhile. */
    (void)pthread_rwlock_rdlock(&index->db_lock);
    if (index->db)
        ldb_flush(index->db);
    (void)pthread_rwlock_unlock(&index->db_lock);
    (void)pthread_mutex_lock(&index->write_lock);
    uint64_t present = index_sequence(index);
    if (present < sequence) /* another index has taken its place */
        sequence = present;
    enum status st = index->broken ? ST_IO : note_synced(index, sequence);
    *synced = index->synced;
    (void)pthread_mutex_unlock(&index->write_lock);
    return st;
}

/* Reads one of the index's own values; ST_NOT_FOUND where there is none. */
/* With write_lock held, or before there are other threads. */
static enum status read_value(struct index *index, const char *key, struct buf *text)
{
    buf_clear(text);
    return ldb_get(index->db, key, strlen(key), text);
}

/* One that was a member of several goes its own way from here on, so it may not come back. */
static enum status leave_log(struct index *index)
{
    log_event(LOG_WARN, "index",
              "event=left-cluster path=\"%s\" advice=\"this index followed the log of several "
              "masters; with --cluster it is refused from now on\"",
              index->path);
    enum status st = write_value(index, INDEX_CLUSTER, NULL);
    return st ? st : write_value(index, INDEX_SYNCED, NULL);
}

/* The position that was synced last may be behind what is in the tables: that is applied again. */
enum status index_load_log(struct index *index)
{
    struct buf text = BUF_INIT;
    enum status st = read_value(index, INDEX_CLUSTER, &text);
    bool follows = st == ST_OK;
    if (follows && !index->options.log)
        st = leave_log(index);
    if (!st && follows && index->options.log)
        st = read_value(index, INDEX_SYNCED, &text);
    if (!st && follows && index->options.log && buf_ok(&text))
        index->synced = index->sequence = strtoull(buf_text(&text), NULL, 10);
    buf_free(&text);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

const char *index_path(const struct index *index)
{
    return index->path;
}

uint64_t index_recorded(const struct index *index)
{
    return index->recorded;
}

static bool is_there(void *arg, const char *key UNUSED, size_t len UNUSED,
                     const struct record *rec UNUSED)
{
    bool *there = arg;
    *there = true;
    return false;
}

bool index_is_blank(struct index *index)
{
    struct buf all = BUF_INIT;
    bool there = index->recorded > 0;
    enum status st = there ? ST_OK : index_scan(index, &all, &all, is_there, &there);
    return !st && !there;
}

/* From the disk, since it is asked for once or twice in a process' life. */
bool index_follows_log(struct index *index)
{
    struct buf text = BUF_INIT;
    (void)pthread_mutex_lock(&index->write_lock);
    bool follows = index->db && read_value(index, INDEX_CLUSTER, &text) == ST_OK;
    (void)pthread_mutex_unlock(&index->write_lock);
    buf_free(&text);
    return follows;
}

enum status index_note_log(struct index *index)
{
    uint64_t synced;
    /* After an unclean stop it is to be read again from where it was synced last. This log has
     * nothing to be read again: what the index holds is its beginning. */
    (void)pthread_mutex_lock(&index->lock);
    if (index->sequence < index->recorded)
        index->sequence = index->recorded;
    (void)pthread_mutex_unlock(&index->lock);
    /* Changes of a single master that were lazy are on the disk only now. */
    enum status st = index_flush(index, &synced);
    (void)pthread_mutex_lock(&index->write_lock);
    if (!st) /* also where nothing was to be done: see index_adopt() */
        st = note_synced(index, synced);
    if (!st)
        st = write_value(index, INDEX_CLUSTER, "1");
    (void)pthread_mutex_unlock(&index->write_lock);
    return st;
}

enum status index_adopt(struct index *index, const char *id, uint64_t born_ms)
{
    char born[24];
    (void)snprintf(born, sizeof born, "%" PRIu64, born_ms);
    if (strlen(id) != IDENTITY_SIZE)
        return ST_CORRUPT;
    (void)pthread_mutex_lock(&index->write_lock);
    enum status st = write_value(index, INDEX_ID, id);
    if (!st)
        st = write_value(index, INDEX_BORN, born);
    /* Else a power loss before the first flush could leave a hole that nobody knows of. */
    if (!st)
        st = note_synced(index, index_sequence(index));
    if (!st)
        st = write_value(index, INDEX_CLUSTER, "1");
    if (!st) {
        (void)pthread_mutex_lock(&index->lock);
        memcpy(index->id, id, IDENTITY_SIZE + 1);
        (void)pthread_mutex_unlock(&index->lock);
        atomic_store(&index->born_ms, born_ms);
    }
    (void)pthread_mutex_unlock(&index->write_lock);
    return st;
}

/* Readers and scans wait for db_lock; the committer and the follower for write_lock. */
enum status index_replace(struct index *index, enum status (*swap)(void *arg, const char *path),
                          void *arg)
{
    (void)pthread_mutex_lock(&index->write_lock);
    (void)pthread_rwlock_wrlock(&index->db_lock);
    index_snapshot_drop_all(index);
    if (index->roster)
        roster_void(index->roster);
    ldb_close(index->db);
    index->db = NULL;
    enum status st = swap(arg, index->path);
    (void)pthread_mutex_lock(&index->lock); /* sequence and identity are others from here on */
    enum status opened = index_open_db(index);
    if (index->recall) /* nobody has read of the new one yet */
        recall_forget(index->recall);
    if (!st && !opened)
        index->sequence = index->recorded;
    (void)pthread_mutex_unlock(&index->lock);
    (void)pthread_rwlock_unlock(&index->db_lock);
    index->broken = opened != ST_OK;
    if (!st)
        st = opened;
    if (!st) {
        if (index->options.changes) /* what was between is known to nobody here */
            changes_lose(index->options.changes, index->sequence);
        st = note_synced(index, index->sequence);
    }
    if (!st)
        st = write_value(index, INDEX_CLUSTER, "1");
    (void)pthread_mutex_unlock(&index->write_lock);
    if (!st)
        index->options.log->applied(index->options.log->arg, index_sequence(index));
    return st;
}
