/*
 * REBALANCE and the spreading of copies, over fakes: the intent is durable before anything is
 * copied, the new places before anything is deleted.
 */
#include "common/md5.h"
#include "master/copy.h"
#include "master/flows.h"
#include "master/spread.h"
#include "tests/flow/fake_ask.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_keylock.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_volumes.h"

#define MD5   "00000000000000000000000000000001"
#define OTHER "00000000000000000000000000000002"

/* --- copying, as far as the flow sees it --- */

static struct {
    bool cannot_start, pending;
    size_t targets;
    void (*done)(void *arg, enum status st, const bool *stored, uint64_t bytes);
    void *arg;
} copying;

enum status copy_start(const struct copy_spec *spec)
{
    char text[512] = "";
    size_t len = 0;
    if (copying.cannot_start || memory_is_short())
        return ST_NO_MEMORY;
    for (size_t i = 0; i < spec->source_count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%.2s", spec->sources[i]);
    len += (size_t)snprintf(text + len, sizeof text - len, "->");
    for (size_t i = 0; i < spec->target_count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%.2s", spec->targets[i]);
    if (spec->value)
        (void)snprintf(text + len, sizeof text - len, "=%.*s,%s", (int)spec->length, spec->value,
                       spec->type ? spec->type : "");
    note("copy:%s", text);
    ck_assert_str_eq(spec->md5, MD5);
    copying.pending = true;
    copying.targets = spec->target_count;
    copying.done = spec->done;
    copying.arg = spec->arg;
    return ST_OK;
}

/* A letter a target: Stored or Failed. */
static void copying_ends(enum status st, const char *results)
{
    bool stored[ASKED_MAX];
    ck_assert(copying.pending);
    ck_assert_uint_eq(strlen(results), copying.targets);
    for (size_t i = 0; i < copying.targets; i++)
        stored[i] = results[i] == 'S';
    copying.pending = false;
    copying.done(copying.arg, st, stored, 100);
}

static void setup(void)
{
    master_is_new();
    volumes_are(6);
    memset(&questions, 0, sizeof questions);
    memset(&copying, 0, sizeof copying);
    memset(&fake_lock, 0, sizeof fake_lock);
    fake_now = 1000;
}

static void teardown(void)
{
    ck_assert(!questions.pending && !copying.pending);
    ck_assert_ptr_null(fake_index.pending);
    ck_assert(!fake_lock.held);
    client_free();
}

static void start(const char *value, const char *work)
{
    index_holds(value, work);
    rebalance_start(&fake_worker, client_asks(), &fake_key);
}

/* Behind the volumes' answers: the intent becomes durable (of the trace up to there `as` is
 * expected; NULL: it is not looked at), then the copies end as copying_ends() has it, then their
 * places become durable. */
static void copies_are_made(const char *as, const char *results)
{
    index_commits();
    if (as)
        ck_trace(as);
    copying_ends(ST_OK, results);
    index_commits();
}

/* --- what becomes of the copies --- */

START_TEST(copies_go_where_placement_wants_them)
{
    const char *old = "HASH" MD5 "v4:1,v2:1,v5:1";
    start(old, "");
    ck_trace("lock ask:HEAD(v4:1@0mkv+,v2:1@0mkv,v5:1@0mkv) ");
    volumes_answer("200=" MD5 " 200 200=" MD5);
    ck_trace("commit ");
    index_commits();
    ck_index(old, "W1;garbage 0 mkv v1:1;garbage 0 mkv v3:1;"); /* before anything is written */
    ck_trace("copy:v4v2v5->v1v3 ");
    copying_ends(ST_OK, "SS");
    ck_trace("commit ");
    index_commits();
    ck_index("HASH" MD5 "v1:1,v2:1,v3:1",
             "W1;due 1700003000;garbage 0 mkv v4:1;garbage 0 mkv v5:1;");
    ck_trace("unlock reply:204 ");
    ck_assert(answer_has("Larder-Moved: 200"));
}
END_TEST

START_TEST(what_stands_right_stays)
{
    start("HASH" MD5 "v1:1,v2:1,v3:1", "");
    volumes_all_answer("200");
    index_commits();
    ck_trace("lock ask:HEAD(v1:1@0mkv,v2:1@0mkv,v3:1@0mkv) commit unlock reply:204 ");
    ck_index("HASH" MD5 "v1:1,v2:1,v3:1", "");
    ck_assert(answer_has("Larder-Moved: 0"));
}
END_TEST

START_TEST(only_the_order_is_mended)
{
    start("L1 live 5 larder " MD5 " v3:1,v1:1,v2:1", "W1;garbage 4 larder v1:1;");
    volumes_all_answer("200");
    index_commits();
    ck_index("L1 live 5 larder " MD5 " v1:1,v2:1,v3:1", "W1;garbage 4 larder v1:1;");
}
END_TEST

START_TEST(some_targets_fail)
{
    start("HASH" MD5 "v4:1,v2:1,v5:1", "");
    volumes_all_answer("200");
    copies_are_made(NULL, "FS");
    /* Nothing is given up while a place is not filled; what the failed one may have is garbage. */
    ck_index("HASH" MD5 "v2:1,v3:1,v4:1,v5:1", "W1;garbage 0 mkv v1:1;");
    ck_assert_int_eq(client.status, 204);
}
END_TEST

START_TEST(lost_and_damaged_copies_are_made_anew)
{
    start("HASH" MD5 "v1:1,v2:1,v3:1", "");
    volumes_answer("404 200=" OTHER " 200");
    ck_assert_str_eq(fake_index.work, "");
    index_commits();
    ck_index("HASH" MD5 "v1:1,v2:1,v3:1", "");
    ck_assert(strstr(trace, "copy:v3->v1v2 ") != NULL);
    copying_ends(ST_OK, "SS");
    index_commits();
    ck_index("HASH" MD5 "v1:1,v2:1,v3:1", "");
}
END_TEST

START_TEST(a_volume_that_is_away_is_believed)
{
    fake_volumes[1].state = VOLUME_DOWN;
    start("HASH" MD5 "v1:1,v2:1", "W1;few 2;since 1700000000;");
    ck_trace("lock ask:HEAD(v1:1@0mkv+) ");
    volumes_answer("200");
    copies_are_made("commit copy:v1->v3 ", "S");
    ck_index("HASH" MD5 "v1:1,v2:1,v3:1", "");
}
END_TEST

/* Neither silence nor an error is proof that a copy is gone. */
START_TEST(a_volume_that_fails_is_believed)
{
    start("HASH" MD5 "v1:1,v2:1,v3:1", "");
    volumes_answer("200 - 500");
    index_commits();
    ck_trace("lock ask:HEAD(v1:1@0mkv,v2:1@0mkv,v3:1@0mkv) commit unlock reply:204 ");
    ck_index("HASH" MD5 "v1:1,v2:1,v3:1", "");
}
END_TEST

START_TEST(too_few_volumes_for_all_copies)
{
    volumes_are(2);
    start("HASH" MD5 "v1:1", "W1;few 2;since 1700000000;");
    volumes_answer("200");
    copies_are_made(NULL, "S");
    ck_index("HASH" MD5 "v1:1,v2:1", "W1;few 2;since 1700000000;");
}
END_TEST

/* Two copies are gone; one place could be filled again. What was tried at the other may still come
 * there (its volume fetches it by itself), so it is not forgotten. */
START_TEST(a_place_without_its_copy_is_not_forgotten)
{
    start("HASH" MD5 "v1:1,v2:1,v3:1", "");
    volumes_answer("404 404 200");
    copies_are_made(NULL, "FS");
    ck_index("HASH" MD5 "v2:1,v3:1",
             "W1;few 2;since 1700000000;due 1700003000;garbage 0 mkv v1:1;");
}
END_TEST

/* All wanted places are in the record, and only a copy elsewhere has answered. */
START_TEST(the_only_copy_that_was_seen_stays)
{
    start("HASH" MD5 "v1:1,v2:1,v3:1,v4:1", "");
    volumes_answer("500 500 500 200");
    index_commits();
    ck_index("HASH" MD5 "v1:1,v2:1,v3:1,v4:1", "");
}
END_TEST

START_TEST(unlinked_stays_unlinked)
{
    start("DELETEDHASH" MD5 "v1:1,v2:1,v4:1", "");
    volumes_all_answer("200");
    index_commits();
    copying_ends(ST_OK, "S");
    ck_assert(strstr(trace, "copy:v1v2v4->v3 ask:UNLINK(v3:1@0mkv) ") != NULL);
    volumes_answer("-"); /* the index is what counts */
    index_commits();
    ck_index("DELETEDHASH" MD5 "v1:1,v2:1,v3:1", "W1;due 1700003000;garbage 0 mkv v4:1;");
}
END_TEST

/* --- copies that do not count, as those of a volume that is drained --- */

static void drain(size_t i)
{
    fake_volumes[i].discounted = true;
    fake_volumes[i].state = VOLUME_READ_ONLY;
}

START_TEST(a_drained_volume_is_not_asked)
{
    drain(0);
    start("HASH" MD5 "v1:1,v2:1,v3:1", "W1;few 3;since 1700000000;");
    ck_trace("lock ask:HEAD(v2:1@0mkv+,v3:1@0mkv) ");
    volume_sends("value", "image/png");
    volumes_all_answer("200");
    /* It is the last source: where the others turn out to be damaged. */
    copies_are_made("commit copy:v2v3v1->v4=value,image/png ", "S");
    ck_index("HASH" MD5 "v2:1,v3:1,v4:1", "W1;due 1700003000;garbage 0 mkv v1:1;");
}
END_TEST

START_TEST(a_drained_volume_has_the_only_copy)
{
    static const char *const answers[] = {"404", "-", "200=" OTHER};
    static const char *const again[] = {"200=" MD5 " 404", "200=" MD5 " -",
                                        "200=" MD5 " 200=" OTHER};
    drain(0);
    start("HASH" MD5 "v1:1,v2:1", "W1;few 1;since 1700000000;");
    ck_trace("lock ask:HEAD(v2:1@0mkv+) ");
    if (_i == 2)
        volume_sends("other", ""); /* must not be sent on */
    volumes_answer(answers[_i]);
    ck_trace("ask:HEAD(v1:1@0mkv+,v2:1@0mkv) ");
    volume_sends("value", "");
    volumes_answer(again[_i]);
    /* A volume that does not answer is believed, and is no source. */
    copies_are_made(_i == 1 ? "commit copy:v1->v3v4=value, " : "commit copy:v1->v2v3v4=value, ",
                    _i == 1 ? "SF" : "FSS");
    /* While a place is not filled nothing is given up. */
    ck_index(_i == 1 ? "HASH" MD5 "v2:1,v3:1,v1:1" : "HASH" MD5 "v3:1,v4:1,v1:1",
             _i == 1 ? "W1;few 3;since 1700000000;garbage 0 mkv v4:1;"
                     : "W1;few 3;since 1700000000;due 1700003000;garbage 0 mkv v2:1;");
}
END_TEST

START_TEST(a_key_with_only_drained_copies)
{
    drain(0);
    drain(1);
    start("HASH" MD5 "v1:1,v2:1", "W1;few 1;since 1700000000;");
    ck_trace("lock ask:HEAD(v1:1@0mkv+,v2:1@0mkv) ");
    volumes_answer("404 404");
    ck_assert(strstr(trace, "unlock reply:503 ") != NULL); /* nobody is asked twice */
}
END_TEST

/* Each copy of a suspect is looked at, and what a copy says against the index is not sent on. */
START_TEST(a_suspect_on_a_drained_volume)
{
    drain(0);
    start("HASH" MD5 "v1:1,v2:1", "W1;few 2;suspect;since 1700000000;");
    ck_trace("lock ask:HEAD(v1:1@0mkv+,v2:1@0mkv) ");
    volume_sends("other", "");
    volumes_answer("200=" OTHER " 200=" MD5);
    copies_are_made("commit copy:v2->v3v4 ", "SS");
    ck_index("HASH" MD5 "v2:1,v3:1,v4:1", "W1;due 1700003000;garbage 0 mkv v1:1;");
}
END_TEST

START_TEST(others_volumes_are_not_asked_for_the_value)
{
    fake_volumes[3].kind = VOLUME_PLAIN;
    start("HASH" MD5 "v4:1,v2:1", "");
    ck_trace("lock ask:HEAD(v4:1@0mkv,v2:1@0mkv+) ");
    volume_sends("value", "");
    volumes_all_answer("200");
    copies_are_made("commit copy:v2v4->v1v3=value, ", "SS");
}
END_TEST

/* --- refusals and failures --- */

START_TEST(refuses_what_is_not_there)
{
    static const char *const values[] = {"", "", "", "L1 garbled"};
    static const char *const works[] = {"", "W1;garbage 0 larder v1:1;", "W1;tombstone 1;", ""};
    start(values[_i], works[_i]);
    ck_trace(_i < 3 ? "lock unlock reply:404 " : "lock unlock reply:500 ");
    ck_index(values[_i], works[_i]);
}
END_TEST

START_TEST(refuses_a_key_that_another_writes)
{
    fake_lock.taken = true;
    start("", "");
    ck_trace("reply:409 ");
}
END_TEST

START_TEST(no_copy_can_be_found)
{
    start("HASH" MD5 "v1:1,v2:1,v3:1", "");
    volumes_answer(_i ? "404 404 404" : "- - -");
    ck_assert(strstr(trace, " unlock reply:503 ") != NULL); /* the key is known: not a 404 */
    ck_index("HASH" MD5 "v1:1,v2:1,v3:1", "");
}
END_TEST

START_TEST(a_step_fails)
{
    /* The mark of an unlinked key is a question of its own. */
    const char *old = _i == 4 ? "DELETEDHASH" MD5 "v1:1,v2:1,v4:1" : "HASH" MD5 "v1:1,v2:1,v4:1";
    const char *intent = "W1;garbage 0 mkv v3:1;";
    questions.fail_at = _i == 0 ? 1 : _i == 4 ? 2 : 0;
    fake_index.fail_at = 0;
    copying.cannot_start = _i == 2;
    start(old, "");
    fake_index.fail_at = _i == 1 ? 1 : _i == 5 ? 2 : 0;
    fake_index.fail_with = ST_NO_SPACE;
    if (questions.pending)
        volumes_all_answer("200");
    if (fake_index.pending)
        index_commits();
    if (copying.pending)
        copying_ends(_i == 3 ? ST_UNAVAILABLE : ST_OK, _i == 3 ? "F" : "S");
    if (questions.pending)
        volumes_answer("");
    if (fake_index.pending)
        index_commits();
    static const int statuses[] = {500, 507, 500, 503, 500, 507};
    ck_assert_int_eq(client.status, statuses[_i]);
    ck_assert_uint_eq(count_words(trace, "unlock"), 1);
    ck_index(old, _i < 2 ? "" : intent); /* the value stands where it stood */
}
END_TEST

/* --- spread_would_help --- */

static bool would_help(const char *value)
{
    struct record rec;
    record_init(&rec);
    ck_assert_int_eq(record_decode(&rec, value, strlen(value), NULL, 0), ST_OK);
    bool helps = spread_would_help(&fake_worker, &fake_key, &rec);
    record_free(&rec);
    return helps;
}

START_TEST(knows_when_it_would_help)
{
    volumes_are(3);
    ck_assert(would_help("v1:1,v2:1"));
    fake_volumes[2].state = VOLUME_FULL;
    ck_assert(!would_help("v1:1,v2:1"));
    ck_assert(would_help("v1:1,v2:1,v3:1")); /* enough: they need not be called too few */
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    memory_arm(k);
    start("HASH" MD5 "v4:1,v2:1,v5:1", "");
    while (client.req) {
        if (questions.pending)
            volumes_all_answer("200");
        else if (fake_index.pending)
            index_commits();
        else
            copying_ends(ST_OK, "SS");
    }
    memory.left = 0;
    ck_assert_uint_eq(client.answers, 1);
    ck_assert_uint_eq(count_words(trace, "lock"), count_words(trace, "unlock"));
    bool moved = strcmp(fake_index.value, "HASH" MD5 "v1:1,v2:1,v3:1") == 0;
    ck_assert(moved || strcmp(fake_index.value, "HASH" MD5 "v4:1,v2:1,v5:1") == 0);
    ck_assert_int_eq(client.status, moved ? 204 : 500);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

/* The record that a failed spread leaves to its caller, who may save it: no copy that it counts on
 * is garbage, and none that may be there is forgotten. */
static unsigned spreads;
static enum status spread_status;

static void has_spread(void *arg UNUSED, enum status st, uint64_t moved UNUSED)
{
    spreads++;
    spread_status = st;
}

static void play_spread_without_memory(unsigned k)
{
    struct record rec;
    setup();
    index_holds("HASH" MD5 "v4:1,v2:1,v5:1", "");
    ck_assert_int_eq(read_index(&rec, true), ST_OK);
    spreads = 0;
    memory_arm(k);
    enum status st = spread_start(&fake_worker, "test", &fake_key, &rec, has_spread, NULL);
    while (questions.pending || fake_index.pending || copying.pending) {
        if (questions.pending)
            volumes_all_answer("200");
        else if (fake_index.pending)
            index_commits();
        else
            copying_ends(ST_OK, "SS");
    }
    memory.left = 0;
    ck_assert_uint_eq(spreads, st == ST_OK);
    for (size_t i = 0; i < rec.garbage.count; i++)
        ck_assert(!record_has_place(&rec, rec.garbage.list[i].place));
    ck_assert_uint_eq(rec.place_count, 3);
    ck_assert(st || spread_status || record_has_place(&rec, "v1:1"));
    if (copying.targets && spread_status)
        ck_assert_uint_eq(rec.garbage.count, 2); /* what was copied already */
    record_free(&rec);
}

START_TEST(a_failed_spread_leaves_a_good_record)
{
    memory_sweep(play_spread_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{copies_go_where_placement_wants_them, 1},
                                   {what_stands_right_stays, 1},
                                   {only_the_order_is_mended, 1},
                                   {some_targets_fail, 1},
                                   {a_place_without_its_copy_is_not_forgotten, 1},
                                   {the_only_copy_that_was_seen_stays, 1},
                                   {lost_and_damaged_copies_are_made_anew, 1},
                                   {a_volume_that_is_away_is_believed, 1},
                                   {a_volume_that_fails_is_believed, 1},
                                   {too_few_volumes_for_all_copies, 1},
                                   {unlinked_stays_unlinked, 1},
                                   {refuses_what_is_not_there, 4},
                                   {refuses_a_key_that_another_writes, 1},
                                   {a_drained_volume_is_not_asked, 1},
                                   {a_drained_volume_has_the_only_copy, 3},
                                   {a_key_with_only_drained_copies, 1},
                                   {a_suspect_on_a_drained_volume, 1},
                                   {others_volumes_are_not_asked_for_the_value, 1},
                                   {no_copy_can_be_found, 2},
                                   {a_step_fails, 6},
                                   {knows_when_it_would_help, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {a_failed_spread_leaves_a_good_record, 1},
                                   {NULL, 0}};
    return play_all("master_rebalance", tests, setup, teardown);
}
