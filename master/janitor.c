/*
 * A round: janitor_begin → (page_read → page_arrived → tend … tended) until the last page →
 * round_over → a pause, which ends early where the bell is rung or a volume has come or gone.
 *
 * A round goes through the queue several times: first come keys that have no or one copy left, then
 * those with two, and so on; in the last pass everything else. The next page is read while the last
 * keys of the one before are still worked on.
 */
#include "master/janitor.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/record.h"
#include "master/audit.h"
#include "master/bell.h"
#include "master/config.h"
#include "master/index.h"
#include "master/janitor_counts.h"
#include "master/pace.h"
#include "master/slices.h"
#include "master/sweep.h"
#include "master/tend.h"
#include "master/volumes.h"
#include "master/work_page.h"
#include "master/worker.h"

enum {
    AT_ONCE = 32,          /* keys that are worked on at the same time, for each loop */
    AT_ONCE_MAX = 128,     /* and for all of them */
    AT_ONCE_OLD = 4,       /* those with WORK_PAGE_MANY_OLD: so many, whatever clients do */
    RESTORED_MS = 500,     /* until it is asked again whether it may begin */
    WATCH_MS = 250,        /* between two looks at the volumes */
    SETTLED_MS = 3100,     /* after a volume has come back its garbage can be removed */
    NEW_WRITER_MS = 10000, /* of several masters, after one has become the writer */
    OTHERS_TURN_MS = 500   /* of several masters, one that does not write looks again */
};

/* What a round has found and done so far. */
struct round {
    struct pace_round sum; /* of all pages so far */
    struct work_turn turn; /* of the round, and of the pass that it is in */
    uint64_t oldest_ms;    /* see struct work_page */
};

struct janitor {
    struct worker *worker;
    struct bell *bell;
    struct loop_timer *timer; /* ends the pause */
    struct loop_timer *watch; /* looks at the volumes */
    struct pool_job job;
    bool reading; /* the job and the page are the pool's now */
    bool pausing; /* no round is under way */
    bool rung;    /* another round was asked for meanwhile */
    bool stopped;
    struct work_page page;
    struct round round; /* this or the last */
    size_t under_way;
    size_t next_worker;
    struct slices slices;      /* while clients are busy; their requests wait for the same disks */
    struct loop_timer *slice;  /* the next of them */
    struct index_change probe; /* an empty change: tells whether the index can be written again */
    bool probing;
    struct sweep *sweep;
    struct audit *audit;
    struct pace pace;
    uint64_t epoch;           /* of the volumes, when they were last looked at, */
    size_t writable;          /* and how many could be written to */
    uint64_t settled_at_ms;   /* a volume that came back is settled then; 0: none did */
    uint64_t writer_since_ms; /* of several masters, for so long this one writes; 0: it does not */
    struct janitor_counts counts;
};

static void janitor_begin(void *arg);
static void page_read(void *arg);
static void page_arrived(void *arg);
static void key_cleared(void *arg, enum tend_end end);
static void key_repaired(void *arg, enum tend_end end);
static void round_over(struct janitor *janitor);

/* --- on the loop; page_read() is on the pool --- */

static void page_read(void *arg)
{
    struct janitor *janitor = arg;
    work_page_read(&janitor->page, janitor->worker->master->index, &janitor->round.turn);
}

/* Where the pool has no room the round ends early, and the next tries again. */
static void read_page(struct janitor *janitor)
{
    janitor->job = (struct pool_job){
        .run = page_read, .done = page_arrived, .arg = janitor, .loop = janitor->worker->loop};
    janitor->reading = pool_submit(janitor->worker->master->pool, &janitor->job);
    if (janitor->reading)
        return;
    janitor->page.last = true;
    janitor->round.turn.pass = janitor->round.turn.passes;
    if (!janitor->under_way)
        round_over(janitor);
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

/* Uploads of the writer before, who was cut off, may still arrive at volumes: what is removed
 * before they do would come back as files that no record knows, and wait for the audit. */
static bool is_settled_writer(struct janitor *janitor)
{
    uint64_t now = loop_now_ms();
    if (!janitor->writer_since_ms)
        janitor->writer_since_ms = now;
    return now - janitor->writer_since_ms >= NEW_WRITER_MS;
}

static void janitor_begin(void *arg)
{
    struct janitor *janitor = arg;
    struct round *round = &janitor->round;
    if (!master_may_write(janitor->worker->master)) { /* who writes does all of it, and counts it */
        atomic_store(&janitor->counts.waiting, 0);
        atomic_store(&janitor->counts.repairs, 0);
        atomic_store(&janitor->counts.oldest, 0);
        janitor->writer_since_ms = 0;
        sweep_forget(janitor->sweep);
        loop_timer_set(janitor->timer, OTHERS_TURN_MS);
        return;
    }
    if (janitor->worker->master->cluster && !is_settled_writer(janitor)) {
        loop_timer_set(janitor->timer, OTHERS_TURN_MS);
        return;
    }
    unsigned passes = round->sum.to_repair ? janitor->worker->master->config->replicas : 1;
    *round = (struct round){.turn = {loop_wall_ms(), passes, 1, false}};
    round->sum.began_ms = loop_now_ms();
    round->sum.repairs = pace_may_repair(&janitor->pace, round->sum.began_ms);
    round->turn.repairs = round->sum.repairs;
    janitor->pausing = janitor->rung = false;
    probe_index(janitor);
    if (index_restored(janitor->worker->master->index)) { /* no lock would be given */
        janitor->pausing = true;
        loop_timer_set(janitor->timer, RESTORED_MS);
        return;
    }
    sweep_tick(janitor->sweep);
    audit_poke(janitor->audit);
    work_page_rewind(&janitor->page);
    read_page(janitor);
}

/* On the next of the loops in turn. */
static void begin_key(struct janitor *janitor)
{
    struct master *master = janitor->worker->master;
    struct work_page *page = &janitor->page;
    struct worker *worker = janitor->worker;
    if (master->worker_count)
        worker = &master->workers[janitor->next_worker++ % master->worker_count];
    enum tend_scope scope = page->scopes[page->next];
    if (tend_start(worker, janitor->worker->loop, &page->keys[page->next], scope,
                   scope == TEND_REPAIR ? key_repaired : key_cleared, janitor))
        janitor->under_way++;
    else
        janitor->round.sum.cleared.failed++;
    page->next++;
}

static struct slices_now look_around(const struct janitor *janitor)
{
    const struct master *master = janitor->worker->master;
    struct slices_now now = {.ms = loop_now_ms(),
                             .under_way = janitor->under_way,
                             .more = !janitor->reading && janitor->page.next < janitor->page.count};
    for (size_t i = 0; i < master->worker_count; i++)
        now.requests += atomic_load(&master->workers[i].requests);
    return now;
}

/* How many keys may be under way now, before the next is begun. None: the timer is set for when
 * some may be. */
static size_t most_at_once(struct janitor *janitor)
{
    size_t loops = janitor->worker->master->worker_count;
    size_t most = AT_ONCE * (loops ? loops : 1);
    struct slices_now now = look_around(janitor);
    if (slices_may_begin(&janitor->slices, &now))
        return most < AT_ONCE_MAX ? most : AT_ONCE_MAX;
    uint64_t next = slices_next_ms(&janitor->slices);
    if (now.more && !janitor->stopped)
        loop_timer_set(janitor->slice, next > now.ms ? next - now.ms : 0);
    return 0;
}

static bool may_begin_next(const struct janitor *janitor, size_t most)
{
    const struct work_page *page = &janitor->page;
    if (page->next < page->pressing && most < AT_ONCE_OLD)
        most = AT_ONCE_OLD;
    return !janitor->stopped && page->next < page->count && janitor->under_way < most;
}

/* Keeps keys under way; at the end of the page the next one, at the end of a pass the next. */
static void advance(void *arg)
{
    struct janitor *janitor = arg;
    if (janitor->reading)
        return;
    size_t most = most_at_once(janitor);
    while (may_begin_next(janitor, most))
        begin_key(janitor);
    if (!janitor->stopped && janitor->page.next < janitor->page.count)
        return;
    if (!janitor->stopped && !janitor->page.last) {
        read_page(janitor);
    } else if (janitor->under_way == 0 && !janitor->stopped &&
               janitor->round.turn.pass < janitor->round.turn.passes) {
        janitor->round.turn.pass++;
        work_page_rewind(&janitor->page);
        read_page(janitor);
    } else if (janitor->under_way == 0) {
        round_over(janitor);
    }
}

static void page_arrived(void *arg)
{
    struct janitor *janitor = arg;
    struct round *round = &janitor->round;
    struct work_page *page = &janitor->page;
    janitor->reading = false;
    uint64_t due_ms = page->due_ms ? page->due_ms - round->turn.wall_ms + round->sum.began_ms : 0;
    round->sum.left += page->seen;
    round->sum.to_repair += page->to_repair;
    round->sum.reading_ms += page->took_ms;
    round->sum.due_ms = work_page_earlier(round->sum.due_ms, due_ms);
    round->oldest_ms = work_page_earlier(round->oldest_ms, page->oldest_ms);
    if (page->st)
        page->last = true; /* it was logged; the next round tries again */
    advance(janitor);
}

static void count_end(struct janitor *janitor, struct pace_tally *tally, enum tend_end end)
{
    janitor->under_way--;
    if (end == TEND_DONE || end == TEND_MORE)
        tally->done++;
    else
        tally->failed++;
    if (end == TEND_DONE) {
        atomic_fetch_add(&janitor->counts.settled, 1);
        janitor->round.sum.left -= janitor->round.sum.left > 0;
    }
    advance(janitor);
}

static void key_cleared(void *arg, enum tend_end end)
{
    struct janitor *janitor = arg;
    count_end(janitor, &janitor->round.sum.cleared, end);
}

static void key_repaired(void *arg, enum tend_end end)
{
    struct janitor *janitor = arg;
    count_end(janitor, &janitor->round.sum.repaired, end);
}

/* --- pauses --- */

static void round_over(struct janitor *janitor)
{
    struct pace_round *sum = &janitor->round.sum;
    sum->ended_ms = loop_now_ms();
    sum->sweeping = sweep_runs(janitor->sweep);
    sum->rung = janitor->rung;
    atomic_store(&janitor->counts.waiting, sum->left);
    atomic_store(&janitor->counts.repairs, sum->to_repair);
    atomic_store(&janitor->counts.oldest, janitor->round.oldest_ms);
    atomic_fetch_add(&janitor->counts.rounds, 1);
    janitor->pausing = true;
    if (!janitor->stopped)
        loop_timer_set(janitor->timer, pace_pause(&janitor->pace, sum));
}

/* The bell was rung, or a volume has come or gone. */
static void heard(void *arg)
{
    struct janitor *janitor = arg;
    janitor->rung = true; /* for the end of the round that is under way */
    if (!janitor->stopped && janitor->pausing)
        loop_timer_set(janitor->timer,
                       pace_hurry(&janitor->pace, &janitor->round.sum, loop_now_ms()));
}

static void watched(void *arg)
{
    struct janitor *janitor = arg;
    struct slices_now around = look_around(janitor);
    slices_look(&janitor->slices, &around);
    struct volumes *volumes = janitor->worker->master->volumes;
    size_t writable, checked, full;
    uint64_t now = loop_now_ms();
    uint64_t epoch = volumes_epoch(volumes);
    volumes_tally(volumes, &writable, &checked, &full);
    bool changed = epoch != janitor->epoch || writable != janitor->writable;
    bool settled = janitor->settled_at_ms && now >= janitor->settled_at_ms;
    if (changed)
        janitor->settled_at_ms = now + SETTLED_MS;
    else if (settled)
        janitor->settled_at_ms = 0;
    janitor->epoch = epoch;
    janitor->writable = writable;
    if (changed || settled)
        heard(janitor);
    loop_timer_set(janitor->watch, WATCH_MS);
}

/* --- begin and end --- */

struct janitor *janitor_new(struct worker *worker)
{
    struct janitor *janitor = calloc(1, sizeof *janitor);
    if (!janitor)
        return NULL;
    janitor->worker = worker;
    bool paged = work_page_init(&janitor->page);
    janitor->bell = bell_new(worker->loop, heard, janitor);
    janitor->timer = loop_timer_new(worker->loop, janitor_begin, janitor);
    janitor->watch = loop_timer_new(worker->loop, watched, janitor);
    janitor->slice = loop_timer_new(worker->loop, advance, janitor);
    janitor->sweep = sweep_new(worker);
    janitor->audit = audit_new(worker);
    if (!paged || !janitor->bell || !janitor->timer || !janitor->watch || !janitor->slice ||
        !janitor->sweep || !janitor->audit) {
        janitor_free(janitor);
        return NULL;
    }
    worker->master->bell = janitor->bell;
    janitor->pausing = true;
    loop_timer_set(janitor->timer, pace_begin(&janitor->pace));
    loop_timer_set(janitor->watch, WATCH_MS);
    return janitor;
}

void janitor_stop(struct janitor *janitor)
{
    janitor->stopped = true;
    loop_timer_clear(janitor->timer);
    loop_timer_clear(janitor->watch);
    loop_timer_clear(janitor->slice);
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
    loop_timer_free(janitor->watch);
    loop_timer_free(janitor->slice);
    janitor->worker->master->bell = NULL;
    bell_free(janitor->bell);
    index_change_free(&janitor->probe);
    work_page_free(&janitor->page);
    free(janitor);
}

void janitor_counters(struct janitor *janitor, uint64_t *waiting, uint64_t *settled)
{
    *waiting = atomic_load(&janitor->counts.waiting);
    *settled = atomic_load(&janitor->counts.settled);
}

void janitor_demand_sweep(struct janitor *janitor)
{
    sweep_demand(janitor->sweep);
    bell_ring(janitor->bell);
}

void janitor_demand_audit(struct janitor *janitor)
{
    audit_demand(janitor->audit);
    bell_ring(janitor->bell);
}

void janitor_json(struct janitor *janitor, struct buf *out)
{
    struct sweep_report sweep;
    struct audit_report audit;
    sweep_look(janitor->sweep, &sweep);
    audit_look(janitor->audit, &audit);
    janitor_counts_json(&janitor->counts, &sweep, &audit, out);
}

void janitor_metrics(struct janitor *janitor, struct buf *out)
{
    janitor_counts_metrics(&janitor->counts, out);
}
