/* What verify says of a key, from its record and what is on the volumes. */
#include "tools/larder/compare.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/suite.h"
#include "tools/larder/info.h"
#include "tools/larder/places.h"
#include "tools/larder/scan.h"

#define MD5_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MD5_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char *const names[] = {"a:1/sv00", "b:1/sv01", "c:1/sv02"};
enum { PLACES = 3 };

static struct places *places;
static struct info info;
static struct scan_group group;
static struct findings findings;

/* A live key of generation 5 with copies at the first two places, all as it should be. */
static void setup_key(const char *key, uint64_t generation)
{
    places = places_new();
    info_init(&info);
    memset(&group, 0, sizeof group);
    memset(&findings, 0, sizeof findings);
    for (size_t i = 0; i < PLACES; i++) {
        uint32_t id;
        ck_assert_int_eq(places_add(places, names[i], i, &id), ST_OK);
    }
    ck_assert_int_eq(key_from_bytes(&info.key, key, strlen(key)), ST_OK);
    group.key = info.key;
    info.record.state = KEY_LIVE;
    info.record.generation = generation;
    memcpy(info.record.md5, MD5_A, sizeof MD5_A);
    for (uint32_t i = 0; i < 2; i++) {
        struct scan_file file = {.generation = generation, .size = 10, .place = i, .md5 = MD5_A};
        ck_assert_int_eq(record_add_place(&info.record, names[i]), ST_OK);
        ck_assert_int_eq(scan_group_add_file(&group, &file), ST_OK);
    }
}

static void setup(void)
{
    setup_key("/key", 5);
}

static void teardown(void)
{
    findings_free(&findings);
    scan_group_free(&group);
    info_free(&info);
    places_free(places);
}

static void add_file(uint32_t place, uint64_t generation)
{
    struct scan_file file = {.generation = generation, .size = 10, .place = place};
    ck_assert_int_eq(scan_group_add_file(&group, &file), ST_OK);
}

static void compare_as(const struct info *record)
{
    const struct compare_options options = {.places = places};
    findings_clear(&findings);
    ck_assert_int_eq(compare_run(&options, record, &group, &findings), ST_OK);
}

static void expect(enum problem problem, const char *place)
{
    compare_as(&info);
    ck_assert_uint_eq(findings.count, 1);
    ck_assert_str_eq(problem_word(findings.list[0].problem), problem_word(problem));
    ck_assert_str_eq(findings.list[0].place, place);
    ck_assert(findings.list[0].detail[0] != 0);
}

static void expect_nothing(void)
{
    compare_as(&info);
    ck_assert_uint_eq(findings.count, 0);
}

START_TEST(all_is_well)
{
    expect_nothing();
    info.record.state = KEY_UNLINKED;
    expect_nothing();
}
END_TEST

START_TEST(a_copy_is_missing)
{
    group.file_count = 1;
    expect(PROBLEM_MISSING, names[1]);
}
END_TEST

START_TEST(another_version_in_its_place_does_not_help)
{
    group.files[1].generation = 4;
    compare_as(&info);
    ck_assert_uint_eq(findings.count, 2); /* the copy is missing, and the old one is extra */
}
END_TEST

START_TEST(a_file_too_many)
{
    add_file(2, 5);
    expect(PROBLEM_EXTRA, names[2]);
}
END_TEST

START_TEST(an_old_version_is_extra_unless_it_is_to_be_removed)
{
    add_file(1, 3);
    expect(PROBLEM_EXTRA, names[1]);
    ck_assert_uint_eq(findings.list[0].generation, 3);
    ck_assert_int_eq(record_add_garbage(&info.record, 3, NAMING_LARDER, names[1]), ST_OK);
    expect_nothing();
}
END_TEST

START_TEST(without_a_record_every_file_is_extra)
{
    compare_as(NULL);
    ck_assert_uint_eq(findings.count, 2);
    ck_assert_int_eq(findings.list[0].problem, PROBLEM_EXTRA);
}
END_TEST

START_TEST(a_put_under_way_is_no_problem)
{
    info.record.state = KEY_PENDING;
    info.record.place_count = 0;
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(record_add_garbage(&info.record, 5, NAMING_LARDER, names[i]), ST_OK);
    expect_nothing();
    info.record.place_count = 2; /* for teardown */
}
END_TEST

START_TEST(sizes)
{
    group.files[1].size = 9;
    expect(PROBLEM_SIZE, names[1]);
    group.files[1].size = 10;
    group.files[1].has_expected = true;
    group.files[1].expected = 11;
    expect(PROBLEM_SIZE, names[1]);
    group.files[1].expected = 10;
    expect_nothing();
    group.files[0].size = 0;
    expect(PROBLEM_SIZE, names[0]);
}
END_TEST

START_TEST(md5s)
{
    memcpy(group.files[0].md5, MD5_B, sizeof MD5_B);
    expect(PROBLEM_MD5, names[0]);
    group.files[0].md5[0] = 0; /* a plain server does not know */
    expect_nothing();
}
END_TEST

START_TEST(without_an_md5_in_the_index_copies_are_compared)
{
    info.record.md5[0] = 0;
    expect_nothing();
    memcpy(group.files[1].md5, MD5_B, sizeof MD5_B);
    expect(PROBLEM_MD5, names[1]);
}
END_TEST

START_TEST(few_copies)
{
    info.record.few_copies = true;
    expect(PROBLEM_FEW, "");
}
END_TEST

START_TEST(a_tombstone_over_a_live_version)
{
    ck_assert_int_eq(scan_group_add_tombstone(&group, 4, 2), ST_OK);
    expect_nothing();
    ck_assert_int_eq(scan_group_add_tombstone(&group, 5, 2), ST_OK);
    expect(PROBLEM_TOMBSTONE, names[2]);
}
END_TEST

START_TEST(a_tombstone_of_a_deleted_key_is_as_it_should_be)
{
    group.file_count = 0;
    info.record.state = KEY_DELETED;
    info.record.has_tombstone = true;
    info.record.tombstone = 5;
    ck_assert_int_eq(scan_group_add_tombstone(&group, 5, 2), ST_OK);
    expect_nothing();
}
END_TEST

START_TEST(namings_that_agree_are_one)
{
    teardown();
    setup_key("/key", 0);
    info.record.naming = NAMING_MKV; /* as it is read from minikeyvalue's records */
    expect_nothing();
    teardown();
    setup_key("/k?k?k?", 0); /* here they are two */
    info.record.naming = NAMING_MKV;
    compare_as(&info);
    ck_assert_uint_eq(findings.count, 4);
}
END_TEST

static bool is_b(const void *arg UNUSED, const char *place)
{
    return strcmp(place, names[1]) == 0;
}

START_TEST(nothing_is_said_of_what_was_not_looked_at)
{
    const struct compare_options options = {.places = places, .unseen = is_b};
    group.file_count = 1;
    ck_assert_int_eq(compare_run(&options, &info, &group, &findings), ST_OK);
    ck_assert_uint_eq(findings.count, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {all_is_well,
                                  a_copy_is_missing,
                                  another_version_in_its_place_does_not_help,
                                  a_file_too_many,
                                  an_old_version_is_extra_unless_it_is_to_be_removed,
                                  without_a_record_every_file_is_extra,
                                  a_put_under_way_is_no_problem,
                                  sizes,
                                  md5s,
                                  without_an_md5_in_the_index_copies_are_compared,
                                  few_copies,
                                  a_tombstone_over_a_live_version,
                                  a_tombstone_of_a_deleted_key_is_as_it_should_be,
                                  namings_that_agree_are_one,
                                  nothing_is_said_of_what_was_not_looked_at,
                                  NULL};
    Suite *suite = suite_create("tool/compare");
    tcase_add_checked_fixture(suite_case(suite, "compare", tests), setup, teardown);
    return suite_run(suite);
}
