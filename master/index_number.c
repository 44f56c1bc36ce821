/*
 * That no number of a change is given twice. What a power loss takes of changes that were not
 * synced (lazy ones) was numbered, and watchers have heard of those numbers: given again to others,
 * those would be missed. So they are jumped over, unless the index was closed in good order.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/index_state.h"

/* Unsynced are at most the logs of two memtables of LevelDB's, 8 MiB, and a change has 16 bytes at
 * least. (With --sync=none there is no bound.) */
enum { LOST_MAX = 1 << 20 };

enum status index_number_begin(struct index *index)
{
    struct buf closed = BUF_INIT;
    char number[24];
    enum status st = ldb_get(index->db, INDEX_CLOSED, strlen(INDEX_CLOSED), &closed);
    if (st && st != ST_NOT_FOUND)
        goto out;
    (void)snprintf(number, sizeof number, "%" PRIu64, index->sequence);
    if (strcmp(buf_text(&closed), number) != 0)
        index->sequence += LOST_MAX;
    int len = snprintf(number, sizeof number, "%" PRIu64, index->sequence);
    ldb_batch_clear(index->batch);
    ldb_batch_put(index->batch, INDEX_SEQUENCE, strlen(INDEX_SEQUENCE), number, (size_t)len);
    ldb_batch_delete(index->batch, INDEX_CLOSED, strlen(INDEX_CLOSED));
    st = ldb_write(index->db, index->batch, true, NULL);
out:
    buf_free(&closed);
    return st;
}

/* With a sync, but only where there is a mark: at most once in the life of an index. */
enum status index_number_leave(struct index *index)
{
    struct buf closed = BUF_INIT;
    enum status st = ldb_get(index->db, INDEX_CLOSED, strlen(INDEX_CLOSED), &closed);
    buf_free(&closed);
    if (st)
        return st == ST_NOT_FOUND ? ST_OK : st;
    ldb_batch_clear(index->batch);
    ldb_batch_delete(index->batch, INDEX_CLOSED, strlen(INDEX_CLOSED));
    return ldb_write(index->db, index->batch, true, NULL);
}

void index_number_end(struct index *index)
{
    char number[24];
    if (index->broken)
        return;
    int len = snprintf(number, sizeof number, "%" PRIu64, index->sequence);
    ldb_batch_clear(index->batch);
    ldb_batch_put(index->batch, INDEX_SEQUENCE, strlen(INDEX_SEQUENCE), number, (size_t)len);
    ldb_batch_put(index->batch, INDEX_CLOSED, strlen(INDEX_CLOSED), number, (size_t)len);
    (void)!ldb_write(index->db, index->batch, true, NULL);
}
