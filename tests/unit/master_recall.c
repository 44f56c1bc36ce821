/* Records that were read lately: what is known, what is forgotten and when, and how much. */
#include "master/recall.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/name.h"
#include "tests/unit/suite.h"

enum { SMALL = 2 * 1024 * 1024 };

static struct recall *recall;

static void setup(void)
{
    recall = recall_new(SMALL);
    ck_assert_ptr_nonnull(recall);
}

static void teardown(void)
{
    recall_free(recall);
    recall_free(NULL);
}

static struct key key_of(const char *text)
{
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, text, strlen(text)), ST_OK);
    return key;
}

/* A record of one copy; `place` stays the caller's. */
static struct record_view view_of(const char *place)
{
    struct record_view view = {.state = KEY_LIVE, .place_count = 1};
    view.places[0] = place;
    return view;
}

/* Where the key is known to be; "" where it is not known. */
static const char *known(const char *name)
{
    struct key key = key_of(name);
    struct record_view view;
    struct recall_ticket ticket;
    return recall_find(recall, &key, &view, &ticket) ? view.places[0] : "";
}

static struct recall_ticket ticket_for(const char *name)
{
    struct key key = key_of(name);
    struct record_view view;
    struct recall_ticket ticket;
    ck_assert(!recall_find(recall, &key, &view, &ticket));
    return ticket;
}

static void keep_with(const char *name, const char *place, const struct recall_ticket *ticket)
{
    struct key key = key_of(name);
    struct record_view view = view_of(place);
    recall_keep(recall, &key, &view, ticket);
}

static void keep(const char *name, const char *place)
{
    struct recall_ticket ticket = ticket_for(name);
    keep_with(name, place, &ticket);
}

START_TEST(all_of_a_record_is_kept)
{
    static const struct record_view views[] = {
        {.state = KEY_LIVE, .places = {"v:1/sv00"}, .place_count = 1},
        {.state = KEY_LIVE,
         .naming = NAMING_MKV,
         .md5 = "00112233445566778899aabbccddeeff",
         .places = {"v:1", "v:2", "v:3/path/sv01"},
         .place_count = 3},
        {.state = KEY_UNLINKED, .generation = UINT64_MAX, .places = {"v:3"}, .place_count = 1},
        {.state = KEY_LIVE,
         .generation = 17,
         .md5 = "ffeeddccbbaa99887766554433221100",
         .places = {"v:2", "v:1"},
         .place_count = 2},
    };
    static const char *const names[] = {"/a", "/a/longer/key", "/12345678", "/1234567"};
    for (size_t i = 0; i < 4; i++) {
        struct key key = key_of(names[i]);
        struct recall_ticket ticket = ticket_for(names[i]);
        ticket.stamp = 1000 + i;
        recall_keep(recall, &key, &views[i], &ticket);
    }
    for (size_t i = 0; i < 4; i++) {
        struct key key = key_of(names[i]);
        struct record_view view;
        struct recall_ticket ticket;
        ck_assert(recall_find(recall, &key, &view, &ticket));
        ck_assert(ticket.known && ticket.stamp == 1000 + i);
        ck_assert_int_eq(view.state, views[i].state);
        ck_assert_int_eq(view.naming, views[i].naming);
        ck_assert_uint_eq(view.generation, views[i].generation);
        ck_assert_str_eq(view.md5, views[i].md5);
        unsigned char dirs[2];
        ck_assert_int_eq(name_dirs(&key, dirs), ST_OK);
        ck_assert(view.has_dirs && memcmp(view.dirs, dirs, sizeof dirs) == 0);
        ck_assert_uint_eq(view.place_count, views[i].place_count);
        for (size_t j = 0; j < view.place_count; j++)
            ck_assert_str_eq(view.places[j], views[i].places[j]);
    }
    ck_assert_str_eq(known("/b"), "");
}
END_TEST

START_TEST(the_largest_record_is_kept)
{
    struct key key = {.len = KEY_MAX};
    struct record_view view = {
        .state = KEY_LIVE, .generation = 1, .place_count = RECORD_COPIES_MAX};
    struct recall_ticket ticket;
    static char places[RECORD_COPIES_MAX][16];
    memset(key.bytes, 'k', KEY_MAX);
    key.bytes[0] = '/';
    memset(view.md5, 'a', MD5_HEX);
    for (int i = 0; i < RECORD_COPIES_MAX; i++) {
        (void)snprintf(places[i], sizeof places[i], "v:%d", i);
        view.places[i] = places[i];
    }
    for (unsigned i = 0; i < 3000; i++) { /* more than there is room for */
        (void)snprintf(key.bytes + 1, 16, "%07u", i);
        key.bytes[8] = 'k';
        ck_assert(!recall_find(recall, &key, &view, &ticket));
        recall_keep(recall, &key, &view, &ticket);
        ck_assert(recall_find(recall, &key, &view, &ticket));
        ck_assert_uint_eq(view.place_count, RECORD_COPIES_MAX);
        ck_assert_str_eq(view.places[RECORD_COPIES_MAX - 1], "v:63");
    }
}
END_TEST

/* Of keys that are known, and of those that are not: it changes nothing. */
START_TEST(what_is_expected_is_found_or_not)
{
    uint64_t hits;
    uint64_t misses;
    uint64_t keys;
    keep("/a", "v:1");
    recall_expect_more(recall, recall_expect(recall, "/a", 2));
    recall_expect_more(recall, recall_expect(recall, "/b", 2));
    recall_expect_more(recall, recall_expect(recall, "", 0));
    ck_assert_str_eq(known("/a"), "v:1");
    ck_assert_str_eq(known("/b"), "");
    recall_counters(recall, &hits, &misses, &keys);
    ck_assert_uint_eq(hits, 1);
    ck_assert_uint_eq(misses, 2);
    ck_assert_uint_eq(keys, 1);
}
END_TEST

START_TEST(a_stamp_is_kept_later)
{
    struct key key = key_of("/a");
    struct record_view view;
    struct recall_ticket ticket;
    keep("/a", "v:1");
    ck_assert(recall_find(recall, &key, &view, &ticket));
    ck_assert_uint_eq(ticket.stamp, 0);
    ticket.stamp = 7;
    recall_keep(recall, &key, &view, &ticket);
    ck_assert(recall_find(recall, &key, &view, &ticket));
    ck_assert_uint_eq(ticket.stamp, 7);
    /* One that is of an older version is no stamp of the new one. */
    recall_changing(recall, "/a", 2);
    recall_changed(recall);
    keep("/a", "v:2");
    ticket.stamp = 8;
    recall_keep(recall, &key, &view, &ticket);
    ck_assert(recall_find(recall, &key, &view, &ticket));
    ck_assert_uint_eq(ticket.stamp, 0);
    ck_assert_str_eq(view.places[0], "v:2");
}
END_TEST

START_TEST(what_changes_is_not_known)
{
    keep("/a", "v:1");
    keep("/b", "v:1");
    recall_changing(recall, "/a", 2);
    ck_assert_str_eq(known("/a"), "");
    ck_assert_str_eq(known("/b"), "v:1");
    keep("/a", "v:1"); /* the index may say so still */
    ck_assert_str_eq(known("/a"), "");
    recall_changed(recall);
    ck_assert_str_eq(known("/a"), "");
    keep("/a", "v:2");
    ck_assert_str_eq(known("/a"), "v:2");
}
END_TEST

START_TEST(what_was_read_before_a_change_is_not_learnt_after_it)
{
    struct recall_ticket before = ticket_for("/a");
    recall_changing(recall, "/a", 2);
    struct recall_ticket amidst = ticket_for("/a");
    keep_with("/a", "v:1", &before);
    ck_assert_str_eq(known("/a"), "");
    recall_changed(recall);
    keep_with("/a", "v:1", &before);
    ck_assert_str_eq(known("/a"), "");
    keep_with("/a", "v:1", &amidst);
    ck_assert_str_eq(known("/a"), "");
    keep("/a", "v:2");
    keep_with("/a", "v:1", &before); /* nor does it replace anything */
    ck_assert_str_eq(known("/a"), "v:2");
}
END_TEST

START_TEST(all_of_it_can_be_forgotten)
{
    uint64_t hits;
    uint64_t misses;
    uint64_t keys;
    char name[32];
    struct recall_ticket before = ticket_for("/b");
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "/key/%d", i);
        keep(name, "v:1");
    }
    recall_forget(recall);
    keep_with("/b", "v:1", &before);
    ck_assert_str_eq(known("/b"), "");
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "/key/%d", i);
        ck_assert_str_eq(known(name), "");
    }
    recall_counters(recall, &hits, &misses, &keys);
    ck_assert_uint_eq(hits, 0);
    ck_assert_uint_eq(misses, 2002);
    ck_assert_uint_eq(keys, 0);
    keep("/b", "v:2");
    ck_assert_str_eq(known("/b"), "v:2");
}
END_TEST

/* 100,000 keys are three times what there is room for; a hundred of them are asked for again and
 * again, later another hundred. */
START_TEST(it_keeps_what_is_asked_for_in_bounded_memory)
{
    enum { ALL = 100000, HOT = 100 };
    uint64_t hits;
    uint64_t misses;
    uint64_t keys;
    char name[32];
    for (int i = 0; i < ALL; i++) {
        (void)snprintf(name, sizeof name, "/bench/%010d", i);
        keep(name, i % 2 ? "v:1" : "v:2");
        if (i % 7 == 0) {
            recall_changing(recall, name, strlen(name));
            recall_changed(recall);
        }
        int hot = (i < ALL / 2 ? 0 : ALL / 2) + i % HOT;
        (void)snprintf(name, sizeof name, "/bench/%010d", hot);
        if (i % (ALL / 2) >= HOT && hot % 7)
            ck_assert_str_eq(known(name), hot % 2 ? "v:1" : "v:2");
    }
    recall_counters(recall, &hits, &misses, &keys);
    ck_assert_uint_gt(keys, 10000);
    ck_assert_uint_lt(keys, SMALL / 48);
}
END_TEST

START_TEST(many_are_learnt_until_it_is_full)
{
    struct recall_moment *moment = recall_now(recall);
    struct record_view view = view_of("v:1");
    char name[32];
    uint64_t hits;
    uint64_t misses;
    uint64_t keys;
    ck_assert_ptr_nonnull(moment);
    keep("/known", "v:2");
    recall_changing(recall, "/changed", 8);
    recall_changed(recall);
    recall_changing(recall, "/changing", 9);
    struct key key = key_of("/changed");
    ck_assert(recall_learn(recall, &key, &view, 5, moment));
    key = key_of("/changing");
    ck_assert(recall_learn(recall, &key, &view, 5, moment));
    key = key_of("/known");
    ck_assert(recall_learn(recall, &key, &view, 5, moment));
    key = key_of("/new");
    ck_assert(recall_learn(recall, &key, &view, 5, moment));
    recall_changed(recall);
    ck_assert_str_eq(known("/changed"), "");
    ck_assert_str_eq(known("/changing"), "");
    ck_assert_str_eq(known("/known"), "v:2");
    struct recall_ticket ticket;
    ck_assert(recall_find(recall, &key, &view, &ticket));
    ck_assert_uint_eq(ticket.stamp, 5);
    bool room = true;
    for (int i = 0; room && i < 100000; i++) {
        (void)snprintf(name, sizeof name, "/bench/%010d", i);
        key = key_of(name);
        room = recall_learn(recall, &key, &view, 0, moment);
    }
    ck_assert(!room);
    ck_assert_str_eq(known("/known"), "v:2"); /* nothing has gone for them */
    ck_assert_str_eq(known("/bench/0000000000"), "v:1");
    recall_counters(recall, &hits, &misses, &keys);
    ck_assert_uint_gt(keys, SMALL / 128);
    free(moment);
}
END_TEST

/* --- readers beside a writer --- */

enum { KEYS = 64, ROUNDS = 20000 };

/* An index of numbers; `told` is what its writer has told others. */
static struct {
    _Atomic uint64_t now, told, seen;
} numbers[KEYS];
static _Atomic bool over;

static struct key number_key(size_t i)
{
    char name[32];
    (void)snprintf(name, sizeof name, "/number/%zu", i);
    return key_of(name);
}

/* What a GET does. */
static uint64_t look(size_t i)
{
    struct key key = number_key(i);
    struct record_view view;
    struct recall_ticket ticket;
    if (recall_find(recall, &key, &view, &ticket))
        return view.generation;
    view = view_of("v:1");
    view.generation = atomic_load(&numbers[i].now);
    if (i % 4 == 0)
        (void)sched_yield(); /* it takes long, now and then */
    recall_keep(recall, &key, &view, &ticket);
    return view.generation;
}

/* Raises what some reader has seen. */
static void note_seen(size_t i, uint64_t found)
{
    uint64_t seen = atomic_load(&numbers[i].seen);
    while (seen < found && !atomic_compare_exchange_weak(&numbers[i].seen, &seen, found))
        continue;
}

/* Counts where a reader has been told less than was known before he asked. */
static void *read_numbers(void *arg)
{
    uint64_t *stale = arg;
    for (size_t i = 0; !atomic_load(&over); i = (i * 5 + 1) % KEYS) {
        uint64_t told = atomic_load(&numbers[i].told);
        uint64_t seen = atomic_load(&numbers[i].seen);
        uint64_t found = look(i);
        *stale += found < told || found < seen;
        note_seen(i, found);
    }
    return NULL;
}

START_TEST(no_reader_is_told_what_was_before)
{
    pthread_t readers[3];
    uint64_t stale[3] = {0};
    for (size_t i = 0; i < KEYS; i++)
        numbers[i].now = numbers[i].told = numbers[i].seen = 1;
    atomic_store(&over, false);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_numbers, &stale[i]), 0);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t first = round * 7 % KEYS; /* a group of changes */
        for (size_t i = first; i < first + 3; i++) {
            struct key key = number_key(i % KEYS);
            recall_changing(recall, key.bytes, key.len);
        }
        for (size_t i = first; i < first + 3; i++)
            atomic_fetch_add(&numbers[i % KEYS].now, 1);
        recall_changed(recall);
        for (size_t i = first; i < first + 3; i++)
            atomic_fetch_add(&numbers[i % KEYS].told, 1);
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_join(readers[i], NULL), 0);
        ck_assert_uint_eq(stale[i], 0);
    }
    for (size_t i = 0; i < KEYS; i++)
        ck_assert_uint_eq(look(i), atomic_load(&numbers[i].now));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {all_of_a_record_is_kept,
                                  the_largest_record_is_kept,
                                  what_is_expected_is_found_or_not,
                                  a_stamp_is_kept_later,
                                  what_changes_is_not_known,
                                  what_was_read_before_a_change_is_not_learnt_after_it,
                                  all_of_it_can_be_forgotten,
                                  it_keeps_what_is_asked_for_in_bounded_memory,
                                  many_are_learnt_until_it_is_full,
                                  no_reader_is_told_what_was_before,
                                  NULL};
    Suite *suite = suite_create("master_recall");
    tcase_add_checked_fixture(suite_case(suite, "recall", tests), setup, teardown);
    return suite_run(suite);
}
