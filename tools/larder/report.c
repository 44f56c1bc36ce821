/*
 * The output of verify, as it comes: findings are printed while others are looked for, so a run
 * that is interrupted has told what it found. A lock over counters and printing together, so that
 * lines of two threads do not mix, and commas of the JSON stand right.
 *
 * Threads of verify call report_key(); the rest is the main thread's, before and after them. What
 * cannot be printed (a full disk, a closed pipe) is noticed once, at the end, by say_flush().
 */
#include "tools/larder/report.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/key.h"
#include "tools/larder/compare.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"

struct report {
    bool json;
    pthread_mutex_t lock; /* over all below */
    uint64_t count;       /* findings; a key may have several */
    uint64_t of_problem[PROBLEM_COUNT];
};

/* With --json the document begins here, so report_finish() must follow in any case. */
struct report *report_new(bool json)
{
    struct report *report = calloc(1, sizeof *report);
    if (!report)
        return NULL;
    report->json = json;
    (void)pthread_mutex_init(&report->lock, NULL);
    if (json)
        say("{\"findings\":[");
    return report;
}

/* Prints nothing: what was to be said is report_finish()'s. */
void report_free(struct report *report)
{
    if (!report)
        return;
    (void)pthread_mutex_destroy(&report->lock);
    free(report);
}

/* Keys are encoded, so the document is ASCII whatever the bytes of a key are. */
static void add_json(struct buf *out, const struct key *key, const struct finding *finding)
{
    buf_adds(out, "{\"key\":\"");
    key_encode(out, key->bytes, key->len);
    buf_addf(out, "\",\"problem\":\"%s\",\"volume\":", problem_word(finding->problem));
    json_add_string(out, finding->place, strlen(finding->place));
    buf_addf(out, ",\"generation\":%" PRIu64 ",\"detail\":", finding->generation);
    json_add_string(out, finding->detail, strlen(finding->detail));
    buf_addc(out, '}');
}

/* The word first, in a column of its own: to be sorted and grepped. */
static void add_line(struct buf *out, const struct key *key, const struct finding *finding)
{
    buf_addf(out, "%-9s ", problem_word(finding->problem));
    key_encode(out, key->bytes, key->len);
    if (finding->place[0])
        buf_addf(out, " on %s", finding->place);
    if (finding->generation)
        buf_addf(out, ", generation %" PRIu64, finding->generation);
    buf_addf(out, ": %s\n", finding->detail);
}

/* All findings of a key in one piece, so they stand together. */
void report_key(struct report *report, const struct key *key, const struct findings *findings)
{
    struct buf text = BUF_INIT;
    (void)pthread_mutex_lock(&report->lock);
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        if (report->json) {
            buf_adds(&text, report->count ? ",\n" : "\n");
            add_json(&text, key, finding);
        } else {
            add_line(&text, key, finding);
        }
        report->count++;
        report->of_problem[finding->problem]++;
    }
    say_bytes(buf_text(&text), text.len);
    if (!buf_ok(&text))
        say_error("out of memory; a finding is not in the list");
    (void)pthread_mutex_unlock(&report->lock);
    buf_free(&text);
}

/* Of so far: while threads look for more it may be old when it is used. */
uint64_t report_count(struct report *report)
{
    (void)pthread_mutex_lock(&report->lock);
    uint64_t count = report->count;
    (void)pthread_mutex_unlock(&report->lock);
    return count;
}

/* The members after the list are only known now. */
static void finish_json(const struct report *report, const struct report_totals *totals,
                        bool complete)
{
    say("],\n\"problems\":{");
    for (int i = 0; i < PROBLEM_COUNT; i++)
        say("%s\"%s\":%" PRIu64, i ? "," : "", problem_word((enum problem)i),
            report->of_problem[i]);
    say("},\n\"keys\":%" PRIu64 ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"strays\":%" PRIu64
        ",\"unchecked\":%" PRIu64 ",\"repaired\":%" PRIu64
        ",\"deep\":%s,\"complete\":%s,\"ok\":%s}\n",
        totals->keys, totals->files, totals->bytes, totals->strays, totals->unchecked,
        totals->repaired, totals->deep ? "true" : "false", complete ? "true" : "false",
        complete && report->count == 0 ? "true" : "false");
}

/* "1,234 keys, " */
static void add_count(struct buf *out, uint64_t count, const char *what)
{
    progress_number(out, count);
    buf_addf(out, " %s", what);
}

/* Zeros are left out, so what is there is to be looked at. */
static void finish_text(const struct report *report, const struct report_totals *totals,
                        bool complete)
{
    struct buf text = BUF_INIT;
    add_count(&text, totals->keys, "keys, ");
    add_count(&text, totals->files, "files, ");
    add_count(&text, totals->bytes, "bytes; ");
    buf_adds(&text, totals->deep ? "every copy was read; " : "");
    if (totals->strays)
        add_count(&text, totals->strays, "files that tell no key; ");
    if (totals->unchecked)
        add_count(&text, totals->unchecked, "keys could not be looked at; ");
    if (totals->repaired)
        add_count(&text, totals->repaired, "keys were repaired; ");
    if (report->count == 0)
        buf_adds(&text, complete ? "all is well" : "nothing was found so far");
    else
        add_count(&text, report->count, "problems:");
    for (int i = 0, shown = 0; i < PROBLEM_COUNT; i++)
        if (report->of_problem[i]) {
            buf_adds(&text, shown++ ? ", " : " ");
            add_count(&text, report->of_problem[i], problem_word((enum problem)i));
        }
    say("%s%s\n", buf_text(&text), complete ? "" : " (the check is not complete)");
    buf_free(&text);
}

/* `ok` is for scripts: complete, and nothing found. */
void report_finish(struct report *report, const struct report_totals *totals, bool complete)
{
    (void)pthread_mutex_lock(&report->lock);
    if (report->json)
        finish_json(report, totals, complete);
    else
        finish_text(report, totals, complete);
    (void)pthread_mutex_unlock(&report->lock);
}
