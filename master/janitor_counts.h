/* What the janitor has counted, for pages that people and monitors read. The janitor's loop writes;
 * any thread may read, each number for itself. */
#ifndef LARDER_MASTER_JANITOR_COUNTS_H
#define LARDER_MASTER_JANITOR_COUNTS_H

#include <stdatomic.h>
#include <stdint.h>

struct audit_report;
struct buf;
struct sweep_report;

struct janitor_counts {
    _Atomic uint64_t repairs; /* keys with too few or doubtful copies, in the last round, */
    _Atomic uint64_t oldest;  /* and since when the oldest of them is (unix time, ms); 0: none */
    _Atomic uint64_t rounds;  /* that are over */
    _Atomic uint64_t waiting; /* keys with any work, in the last round */
    _Atomic uint64_t settled; /* keys that were done with, since the start */
};

/* Adds members "repair", "sweep" and "audit" of an object, each with a comma behind it but the
 * last. */
void janitor_counts_json(const struct janitor_counts *counts, const struct sweep_report *sweep,
                         const struct audit_report *audit, struct buf *out);

/* Adds them in Prometheus' text format. */
void janitor_counts_metrics(const struct janitor_counts *counts, struct buf *out);

#endif
