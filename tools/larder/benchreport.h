/* What `larder bench` found, for people and as JSON. */
#ifndef LARDER_TOOLS_BENCHREPORT_H
#define LARDER_TOOLS_BENCHREPORT_H

#include <stdbool.h>
#include <stdint.h>

struct benchplan;
struct benchtally;
struct buf;

/* Appends a few lines. `elapsed_ns` is from the start to the end of the last operation. */
void benchreport_text(const struct benchplan *plan, const struct benchtally *tally,
                      uint64_t elapsed_ns, bool interrupted, struct buf *out);

/* Appends one JSON object and a newline:
 * {"op","url","clients","threads","rate_wanted"|null,"interrupted","seconds","operations","errors",
 *  "missed","reconnects","per_second","bytes","mb_per_second","generator_cores",
 *  "latency_us":{"mean","p50","p90","p99","p999","max"},
 *  "steps_us":{"write":{as above},"read":…,"delete":…} (cycle only),
 *  "faults":{KIND:N,…}, "statuses":{"503":N,…}, "examples":{KIND:text,…}} */
void benchreport_json(const struct benchplan *plan, const struct benchtally *tally,
                      uint64_t elapsed_ns, bool interrupted, struct buf *out);

#endif
