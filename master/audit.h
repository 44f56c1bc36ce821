/*
 * Compares the index with what the volumes hold, at a slow pace, again and again; or at once and
 * faster where an operator asks (larder scrub). Two parts, one after the other:
 *
 *   copies   every key's copies are asked for (HEAD); a key that lacks one, or has one with another
 *            MD5, is flagged as suspect, and the janitor repairs it
 *   orphans  every volume's directories are listed (orphans.h); a file that is in no record, and
 *            older than --orphan-after, is removed
 *
 * Runs on one loop; the reading of the index is the pool's.
 */
#ifndef LARDER_MASTER_AUDIT_H
#define LARDER_MASTER_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct audit;
struct worker;

/* What /admin/status tells of it; any thread. */
struct audit_report {
    bool running; /* or demanded: so who demands one waits until this is false */
    bool forced;
    uint64_t keys, suspects, files, orphans; /* in this round, or the last */
    uint64_t rounds;
    uint64_t finished_ms; /* wall clock of the last end, 0: none yet */
};

/* On the worker's loop, where all but audit_demand() and audit_look() are to be called. The first
 * round begins a minute later. NULL: no memory. */
struct audit *audit_new(struct worker *worker) MUST_CHECK;
/* A round at full speed, now, or as soon as that which is running has ended. Any thread. */
void audit_demand(struct audit *audit);
/* Called now and then, on the loop: sees whether one was demanded. */
void audit_poke(struct audit *audit);
/* Begins no more; audit_idle() tells when what is under way has ended. */
void audit_stop(struct audit *audit);
bool audit_idle(const struct audit *audit);
void audit_free(struct audit *audit);
/* Any thread. */
void audit_look(struct audit *audit, struct audit_report *report);

#endif
