#include "master/index_snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "master/index_state.h"

struct index_snapshot {
    struct index *index;
    struct ldb_snapshot *ldb;    /* NULL: the database was opened anew; guarded by db_lock */
    struct index_snapshot *next; /* of the index; guarded by snapshots_lock */
};

/* The number stands in every batch, so the one in the snapshot is that of its last change. */
static enum status read_sequence(struct ldb_snapshot *snapshot, uint64_t *sequence)
{
    struct ldb_iter *iter = ldb_iter_new_at(snapshot);
    if (!iter)
        return ST_NO_MEMORY;
    size_t len;
    ldb_iter_seek(iter, INDEX_SEQUENCE, sizeof INDEX_SEQUENCE - 1);
    enum status st = ST_CORRUPT;
    const char *key = ldb_iter_valid(iter) ? ldb_iter_key(iter, &len) : NULL;
    if (key && len == sizeof INDEX_SEQUENCE - 1 && memcmp(key, INDEX_SEQUENCE, len) == 0) {
        char text[24] = "";
        const char *value = ldb_iter_value(iter, &len);
        memcpy(text, value, len < sizeof text ? len : sizeof text - 1);
        *sequence = strtoull(text, NULL, 10);
        st = ST_OK;
    } else if (!key) {
        enum status why = ldb_iter_status(iter);
        st = why ? why : ST_CORRUPT;
    }
    ldb_iter_free(iter);
    return st;
}

enum status index_snapshot_take(struct index *index, struct index_snapshot **taken,
                                uint64_t *sequence)
{
    struct index_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot)
        return ST_NO_MEMORY;
    snapshot->index = index;
    (void)pthread_rwlock_rdlock(&index->db_lock);
    enum status st = index->db ? ST_OK : ST_IO;
    if (!st && !(snapshot->ldb = ldb_snapshot_new(index->db)))
        st = ST_NO_MEMORY;
    if (!st)
        st = read_sequence(snapshot->ldb, sequence);
    if (st) {
        ldb_snapshot_free(snapshot->ldb);
    } else {
        /* Before db_lock is let go: a reopening must find it. */
        (void)pthread_mutex_lock(&index->snapshots_lock);
        snapshot->next = index->snapshots;
        index->snapshots = snapshot;
        (void)pthread_mutex_unlock(&index->snapshots_lock);
    }
    (void)pthread_rwlock_unlock(&index->db_lock);
    if (st) {
        log_event(LOG_ERROR, "index", "event=snapshot-failed status=\"%s\"", status_text(st));
        free(snapshot);
        return st;
    }
    *taken = snapshot;
    return ST_OK;
}

void index_snapshot_free(struct index_snapshot *snapshot)
{
    if (!snapshot)
        return;
    struct index *index = snapshot->index;
    (void)pthread_rwlock_rdlock(&index->db_lock);
    (void)pthread_mutex_lock(&index->snapshots_lock);
    struct index_snapshot **at = &index->snapshots;
    while (*at != snapshot)
        at = &(*at)->next;
    *at = snapshot->next;
    (void)pthread_mutex_unlock(&index->snapshots_lock);
    ldb_snapshot_free(snapshot->ldb);
    (void)pthread_rwlock_unlock(&index->db_lock);
    free(snapshot);
}

void index_snapshot_drop_all(struct index *index)
{
    for (struct index_snapshot *at = index->snapshots; at; at = at->next) {
        ldb_snapshot_free(at->ldb);
        at->ldb = NULL;
    }
}

enum status index_snapshot_scan(struct index_snapshot *snapshot, const struct buf *after,
                                bool (*fn)(void *arg, const char *key, size_t key_len,
                                           const char *value, size_t value_len),
                                void *arg)
{
    struct index *index = snapshot->index;
    (void)pthread_rwlock_rdlock(&index->db_lock);
    enum status st = snapshot->ldb && index->db ? ST_OK : ST_GONE;
    struct ldb_iter *iter = st ? NULL : ldb_iter_new_at(snapshot->ldb);
    if (iter) {
        bool more = true;
        ldb_iter_seek(iter, buf_text(after), after->len);
        for (; more && ldb_iter_valid(iter); ldb_iter_next(iter)) {
            size_t key_len;
            size_t value_len;
            const char *key = ldb_iter_key(iter, &key_len);
            if (key_len == after->len && memcmp(key, buf_text(after), key_len) == 0)
                continue; /* from here on it goes behind this one */
            const char *value = ldb_iter_value(iter, &value_len);
            more = fn(arg, key, key_len, value, value_len);
        }
        st = ldb_iter_status(iter);
        if (st)
            log_event(LOG_ERROR, "index", "event=scan-failed status=\"%s\"", status_text(st));
    } else if (!st) {
        st = ST_NO_MEMORY;
    }
    ldb_iter_free(iter);
    (void)pthread_rwlock_unlock(&index->db_lock);
    return st;
}
