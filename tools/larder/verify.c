/*
 * larder verify: the index against the volumes, while clients go on.
 *
 *   survey_begin       the master says which volumes there are
 *   survey_walk        what is on them goes into a scratch database
 *   verify_compare     the list of keys and the scan, both in the order of keys, side by side: what
 *                      does not agree is suspect; with --deep the copies of all others are read,
 *                      and what is wrong there is suspect too
 *   reunite_run        with --repair, where the index was restored from a backup: what the volumes
 *                      tell goes into it (reunite.h), and that is all
 *   verify_suspects    a while later every suspect is looked at afresh; what is still wrong then
 *                      is reported
 *
 * So a value that is written, moved or deleted in the meantime is not taken for a fault.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/key.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/compare.h"
#include "tools/larder/crew.h"
#include "tools/larder/examine.h"
#include "tools/larder/hold.h"
#include "tools/larder/info.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/masters.h"
#include "tools/larder/merge.h"
#include "tools/larder/progress.h"
#include "tools/larder/report.h"
#include "tools/larder/reunite.h"
#include "tools/larder/roster.h"
#include "tools/larder/say.h"
#include "tools/larder/scan.h"
#include "tools/larder/survey.h"
#include "tools/larder/throttle.h"
#include "tools/larder/walk.h"

struct verify {
    char *master;
    char *scratch;
    struct option_list without; /* what is left out on purpose */
    unsigned long long rate;
    unsigned threads;
    unsigned settle_ms;
    bool deep, masters;
    bool json;
    bool repair;
    bool adopt;    /* repair an index as if it had been restored */
    bool restored; /* it was, or is to count as if */
    bool begun;    /* the master was told to refuse writes */

    struct hold *hold;     /* NULL: no index is to be brought together with volumes */
    struct client *client; /* the main thread's; each checker has its own */
    struct survey survey;
    struct throttle *throttle;
    struct progress *progress;
    struct report *report; /* NULL until the second look begins */
    uint64_t keys;         /* visible ones in the index; the main thread counts */

    pthread_mutex_t lock; /* over all below */
    struct scan_writer *suspects;
    uint64_t suspect_count;
    uint64_t unchecked;
    uint64_t repaired;
    enum status failed; /* the first failure of a thread */
};

/* What a thread of the crew has. */
struct checker {
    struct verify *verify;
    struct examiner *examiner;
    struct client *client;
    struct findings findings;
};

static enum status verify_compare(struct verify *verify);
static enum status verify_suspects(struct verify *verify);

/* --- threads that look at keys --- */

static void checker_end(void *state)
{
    struct checker *checker = state;
    examiner_free(checker->examiner);
    client_free(checker->client);
    findings_free(&checker->findings);
    free(checker);
}

/* Each thread its own examiner, which sees the scan as it is now. */
static void *checker_begin(void *arg)
{
    struct verify *verify = arg;
    const struct examine_options options = {verify->master, verify->survey.roster,
                                            verify->survey.scan, verify->throttle, verify->deep};
    struct checker *checker = calloc(1, sizeof *checker);
    if (!checker)
        return NULL;
    checker->verify = verify;
    checker->examiner = examiner_new(&options);
    checker->client = client_new(verify->master);
    if (checker->examiner && checker->client)
        return checker;
    checker_end(checker);
    return NULL;
}

/* The first failure is kept; all threads stop at their next key. */
static void fail(struct verify *verify, enum status st)
{
    (void)pthread_mutex_lock(&verify->lock);
    if (!verify->failed)
        verify->failed = st;
    (void)pthread_mutex_unlock(&verify->lock);
}

/* Asked by every thread before each key: an interruption is a failure as well. */
static enum status failure(struct verify *verify)
{
    (void)pthread_mutex_lock(&verify->lock);
    enum status st = interrupt_seen() ? ST_CLOSED : verify->failed;
    (void)pthread_mutex_unlock(&verify->lock);
    return st;
}

/* One writer for all threads: suspects are rare. */
static enum status add_suspect(struct verify *verify, const struct key *key)
{
    (void)pthread_mutex_lock(&verify->lock);
    enum status st = scan_add_suspect(verify->suspects, key);
    verify->suspect_count++;
    (void)pthread_mutex_unlock(&verify->lock);
    return st;
}

/* True where there was a look, and `findings` says what it found. */
static bool look(struct checker *checker, const struct key *key)
{
    struct verify *verify = checker->verify;
    enum status st = failure(verify);
    if (!st)
        st = examiner_run(checker->examiner, key, &checker->findings);
    if (st == ST_UNAVAILABLE || st == ST_NO_MEMORY)
        fail(verify, st); /* all others would fail the same way */
    if (st) {
        (void)pthread_mutex_lock(&verify->lock);
        verify->unchecked++;
        (void)pthread_mutex_unlock(&verify->lock);
    }
    return !st;
}

/* The first look, with --deep. */
static void check_first(void *state, void *item)
{
    struct checker *checker = state;
    struct key *key = item;
    if (look(checker, key) && checker->findings.count) {
        enum status st = add_suspect(checker->verify, key);
        if (st)
            fail(checker->verify, st);
    }
    free(key);
}

/* A REBALANCE has the master look at the copies, and make those that are missing or damaged. */
static bool can_mend(const struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        enum problem problem = findings->list[i].problem;
        if (problem != PROBLEM_EXTRA && problem != PROBLEM_TOMBSTONE)
            return true;
    }
    return false;
}

/* True where nothing is wrong with the key any more. What could not be repaired is a finding, not a
 * failure of the check. */
static bool mend(struct checker *checker, const struct key *key)
{
    if (!checker->verify->repair || !can_mend(&checker->findings) ||
        client_key_request(checker->client, "REBALANCE", key, "") ||
        client_status(checker->client) != 204)
        return false;
    return look(checker, key) && !checker->findings.count;
}

/* The second: what is wrong now, is. */
static void check_again(void *state, void *item)
{
    struct checker *checker = state;
    struct key *key = item;
    bool wrong = look(checker, key) && checker->findings.count;
    bool mended = wrong && mend(checker, key);
    (void)pthread_mutex_lock(&checker->verify->lock);
    checker->verify->repaired += mended;
    (void)pthread_mutex_unlock(&checker->verify->lock);
    if (wrong && !mended)
        report_key(checker->verify->report, key, &checker->findings);
    progress_add(checker->verify->progress, 1);
    free(key);
}

/* The copy is the crew's. */
static enum status give_key(struct crew *crew, const struct key *key)
{
    struct key *copy = malloc(sizeof *copy);
    if (!copy)
        return ST_NO_MEMORY;
    *copy = *key;
    crew_give(crew, copy);
    return ST_OK;
}

/* --- side by side --- */

static bool is_left_out(const void *arg, const char *place)
{
    return roster_left_out(arg, place);
}

/* One key, with what is known of it: a record, files, or both. `crew` is NULL without --deep. */
static enum status compare_key(struct verify *verify, struct crew *crew, const struct info *info,
                               const struct scan_group *group)
{
    const struct compare_options options = {roster_places(verify->survey.roster), is_left_out,
                                            verify->survey.roster};
    struct findings findings = {0};
    bool visible = info && (info->record.state == KEY_LIVE || info->record.state == KEY_UNLINKED);
    enum status st = compare_run(&options, info, group, &findings);
    verify->keys += visible;
    if (!st && findings.count)
        st = add_suspect(verify, &group->key);
    else if (!st && crew && visible)
        st = give_key(crew, &group->key);
    progress_add(verify->progress, group->file_count);
    findings_free(&findings);
    return st;
}

/* Holds a page of records and the files of one key, whatever the store's size. */
static enum status compare_all(struct verify *verify, struct merge *merge, struct crew *crew)
{
    const struct info *info;
    const struct scan_group *group;
    enum status st = ST_OK;
    while (!st && !(st = merge_next(merge, &info, &group))) {
        st = failure(verify);
        if (!st)
            st = compare_key(verify, crew, info, group);
    }
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* The crew is finished before the suspects are flushed: its threads add to them. */
static enum status verify_compare(struct verify *verify)
{
    const struct crew_work work = {checker_begin, check_first, checker_end, verify};
    struct crew *crew = verify->deep ? crew_new(verify->threads, &work) : NULL;
    struct merge *merge = merge_new(verify->client, verify->survey.scan);
    verify->progress = progress_new(verify->deep ? "reading" : "comparing", "files",
                                    verify->survey.found.files + 1);
    verify->suspects = scan_writer_new(verify->survey.scan);
    enum status st = ST_NO_MEMORY;
    if (merge && verify->progress && verify->suspects && (crew || !verify->deep))
        st = compare_all(verify, merge, crew);
    crew_finish(crew);
    if (!st)
        st = failure(verify);
    if (!st)
        st = scan_flush(verify->suspects);
    merge_free(merge);
    scan_writer_free(verify->suspects);
    verify->suspects = NULL;
    progress_free(verify->progress);
    return st;
}

/* --- suspects --- */

/* `key` holds the first one already: without any, no crew is made. */
static enum status give_suspects(struct crew *crew, struct scan_reader *reader, struct key *key,
                                 struct verify *verify)
{
    enum status st = ST_OK;
    for (; !st; st = scan_next_suspect(reader, key)) {
        st = failure(verify);
        if (!st)
            st = give_key(crew, key);
        if (st)
            break;
    }
    return st;
}

/* The pause lets a PUT or a removal that was under way at the end of the walk come to its end. The
 * reader was made after the flush, so it sees all suspects. */
static enum status verify_suspects(struct verify *verify)
{
    const struct crew_work work = {checker_begin, check_again, checker_end, verify};
    struct scan_reader *reader = scan_reader_new(verify->survey.scan);
    struct key key;
    enum status st = reader ? scan_next_suspect(reader, &key) : ST_NO_MEMORY;
    if (!st) {
        verify->progress = progress_new("looking again", "keys", verify->suspect_count);
        interrupt_sleep(verify->settle_ms);
        struct crew *crew = verify->progress ? crew_new(verify->threads, &work) : NULL;
        st = crew ? give_suspects(crew, reader, &key, verify) : ST_NO_MEMORY;
        crew_finish(crew);
        progress_free(verify->progress);
    }
    scan_reader_free(reader);
    if (st == ST_NOT_FOUND)
        st = failure(verify);
    return st;
}

/* --- all of it --- */

/* After a failure verify_end() still takes what was made. Writes are stopped last, when nothing
 * that was misspelt or is away can leave the store without them; but before anything is looked at.
 */
static enum status verify_begin(struct verify *verify)
{
    verify->client = client_new(verify->master);
    if (!verify->client)
        return ST_BAD_REQUEST;
    (void)pthread_mutex_init(&verify->lock, NULL);
    verify->throttle = throttle_new(verify->rate);
    enum status st = verify->repair ? reunite_is_needed(verify->client, &verify->restored) : ST_OK;
    if (!st)
        st = verify->throttle ? survey_begin(&verify->survey, verify->client, &verify->without)
                              : ST_NO_MEMORY;
    if (!st && (verify->restored || verify->adopt))
        st = survey_check(&verify->survey, verify->client);
    if (!st)
        st = survey_scratch(&verify->survey, verify->scratch);
    if (!st && (verify->restored || verify->adopt)) {
        verify->restored = true;
        verify->hold = hold_new(verify->client, verify->master);
        st = verify->hold ? reunite_begin(verify->client) : ST_NO_MEMORY;
        verify->begun = verify->hold && st != ST_CONFLICT;
    }
    return st;
}

static void verify_end(struct verify *verify)
{
    survey_end(&verify->survey);
    throttle_free(verify->throttle);
    report_free(verify->report);
    hold_free(verify->hold);
    client_free(verify->client);
}

/* Without a second look nothing is reported: what the first one saw may be in motion. */
static enum status verify_keys(struct verify *verify)
{
    enum status st = verify_compare(verify);
    if (st)
        return st;
    verify->report = report_new(verify->json);
    return verify->report ? verify_suspects(verify) : ST_NO_MEMORY;
}

static int verify_all(struct verify *verify)
{
    interrupt_watch();
    enum status st = verify_begin(verify);
    bool reunite = verify->repair && verify->restored;
    if (!st)
        st = survey_walk(&verify->survey, verify->threads);
    bool well = true;
    if (!st)
        st = reunite ? reunite_run(verify->client, &verify->survey, &well) : verify_keys(verify);
    if (st == ST_NO_MEMORY)
        say_error("%s", status_text(st));
    if (interrupt_seen())
        say_error("interrupted; the check is not complete");
    if (st && verify->begun)
        say_error("writes stay refused until 'larder verify --repair' has come to its end; run it "
                  "again");
    int result = !reunite || st ? EXIT_TROUBLE : well ? EXIT_WELL : EXIT_FAILED;
    if (verify->report) {
        const struct report_totals totals = {verify->keys,
                                             verify->survey.found.files,
                                             verify->survey.found.bytes,
                                             verify->survey.found.strays,
                                             verify->unchecked,
                                             verify->repaired,
                                             verify->deep};
        bool complete = !st && !verify->unchecked;
        report_finish(verify->report, &totals, complete);
        if (complete)
            result = report_count(verify->report) ? EXIT_FAILED : EXIT_WELL;
    }
    verify_end(verify);
    return say_flush() ? result : EXIT_TROUBLE;
}

static const char summary[] =
    "Compares the index with what is on the volumes, through the running master, while clients go\n"
    "on. All that is found is looked at a second time before it is reported. Changes nothing,\n"
    "without --repair.\n"
    "\n"
    "With --repair, copies that are missing, damaged or too few are made anew, and what that has\n"
    "mended is not reported. And an index that was restored from a backup is brought together "
    "with\n"
    "the volumes: what came, was overwritten, unlinked or deleted since goes into it. All volumes\n"
    "have to be in the list of the master for that; writes are refused until it is done. --adopt "
    "does\n"
    "the same for an index that does not count as restored, for example because a volume was\n"
    "missing then.\n"
    "\n"
    "A line for each problem: PROBLEM KEY on VOLUME: DETAIL; KEY is percent-encoded. Problems:\n"
    "  missing    a copy that the index has is not there\n"
    "  extra      a file that the index knows nothing of\n"
    "  size       a copy has another size than it should have, or than the other copies\n"
    "  md5        a copy has another MD5 than the index (without --deep: as its volume says)\n"
    "  few        there are fewer copies than wanted\n"
    "  tombstone  a volume remembers as deleted what is there\n"
    "Then one line with the totals. With --json one document: {\"findings\":[{\"key\":encoded,\n"
    "\"problem\":..., \"volume\":..., \"generation\":N, \"detail\":...},...], "
    "\"problems\":{\"missing\":N,\n"
    "...}, \"keys\":N, \"files\":N, \"bytes\":N, \"strays\":N, \"unchecked\":N, \"repaired\":N, "
    "\"deep\":true|false,\n"
    "\"complete\":true|false, \"ok\":true|false}. \"ok\": it is complete, and nothing was found.\n"
    "Exit status: 0 all is well, 1 problems were found, 2 wrong usage, or it could not be checked\n"
    "(a volume is down).";

int verify_run(int argc, char **argv)
{
    struct verify verify = {.threads = 16, .settle_ms = 2000};
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &verify.master, 0, 0, NULL, "URL", "the master"},
        {"deep", 0, OPTION_FLAG, &verify.deep, 0, 0, NULL, NULL,
         "read every copy, and compare its MD5"},
        {"masters", 0, OPTION_FLAG, &verify.masters, 0, 0, NULL, NULL, "compare masters instead"},
        {"repair", 0, OPTION_FLAG, &verify.repair, 0, 0, NULL, NULL,
         "have what is wrong repaired; see above"},
        {"adopt", 0, OPTION_FLAG, &verify.adopt, 0, 0, NULL, NULL,
         "with --repair: as if the index had been restored from a backup"},
        {"json", 'j', OPTION_FLAG, &verify.json, 0, 0, NULL, NULL, "one JSON document"},
        {"rate", 0, OPTION_SIZE, &verify.rate, 0, 0, NULL, "BYTES",
         "with --deep: read at most so many bytes a second"},
        {"without", 0, OPTION_LIST, &verify.without, 0, 0, NULL, "VOLUME,...",
         "volumes or disks (VOLUME/svXX) that are not looked at"},
        {"threads", 't', OPTION_UNSIGNED, &verify.threads, 1, WALK_THREADS_MAX, NULL, "N",
         "requests that are under way at the same time (default 16)"},
        {"settle", 0, OPTION_DURATION, &verify.settle_ms, 0, 0, NULL, "TIME",
         "how long to wait before the second look (default 2s)"},
        {"scratch", 0, OPTION_TEXT, &verify.scratch, 0, 0, NULL, "DIR",
         "where the scratch database goes (TMPDIR, or /tmp)"},
    };
    const struct option_program program = {"larder verify", "[OPTION]...", summary, options,
                                           sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && verify.adopt && !verify.repair)
        say_error("verify: --adopt goes with --repair");
    else if (parsed == OPTIONS_OK && arguments_fit("larder verify", argc - rest, 0, 0))
        result = verify.masters ? masters_compare(verify.master) : verify_all(&verify);
    options_free(&program);
    return result;
}
