/*
 * All periodic work of the master: finishes or removes what a crash, a volume that was away, or an
 * overwrite has left. It goes through the keys that have work ("!w" in the index), from start to
 * end and again, a few at a time. Runs on one loop.
 */
#ifndef LARDER_MASTER_JANITOR_H
#define LARDER_MASTER_JANITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct janitor;
struct worker;

struct janitor *janitor_new(struct worker *worker) MUST_CHECK;
/* Begins no more; janitor_idle() tells when what is under way has ended. */
void janitor_stop(struct janitor *janitor);
bool janitor_idle(const struct janitor *janitor);
void janitor_free(struct janitor *janitor);

/* Keys that had work in the last round, and those settled since the start. Any thread. */
void janitor_counters(struct janitor *janitor, uint64_t *waiting, uint64_t *settled);

#endif
