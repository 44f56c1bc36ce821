/* The path: sweep_tick → (page_read → page_arrived → flagged …) until the end of the index. */
#include "master/sweep.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/key.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/record.h"
#include "master/config.h"
#include "master/flag.h"
#include "master/index.h"
#include "master/volumes.h"
#include "master/worker.h"

enum {
    PAGE = 512,        /* keys to flag that one reading collects */
    PAGE_LOOK = 20000, /* keys that one reading looks at */
    AT_ONCE = 32       /* flags under way */
};

struct sweep {
    struct worker *worker;
    struct pool_job job;
    bool reading; /* the job is the pool's now */
    bool stopped;
    bool last_page;
    bool missed; /* a key that may need the flag did not get it */
    enum status st;
    size_t wanted; /* copies that a key should have on volumes that count */
    struct buf start;
    size_t page_looked;
    struct key *page;
    size_t page_count, page_next;
    size_t under_way;
    uint64_t epoch;      /* of the volumes, when this sweep began */
    uint64_t epoch_done; /* of the last that came to its end */
    _Atomic bool demanded, running;
    _Atomic uint64_t looked, flags, finished_ms;
};

static void page_read(void *arg);
static void page_arrived(void *arg);
static void flagged(void *arg, enum status st);

/* --- on the pool --- */

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

static void finish(struct sweep *sweep)
{
    if (!sweep->st && !sweep->missed)
        sweep->epoch_done = sweep->epoch; /* else the next tick begins anew */
    atomic_store(&sweep->running, false);
    atomic_store(&sweep->finished_ms, loop_wall_ms());
    log_event(LOG_INFO, "sweep", "event=finished keys=%llu flagged=%llu status=\"%s\"",
              (unsigned long long)atomic_load(&sweep->looked),
              (unsigned long long)atomic_load(&sweep->flags), status_text(sweep->st));
}

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

static void advance(struct sweep *sweep)
{
    while (!sweep->stopped && sweep->page_next < sweep->page_count && sweep->under_way < AT_ONCE) {
        if (flag_start(sweep->worker, &sweep->page[sweep->page_next], FLAG_FEW, flagged, sweep))
            sweep->under_way++;
        else
            sweep->missed = true;
        sweep->page_next++;
    }
    if (sweep->under_way)
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

static void flagged(void *arg, enum status st)
{
    struct sweep *sweep = arg;
    sweep->missed = sweep->missed || st;
    sweep->under_way--;
    advance(sweep);
}

static void begin(struct sweep *sweep)
{
    size_t keeping = volumes_keeping(sweep->worker->master->volumes);
    size_t replicas = sweep->worker->master->config->replicas;
    /* With fewer volumes than replicas no key can have them all: nothing to be done about it. */
    sweep->wanted = keeping < replicas ? keeping : replicas;
    sweep->missed = false;
    buf_clear(&sweep->start);
    atomic_store(&sweep->running, true); /* first: who demanded it never sees it as ended */
    atomic_store(&sweep->demanded, false);
    atomic_store(&sweep->looked, 0);
    atomic_store(&sweep->flags, 0);
    read_page(sweep);
}

void sweep_tick(struct sweep *sweep)
{
    uint64_t epoch = volumes_epoch(sweep->worker->master->volumes);
    bool reason = epoch != sweep->epoch_done || atomic_load(&sweep->demanded);
    if (!reason || sweep->stopped || atomic_load(&sweep->running))
        return;
    sweep->epoch = epoch;
    begin(sweep);
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
    /* Volumes that were lost before the start are lost again after --down-after. */
    sweep->epoch_done = volumes_epoch(worker->master->volumes);
    return sweep;
}

void sweep_stop(struct sweep *sweep)
{
    sweep->stopped = true;
}

bool sweep_idle(const struct sweep *sweep)
{
    return !sweep->reading && sweep->under_way == 0;
}

void sweep_free(struct sweep *sweep)
{
    if (!sweep)
        return;
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
