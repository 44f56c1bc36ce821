/* The table of values that were verified lately, and the account of memory for answers. */
#include <pthread.h>
#include <stdlib.h>

#include "common/attr.h"
#include "tests/unit/suite.h"
#include "volume/room.h"
#include "volume/store.h"
#include "volume/trusted.h"

static struct trusted *table;

static void setup(void)
{
    table = trusted_new();
    ck_assert_ptr_nonnull(table);
}

static void teardown(void)
{
    trusted_free(table);
}

static struct trusted_file file_of(ino_t inode)
{
    return trusted_identify(7, inode, (struct timespec){1700000000, 123456789}, 1000);
}

START_TEST(test_known_and_unknown)
{
    struct trusted_file file = file_of(5);
    ck_assert(!trusted_has(table, &file));
    trusted_add(table, &file, NULL);
    ck_assert(trusted_has(table, &file));
    trusted_remove(table, &file);
    ck_assert(!trusted_has(table, &file));
    trusted_remove(table, &file);
}
END_TEST

/* Whatever tells one file, or one state of it, from another. */
START_TEST(test_every_field_counts)
{
    const struct timespec changed = {1700000000, 123456789};
    struct trusted_file file = file_of(5);
    const struct trusted_file others[] = {
        trusted_identify(8, 5, changed, 1000),
        trusted_identify(7, 6, changed, 1000),
        trusted_identify(7, 5, (struct timespec){1700000000, 123456790}, 1000),
        trusted_identify(7, 5, (struct timespec){1700000001, 123456789}, 1000),
        trusted_identify(7, 5, changed, 1001),
    };
    trusted_add(table, &file, NULL);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_msg(!trusted_has(table, &others[i]), "%zu", i);
    ck_assert(trusted_has(table, &file));
}
END_TEST

/* A file has one entry: its newest state. */
START_TEST(test_new_state_replaces_the_old)
{
    struct trusted_file before = file_of(5);
    struct trusted_file after = trusted_identify(7, 5, (struct timespec){1700000009, 0}, 1000);
    trusted_add(table, &before, NULL);
    trusted_add(table, &after, NULL);
    ck_assert(!trusted_has(table, &before));
    ck_assert(trusted_has(table, &after));
}
END_TEST

START_TEST(test_it_expires)
{
    struct trusted_file file = file_of(5);
    trusted_add_at(table, &file, NULL, 1000);
    ck_assert(trusted_has_at(table, &file, 1000));
    ck_assert(trusted_has_at(table, &file, 1000 + TRUSTED_MS - 1));
    ck_assert(!trusted_has_at(table, &file, 1000 + TRUSTED_MS));
    trusted_add_at(table, &file, NULL, 1000 + TRUSTED_MS);
    ck_assert(trusted_has_at(table, &file, 1000 + TRUSTED_MS));
}
END_TEST

START_TEST(test_attributes)
{
    struct trusted_file file = file_of(5), changed = file_of(5);
    struct store_attributes is = {.md5 = "0123456789abcdef0123456789abcdef", .type = "text/plain"};
    struct store_attributes got = {.type = "before", .unlinked = true, .broken = true};
    trusted_describe(table, &file, &is);
    ck_assert(!trusted_has(table, &file));
    trusted_add(table, &file, NULL);
    ck_assert(!trusted_attributes(table, &file, &got));
    trusted_describe(table, &file, &is);
    ck_assert(trusted_attributes(table, &file, &got));
    ck_assert_str_eq(got.md5, is.md5);
    ck_assert_str_eq(got.type, is.type);
    ck_assert(got.has_size && got.size == 1000 && !got.unlinked && !got.broken);
    changed.changed_ns++;
    ck_assert(!trusted_attributes(table, &changed, &got));
    trusted_add(table, &changed, &is);
    ck_assert(trusted_attributes(table, &changed, &got));
}
END_TEST

/* What does not fit, or cannot be right, is not kept in part. */
START_TEST(test_attributes_that_are_not_kept)
{
    struct trusted_file file = file_of(5);
    struct store_attributes got, longer = {.type = "application/of-a-type-that-is-rather-long"};
    struct store_attributes broken = {.broken = true};
    trusted_add(table, &file, &longer);
    ck_assert(trusted_has(table, &file));
    ck_assert(!trusted_attributes(table, &file, &got));
    trusted_describe(table, &file, &broken);
    ck_assert(!trusted_attributes(table, &file, &got));
}
END_TEST

START_TEST(test_no_file)
{
    struct trusted_file none = {.inode = 0};
    trusted_add(table, &none, NULL);
    ck_assert(!trusted_has(table, &none));
}
END_TEST

enum { FITS = TRUSTED_ENTRIES / 2, MORE = TRUSTED_ENTRIES * 4, NEVER = TRUSTED_ENTRIES * 5 };

/* It keeps most of a working set that fits, the newest of one that does not, and never says of a
 * file that was not added that it was. */
START_TEST(test_full)
{
    unsigned kept = 0;
    for (ino_t inode = 1; inode <= FITS; inode++) {
        struct trusted_file file = file_of(inode);
        trusted_add_at(table, &file, NULL, inode);
    }
    for (ino_t inode = 1; inode <= FITS; inode++) {
        struct trusted_file file = file_of(inode);
        kept += trusted_has_at(table, &file, inode);
    }
    ck_assert_uint_gt(kept, FITS - FITS / 10);
    ino_t good = 0; /* one assertion, for each of them takes its time */
    for (ino_t inode = 1; inode <= MORE; inode++) {
        struct trusted_file file = file_of(inode);
        trusted_add_at(table, &file, NULL, inode);
        good += trusted_has_at(table, &file, inode);
    }
    ck_assert_uint_eq(good, MORE);
    for (ino_t inode = NEVER; inode < NEVER + FITS; inode++) {
        struct trusted_file file = file_of(inode);
        good -= trusted_has_at(table, &file, 1);
    }
    ck_assert_uint_eq(good, MORE);
}
END_TEST

/* Each thread has files of its own, in sets that all of them use. */
static void *add_and_look(void *arg)
{
    ino_t first = *(const ino_t *)arg;
    for (int round = 0; round < 200; round++) {
        for (ino_t inode = first; inode < first + 100; inode++) {
            struct trusted_file file = file_of(inode), changed = file;
            changed.changed_ns++;
            trusted_add(table, &file, NULL);
            if (trusted_has(table, &changed))
                return arg;
            trusted_remove(table, &file);
            if (trusted_has(table, &file))
                return arg;
        }
    }
    return NULL;
}

START_TEST(test_many_threads)
{
    pthread_t threads[4];
    ino_t first[4];
    for (unsigned i = 0; i < 4; i++) {
        first[i] = 1 + i * 100;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_and_look, &first[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        void *wrong;
        ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
        ck_assert_ptr_null(wrong);
    }
}
END_TEST

START_TEST(test_room)
{
    struct room *room = room_new(100);
    ck_assert_ptr_nonnull(room);
    ck_assert(!room_take(room, 101));
    ck_assert(room_take(room, 60));
    ck_assert(!room_take(room, 41));
    ck_assert(room_take(room, 40));
    ck_assert(!room_take(room, 1));
    room_give_back(room, 60);
    ck_assert(room_take(room, 60));
    room_free(room);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_known_and_unknown,
                                  test_every_field_counts,
                                  test_new_state_replaces_the_old,
                                  test_it_expires,
                                  test_attributes,
                                  test_attributes_that_are_not_kept,
                                  test_no_file,
                                  test_full,
                                  test_many_threads,
                                  test_room,
                                  NULL};
    Suite *suite = suite_create("volume trusted");
    tcase_add_checked_fixture(suite_case(suite, "table", tests), setup, teardown);
    return suite_run(suite);
}
