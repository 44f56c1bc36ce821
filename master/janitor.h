/*
 * All periodic work of the master: finishes or removes what a crash, a volume that was away, or an
 * overwrite has left. It goes through the keys that have work ("!w" in the index), from start to
 * end and again, some at a time. It runs on one loop, and spreads the keys over all; who has made
 * work for it rings master->bell.
 */
#ifndef LARDER_MASTER_JANITOR_H
#define LARDER_MASTER_JANITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct buf;
struct janitor;
struct worker;

/* Hangs up the bell of worker->master, and takes it down in janitor_free(). */
struct janitor *janitor_new(struct worker *worker) MUST_CHECK;
/* Begins no more; janitor_idle() tells when what is under way has ended. */
void janitor_stop(struct janitor *janitor);
bool janitor_idle(const struct janitor *janitor);
void janitor_free(struct janitor *janitor);

/* What an operator asks for: a look through the index for keys that need repair (sweep.h); a
 * comparison of index and volumes (audit.h). Any thread. */
void janitor_demand_sweep(struct janitor *janitor);
void janitor_demand_audit(struct janitor *janitor);

/* Appends "repair", "sweep" and "audit" as members of a JSON object; metrics as Prometheus has
 * them. */
void janitor_json(struct janitor *janitor, struct buf *out);
void janitor_metrics(struct janitor *janitor, struct buf *out);

/* Keys that had work in the last round, and those settled since the start. Any thread. */
void janitor_counters(struct janitor *janitor, uint64_t *waiting, uint64_t *settled);

#endif
