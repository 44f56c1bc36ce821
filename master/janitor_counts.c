#include "master/janitor_counts.h"

#include <inttypes.h>

#include "common/buf.h"
#include "common/loop.h"
#include "master/audit.h"
#include "master/sweep.h"

/* Seconds since the oldest key in need of repair became so; 0 without one. */
static uint64_t oldest_seconds(const struct janitor_counts *counts)
{
    uint64_t since = atomic_load(&counts->oldest);
    uint64_t now = loop_wall_ms();
    return since && now > since ? (now - since) / 1000 : 0;
}

void janitor_counts_json(const struct janitor_counts *counts, const struct sweep_report *sweep,
                         const struct audit_report *audit, struct buf *out)
{
    /* The queue is that of the last round, so who has added to it waits for two more. */
    buf_addf(out,
             "\"repair\":{\"queue\":%" PRIu64 ",\"oldest_seconds\":%" PRIu64 ",\"rounds\":%" PRIu64
             "},\n",
             atomic_load(&counts->repairs), oldest_seconds(counts), atomic_load(&counts->rounds));
    buf_addf(out,
             "\"sweep\":{\"running\":%s,\"keys\":%" PRIu64 ",\"flagged\":%" PRIu64
             ",\"finished\":%" PRIu64 "},\n",
             sweep->running ? "true" : "false", sweep->looked, sweep->flagged, sweep->finished_ms);
    buf_addf(out,
             "\"audit\":{\"running\":%s,\"forced\":%s,\"keys\":%" PRIu64 ",\"suspects\":%" PRIu64
             ",\"files\":%" PRIu64 ",\"orphans\":%" PRIu64 ",\"rounds\":%" PRIu64
             ",\"finished\":%" PRIu64 "},\n",
             audit->running ? "true" : "false", audit->forced ? "true" : "false", audit->keys,
             audit->suspects, audit->files, audit->orphans, audit->rounds, audit->finished_ms);
}

void janitor_counts_metrics(const struct janitor_counts *counts, struct buf *out)
{
    buf_addf(out,
             "# HELP larder_repair_queue Keys with too few or doubtful copies.\n"
             "# TYPE larder_repair_queue gauge\nlarder_repair_queue %" PRIu64 "\n"
             "# HELP larder_repair_oldest_seconds For how long the oldest of them has waited.\n"
             "# TYPE larder_repair_oldest_seconds gauge\nlarder_repair_oldest_seconds %" PRIu64
             "\n",
             atomic_load(&counts->repairs), oldest_seconds(counts));
}
