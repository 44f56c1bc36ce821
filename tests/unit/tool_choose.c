/* Which version of a key a rebuild takes, which copies of it, and what becomes of the others. */
#include "tools/larder/choose.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/suite.h"
#include "tools/larder/places.h"
#include "tools/larder/scan.h"

#define MD5_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MD5_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char *const volumes[] = {"a:1", "b:1", "c:1", "d:1"};
enum { VOLUMES = 4 };

static struct places *places;
static struct scan_group group;
static struct choice choice;
static const struct record *known; /* NULL: a rebuild has no earlier index */
static const char *order[VOLUMES]; /* the volumes in the order of placement for the key */

static uint32_t place_of(const char *name)
{
    for (uint32_t i = 0; i < places_count(places); i++)
        if (strcmp(places_name(places, i), name) == 0)
            return i;
    ck_abort_msg("no place %s", name);
    return 0;
}

static void setup_key(const char *text)
{
    struct place ranked[VOLUMES];
    places = places_new();
    ck_assert_ptr_nonnull(places);
    memset(&group, 0, sizeof group);
    memset(&choice, 0, sizeof choice);
    ck_assert_int_eq(key_from_bytes(&group.key, text, strlen(text)), ST_OK);
    ck_assert_int_eq(placement_rank(&group.key, volumes, VOLUMES, 1, ranked), ST_OK);
    for (size_t i = 0; i < VOLUMES; i++) {
        uint32_t id;
        order[i] = volumes[ranked[i].volume];
        ck_assert_int_eq(places_add(places, volumes[i], i, &id), ST_OK);
    }
}

static void setup(void)
{
    setup_key("/key");
}

static void teardown(void)
{
    record_free(&choice.record);
    scan_group_free(&group);
    places_free(places);
}

/* A sound copy of 10 bytes on the volume that stands at `rank` in the order of placement. */
static struct scan_file *copy(size_t rank, uint64_t generation, const char *md5)
{
    struct scan_file file = {.generation = generation, .size = 10, .place = place_of(order[rank])};
    (void)snprintf(file.md5, sizeof file.md5, "%s", md5);
    ck_assert_int_eq(scan_group_add_file(&group, &file), ST_OK);
    return &group.files[group.file_count - 1];
}

static void tombstone(size_t rank, uint64_t generation)
{
    ck_assert_int_eq(scan_group_add_tombstone(&group, generation, place_of(order[rank])), ST_OK);
}

static void choose_with(const struct choose_options *options)
{
    struct chooser *chooser = chooser_new(options);
    ck_assert_ptr_nonnull(chooser);
    ck_assert_int_eq(chooser_run(chooser, &group, known, &choice), ST_OK);
    chooser_free(chooser);
}

static void choose(void)
{
    const struct choose_options options = {.volumes = volumes,
                                           .volume_count = VOLUMES,
                                           .subvolumes = 1,
                                           .replicas = 3,
                                           .places = places};
    choose_with(&options);
}

/* The places of the record that is chosen are those of these ranks (as digits), in this order. */
static void chooses(const char *ranks)
{
    choose();
    ck_assert_uint_eq(choice.record.place_count, strlen(ranks));
    for (size_t i = 0; ranks[i]; i++)
        ck_assert_str_eq(choice.record.places[i], order[ranks[i] - '0']);
}

static bool has_garbage(size_t rank, uint64_t generation)
{
    for (size_t i = 0; i < choice.record.garbage.count; i++) {
        const struct copy *of = &choice.record.garbage.list[i];
        if (of->generation == generation && strcmp(of->place, order[rank]) == 0)
            return true;
    }
    return false;
}

START_TEST(three_copies_make_a_record)
{
    copy(2, 0, MD5_A);
    copy(0, 0, MD5_A);
    copy(1, 0, MD5_A);
    chooses("012");
    ck_assert_int_eq(choice.record.state, KEY_LIVE);
    ck_assert_uint_eq(choice.record.generation, 0);
    ck_assert_str_eq(choice.record.md5, MD5_A);
    ck_assert_uint_eq(choice.size, 10);
    ck_assert(!choice.record.few_copies && !choice.conflict);
    ck_assert_uint_eq(choice.record.garbage.count, 0);
}
END_TEST

START_TEST(copies_on_other_volumes_are_kept_and_few_are_flagged)
{
    copy(3, 0, MD5_A);
    copy(1, 0, MD5_A);
    chooses("13");
    ck_assert(choice.record.few_copies);
}
END_TEST

START_TEST(the_newest_version_wins_and_older_ones_are_garbage)
{
    copy(0, 0, MD5_A);
    copy(1, 0, MD5_A);
    copy(2, 0, MD5_A);
    copy(0, 77, MD5_B);
    copy(1, 77, MD5_B);
    chooses("01");
    ck_assert_uint_eq(choice.record.generation, 77);
    ck_assert_str_eq(choice.record.md5, MD5_B);
    ck_assert(choice.record.few_copies);
    ck_assert_uint_eq(choice.record.garbage.count, 3);
    ck_assert(has_garbage(0, 0) && has_garbage(1, 0) && has_garbage(2, 0));
    ck_assert(!choice.conflict);
}
END_TEST

START_TEST(plain_servers_know_no_md5)
{
    copy(0, 0, "");
    copy(1, 0, "");
    copy(2, 0, "");
    chooses("012");
    ck_assert_str_eq(choice.record.md5, "");
}
END_TEST

START_TEST(one_md5_is_enough_for_all)
{
    copy(0, 0, "");
    copy(1, 0, MD5_A);
    copy(2, 0, "");
    chooses("012");
    ck_assert_str_eq(choice.record.md5, MD5_A);
    ck_assert(!choice.conflict);
}
END_TEST

START_TEST(a_short_copy_is_damaged)
{
    copy(0, 0, MD5_A);
    struct scan_file *file = copy(1, 0, MD5_A);
    file->has_expected = true;
    file->expected = 11;
    copy(2, 0, MD5_A);
    chooses("02");
    ck_assert(has_garbage(1, 0));
    ck_assert(choice.record.few_copies);
    ck_assert_uint_eq(choice.damaged, 1);
    ck_assert(!choice.conflict);
}
END_TEST

START_TEST(an_empty_copy_is_damaged)
{
    copy(0, 0, "")->size = 0;
    copy(1, 0, "");
    chooses("1");
    ck_assert(has_garbage(0, 0));
}
END_TEST

START_TEST(the_majority_of_md5s_decides)
{
    copy(0, 0, MD5_B);
    copy(1, 0, MD5_A);
    copy(2, 0, MD5_A);
    chooses("12");
    ck_assert_str_eq(choice.record.md5, MD5_A);
    ck_assert(has_garbage(0, 0));
    ck_assert(choice.conflict);
    ck_assert_uint_eq(choice.damaged, 1);
}
END_TEST

START_TEST(of_equal_numbers_the_newer_is_taken)
{
    copy(0, 0, MD5_A)->created = 1000;
    copy(1, 0, MD5_B)->created = 2000;
    chooses("1");
    ck_assert_str_eq(choice.record.md5, MD5_B);
    ck_assert(choice.conflict);
}
END_TEST

START_TEST(of_equal_age_the_better_placed_is_taken)
{
    copy(1, 0, MD5_B);
    copy(0, 0, MD5_A);
    chooses("0");
    ck_assert_str_eq(choice.record.md5, MD5_A);
}
END_TEST

START_TEST(without_md5_the_majority_of_sizes_decides)
{
    copy(0, 0, "")->size = 4;
    copy(1, 0, "");
    copy(2, 0, "");
    chooses("12");
    ck_assert_uint_eq(choice.size, 10);
    ck_assert(choice.conflict);
}
END_TEST

START_TEST(an_md5_with_another_size_is_no_good_copy)
{
    copy(0, 0, MD5_A);
    copy(1, 0, MD5_A);
    copy(2, 0, "")->size = 4;
    copy(3, 0, "");
    chooses("013");
    ck_assert(has_garbage(2, 0));
}
END_TEST

START_TEST(a_damaged_newer_version_gives_way)
{
    struct scan_file *file = copy(0, 9, MD5_B);
    file->has_expected = true;
    file->expected = 99;
    copy(0, 3, MD5_A);
    copy(1, 3, MD5_A);
    copy(2, 3, MD5_A);
    chooses("012");
    ck_assert_uint_eq(choice.record.generation, 3);
    ck_assert(choice.fell_back);
    ck_assert(has_garbage(0, 9));
}
END_TEST

START_TEST(where_all_is_damaged_nothing_is_forgotten_or_removed)
{
    for (size_t i = 0; i < 2; i++) {
        struct scan_file *file = copy(i, i ? 9 : 3, MD5_A);
        file->has_expected = true;
        file->expected = 99;
    }
    chooses("1");
    ck_assert_int_eq(choice.record.state, KEY_LIVE);
    ck_assert_uint_eq(choice.record.generation, 9);
    ck_assert(choice.none_is_sound && choice.record.few_copies);
    ck_assert_uint_eq(choice.record.garbage.count, 0);
}
END_TEST

START_TEST(unlinked_where_any_copy_says_so)
{
    copy(0, 5, MD5_A);
    copy(1, 5, MD5_A)->unlinked = true;
    copy(2, 5, MD5_A);
    chooses("012");
    ck_assert_int_eq(choice.record.state, KEY_UNLINKED);
}
END_TEST

START_TEST(an_older_unlinked_version_does_not_hide_a_newer)
{
    copy(0, 5, MD5_A)->unlinked = true;
    copy(0, 6, MD5_B);
    choose();
    ck_assert_int_eq(choice.record.state, KEY_LIVE);
    ck_assert(has_garbage(0, 5));
}
END_TEST

START_TEST(a_tombstone_covers_its_generation_and_older_ones)
{
    copy(0, 5, MD5_A);
    copy(1, 4, MD5_B);
    tombstone(2, 5);
    chooses("");
    ck_assert_int_eq(choice.record.state, KEY_DELETED);
    ck_assert(choice.record.has_tombstone);
    ck_assert_uint_eq(choice.record.tombstone, 5);
    ck_assert(has_garbage(0, 5) && has_garbage(1, 4));
    ck_assert_uint_eq(choice.record.holder_count, 1);
    ck_assert_str_eq(choice.record.holders[0], order[2]);
    ck_assert(!choice.record.few_copies);
}
END_TEST

START_TEST(a_tombstone_of_generation_0_counts)
{
    copy(0, 0, MD5_A);
    tombstone(1, 0);
    choose();
    ck_assert_int_eq(choice.record.state, KEY_DELETED);
    ck_assert(has_garbage(0, 0));
}
END_TEST

START_TEST(what_was_written_after_the_tombstone_lives)
{
    copy(0, 5, MD5_A);
    copy(0, 6, MD5_B);
    copy(1, 6, MD5_B);
    copy(2, 6, MD5_B);
    tombstone(0, 3);
    tombstone(1, 5);
    chooses("012");
    ck_assert_int_eq(choice.record.state, KEY_LIVE);
    ck_assert_uint_eq(choice.record.generation, 6);
    ck_assert_uint_eq(choice.record.tombstone, 5);
    ck_assert_uint_eq(choice.record.holder_count, 2);
    ck_assert_uint_eq(choice.record.garbage.count, 1);
    ck_assert(has_garbage(0, 5));
}
END_TEST

START_TEST(a_tombstone_alone_is_kept_for_its_holders)
{
    tombstone(0, 5);
    tombstone(1, 5);
    choose();
    ck_assert_int_eq(choice.record.state, KEY_DELETED);
    ck_assert_uint_eq(choice.record.holder_count, 2);
    ck_assert_uint_eq(choice.record.garbage.count, 0);
}
END_TEST

/* A damaged copy above the tombstone must not bring back what is below it. */
START_TEST(falling_back_stops_at_the_tombstone)
{
    struct scan_file *file = copy(0, 9, MD5_B);
    file->has_expected = true;
    file->expected = 99;
    copy(1, 3, MD5_A);
    tombstone(2, 5);
    chooses("0");
    ck_assert_uint_eq(choice.record.generation, 9);
    ck_assert(choice.none_is_sound);
    ck_assert(has_garbage(1, 3) && !has_garbage(0, 9));
}
END_TEST

static bool is_c(const void *arg UNUSED, const char *place)
{
    return strcmp(place, "c:1") == 0;
}

START_TEST(a_deleted_key_may_have_copies_where_nobody_looked)
{
    const struct choose_options options = {.volumes = volumes,
                                           .volume_count = VOLUMES,
                                           .subvolumes = 1,
                                           .replicas = 3,
                                           .places = places,
                                           .unseen = is_c};
    tombstone(strcmp(order[0], "c:1") == 0 ? 1 : 0, 5);
    choose_with(&options);
    ck_assert_int_eq(choice.record.state, KEY_DELETED);
    ck_assert_uint_eq(choice.record.garbage.count, 1);
    ck_assert_str_eq(choice.record.garbage.list[0].place, "c:1");
    ck_assert_uint_eq(choice.record.garbage.list[0].generation, 5);
}
END_TEST

START_TEST(the_naming_of_most_copies_is_taken)
{
    teardown();
    setup_key("/k?k?k?"); /* its two namings differ */
    copy(0, 0, MD5_A)->naming = NAMING_LARDER;
    copy(1, 0, MD5_A)->naming = NAMING_MKV;
    copy(2, 0, MD5_A)->naming = NAMING_MKV;
    chooses("12");
    ck_assert_int_eq(choice.record.naming, NAMING_MKV);
    ck_assert(has_garbage(0, 0));
    ck_assert_uint_eq(choice.damaged, 0);
}
END_TEST

START_TEST(of_two_namings_in_equal_number_ours_is_taken)
{
    teardown();
    setup_key("/k?k?k?");
    copy(0, 0, MD5_A)->naming = NAMING_MKV;
    copy(1, 0, MD5_A)->naming = NAMING_LARDER;
    chooses("1");
    ck_assert_int_eq(choice.record.naming, NAMING_LARDER);
}
END_TEST

/* Two disks of one volume are lost together. */
START_TEST(disks_of_one_volume_count_as_one_copy)
{
    uint32_t id;
    char name[32];
    (void)snprintf(name, sizeof name, "%s/sv00", order[0]);
    size_t volume = places_volume(places, place_of(order[0]));
    ck_assert_int_eq(places_add(places, name, volume, &id), ST_OK);
    copy(0, 0, MD5_A)->place = id;
    copy(0, 0, MD5_A);
    copy(1, 0, MD5_A);
    choose();
    ck_assert_uint_eq(choice.record.place_count, 3);
    ck_assert_str_eq(choice.record.places[0], order[0]); /* where placement wants it */
    ck_assert_str_eq(choice.record.places[1], name);
    ck_assert(choice.record.few_copies);
}
END_TEST

START_TEST(nothing_makes_no_record)
{
    choose();
    ck_assert_int_eq(choice.record.state, KEY_ABSENT);
    ck_assert_uint_eq(choice.record.garbage.count, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {three_copies_make_a_record,
                                  copies_on_other_volumes_are_kept_and_few_are_flagged,
                                  the_newest_version_wins_and_older_ones_are_garbage,
                                  plain_servers_know_no_md5,
                                  one_md5_is_enough_for_all,
                                  a_short_copy_is_damaged,
                                  an_empty_copy_is_damaged,
                                  the_majority_of_md5s_decides,
                                  of_equal_numbers_the_newer_is_taken,
                                  of_equal_age_the_better_placed_is_taken,
                                  without_md5_the_majority_of_sizes_decides,
                                  an_md5_with_another_size_is_no_good_copy,
                                  a_damaged_newer_version_gives_way,
                                  where_all_is_damaged_nothing_is_forgotten_or_removed,
                                  unlinked_where_any_copy_says_so,
                                  an_older_unlinked_version_does_not_hide_a_newer,
                                  a_tombstone_covers_its_generation_and_older_ones,
                                  a_tombstone_of_generation_0_counts,
                                  what_was_written_after_the_tombstone_lives,
                                  a_tombstone_alone_is_kept_for_its_holders,
                                  falling_back_stops_at_the_tombstone,
                                  a_deleted_key_may_have_copies_where_nobody_looked,
                                  the_naming_of_most_copies_is_taken,
                                  of_two_namings_in_equal_number_ours_is_taken,
                                  disks_of_one_volume_count_as_one_copy,
                                  nothing_makes_no_record,
                                  NULL};
    Suite *suite = suite_create("tool/choose");
    tcase_add_checked_fixture(suite_case(suite, "choose", tests), setup, teardown);
    return suite_run(suite);
}
