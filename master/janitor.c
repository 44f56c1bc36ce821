/*
 * A round: janitor_begin → (page_read → page_arrived → tend … tended) until the last page → pause.
 *
 * A round goes through the queue several times: first come keys that have no or one copy left, then
 * those with two, and so on; in the last pass everything else.
 */
#include "master/janitor.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "master/audit.h"
#include "master/config.h"
#include "master/index.h"
#include "master/sweep.h"
#include "master/tend.h"
#include "master/worker.h"

enum {
    PAGE = 256,          /* keys that are read at once */
    AT_ONCE = 16,        /* keys that are worked on at the same time */
    PAUSE_MS = 500,      /* between rounds, */
    PAUSE_MAX_MS = 4000, /* growing while nothing can be settled */
};

struct janitor {
    struct worker *worker;
    struct loop_timer *timer;
    struct pool_job job;
    bool reading; /* the job is the pool's now */
    bool stopped;
    bool last_page;
    enum status st;   /* of the reading */
    struct buf start; /* where the next page begins */
    struct key *page;
    size_t page_count, page_next;
    size_t under_way;
    struct index_change probe; /* an empty change: tells whether the index can be written again */
    bool probing;
    struct sweep *sweep;
    struct audit *audit;
    unsigned passes; /* of this round: --replicas, or one where nothing is to be repaired */
    unsigned pass;   /* 1 … replicas: keys with so many copies left; the last takes the rest */
    uint64_t repair, oldest_ms; /* of this round: keys to repair, since when the oldest needs it */
    _Atomic uint64_t repairs, oldest, rounds;
    uint64_t pause_ms;
    uint64_t settled_before; /* at the beginning of this round */
    uint64_t seen;           /* keys with work in this round */
    _Atomic uint64_t waiting, settled;
};

static void janitor_begin(void *arg);
static void page_read(void *arg);
static void page_arrived(void *arg);
static void tended(void *arg, enum tend_end end);

/* Whether a key's turn is in this pass. */
static bool is_turn(const struct janitor *janitor, const struct record *work)
{
    bool urgent = work->few_copies && work->few_left < janitor->passes;
    unsigned turn = !urgent ? janitor->passes : work->few_left ? work->few_left : 1;
    return turn == janitor->pass || janitor->passes == 1;
}

static void count_repair(struct janitor *janitor, const struct record *work)
{
    if (!work->few_copies && !work->suspect)
        return;
    janitor->repair++;
    if (work->since && (!janitor->oldest_ms || work->since < janitor->oldest_ms))
        janitor->oldest_ms = work->since;
}

static bool take_key(void *arg, const char *bytes, size_t len, const struct record *work)
{
    struct janitor *janitor = arg;
    if (!is_turn(janitor, work))
        return true;
    if (janitor->page_count == PAGE) {
        buf_clear(&janitor->start);
        buf_add(&janitor->start, bytes, len);
        janitor->last_page = !buf_ok(&janitor->start);
        return false;
    }
    if (key_from_bytes(&janitor->page[janitor->page_count], bytes, len) == ST_OK)
        janitor->page_count++;
    count_repair(janitor, work);
    return true;
}

/* On the pool. */
static void page_read(void *arg)
{
    struct janitor *janitor = arg;
    janitor->page_count = janitor->page_next = 0;
    janitor->last_page = true;
    janitor->st =
        index_scan_work(janitor->worker->master->index, &janitor->start, take_key, janitor);
}

static void read_page(struct janitor *janitor)
{
    janitor->job = (struct pool_job){
        .run = page_read, .done = page_arrived, .arg = janitor, .loop = janitor->worker->loop};
    janitor->reading = pool_submit(janitor->worker->master->pool, &janitor->job);
    if (!janitor->reading)
        loop_timer_set(janitor->timer, PAUSE_MS);
}

static void probed(void *arg, enum status st UNUSED)
{
    struct janitor *janitor = arg;
    janitor->probing = false;
}

/* After a failed write nobody may try another for long: the master says that it is not ready. */
static void probe_index(struct janitor *janitor)
{
    struct index *index = janitor->worker->master->index;
    if (janitor->probing || index_health(index) == ST_OK)
        return;
    janitor->probing = true;
    index_change_begin(&janitor->probe, janitor->worker->loop, probed, janitor);
    index_commit(index, &janitor->probe);
}

static void janitor_begin(void *arg)
{
    struct janitor *janitor = arg;
    probe_index(janitor);
    sweep_tick(janitor->sweep);
    audit_poke(janitor->audit);
    janitor->pass = 1;
    janitor->passes = janitor->repair ? janitor->worker->master->config->replicas : 1;
    janitor->repair = janitor->oldest_ms = 0;
    buf_clear(&janitor->start);
    janitor->seen = 0;
    janitor->settled_before = atomic_load(&janitor->settled);
    read_page(janitor);
}

/* Keeps AT_ONCE keys under way; at the end of the page the next one, at the end of all a pause. */
static void advance(struct janitor *janitor)
{
    while (!janitor->stopped && janitor->page_next < janitor->page_count &&
           janitor->under_way < AT_ONCE) {
        if (tend_start(janitor->worker, &janitor->page[janitor->page_next], tended, janitor))
            janitor->under_way++;
        janitor->page_next++;
    }
    if (janitor->under_way || janitor->stopped)
        return;
    if (!janitor->last_page) {
        read_page(janitor);
        return;
    }
    if (janitor->pass < janitor->passes) {
        janitor->pass++;
        buf_clear(&janitor->start);
        read_page(janitor);
        return;
    }
    atomic_store(&janitor->waiting, janitor->seen);
    atomic_store(&janitor->repairs, janitor->repair);
    atomic_store(&janitor->oldest, janitor->oldest_ms);
    atomic_fetch_add(&janitor->rounds, 1);
    bool stuck = janitor->seen && atomic_load(&janitor->settled) == janitor->settled_before;
    uint64_t longer = janitor->pause_ms * 2;
    janitor->pause_ms = !stuck ? PAUSE_MS : longer < PAUSE_MAX_MS ? longer : PAUSE_MAX_MS;
    loop_timer_set(janitor->timer, janitor->pause_ms);
}

static void page_arrived(void *arg)
{
    struct janitor *janitor = arg;
    janitor->reading = false;
    janitor->seen += janitor->page_count;
    if (janitor->st)
        janitor->last_page = true; /* it was logged; the next round tries again */
    advance(janitor);
}

static void tended(void *arg, enum tend_end end)
{
    struct janitor *janitor = arg;
    janitor->under_way--;
    if (end == TEND_DONE) {
        atomic_fetch_add(&janitor->settled, 1);
        if (janitor->seen)
            janitor->seen--;
    }
    advance(janitor);
}

struct janitor *janitor_new(struct worker *worker)
{
    struct janitor *janitor = calloc(1, sizeof *janitor);
    if (!janitor)
        return NULL;
    janitor->worker = worker;
    janitor->page = calloc(PAGE, sizeof *janitor->page);
    janitor->timer = loop_timer_new(worker->loop, janitor_begin, janitor);
    janitor->sweep = sweep_new(worker);
    janitor->audit = audit_new(worker);
    if (!janitor->page || !janitor->timer || !janitor->sweep || !janitor->audit) {
        janitor_free(janitor);
        return NULL;
    }
    janitor->pause_ms = PAUSE_MS;
    loop_timer_set(janitor->timer, PAUSE_MS);
    return janitor;
}

void janitor_stop(struct janitor *janitor)
{
    janitor->stopped = true;
    loop_timer_clear(janitor->timer);
    sweep_stop(janitor->sweep);
    audit_stop(janitor->audit);
}

bool janitor_idle(const struct janitor *janitor)
{
    return !janitor->reading && !janitor->probing && janitor->under_way == 0 &&
           sweep_idle(janitor->sweep) && audit_idle(janitor->audit);
}

void janitor_free(struct janitor *janitor)
{
    if (!janitor)
        return;
    sweep_free(janitor->sweep);
    audit_free(janitor->audit);
    loop_timer_free(janitor->timer);
    buf_free(&janitor->start);
    index_change_free(&janitor->probe);
    free(janitor->page);
    free(janitor);
}

void janitor_counters(struct janitor *janitor, uint64_t *waiting, uint64_t *settled)
{
    *waiting = atomic_load(&janitor->waiting);
    *settled = atomic_load(&janitor->settled);
}

void janitor_demand_sweep(struct janitor *janitor)
{
    sweep_demand(janitor->sweep);
}

void janitor_demand_audit(struct janitor *janitor)
{
    audit_demand(janitor->audit);
}

/* Seconds since the oldest key in need of repair became so; 0 without one. */
static uint64_t oldest_seconds(struct janitor *janitor)
{
    uint64_t since = atomic_load(&janitor->oldest);
    uint64_t now = loop_wall_ms();
    return since && now > since ? (now - since) / 1000 : 0;
}

void janitor_json(struct janitor *janitor, struct buf *out)
{
    struct sweep_report sweep;
    struct audit_report audit;
    sweep_look(janitor->sweep, &sweep);
    audit_look(janitor->audit, &audit);
    /* The queue is that of the last round, so who has added to it waits for two more. */
    buf_addf(out,
             "\"repair\":{\"queue\":%" PRIu64 ",\"oldest_seconds\":%" PRIu64 ",\"rounds\":%" PRIu64
             "},\n",
             atomic_load(&janitor->repairs), oldest_seconds(janitor),
             atomic_load(&janitor->rounds));
    buf_addf(out,
             "\"sweep\":{\"running\":%s,\"keys\":%" PRIu64 ",\"flagged\":%" PRIu64
             ",\"finished\":%" PRIu64 "},\n",
             sweep.running ? "true" : "false", sweep.looked, sweep.flagged, sweep.finished_ms);
    buf_addf(out,
             "\"audit\":{\"running\":%s,\"forced\":%s,\"keys\":%" PRIu64 ",\"suspects\":%" PRIu64
             ",\"files\":%" PRIu64 ",\"orphans\":%" PRIu64 ",\"rounds\":%" PRIu64
             ",\"finished\":%" PRIu64 "},\n",
             audit.running ? "true" : "false", audit.forced ? "true" : "false", audit.keys,
             audit.suspects, audit.files, audit.orphans, audit.rounds, audit.finished_ms);
}

void janitor_metrics(struct janitor *janitor, struct buf *out)
{
    buf_addf(out,
             "# HELP larder_repair_queue Keys with too few or doubtful copies.\n"
             "# TYPE larder_repair_queue gauge\nlarder_repair_queue %" PRIu64 "\n"
             "# HELP larder_repair_oldest_seconds For how long the oldest of them has waited.\n"
             "# TYPE larder_repair_oldest_seconds gauge\nlarder_repair_oldest_seconds %" PRIu64
             "\n",
             atomic_load(&janitor->repairs), oldest_seconds(janitor));
}
