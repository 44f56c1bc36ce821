/*
 * GET /admin/checkpoint: the whole index at one sequence number, as a stream of blocks; the rest of
 * one with id=, after=, entries=, bytes= and chain=. The path:
 *   checkpoint_start         what is asked for
 *   checkpoint_read          on the pool: the snapshot is taken or found again, a block is read
 *   checkpoint_block_read    … and sent
 *   checkpoint_block_sent    it has left
 *   checkpoint_late          or has not, in all that time: that is the end
 *   checkpoint_next          after a pause, the next one
 *   checkpoint_finish        answered
 *   checkpoint_let_go        on the pool: the snapshot is given up, or held for who comes back
 *   checkpoint_over          freed
 *
 * One block is in memory at a time: the client that reads it sets the pace, and the pause between
 * two is as long as the last one took, so that clients who write get their share of the processors.
 * A client that goes away leaves the snapshot held for a while. One that takes next to nothing
 * would have it held for ever, since how old it is is asked for each block: it is cut off.
 */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/checkpoint.h"
#include "common/hex.h"
#include "common/http_server.h"
#include "common/key.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "master/flows.h"
#include "master/index_snapshot.h"
#include "master/snapshots.h"
#include "master/worker.h"

enum {
    AFTER_MAX = 4096,       /* bytes of an entry's key: "!w" and a key, or "!v" and a volume */
    PATIENCE_MS = 60 * 1000 /* for a block: about 4 KiB a second */
};

struct checkpoint {
    struct worker *worker;
    struct http_request *req;
    struct pool_job job;
    struct loop_timer *pause;
    struct loop_timer *patience; /* with the client that takes a block */
    uint64_t began_ms;           /* of the block at hand */
    char id[IDENTITY_SIZE + 1];  /* of the snapshot that is wanted; "": a new one */
    struct snapshot *snapshot;
    struct checkpoint_point point;
    struct buf after;   /* the last key that was read */
    struct buf entries; /* of the block at hand */
    uint64_t count;     /* of them */
    struct buf block;
    bool started; /* the answer has begun */
    bool last;    /* the block at hand ends it */
    bool whole;   /* all of it has left */
    enum status st;
};

static void checkpoint_read(void *arg);
static void checkpoint_block_read(void *arg);
static void checkpoint_block_sent(void *arg, bool alive);
static void checkpoint_late(void *arg);
static void checkpoint_next(void *arg);
static void checkpoint_finish(struct checkpoint *checkpoint);
static void checkpoint_let_go(void *arg);
static void checkpoint_over(void *arg);

/* --- what is asked for --- */

/* False where it is there, and no number. */
static bool take_number(const char *query, size_t len, const char *name, uint64_t *number)
{
    char text[24];
    char *end;
    long n = key_query(query, len, name, text, sizeof text);
    *number = n > 0 ? strtoull(text, &end, 10) : 0;
    return n == -1 || (n > 0 && text[0] >= '0' && text[0] <= '9' && !*end);
}

static bool take_hex(const char *query, size_t len, const char *name, unsigned char *bytes,
                     size_t size)
{
    char text[2 * MD5_SIZE + 1];
    if (key_query(query, len, name, text, sizeof text) != (long)(2 * size))
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static enum status parse(struct checkpoint *checkpoint)
{
    size_t len;
    const char *query = http_request_query(checkpoint->req, &len);
    char after[AFTER_MAX];
    long n = key_query(query, len, "id", checkpoint->id, sizeof checkpoint->id);
    if (n == -1)
        return ST_OK;
    if (n != IDENTITY_SIZE || !take_number(query, len, "entries", &checkpoint->point.entries) ||
        !take_number(query, len, "bytes", &checkpoint->point.bytes) ||
        !take_hex(query, len, "chain", checkpoint->point.chain, MD5_SIZE))
        return ST_BAD_REQUEST;
    n = key_query(query, len, "after", after, sizeof after);
    if (n == -2)
        return ST_BAD_REQUEST;
    if (n > 0)
        buf_add(&checkpoint->after, after, (size_t)n);
    return buf_ok(&checkpoint->after) ? ST_OK : ST_NO_MEMORY;
}

static void checkpoint_free(struct checkpoint *checkpoint)
{
    loop_timer_free(checkpoint->pause);
    loop_timer_free(checkpoint->patience);
    buf_free(&checkpoint->after);
    buf_free(&checkpoint->entries);
    buf_free(&checkpoint->block);
    free(checkpoint);
}

void checkpoint_start(struct worker *worker, struct http_request *req)
{
    struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    if (checkpoint) {
        checkpoint->pause = loop_timer_new(worker->loop, checkpoint_next, checkpoint);
        checkpoint->patience = loop_timer_new(worker->loop, checkpoint_late, checkpoint);
    }
    if (!checkpoint || !checkpoint->pause || !checkpoint->patience) {
        if (checkpoint)
            checkpoint_free(checkpoint);
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    checkpoint->worker = worker;
    checkpoint->req = req;
    checkpoint->job = (struct pool_job){.run = checkpoint_read,
                                        .done = checkpoint_block_read,
                                        .arg = checkpoint,
                                        .loop = worker->loop};
    checkpoint->began_ms = loop_now_ms();
    enum status st = parse(checkpoint);
    if (!st && !pool_submit(worker->master->pool, &checkpoint->job))
        st = ST_BUSY;
    if (st) {
        http_reply_status(req, st,
                          st == ST_BUSY ? "too many scans at once; try again later" : NULL);
        checkpoint_free(checkpoint);
    }
}

/* --- on the pool --- */

static enum status open_snapshot(struct checkpoint *checkpoint)
{
    struct snapshots *snapshots = checkpoint->worker->master->snapshots;
    if (checkpoint->id[0])
        return snapshots_resume(snapshots, checkpoint->id, &checkpoint->snapshot);
    enum status st = snapshots_take(snapshots, &checkpoint->snapshot);
    if (!st)
        st = checkpoint_begin(&checkpoint->block, snapshots_head(checkpoint->snapshot),
                              &checkpoint->point);
    return st;
}

static bool take_entry(void *arg, const char *key, size_t key_len, const char *value,
                       size_t value_len)
{
    struct checkpoint *checkpoint = arg;
    if (checkpoint->entries.len >= CHECKPOINT_BLOCK) {
        checkpoint->last = false;
        return false;
    }
    checkpoint_add(&checkpoint->entries, key, key_len, value, value_len);
    checkpoint->count++;
    buf_clear(&checkpoint->after);
    buf_add(&checkpoint->after, key, key_len);
    return true;
}

static enum status read_block(struct checkpoint *checkpoint)
{
    buf_clear(&checkpoint->entries);
    checkpoint->count = 0;
    checkpoint->last = true;
    if (snapshots_expired(checkpoint->snapshot))
        return ST_GONE;
    struct buf after = BUF_INIT; /* that of the checkpoint moves while the scan goes on */
    buf_add(&after, checkpoint->after.data, checkpoint->after.len);
    enum status st = buf_ok(&after) ? ST_OK : ST_NO_MEMORY;
    if (!st)
        st = index_snapshot_scan(snapshots_index(checkpoint->snapshot), &after, take_entry,
                                 checkpoint);
    buf_free(&after);
    if (!st && !buf_ok(&checkpoint->after))
        st = ST_NO_MEMORY;
    if (!st && checkpoint->count)
        st = checkpoint_block(&checkpoint->block, &checkpoint->entries, checkpoint->count,
                              &checkpoint->point);
    if (!st && checkpoint->last)
        st = checkpoint_end(&checkpoint->block, &checkpoint->point);
    return st;
}

static void checkpoint_read(void *arg)
{
    struct checkpoint *checkpoint = arg;
    buf_clear(&checkpoint->block);
    checkpoint->st = checkpoint->snapshot ? ST_OK : open_snapshot(checkpoint);
    if (!checkpoint->st)
        checkpoint->st = read_block(checkpoint);
}

/* --- on the loop --- */

static void start_answer(struct checkpoint *checkpoint)
{
    const struct checkpoint_head *head = snapshots_head(checkpoint->snapshot);
    http_reply_field(checkpoint->req, "Content-Type", "application/octet-stream");
    http_reply_field(checkpoint->req, "Larder-Checkpoint", head->id);
    http_reply_fieldf(checkpoint->req, "Larder-Sequence", "%llu",
                      (unsigned long long)head->sequence);
    http_reply_start(checkpoint->req, 200);
    checkpoint->started = true;
}

static void checkpoint_block_read(void *arg)
{
    struct checkpoint *checkpoint = arg;
    if (checkpoint->st) {
        checkpoint_finish(checkpoint);
        return;
    }
    if (!checkpoint->started)
        start_answer(checkpoint);
    loop_timer_set(checkpoint->patience, PATIENCE_MS);
    http_reply_piece(checkpoint->req, checkpoint->block.data, checkpoint->block.len,
                     checkpoint_block_sent, checkpoint);
}

static void checkpoint_block_sent(void *arg, bool alive)
{
    struct checkpoint *checkpoint = arg;
    loop_timer_clear(checkpoint->patience);
    checkpoint->whole = alive && checkpoint->last;
    struct snapshots *snapshots = checkpoint->worker->master->snapshots;
    if (alive && !checkpoint->last && !snapshots_stopped(snapshots))
        loop_timer_set(checkpoint->pause, loop_now_ms() - checkpoint->began_ms + 1);
    else
        checkpoint_finish(checkpoint);
}

static void checkpoint_late(void *arg)
{
    const struct checkpoint *checkpoint = arg;
    log_event(LOG_WARN, "checkpoint", "request=%s error=\"its reader is too slow, and cut off\"",
              http_request_id(checkpoint->req));
    checkpoint_block_sent(arg, false);
}

static void checkpoint_next(void *arg)
{
    struct checkpoint *checkpoint = arg;
    checkpoint->began_ms = loop_now_ms();
    pool_continue(checkpoint->worker->master->pool, &checkpoint->job);
}

static const char *explain(enum status st)
{
    switch (st) {
    case ST_GONE:
        return "this checkpoint is not held any more; begin anew";
    case ST_BUSY:
        return "as many checkpoints as may be are being read; try again later";
    default:
        return NULL;
    }
}

static void checkpoint_finish(struct checkpoint *checkpoint)
{
    if (checkpoint->started)
        http_reply_end(checkpoint->req, checkpoint->whole);
    else
        http_reply_status(checkpoint->req, checkpoint->st, explain(checkpoint->st));
    if (!checkpoint->snapshot) {
        checkpoint_free(checkpoint);
        return;
    }
    checkpoint->job.run = checkpoint_let_go;
    checkpoint->job.done = checkpoint_over;
    pool_continue(checkpoint->worker->master->pool, &checkpoint->job);
}

static void checkpoint_let_go(void *arg)
{
    struct checkpoint *checkpoint = arg;
    bool keep = !checkpoint->whole && checkpoint->st != ST_GONE;
    snapshots_release(checkpoint->worker->master->snapshots, checkpoint->snapshot, keep);
}

static void checkpoint_over(void *arg)
{
    checkpoint_free(arg);
}
