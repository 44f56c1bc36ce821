/*
 * The output of a run: lines for people, or one JSON document for scripts and `make bench`. Pure:
 * it writes into a buffer what the merged tally says, and asks nothing else.
 *
 * Two units, on purpose: people compare milliseconds with a disk or a network, scripts want
 * microseconds with three decimals. What the generator itself took is told in both, with a warning
 * where it came near to all that its threads have: then the figures are of the generator and not of
 * the server.
 */
#include "tools/larder/benchreport.h"

#include <inttypes.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "tools/larder/benchplan.h"
#include "tools/larder/benchtally.h"
#include "tools/larder/progress.h"

/* Of a cycle; members of the JSON have these names. */
static const char *const step_texts[BENCHTALLY_STEPS] = {"write", "read", "delete"};

/* For rates and texts only: sums stay whole numbers until here. */
static double seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* 0 where no time has passed. */
static double per_second(double amount, uint64_t elapsed_ns)
{
    return elapsed_ns ? amount / seconds_of(elapsed_ns) : 0;
}

/* --- for people --- */

/* In milliseconds: what people compare with a disk's or a network's. */
static void add_latency(struct buf *out, const char *title, const struct benchhist *hist)
{
    static const struct {
        const char *name;
        double part;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};
    buf_addf(out, "%-12s", title);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        buf_addf(out, " %s %.3f ", quantiles[i].name,
                 (double)benchhist_quantile(hist, quantiles[i].part) / 1e6);
    buf_addf(out, " max %.3f  mean %.3f ms\n", (double)hist->max_ns / 1e6,
             (double)benchhist_mean(hist) / 1e6);
}

/* With an example of each kind: a number alone tells nobody what to look at. */
static void add_faults(struct buf *out, const struct benchtally *tally)
{
    buf_adds(out, "errors       ");
    progress_number(out, tally->errors);
    buf_addc(out, '\n');
    for (int i = 0; i < BENCHTALLY_FAULTS; i++) {
        if (!tally->faults[i])
            continue;
        buf_addf(out, "  %-10s ", benchtally_fault_text((enum benchtally_fault)i));
        progress_number(out, tally->faults[i]);
        buf_addf(out, "  first: %s\n", tally->examples[i]);
    }
    for (int i = 0; i < BENCHTALLY_STATUSES; i++)
        if (tally->statuses[i])
            buf_addf(out, "  answered %d: %" PRIu64 " times\n", i, tally->statuses[i]);
}

/* The order is that in which one reads: what was done, how fast, how late, what went wrong, and
 * whether to believe it. */
void benchreport_text(const struct benchplan *plan, const struct benchtally *tally,
                      uint64_t elapsed_ns, bool interrupted, struct buf *out)
{
    buf_addf(out, "%s at http://%s%s%s, %u clients, ", benchplan_op_text(plan->op), plan->authority,
             plan->base, plan->prefix, plan->clients);
    if (plan->rate)
        buf_addf(out, "open loop at %" PRIu64 "/s, ", plan->rate);
    buf_addf(out, "%.2f s%s\n", seconds_of(elapsed_ns), interrupted ? ", interrupted" : "");
    buf_adds(out, "operations   ");
    progress_number(out, tally->operations);
    buf_addf(out, ", %.1f/s", per_second((double)tally->operations, elapsed_ns));
    if (tally->bytes)
        buf_addf(out, ", %.2f MB/s of values", per_second((double)tally->bytes / 1e6, elapsed_ns));
    buf_addc(out, '\n');
    add_latency(out, "latency", &tally->whole);
    for (int i = 0; plan->op == BENCHPLAN_CYCLE && i < BENCHTALLY_STEPS; i++)
        add_latency(out, step_texts[i], &tally->steps[i]);
    add_faults(out, tally);
    if (tally->missed)
        buf_addf(out,
                 "missed       %" PRIu64 " operations were due and never begun: no client was "
                 "free\n",
                 tally->missed);
    if (tally->reconnects)
        buf_addf(out, "reconnects   %" PRIu64 ", where the server had closed an idle connection\n",
                 tally->reconnects);
    buf_addf(out, "generator    %.2f cores of its %u threads%s\n",
             per_second(seconds_of(tally->cpu_ns), elapsed_ns), plan->threads,
             per_second(seconds_of(tally->cpu_ns), elapsed_ns) > 0.9 * plan->threads
                 ? ": it is the bound itself; try --threads"
                 : "");
}

/* --- JSON --- */

/* In microseconds. The names are those of the header; keep them, others read them. */
static void json_latency(struct buf *out, const char *name, const struct benchhist *hist)
{
    buf_addf(out, "\"%s\":{\"count\":%" PRIu64 ",\"mean\":%.3f,\"p50\":%.3f,\"p90\":%.3f,", name,
             hist->count, (double)benchhist_mean(hist) / 1e3,
             (double)benchhist_quantile(hist, 0.5) / 1e3,
             (double)benchhist_quantile(hist, 0.9) / 1e3);
    buf_addf(out, "\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}",
             (double)benchhist_quantile(hist, 0.99) / 1e3,
             (double)benchhist_quantile(hist, 0.999) / 1e3, (double)hist->max_ns / 1e3);
}

/* Latencies of the steps of a cycle. Only good steps are in them, also those of operations that
 * failed later. */
static void json_steps(struct buf *out, const struct benchtally *tally)
{
    buf_adds(out, ",\"steps_us\":{");
    for (int i = 0; i < BENCHTALLY_STEPS; i++) {
        buf_adds(out, i ? "," : "");
        json_latency(out, step_texts[i], &tally->steps[i]);
    }
    buf_addc(out, '}');
}

/* Only what has happened, so an empty object means that all was well. */
static void json_faults(struct buf *out, const struct benchtally *tally)
{
    const char *comma = "";
    buf_adds(out, ",\"faults\":{");
    for (int i = 0; i < BENCHTALLY_FAULTS; i++) {
        if (!tally->faults[i])
            continue;
        buf_addf(out, "%s\"%s\":%" PRIu64, comma, benchtally_fault_text((enum benchtally_fault)i),
                 tally->faults[i]);
        comma = ",";
    }
    comma = "";
    buf_adds(out, "},\"statuses\":{");
    for (int i = 0; i < BENCHTALLY_STATUSES; i++) {
        if (!tally->statuses[i])
            continue;
        buf_addf(out, "%s\"%d\":%" PRIu64, comma, i, tally->statuses[i]);
        comma = ",";
    }
    comma = "";
    buf_adds(out, "},\"examples\":{");
    for (int i = 0; i < BENCHTALLY_FAULTS; i++) {
        if (!tally->examples[i][0])
            continue;
        buf_addf(out, "%s\"%s\":", comma, benchtally_fault_text((enum benchtally_fault)i));
        json_add_string(out, tally->examples[i], strlen(tally->examples[i]));
        comma = ",";
    }
    buf_addc(out, '}');
}

/* One object in one line; members stay, and new ones come at their place. */
void benchreport_json(const struct benchplan *plan, const struct benchtally *tally,
                      uint64_t elapsed_ns, bool interrupted, struct buf *out)
{
    buf_addf(out, "{\"op\":\"%s\",\"url\":", benchplan_op_text(plan->op));
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s%s", plan->authority, plan->base);
    json_add_string(out, buf_text(&url), url.len);
    buf_free(&url);
    buf_addf(out, ",\"clients\":%u,\"threads\":%u,\"rate_wanted\":", plan->clients, plan->threads);
    if (plan->rate)
        buf_addf(out, "%" PRIu64, plan->rate);
    else
        buf_adds(out, "null");
    buf_addf(out, ",\"interrupted\":%s,\"seconds\":%.6f,\"operations\":%" PRIu64,
             interrupted ? "true" : "false", seconds_of(elapsed_ns), tally->operations);
    buf_addf(out, ",\"errors\":%" PRIu64 ",\"missed\":%" PRIu64 ",\"reconnects\":%" PRIu64,
             tally->errors, tally->missed, tally->reconnects);
    buf_addf(out, ",\"per_second\":%.3f,\"bytes\":%" PRIu64 ",\"mb_per_second\":%.3f",
             per_second((double)tally->operations, elapsed_ns), tally->bytes,
             per_second((double)tally->bytes / 1e6, elapsed_ns));
    buf_addf(out, ",\"generator_cores\":%.3f,", per_second(seconds_of(tally->cpu_ns), elapsed_ns));
    json_latency(out, "latency_us", &tally->whole);
    if (plan->op == BENCHPLAN_CYCLE)
        json_steps(out, tally);
    json_faults(out, tally);
    buf_adds(out, "}\n");
}
