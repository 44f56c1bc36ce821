/*
 * Looks through the whole index for keys that have copies on volumes which no longer count (lost,
 * drained, removed), and flags them for the janitor. Started when there is reason to: a volume was
 * lost, an operator asked. Runs on one loop; the reading is the pool's.
 */
#ifndef LARDER_MASTER_SWEEP_H
#define LARDER_MASTER_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct sweep;
struct worker;

/* What /admin/status tells of it; any thread. */
struct sweep_report {
    bool running;    /* or demanded: so who demands one waits until this is false */
    uint64_t looked; /* keys in this sweep, or the last */
    uint64_t flagged;
    uint64_t finished_ms; /* wall clock of the last end, 0: none yet */
};

struct sweep *sweep_new(struct worker *worker) MUST_CHECK;
/* Called now and then: begins a sweep where the volumes give reason to, or one was demanded; one
 * that failed is begun anew after a pause. Between two, the keys are tried again that somebody else
 * has worked on for long. At the end of each the bell of the master is rung. */
void sweep_tick(struct sweep *sweep);
/* Another master has written meanwhile: what was swept has to be swept again. */
void sweep_forget(struct sweep *sweep);
/* A sweep at the next tick, or another one after that which is running. Any thread. */
void sweep_demand(struct sweep *sweep);
/* True while one is under way, and may add to the keys that need repair. */
bool sweep_runs(const struct sweep *sweep);
/* Begins no more; sweep_idle() tells when what is under way has ended. */
void sweep_stop(struct sweep *sweep);
bool sweep_idle(const struct sweep *sweep);
void sweep_free(struct sweep *sweep);
void sweep_look(struct sweep *sweep, struct sweep_report *report);

#endif
