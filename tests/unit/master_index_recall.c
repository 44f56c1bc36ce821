/* An index that keeps what was read lately: what readers see across commits, failures, a start. */
#include "tests/unit/index_fixture.h"

#include <time.h>

#include "master/recall.h"

enum { MANY = 3000 };

static void open_index(size_t recall_bytes)
{
    const struct index_options as = {.path = path, .recall_bytes = recall_bytes};
    index_is_opened(&as);
}

static void setup(void)
{
    place_is_made();
    open_index(4 << 20);
}

/* --- looking --- */

static struct buf text;
static struct record_view view;
static struct recall_ticket ticket;

/* What a GET does: where the key is, or "". */
static const char *look(const char *name)
{
    struct key key = key_of(name);
    enum status st = index_look(tested, &key, &text, &view, &ticket);
    ck_assert(st == ST_OK || st == ST_NOT_FOUND);
    if (st)
        return "";
    index_keep(tested, &key, &view, &ticket);
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
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    ck_read("/a", "v:1");
    ck_known("/a", "v:1");
    ck_assert_int_eq(save("/b", "v:1", ""), ST_OK);
    ck_known("/a", "v:1");
    ck_assert_int_eq(save("/a", "v:2", ""), ST_OK);
    ck_read("/a", "v:2");
    ck_known("/a", "v:2");
    ck_assert_int_eq(save("/a", "", ""), ST_OK);
    ck_read("/a", "");
    ck_read("/a", "");
    index_recalled(tested, &hits, &misses, &keys);
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
    close_index();
    open_index(0);
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    ck_read("/a", "v:1");
    ck_read("/a", "v:1");
    ck_assert(!ticket.open);
    index_recalled(tested, &hits, &misses, &keys);
    ck_assert_uint_eq(hits + misses + keys, 0);
}
END_TEST

/* --- a write that fails --- */

/* Nobody knows what the database will say of the keys of a failed write when it is opened anew. */
START_TEST(nothing_is_known_after_the_database_was_opened_anew)
{
    static char big[256 * 1024];
    struct commit commit;
    memset(big, 'x', sizeof big - 1);
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    ck_assert_int_eq(save("/b", "v:1", ""), ST_OK);
    ck_read("/b", "v:1");
    limit_files(128UL * 1024);
    begin_change(&commit);
    add_record(&commit, "/a", "v:2", "");
    index_change_volume(&commit.change, "big:1", big);
    ck_assert_int_ne(commit_alone(&commit), ST_OK);
    ck_read("/a", "v:1"); /* which was not to be kept for long */
    ck_known("/a", "v:1");
    ck_known("/b", "v:1");
    limit_files(0);
    ck_assert_int_eq(save("/c", "v:1", ""), ST_OK); /* opens it anew */
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
    struct commit commit;
    char name[32];
    begin_change(&commit);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "/key/%04d", i);
        add_record(&commit, name, "v:1", "");
    }
    ck_assert_int_eq(commit_alone(&commit), ST_OK);
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
        index_recalled(tested, &hits, &misses, &keys);
    }
}

START_TEST(one_that_fits_is_read_at_the_start)
{
    char name[32];
    save_many();
    close_index();
    open_index(4 << 20);
    index_warm(tested, stamp, dir);
    wait_for_keys(MANY);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "/key/%04d", i);
        ck_known(name, "v:1");
        ck_assert_uint_eq(ticket.stamp, 9);
    }
    ck_assert_int_eq(save("/key/0001", "v:2", ""), ST_OK);
    ck_read("/key/0001", "v:2");
}
END_TEST

/* Changes while it is being read: none is lost, and none comes back. */
START_TEST(it_is_read_beside_changes)
{
    char name[32];
    save_many();
    close_index();
    open_index(4 << 20);
    index_warm(tested, stamp, dir);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "/key/%04d", i * 7919 % MANY);
        ck_assert_int_eq(save(name, "v:2", ""), ST_OK);
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
    tcase_add_checked_fixture(suite_case(suite, "recall", tests), setup, place_is_removed);
    return suite_run(suite);
}
