/*
 * The path: sweep_tick → settled → (page_read → page_arrived → flagged …) until the end of the
 * index → finish.
 *
 * A key that somebody else has locked for long is put on a short list. It is tried again after the
 * sweep, since waiting for it would hold up the others; where the list is full the sweep counts as
 * failed, and is begun anew.
 *
 * Threads: one loop, but page_read(), to which the page, `start`, `st` and `last_page` belong while
 * `reading`. Atomic members are read from any loop by sweep_look().
 *
 * What must not happen: a reason for a sweep comes while one runs, and is taken for done with it.
 * So the epoch of the volumes is read before the sweep begins, and counts as done only at its end.
 * Nor may it overtake a write: one that judged its copies by the volumes of before, and whose
 * record comes to a part of the index that was looked through already, would keep a copy that does
 * not count, without a flag. So what was decided before the epoch was read is waited for
 * (settle.h).
 */
#include "master/sweep.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/key.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/record.h"
#include "master/bell.h"
#include "master/config.h"
#include "master/flag.h"
#include "master/index.h"
#include "master/settle.h"
#include "master/volumes.h"
#include "master/worker.h"

enum {
    PAGE = 512,          /* keys to flag that one reading collects */
    PAGE_LOOK = 20000,   /* keys that one reading looks at */
    AT_ONCE = 128,       /* flags under way: they share the syncs of the index */
    LOCKED_MAX = 256,    /* keys on the list of those that were locked */
    AGAIN_MS = 1000,     /* until a failed sweep is begun anew, */
    AGAIN_MAX_MS = 60000 /* growing while it fails */
};

/* The flag of one key. */
struct mark {
    struct sweep *sweep;
    struct key key;
    struct mark *next; /* in sweep->locked */
};

struct sweep {
    struct worker *worker;
    struct settle settle;
    struct pool_job job;
    bool reading; /* the job is the pool's now */
    bool stopped;
    bool last_page;
    bool missed;    /* a key that may need the flag did not get it */
    bool forgotten; /* sweep_forget() was called since it began */
    enum status st;
    size_t wanted; /* copies that a key should have on volumes that count */
    struct buf start;
    size_t page_looked;
    struct key *page;
    size_t page_count, page_next;
    size_t under_way;
    uint64_t epoch;      /* of the volumes, when this sweep began */
    uint64_t epoch_done; /* of the last that came to its end */
    bool was_demanded;   /* this sweep */
    uint64_t again_ms;   /* of loop_now_ms(): none before then; after one that failed */
    uint64_t pause_ms;   /* the next, where it fails again */
    struct mark *locked; /* keys to try again */
    size_t locked_count;
    _Atomic bool demanded, running;
    _Atomic uint64_t looked, flags, finished_ms;
};

static void settled(void *arg, enum status st);
static void page_read(void *arg);
static void page_arrived(void *arg);
static void flagged(void *arg, enum status st);

/* --- on the pool --- */

/* Copies that do not count are to be moved; and there are to be as many as can be. */
static bool needs_repair(const struct sweep *sweep, const struct record *rec)
{
    size_t kept = 0;
    for (size_t i = 0; i < rec->place_count; i++)
        kept += volumes_keeps(sweep->worker->master->volumes, rec->places[i]);
    return kept < rec->place_count || kept < sweep->wanted;
}

static bool take_key(void *arg, const char *bytes, size_t len, const struct record *rec)
{
    struct sweep *sweep = arg;
    if (sweep->page_count == PAGE || sweep->page_looked == PAGE_LOOK) {
        buf_clear(&sweep->start);
        buf_add(&sweep->start, bytes, len);
        sweep->last_page = !buf_ok(&sweep->start);
        sweep->missed = sweep->missed || sweep->last_page;
        return false;
    }
    sweep->page_looked++;
    if (needs_repair(sweep, rec) &&
        key_from_bytes(&sweep->page[sweep->page_count], bytes, len) == ST_OK)
        sweep->page_count++;
    return true;
}

static void page_read(void *arg)
{
    struct sweep *sweep = arg;
    struct buf all = BUF_INIT;
    sweep->page_count = sweep->page_next = sweep->page_looked = 0;
    sweep->last_page = true;
    sweep->st = index_scan(sweep->worker->master->index, &all, &sweep->start, take_key, sweep);
}

/* --- on the loop --- */

/* What failed is repeated from the beginning: a flag that is there already costs a read. */
static void plan_again(struct sweep *sweep)
{
    if (sweep->was_demanded)
        atomic_store(&sweep->demanded, true); /* who waits for its end waits on */
    sweep->again_ms = loop_now_ms() + sweep->pause_ms;
    sweep->pause_ms = 2 * sweep->pause_ms < AGAIN_MAX_MS ? 2 * sweep->pause_ms : AGAIN_MAX_MS;
}

/* The bell, so that the janitor does not wait out its pause with what was found. */
static void finish(struct sweep *sweep)
{
    if (sweep->st || sweep->missed || sweep->stopped || sweep->forgotten) {
        plan_again(sweep);
    } else {
        sweep->epoch_done = sweep->epoch;
        sweep->again_ms = 0;
        sweep->pause_ms = AGAIN_MS;
    }
    atomic_store(&sweep->running, false);
    atomic_store(&sweep->finished_ms, loop_wall_ms());
    bell_ring(sweep->worker->master->bell);
    log_event(LOG_INFO, "sweep", "event=finished keys=%llu flagged=%llu status=\"%s\"",
              (unsigned long long)atomic_load(&sweep->looked),
              (unsigned long long)atomic_load(&sweep->flags), status_text(sweep->st));
}

/* A pool without room fails the sweep, which is begun anew; it is no more urgent than what fills
 * the pool. */
static void read_page(struct sweep *sweep)
{
    sweep->job = (struct pool_job){
        .run = page_read, .done = page_arrived, .arg = sweep, .loop = sweep->worker->loop};
    sweep->reading = pool_submit(sweep->worker->master->pool, &sweep->job);
    if (!sweep->reading) {
        sweep->st = ST_BUSY;
        finish(sweep);
    }
}

/* Takes the mark. False: no memory for the flag. */
static bool mark_start(struct mark *mark)
{
    struct sweep *sweep = mark->sweep;
    bool started = flag_start(sweep->worker, &mark->key, FLAG_FEW, flagged, mark);
    if (!started)
        free(mark);
    sweep->under_way += started;
    return started;
}

static bool flag_key(struct sweep *sweep, const struct key *key)
{
    struct mark *mark = malloc(sizeof *mark);
    if (!mark)
        return false;
    *mark = (struct mark){.sweep = sweep, .key = *key};
    return mark_start(mark);
}

/* Keeps AT_ONCE flags under way; with the last of a page the next page is read. */
static void advance(struct sweep *sweep)
{
    while (!sweep->stopped && sweep->page_next < sweep->page_count && sweep->under_way < AT_ONCE)
        if (!flag_key(sweep, &sweep->page[sweep->page_next++]))
            sweep->missed = true;
    if (sweep->under_way || !atomic_load(&sweep->running))
        return;
    if (sweep->last_page || sweep->stopped)
        finish(sweep);
    else
        read_page(sweep);
}

static void page_arrived(void *arg)
{
    struct sweep *sweep = arg;
    sweep->reading = false;
    atomic_fetch_add(&sweep->looked, sweep->page_looked);
    atomic_fetch_add(&sweep->flags, sweep->page_count);
    if (sweep->st)
        sweep->last_page = true; /* it was logged */
    advance(sweep);
}

/* Also the end of a key of try_locked(), when no sweep runs. */
static void flagged(void *arg, enum status st)
{
    struct mark *mark = arg;
    struct sweep *sweep = mark->sweep;
    sweep->under_way--;
    if (st == ST_BUSY && sweep->locked_count < LOCKED_MAX) {
        mark->next = sweep->locked;
        sweep->locked = mark;
        sweep->locked_count++;
    } else {
        sweep->missed = sweep->missed || st;
        if (st && !atomic_load(&sweep->running)) /* one that was tried again after the end */
            atomic_store(&sweep->demanded, true);
        free(mark);
    }
    advance(sweep);
}

static void forget_locked(struct sweep *sweep)
{
    while (sweep->locked) {
        struct mark *mark = sweep->locked;
        sweep->locked = mark->next;
        free(mark);
    }
    sweep->locked_count = 0;
}

/* One of them at a tick; what fails otherwise than before makes the next tick begin a sweep. */
static void try_locked(struct sweep *sweep)
{
    struct mark *mark = sweep->locked;
    if (!mark || sweep->under_way)
        return;
    sweep->locked = mark->next;
    sweep->locked_count--;
    if (!mark_start(mark))
        atomic_store(&sweep->demanded, true);
}

static void begin(struct sweep *sweep)
{
    size_t keeping = volumes_keeping(sweep->worker->master->volumes);
    size_t replicas = sweep->worker->master->config->replicas;
    /* With fewer volumes than replicas no key can have them all: nothing to be done about it. */
    sweep->wanted = keeping < replicas ? keeping : replicas;
    sweep->missed = sweep->forgotten = false;
    forget_locked(sweep); /* it comes to them */
    buf_clear(&sweep->start);
    atomic_store(&sweep->running, true); /* first: who demanded it never sees it as ended */
    sweep->was_demanded = atomic_exchange(&sweep->demanded, false);
    atomic_store(&sweep->looked, 0);
    atomic_store(&sweep->flags, 0);
    settle_start(&sweep->settle, sweep->worker->master, sweep->worker->loop, settled, sweep);
}

/* An index that cannot be written takes no flags either. */
static void settled(void *arg, enum status st)
{
    struct sweep *sweep = arg;
    sweep->st = st;
    if (st || sweep->stopped)
        finish(sweep);
    else
        read_page(sweep);
}

/* What was swept before another wrote says nothing of what that one has placed. */
void sweep_forget(struct sweep *sweep)
{
    sweep->epoch_done = VOLUMES_FIRST_EPOCH;
    sweep->forgotten = true;
}

void sweep_tick(struct sweep *sweep)
{
    uint64_t epoch = volumes_epoch(sweep->worker->master->volumes);
    bool reason = epoch != sweep->epoch_done || atomic_load(&sweep->demanded);
    if (sweep->stopped || atomic_load(&sweep->running))
        return;
    if (!reason) {
        try_locked(sweep);
    } else if (loop_now_ms() >= sweep->again_ms && sweep->under_way == 0) {
        sweep->epoch = epoch;
        begin(sweep);
    }
}

bool sweep_runs(const struct sweep *sweep)
{
    return atomic_load(&sweep->running);
}

void sweep_demand(struct sweep *sweep)
{
    atomic_store(&sweep->demanded, true);
}

struct sweep *sweep_new(struct worker *worker)
{
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (!sweep)
        return NULL;
    sweep->worker = worker;
    sweep->page = calloc(PAGE, sizeof *sweep->page);
    if (!sweep->page) {
        free(sweep);
        return NULL;
    }
    sweep->pause_ms = AGAIN_MS;
    /* Volumes that were lost before the start are lost again after --down-after. Where one is
     * drained or was removed, nobody knows whether the sweep for it came to its end. */
    sweep->epoch_done = VOLUMES_FIRST_EPOCH;
    return sweep;
}

void sweep_stop(struct sweep *sweep)
{
    sweep->stopped = true;
}

bool sweep_idle(const struct sweep *sweep)
{
    return !sweep->settle.under_way && !sweep->reading && sweep->under_way == 0;
}

void sweep_free(struct sweep *sweep)
{
    if (!sweep)
        return;
    forget_locked(sweep);
    settle_free(&sweep->settle);
    buf_free(&sweep->start);
    free(sweep->page);
    free(sweep);
}

void sweep_look(struct sweep *sweep, struct sweep_report *report)
{
    report->running = atomic_load(&sweep->demanded) || atomic_load(&sweep->running);
    report->looked = atomic_load(&sweep->looked);
    report->flagged = atomic_load(&sweep->flags);
    report->finished_ms = atomic_load(&sweep->finished_ms);
}
