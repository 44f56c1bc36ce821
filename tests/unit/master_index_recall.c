/* An index that keeps what was read lately: what readers see across commits, failures, a start. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/ldb.h"
#include "common/log.h"
#include "master/index.h"
#include "master/recall.h"
#include "tests/unit/suite.h"

enum { MANY = 3000, WAIT_MS = 30000 };

static char dir[64];
static char path[80];
static struct loop *loop;
static struct index *index_of_test;

static void open_index(size_t recall_bytes)
{
    struct index_options as = {.path = path, .recall_bytes = recall_bytes};
    ck_assert_int_eq(index_open(&index_of_test, &as), ST_OK);
}

static void setup(void)
{
    log_set_level((enum log_level)(LOG_ERROR + 1));
    strcpy(dir, "/tmp/larder-recall.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/db", dir);
    loop = loop_new();
    ck_assert_ptr_nonnull(loop);
    open_index(4 << 20);
}

static void teardown(void)
{
    index_close(index_of_test);
    loop_free(loop);
    (void)!ldb_destroy(path);
    (void)rmdir(path);
    (void)rmdir(dir);
}

static struct key key_of(const char *bytes)
{
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, bytes, strlen(bytes)), ST_OK);
    return key;
}

/* --- changes, waited for on the loop --- */

static enum status committed_as;
static size_t outstanding;

static void committed(void *arg UNUSED, enum status st)
{
    if (st)
        committed_as = st;
    if (--outstanding == 0)
        loop_stop(loop);
}

static void watchdog(void *arg UNUSED)
{
    ck_abort_msg("a commit was not answered");
}

static void wait_for_commits(void)
{
    struct loop_timer *dog = loop_timer_new(loop, watchdog, NULL);
    ck_assert_ptr_nonnull(dog);
    loop_timer_set(dog, WAIT_MS);
    loop_run(loop);
    loop_timer_free(dog);
}

/* KEY as `value` says; "": no more. */
static void begin(struct index_change *change, const char *name, const char *value)
{
    struct key key = key_of(name);
    struct record rec;
    record_init(&rec);
    ck_assert_int_eq(record_decode(&rec, *value ? value : NULL, strlen(value), NULL, 0), ST_OK);
    index_change_begin(change, loop, committed, NULL);
    index_change_record(change, &key, &rec);
    record_free(&rec);
}

static enum status commit(struct index_change *change)
{
    committed_as = ST_OK;
    outstanding = 1;
    index_commit(index_of_test, change);
    wait_for_commits();
    index_change_free(change);
    return committed_as;
}

static enum status save(const char *name, const char *value)
{
    struct index_change change = {0};
    begin(&change, name, value);
    return commit(&change);
}

/* --- looking --- */

static struct buf text;
static struct record_view view;
static struct recall_ticket ticket;

/* What a GET does: where the key is, or "". */
static const char *look(const char *name)
{
    struct key key = key_of(name);
    enum status st = index_look(index_of_test, &key, &text, &view, &ticket);
    ck_assert(st == ST_OK || st == ST_NOT_FOUND);
    if (st)
        return "";
    index_keep(index_of_test, &key, &view, &ticket);
    return view.places[0];
}

#define ck_read(name, place)                                                                       \
    do {                                                                                           \
        ck_assert_str_eq(look(name), place);                                                       \
        ck_assert(!ticket.known);                                                                  \
    } while (0)

#define ck_known(name, place)                                                                      \
    do {                                                                                           \
        ck_assert_str_eq(look(name), place);                                                       \
        ck_assert(ticket.known);                                                                   \
    } while (0)

START_TEST(what_was_read_is_known_until_it_changes)
{
    uint64_t hits;
    uint64_t misses;
    uint64_t keys;
    ck_read("/a", "");
    ck_assert_int_eq(save("/a", "v:1"), ST_OK);
    ck_read("/a", "v:1");
    ck_known("/a", "v:1");
    ck_assert_int_eq(save("/b", "v:1"), ST_OK);
    ck_known("/a", "v:1");
    ck_assert_int_eq(save("/a", "v:2"), ST_OK);
    ck_read("/a", "v:2");
    ck_known("/a", "v:2");
    ck_assert_int_eq(save("/a", ""), ST_OK);
    ck_read("/a", "");
    ck_read("/a", "");
    index_recalled(index_of_test, &hits, &misses, &keys);
    ck_assert_uint_eq(hits, 3);
    ck_assert_uint_eq(misses, 5);
    ck_assert_uint_eq(keys, 0);
}
END_TEST

START_TEST(an_index_may_keep_nothing)
{
    uint64_t hits;
    uint64_t misses;
    uint64_t keys;
    index_close(index_of_test);
    open_index(0);
    ck_assert_int_eq(save("/a", "v:1"), ST_OK);
    ck_read("/a", "v:1");
    ck_read("/a", "v:1");
    ck_assert(!ticket.open);
    index_recalled(index_of_test, &hits, &misses, &keys);
    ck_assert_uint_eq(hits + misses + keys, 0);
}
END_TEST

/* --- a write that fails --- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Nobody knows what the database will say of the keys of a failed write when it is opened anew. */
START_TEST(nothing_is_known_after_the_database_was_opened_anew)
{
    static char big[256 * 1024];
    struct index_change change = {0};
    memset(big, 'x', sizeof big - 1);
    ck_assert_ptr_ne((void *)signal(SIGXFSZ, SIG_IGN), (void *)SIG_ERR);
    ck_assert_int_eq(save("/a", "v:1"), ST_OK);
    ck_assert_int_eq(save("/b", "v:1"), ST_OK);
    ck_read("/b", "v:1");
    limit_files(128UL * 1024);
    begin(&change, "/a", "v:2");
    index_change_volume(&change, "big:1", big);
    ck_assert_int_ne(commit(&change), ST_OK);
    ck_read("/a", "v:1"); /* which was not to be kept for long */
    ck_known("/a", "v:1");
    ck_known("/b", "v:1");
    limit_files(0);
    ck_assert_int_eq(save("/c", "v:1"), ST_OK); /* opens it anew */
    ck_read("/b", "v:1");
    (void)look("/a");
    ck_assert(!ticket.known);
}
END_TEST

/* --- at the start --- */

static uint64_t stamp(void *arg, const struct key *key, const struct record_view *of)
{
    ck_assert_ptr_eq(arg, dir);
    ck_assert_uint_eq(of->place_count, 1);
    return key->len;
}

static void save_many(void)
{
    struct index_change change = {0};
    char name[32];
    index_change_begin(&change, loop, committed, NULL);
    for (int i = 0; i < MANY; i++) {
        struct record rec;
        (void)snprintf(name, sizeof name, "/key/%04d", i);
        struct key key = key_of(name);
        record_init(&rec);
        rec.state = KEY_LIVE;
        ck_assert_int_eq(record_add_place(&rec, "v:1"), ST_OK);
        index_change_record(&change, &key, &rec);
        record_free(&rec);
    }
    ck_assert_int_eq(commit(&change), ST_OK);
}

/* Until the index knows so many keys. */
static void wait_for_keys(uint64_t count)
{
    uint64_t hits;
    uint64_t misses;
    uint64_t keys = 0;
    uint64_t until = loop_now_ms() + WAIT_MS;
    while (keys != count) {
        ck_assert_uint_lt(loop_now_ms(), until);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        index_recalled(index_of_test, &hits, &misses, &keys);
    }
}

START_TEST(one_that_fits_is_read_at_the_start)
{
    char name[32];
    save_many();
    index_close(index_of_test);
    open_index(4 << 20);
    index_warm(index_of_test, stamp, dir);
    wait_for_keys(MANY);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "/key/%04d", i);
        ck_known(name, "v:1");
        ck_assert_uint_eq(ticket.stamp, 9);
    }
    ck_assert_int_eq(save("/key/0001", "v:2"), ST_OK);
    ck_read("/key/0001", "v:2");
}
END_TEST

/* Changes while it is being read: none is lost, and none comes back. */
START_TEST(it_is_read_beside_changes)
{
    char name[32];
    save_many();
    index_close(index_of_test);
    open_index(4 << 20);
    index_warm(index_of_test, stamp, dir);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "/key/%04d", i * 7919 % MANY);
        ck_assert_int_eq(save(name, "v:2"), ST_OK);
        ck_assert_str_eq(look(name), "v:2");
    }
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "/key/%04d", i * 7919 % MANY);
        ck_assert_str_eq(look(name), "v:2");
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {what_was_read_is_known_until_it_changes,
                                  an_index_may_keep_nothing,
                                  nothing_is_known_after_the_database_was_opened_anew,
                                  one_that_fits_is_read_at_the_start,
                                  it_is_read_beside_changes,
                                  NULL};
    Suite *suite = suite_create("master_index_recall");
    tcase_add_checked_fixture(suite_case(suite, "recall", tests), setup, teardown);
    return suite_run(suite);
}
