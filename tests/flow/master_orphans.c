/* Files that no record knows are found and removed, and no others, over fakes. */
#include "master/orphans.h"
#include "tests/flow/fake_ask.h"
#include "tests/flow/fake_client.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_keylock.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_volumes.h"

enum { AFTER_MS = 10000, BORN_MS = WALL_MS - 100000, STORED_MS = WALL_MS - 50000, PAUSE_MS = 200 };

/* The files of key "/k" are in this directory. */
#define NAME  "L2s="
#define VALUE "L1 live 7 larder 00000000000000000000000000000001 v2:1"

#define ONE_FILE        "[{\"name\":\"" NAME "\",\"type\":\"file\",\"created\":1699950000}]"
#define DIRECTORY(name) "[{\"name\":\"" name "\",\"type\":\"directory\"}]"

static struct orphans *orphans; /* that walks */
static uint64_t pause_ms;
static unsigned ends;
static struct orphans_counts counts;

uint64_t index_born_ms(const struct index *index UNUSED)
{
    return BORN_MS;
}

size_t volumes_count(struct volumes *volumes UNUSED)
{
    return fake_volume_count;
}

const char *volumes_name(struct volumes *volumes UNUSED, size_t i)
{
    static const char *const names[] = {"v1:1", "v2:1", "v3:1", "v4:1", "v5:1", "v6:1"};
    ck_assert_uint_lt(i, fake_volume_count);
    return names[i];
}

static void has_ended(void *arg, const struct orphans_counts *found)
{
    ck_assert_ptr_eq(arg, &ends);
    counts = *found;
    ends++;
    orphans = NULL;
}

static void setup(void)
{
    master_is_new();
    fake_config.orphan_after_ms = AFTER_MS;
    index_holds("", "");
    volumes_are(1);
    memset(&fake_lock, 0, sizeof fake_lock);
    memset(&questions, 0, sizeof questions);
    calls_forget();
    pause_ms = PAUSE_MS;
    ends = 0;
    counts = (struct orphans_counts){0, 0, false};
}

static void teardown(void)
{
    ck_assert_ptr_null(orphans);
    ck_assert_ptr_null(fake_timers);
    ck_assert_ptr_null(calls.first);
    ck_assert(!questions.pending);
    ck_assert(!fake_lock.held);
}

static void walk(void)
{
    orphans = orphans_start(&fake_worker, &pause_ms, has_ended, &ends);
    ck_assert_ptr_nonnull(orphans);
    ck_assert_uint_eq(ends, 0);
    time_passes(PAUSE_MS);
}

/* What the walk asked for has this listing. */
static void listing_is(const char *path, const char *text)
{
    struct http_call *call = calls.first;
    ck_assert_ptr_nonnull(call);
    ck_assert_str_eq(call->url + strlen("http://v1:1"), path);
    bool taken = call_brings(call, text);
    call_ends(call, taken ? ST_OK : ST_CLOSED, taken ? 200 : 0);
}

/* The walk comes to the directory of the key. */
static void walk_to_directory(void)
{
    walk();
    listing_is("/?meta", DIRECTORY("54"));
    time_passes(PAUSE_MS);
    listing_is("/54/?meta", DIRECTORY("a9"));
    time_passes(PAUSE_MS);
    trace[0] = 0;
}

/* The same, where `text` is. */
static void walk_to_listing(const char *text)
{
    walk_to_directory();
    listing_is("/54/a9/?meta", text);
}

/* The same, with one file in it. */
static void walk_to_file(const char *name, uint64_t created)
{
    char text[256];
    (void)snprintf(text, sizeof text, "[{\"name\":\"%s\",\"type\":\"file\",\"created\":%llu}]",
                   name, (unsigned long long)created);
    walk_to_listing(text);
}

static void walk_is_over(uint64_t files, uint64_t removed)
{
    time_passes(PAUSE_MS);
    ck_assert_uint_eq(ends, 1);
    ck_assert_uint_eq(counts.files, files);
    ck_assert_uint_eq(counts.orphans, removed);
}

START_TEST(a_file_in_no_record_is_removed)
{
    static const char *const records[][2] = {
        {"", ""},
        {VALUE, ""},                                    /* another place */
        {"L1 live 8 larder - v1:1", ""},                /* another version */
        {"", "W1;garbage 8 larder v1:1;"},              /* another version */
        {"", "W1;garbage 7 larder v2:1;"},              /* another place */
        {"", "W1;tombstone 9;garbage 8 larder v1:1;"}}; /* deleted, and not to be removed already */
    index_holds(records[_i][0], records[_i][1]);
    walk_to_file(NAME ".7", STORED_MS);
    ck_trace("lock ask:DELETE(v1:1@7) ");
    volumes_answer(_i ? "204" : "-");
    ck_trace("unlock ");
    ck_index(records[_i][0], records[_i][1]);
    walk_is_over(1, 1);
}
END_TEST

START_TEST(what_a_record_knows_stays)
{
    static const char *const records[][2] = {
        {"L1 live 7 larder - v1:1", ""},      {"L1 live 7 larder - v2:1,v1:1", "W1;few;"},
        {"L1 unlinked 7 larder - v1:1", ""},  {"", "W1;garbage 7 larder v1:1;"},
        {VALUE, "W1;garbage 7 larder v1:1;"}, {"", "W1;tombstone 9;garbage 7 larder v1:1;"}};
    struct record rec;
    index_holds(records[_i][0], records[_i][1]);
    ck_assert_int_eq(read_index(&rec, true), ST_OK); /* else it proves nothing */
    record_free(&rec);
    walk_to_file(NAME ".7", STORED_MS);
    ck_trace("lock unlock ");
    walk_is_over(1, 0);
}
END_TEST

START_TEST(too_young_or_older_than_the_index)
{
    static const struct {
        uint64_t stored;
        bool removed;
    } cases[] = {{0, false},
                 {1, false},
                 {BORN_MS - 1, false},
                 {BORN_MS, true},
                 /* three pauses after the start */
                 {WALL_MS + 3 * PAUSE_MS - AFTER_MS, true},
                 {WALL_MS + 3 * PAUSE_MS - AFTER_MS + 1, false},
                 {WALL_MS + 5000000, false},
                 {INT64_MAX, false}};
    walk_to_file(NAME ".7", cases[_i].stored);
    if (cases[_i].removed) {
        ck_trace("lock ask:DELETE(v1:1@7) ");
        volumes_answer("204");
    }
    ck_trace(cases[_i].removed ? "unlock " : "");
    walk_is_over(1, cases[_i].removed);
}
END_TEST

/* nginx tells no attribute, but the time of the last change. */
START_TEST(time_of_a_plain_volume)
{
    static const char *const times[] = {"Tue, 20 Jan 1970 16:12:30 GMT", /* 50 s before WALL_MS */
                                        "Thu, 01 Jan 1970 00:00:00 GMT",
                                        "Tue, 20 Jan 1970 17:13:20 GMT", "yesterday", ""};
    char text[256];
    (void)snprintf(text, sizeof text,
                   "[{\"name\":\"" NAME "\",\"type\":\"file\",\"mtime\":\"%s\"}]", times[_i]);
    walk_to_listing(text);
    if (_i == 0) {
        ck_trace("lock ask:DELETE(v1:1@0) ");
        volumes_answer("204");
    }
    ck_trace(_i == 0 ? "unlock " : "");
    walk_is_over(1, _i == 0);
}
END_TEST

START_TEST(somebody_works_on_the_key)
{
    fake_lock.taken = true;
    walk_to_file(NAME ".7", STORED_MS);
    ck_trace("");
    walk_is_over(1, 0);
}
END_TEST

START_TEST(the_record_cannot_be_read)
{
    fake_index.read_fails = _i ? ST_IO : ST_CORRUPT;
    walk_to_file(NAME ".7", STORED_MS);
    ck_trace("lock unlock ");
    walk_is_over(1, 0);
}
END_TEST

START_TEST(stray_files_stay)
{
    static const char *const names[] = {"README", "L2w=", "L2s=.x", "L2s", "a/L2s=", "L2s=.07"};
    walk_to_file(names[_i], STORED_MS);
    ck_trace("");
    walk_is_over(0, 0);
}
END_TEST

START_TEST(a_listing_that_cannot_be_parsed)
{
    static const char *const texts[] = {
        "", "<html>", "[{\"name\":\"" NAME "\",\"type\":\"file\",\"created\":1699950000}",
        "{\"name\":\"" NAME "\",\"type\":\"file\",\"created\":1699950000}",
        "[{\"name\":7,\"type\":\"file\",\"created\":1699950000}, 7, null,"
        "{\"name\":\"" NAME "\",\"created\":1699950000}]"};
    walk_to_listing(texts[_i]);
    ck_trace("");
    walk_is_over(0, 0);
}
END_TEST

/* Whatever has come of it. */
START_TEST(a_listing_fails)
{
    walk_to_directory();
    struct http_call *call = calls.first;
    ck_assert(call_brings(call, ONE_FILE));
    call_ends(call, _i ? ST_OK : ST_CLOSED, _i ? 500 : 200);
    walk_is_over(0, 0);
}
END_TEST

START_TEST(only_volumes_that_are_up)
{
    volumes_are(6);
    fake_volumes[0].state = VOLUME_DOWN;
    fake_volumes[1].state = VOLUME_FOREIGN;
    fake_volumes[2].state = VOLUME_READ_ONLY;
    fake_volumes[4].state = VOLUME_FULL;
    walk();
    ck_trace("GET:v4:1 ");
    call_ends(calls.first, ST_PEER_TIMEOUT, 0);
    time_passes(PAUSE_MS);
    ck_trace("GET:v5:1 ");
    call_ends(calls.first, ST_OK, 200);
    time_passes(PAUSE_MS);
    call_ends(calls.first, ST_OK, 404);
    ck_trace("GET:v6:1 ");
    walk_is_over(0, 0);
}
END_TEST

/* A walk takes hours: the volume may be another, or taken out of the store, by the end of it. */
START_TEST(the_volume_changes_on_the_way)
{
    static const enum volume_state states[] = {VOLUME_READ_ONLY, VOLUME_DOWN, VOLUME_FOREIGN};
    walk_to_directory();
    fake_volumes[0].state = states[_i];
    trace[0] = 0;
    listing_is("/54/a9/?meta", ONE_FILE);
    ck_trace("");
    walk_is_over(1, 0);
}
END_TEST

START_TEST(subvolumes_are_places_of_their_own)
{
    index_holds("L1 live 7 larder - v1:1/sv01", "");
    walk();
    listing_is("/?meta", DIRECTORY("sv01"));
    time_passes(PAUSE_MS);
    listing_is("/sv01/?meta", DIRECTORY("54"));
    time_passes(PAUSE_MS);
    listing_is("/sv01/54/?meta", DIRECTORY("a9"));
    time_passes(PAUSE_MS);
    trace[0] = 0;
    listing_is("/sv01/54/a9/?meta",
               "[{\"name\":\"" NAME ".7\",\"type\":\"file\",\"created\":1699950000},"
               "{\"name\":\"" NAME ".6\",\"type\":\"file\",\"created\":1699950000}]");
    ck_trace("lock unlock lock ask:DELETE(v1:1/sv01@6) ");
    volumes_answer("204");
    ck_trace("unlock ");
    walk_is_over(2, 1);
}
END_TEST

START_TEST(directories_without_end)
{
    walk();
    for (unsigned i = 0; i < 11; i++) {
        call_brings(calls.first, DIRECTORY("54"));
        call_ends(calls.first, ST_OK, 200);
        time_passes(PAUSE_MS);
    }
    call_brings(calls.first, DIRECTORY("54"));
    call_ends(calls.first, ST_OK, 200);
    walk_is_over(0, 0);
}
END_TEST

/* While it pauses, lists a directory, or removes a file: no further file is removed. */
START_TEST(stopped)
{
    if (_i < 2)
        walk_to_directory();
    if (_i == 1)
        orphans_stop(orphans);
    if (_i < 2)
        listing_is("/54/a9/?meta", _i ? ONE_FILE : "[]");
    else
        walk_to_listing("[{\"name\":\"" NAME "\",\"type\":\"file\",\"created\":1699950000},"
                        "{\"name\":\"" NAME ".7\",\"type\":\"file\",\"created\":1699950000}]");
    if (_i != 1)
        orphans_stop(orphans);
    if (_i == 2)
        volumes_answer("204");
    ck_trace(_i == 2 ? "lock ask:DELETE(v1:1@0) unlock " : "");
    time_passes(0);
    ck_assert_uint_eq(ends, 1);
    ck_assert(!counts.whole);
    ck_assert_uint_eq(counts.orphans, _i == 2);
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    pause_ms = 0;
    memory_arm(k);
    orphans = orphans_start(&fake_worker, &pause_ms, has_ended, &ends);
    bool started = orphans != NULL;
    loop_turns();
    for (unsigned turn = 0; turn < 10 && orphans; turn++) {
        if (calls.first) {
            bool last = strstr(calls.first->url, "/54/a9/") != NULL;
            const char *text = last                               ? ONE_FILE
                               : strstr(calls.first->url, "/54/") ? DIRECTORY("a9")
                                                                  : DIRECTORY("54");
            bool taken = call_brings(calls.first, text);
            call_ends(calls.first, taken ? ST_OK : ST_CLOSED, taken ? 200 : 0);
        }
        if (questions.pending)
            volumes_answer("204");
        loop_turns();
    }
    memory.left = 0;
    ck_assert_uint_eq(ends, started);
    ck_assert_uint_eq(count_words(trace, "lock"), count_words(trace, "unlock"));
    ck_assert_uint_eq(counts.orphans, count_words(trace, "ask:DELETE(v1:1@0)"));
    ck_assert_ptr_null(fake_timers);
    /* Where not all directories were listed, they must not pass for free of orphans. */
    ck_assert(!started || !counts.whole || count_words(trace, "GET:v1:1") == 3);
    ck_assert(!started || memory.failed || counts.whole);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{a_file_in_no_record_is_removed, 6},
                                   {what_a_record_knows_stays, 6},
                                   {too_young_or_older_than_the_index, 8},
                                   {time_of_a_plain_volume, 5},
                                   {somebody_works_on_the_key, 1},
                                   {the_record_cannot_be_read, 2},
                                   {stray_files_stay, 6},
                                   {a_listing_that_cannot_be_parsed, 5},
                                   {a_listing_fails, 2},
                                   {only_volumes_that_are_up, 1},
                                   {the_volume_changes_on_the_way, 3},
                                   {subvolumes_are_places_of_their_own, 1},
                                   {directories_without_end, 1},
                                   {stopped, 3},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_orphans", tests, setup, teardown);
}
