/*
 * The path:
 *   tend_start      on the loop's next turn
 *   tend_turned     key locked, record read; not due, or nothing to do: the end
 *   tend_buried     garbage that could be removed is gone
 *   tend_spread     there are as many copies as can be
 *   tend_committed  the index knows
 *   tend_finish     unlocked, told, freed
 */
#include "master/tend.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/record.h"
#include "master/bury.h"
#include "master/index.h"
#include "master/keylock.h"
#include "master/spread.h"
#include "master/worker.h"

enum { RETRY_MS = 15000 };

struct tend {
    struct worker *worker;
    struct key key;
    struct record rec;
    struct buf before; /* as it was read, so that what has not changed is not written again */
    bool locked;
    bool spreads; /* the places of its copies may have changed */
    struct index_change change;
    struct loop_timer *turn;
    void (*tended)(void *arg, enum tend_end end);
    void *arg;
};

static void tend_turned(void *arg);
static void tend_buried(void *arg);
static void tend_spread(void *arg, enum status st, uint64_t moved);
static void tend_committed(void *arg, enum status st);
static void tend_finish(struct tend *tend, enum tend_end end);

static const char request[] = "janitor";

/* The record as the index keeps it, appended to `out`; false where there is no work in it. */
static bool write_down(const struct tend *tend, struct buf *out)
{
    if (record_encode(&tend->rec, &tend->key, out))
        buf_addc(out, '\n');
    return record_encode_work(&tend->rec, out);
}

static bool has_changed(const struct tend *tend)
{
    struct buf now = BUF_INIT;
    (void)write_down(tend, &now);
    bool changed = !buf_ok(&now) || now.len != tend->before.len ||
                   memcmp(buf_text(&now), buf_text(&tend->before), now.len) != 0;
    buf_free(&now);
    return changed;
}

bool tend_start(struct worker *worker, const struct key *key,
                void (*tended)(void *arg, enum tend_end end), void *arg)
{
    struct tend *tend = calloc(1, sizeof *tend);
    if (!tend)
        return false;
    tend->worker = worker;
    tend->key = *key;
    tend->tended = tended;
    tend->arg = arg;
    tend->turn = loop_timer_new(worker->loop, tend_turned, tend);
    if (!tend->turn) {
        free(tend);
        return false;
    }
    loop_timer_set(tend->turn, 0);
    return true;
}

static void tend_turned(void *arg)
{
    struct tend *tend = arg;
    tend->locked = keylock_try_quietly(tend->worker->master->locks, &tend->key);
    if (!tend->locked) {
        tend_finish(tend, TEND_BUSY);
        return;
    }
    enum status st = index_get_all(tend->worker->master->index, &tend->key, &tend->rec);
    bool has_work = write_down(tend, &tend->before);
    if (st || !buf_ok(&tend->before) || tend->rec.due > loop_wall_ms()) {
        tend_finish(tend, TEND_LATER);
        return;
    }
    if (!has_work) {
        tend_finish(tend, TEND_DONE);
        return;
    }
    if (bury_start(tend->worker, request, &tend->key, &tend->rec, true, tend_buried, tend))
        tend_finish(tend, TEND_LATER);
}

static void tend_buried(void *arg)
{
    struct tend *tend = arg;
    const struct record *rec = &tend->rec;
    bool visible = rec->state == KEY_LIVE || rec->state == KEY_UNLINKED;
    bool helps = rec->few_copies && spread_would_help(tend->worker, &tend->key, rec);
    if (!visible || (!rec->suspect && !helps)) {
        tend_spread(tend, ST_OK, 0);
        return;
    }
    tend->spreads = true;
    if (spread_start(tend->worker, request, &tend->key, &tend->rec, tend_spread, tend))
        tend_spread(tend, ST_NO_MEMORY, 0);
}

static void tend_spread(void *arg, enum status st, uint64_t moved)
{
    struct tend *tend = arg;
    struct record *rec = &tend->rec;
    if (moved)
        log_event(LOG_INFO, "janitor", "event=copied bytes=%llu copies=%zu",
                  (unsigned long long)moved, rec->place_count);
    if ((rec->state == KEY_DELETED && !rec->has_tombstone) ||
        (rec->state == KEY_PENDING && rec->garbage.count == 0))
        record_move(rec, KEY_ABSENT);
    /* Where looking did not help, because volumes are away or no copy is good, not at once again.
     */
    if (tend->spreads && (rec->suspect || st))
        rec->due = loop_wall_ms() + RETRY_MS;
    if (!has_changed(tend)) {
        tend_finish(tend, TEND_LATER);
        return;
    }
    /* A spread that failed half-way has changed nothing but its intent, which is in the index. */
    index_change_begin(&tend->change, tend->worker->loop, tend_committed, tend);
    tend->change.lazy = !tend->spreads; /* what was removed is found gone again */
    index_change_record(&tend->change, &tend->key, rec);
    index_commit(tend->worker->master->index, &tend->change);
}

static void tend_committed(void *arg, enum status st)
{
    struct tend *tend = arg;
    struct buf work = BUF_INIT;
    bool more = record_encode_work(&tend->rec, &work);
    buf_free(&work);
    tend_finish(tend, st || more ? TEND_LATER : TEND_DONE);
}

static void tend_finish(struct tend *tend, enum tend_end end)
{
    if (tend->locked)
        keylock_release(tend->worker->master->locks, &tend->key);
    tend->tended(tend->arg, end);
    loop_timer_free(tend->turn);
    index_change_free(&tend->change);
    buf_free(&tend->before);
    record_free(&tend->rec);
    free(tend);
}
