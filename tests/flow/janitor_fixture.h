/* What the janitor sees of keys, sweeps, audits, volumes and clients: the test says how they are.
 */
#ifndef LARDER_TESTS_FLOW_JANITOR_FIXTURE_H
#define LARDER_TESTS_FLOW_JANITOR_FIXTURE_H

#include "master/audit.h"
#include "master/bell.h"
#include "master/janitor.h"
#include "master/sweep.h"
#include "master/tend.h"
#include "master/volumes.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_pool.h"
#include "tests/flow/fake_scan.h"

enum { AT_ONCE = 32 };

/* --- tending, as far as the janitor sees it --- */

static struct {
    bool cannot_start, any_order;
    unsigned started, under_way, repairs;
    void (*tended)(void *arg, enum tend_end end);
    void *arg;
    char last[KEY_MAX + 1];
} tending;

bool tend_start(struct worker *worker, struct loop *home, const struct key *key,
                enum tend_scope scope, void (*tended)(void *arg, enum tend_end end), void *arg)
{
    ck_assert_ptr_eq(worker, &fake_worker);
    ck_assert_ptr_eq(home, fake_worker.loop);
    tending.repairs += scope == TEND_REPAIR;
    if (tending.cannot_start)
        return false;
    if (!tending.any_order)
        ck_assert_int_gt(strcmp(key->bytes, tending.last), 0); /* each once, in order */
    memcpy(tending.last, key->bytes, key->len + 1);
    tending.started++;
    tending.under_way++;
    tending.tended = tended;
    tending.arg = arg;
    return true;
}

static void one_is_tended(enum tend_end end)
{
    ck_assert_uint_gt(tending.under_way, 0);
    tending.under_way--;
    tending.tended(tending.arg, end);
}

/* --- sweeps and audits: begun by it, and waited for --- */

static struct {
    unsigned ticks, pokes, demands;
    bool stopped, busy, runs;
} fake_sweep, fake_audit;

bool sweep_runs(const struct sweep *sweep UNUSED)
{
    return fake_sweep.runs;
}

struct sweep *sweep_new(struct worker *worker UNUSED)
{
    return (struct sweep *)(void *)&fake_sweep;
}

void sweep_forget(struct sweep *sweep UNUSED)
{
}

void sweep_tick(struct sweep *sweep UNUSED)
{
    fake_sweep.ticks++;
}

void sweep_demand(struct sweep *sweep UNUSED)
{
    fake_sweep.demands++;
}

void sweep_stop(struct sweep *sweep UNUSED)
{
    fake_sweep.stopped = true;
}

bool sweep_idle(const struct sweep *sweep UNUSED)
{
    return !fake_sweep.busy;
}

void sweep_free(struct sweep *sweep UNUSED)
{
}

void sweep_look(struct sweep *sweep UNUSED, struct sweep_report *report)
{
    memset(report, 0, sizeof *report);
}

struct audit *audit_new(struct worker *worker UNUSED)
{
    return (struct audit *)(void *)&fake_audit;
}

void audit_poke(struct audit *audit UNUSED)
{
    fake_audit.pokes++;
}

void audit_demand(struct audit *audit UNUSED)
{
    fake_audit.demands++;
}

void audit_stop(struct audit *audit UNUSED)
{
    fake_audit.stopped = true;
}

bool audit_idle(const struct audit *audit UNUSED)
{
    return !fake_audit.busy;
}

void audit_free(struct audit *audit UNUSED)
{
}

void audit_look(struct audit *audit UNUSED, struct audit_report *report)
{
    memset(report, 0, sizeof *report);
}

/* --- an index that may be broken --- */

static enum status fake_health;
static struct index_change *fake_probe;

bool index_restored(const struct index *index UNUSED)
{
    return false;
}

enum status index_health(struct index *index UNUSED)
{
    return fake_health;
}

void index_change_begin(struct index_change *change, struct loop *loop UNUSED,
                        void (*committed)(void *arg, enum status st), void *arg)
{
    change->committed = committed;
    change->arg = arg;
}

void index_change_free(struct index_change *change)
{
    ck_assert_ptr_ne(change, fake_probe);
}

void index_commit(struct index *index UNUSED, struct index_change *change)
{
    ck_assert_ptr_null(fake_probe);
    fake_probe = change;
}

/* --- volumes and clients that come and go --- */

static uint64_t epoch;
static size_t writable;

uint64_t volumes_epoch(struct volumes *volumes UNUSED)
{
    return epoch;
}

void volumes_tally(struct volumes *volumes UNUSED, size_t *is_writable, size_t *checked,
                   size_t *full)
{
    *is_writable = *checked = writable;
    *full = 0;
}

#endif
