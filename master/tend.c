/*
 * The path:
 *
 *   tend_start      from the janitor's loop to the worker's
 *   tend_turned     key locked, record read; not due, or nothing to do: the end
 *   tend_cleared    garbage that could be removed is gone
 *   tend_spread     there are as many copies as can be
 *   tend_committed  the index knows
 *   tend_finish     unlocked; back to the janitor's loop
 *   tend_told       the janitor knows; freed
 *
 * A step that could do nothing is passed over, and what it left to be done stays in the record.
 * Only what has changed is written: a key that cannot be repaired now is looked at often.
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

/* A key that clients overwrite all the time is free for moments only. While it has little garbage,
 * the next round does as well. */
enum { MUCH_GARBAGE = 200, TRIES = 200, PAUSE_MS = 5 };

/* Owns itself. It goes from the janitor's loop to the worker's and back; only one of them has it at
 * a time. */
struct tend {
    struct worker *worker;
    struct loop *home; /* the janitor's */
    struct loop_message message;
    struct key key;
    enum tend_scope scope;
    struct record rec;
    struct buf before; /* as it was read, so that what has not changed is not written again */
    bool locked;
    bool spreads; /* the places of its copies may have changed */
    bool futile;  /* it was spread, and is no better than before */
    struct index_change change;
    unsigned tries;           /* that found the key locked */
    struct loop_timer *pause; /* between two; NULL: none was needed */
    enum tend_end end;
    void (*tended)(void *arg, enum tend_end end);
    void *arg;
};

static void tend_turned(void *arg);
static void tend_cleared(void *arg);
static void tend_spread(void *arg, enum status st, uint64_t moved);
static void tend_committed(void *arg, enum status st);
static void tend_finish(struct tend *tend, enum tend_end end);
static void tend_told(void *arg);

/* For the logs of what it calls: there is no request of a client behind it. */
static const char request[] = "janitor";

/* The record as the index keeps it, appended to `out`; false where there is no work in it. */
static bool write_down(const struct tend *tend, struct buf *out)
{
    if (record_encode(&tend->rec, &tend->key, out))
        buf_addc(out, '\n');
    return record_encode_work(&tend->rec, out);
}

/* Where memory is short it counts as changed: writing too much does no harm. */
static bool has_changed(const struct tend *tend)
{
    struct buf now = BUF_INIT;
    (void)write_down(tend, &now);
    bool changed = !buf_ok(&now) || now.len != tend->before.len ||
                   memcmp(buf_text(&now), buf_text(&tend->before), now.len) != 0;
    buf_free(&now);
    return changed;
}

bool tend_start(struct worker *worker, struct loop *home, const struct key *key,
                enum tend_scope scope, void (*tended)(void *arg, enum tend_end end), void *arg)
{
    struct tend *tend = calloc(1, sizeof *tend);
    if (!tend)
        return false;
    tend->worker = worker;
    tend->home = home;
    tend->key = *key;
    tend->scope = scope;
    tend->tended = tended;
    tend->arg = arg;
    tend->message.fn = tend_turned;
    tend->message.arg = tend;
    loop_post(worker->loop, &tend->message);
    return true;
}

/* True where tend_turned() follows soon. */
static bool try_again(struct tend *tend)
{
    struct record rec;
    record_init(&rec);
    if (tend->tries == 0) {
        bool much = index_get_all(tend->worker->master->index, &tend->key, &rec) == ST_OK &&
                    rec.garbage.count > MUCH_GARBAGE;
        record_free(&rec);
        if (much)
            tend->pause = loop_timer_new(tend->worker->loop, tend_turned, tend);
    }
    if (!tend->pause || ++tend->tries > TRIES)
        return false;
    loop_timer_set(tend->pause, PAUSE_MS);
    return true;
}

/* Whether there is something to do within the scope; it is not proven yet that it can be done. */
static bool wants_repair(const struct tend *tend)
{
    const struct record *rec = &tend->rec;
    bool visible = rec->state == KEY_LIVE || rec->state == KEY_UNLINKED;
    if (tend->scope != TEND_REPAIR || !visible)
        return false;
    return rec->suspect || (rec->few_copies && spread_would_help(tend->worker, &tend->key, rec));
}

static void tend_turned(void *arg)
{
    struct tend *tend = arg;
    tend->locked = keylock_try_quietly(tend->worker->master->locks, &tend->key);
    if (!tend->locked) {
        if (!try_again(tend))
            tend_finish(tend, TEND_BUSY);
        return;
    }
    enum status st = index_get_all(tend->worker->master->index, &tend->key, &tend->rec);
    bool has_work = write_down(tend, &tend->before);
    /* After a failed write what the index says may be another thing soon: nothing is erased by it.
     */
    if (st || !buf_ok(&tend->before) || index_health(tend->worker->master->index))
        tend_finish(tend, TEND_LATER);
    else if (!has_work)
        tend_finish(tend, TEND_DONE);
    else if (!record_has_due(&tend->rec, loop_wall_ms()))
        tend_cleared(tend);
    else if (bury_start(tend->worker, request, &tend->key, &tend->rec, true, tend_cleared, tend))
        tend_finish(tend, TEND_LATER);
}

static void tend_cleared(void *arg)
{
    struct tend *tend = arg;
    if (!wants_repair(tend)) {
        tend_spread(tend, ST_OK, 0);
        return;
    }
    tend->spreads = true;
    if (spread_start(tend->worker, request, &tend->key, &tend->rec, tend_spread, tend))
        tend_spread(tend, ST_NO_MEMORY, 0);
}

/* The end of all work on the record. A record that says nothing any more becomes absent, and so
 * leaves the index with this commit. */
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
    /* Looking did not help: volumes are away, or no copy is good. */
    tend->futile = tend->spreads && (st || (!moved && (rec->suspect || rec->few_copies)));
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
    if (st || (more && tend->futile))
        tend_finish(tend, TEND_LATER);
    else
        tend_finish(tend, more ? TEND_MORE : TEND_DONE);
}

/* Everything of the worker's loop is freed on it; only the message goes back. */
static void tend_finish(struct tend *tend, enum tend_end end)
{
    if (tend->locked)
        keylock_release(tend->worker->master->locks, &tend->key);
    loop_timer_free(tend->pause);
    index_change_free(&tend->change);
    buf_free(&tend->before);
    record_free(&tend->rec);
    tend->end = end;
    tend->message.fn = tend_told;
    loop_post(tend->home, &tend->message);
}

/* On the janitor's loop. */
static void tend_told(void *arg)
{
    struct tend *tend = arg;
    tend->tended(tend->arg, tend->end);
    free(tend);
}
