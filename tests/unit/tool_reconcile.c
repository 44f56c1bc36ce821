/* What a restored index should say of a key: what it says, against files and tombstones. */
#include "tools/larder/reconcile.h"

#include <stdio.h>
#include <string.h>

#include "common/record.h"
#include "tests/unit/suite.h"
#include "tools/larder/places.h"
#include "tools/larder/scan.h"

#define MD5_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MD5_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char *const volumes[] = {"a:1", "b:1", "c:1"};
enum { VOLUMES = 3 };

static struct places *places;
static struct scan_group group;
static struct record known;
static struct choice choice;
static enum reconcile_end end;
static uint64_t made;      /* when the index was; 0: not known */
static const char *unseen; /* the volume that was left out; NULL: none */

static void setup(void)
{
    uint32_t id;
    places = places_new();
    ck_assert_ptr_nonnull(places);
    memset(&group, 0, sizeof group);
    memset(&choice, 0, sizeof choice);
    record_init(&known);
    unseen = NULL;
    made = 0;
    ck_assert_int_eq(key_from_bytes(&group.key, "/key", 4), ST_OK);
    for (size_t i = 0; i < VOLUMES; i++)
        ck_assert_int_eq(places_add(places, volumes[i], i, &id), ST_OK);
}

static void teardown(void)
{
    record_free(&choice.record);
    record_free(&known);
    scan_group_free(&group);
    places_free(places);
}

/* The record as the index has it; lines of `work` end with ';'. */
static void index_says(const char *value, const char *work)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%s", work);
    for (char *at = text; *at; at++)
        *at = *at == ';' ? '\n' : *at;
    ck_assert_int_eq(record_decode(&known, *value ? value : NULL, strlen(value),
                                   *work ? text : NULL, strlen(text)),
                     ST_OK);
}

/* A sound copy on volume 0, 1 or 2. */
static struct scan_file *file(uint32_t volume, uint64_t generation, const char *md5)
{
    struct scan_file copy = {.generation = generation, .size = 10, .place = volume};
    (void)snprintf(copy.md5, sizeof copy.md5, "%s", md5);
    ck_assert_int_eq(scan_group_add_file(&group, &copy), ST_OK);
    return &group.files[group.file_count - 1];
}

static bool is_unseen(const void *arg, const char *place)
{
    (void)arg;
    return strncmp(place, unseen, strlen(unseen)) == 0;
}

static void reconcile(void)
{
    struct choose_options with = {.volumes = volumes,
                                  .volume_count = VOLUMES,
                                  .subvolumes = 1,
                                  .replicas = 2,
                                  .places = places,
                                  .made_ms = made,
                                  .unseen = unseen ? is_unseen : NULL};
    const struct reconcile_options options = {.chooser = chooser_new(&with), .unseen = with.unseen};
    ck_assert_ptr_nonnull(options.chooser);
    ck_assert_int_eq(reconcile_run(&options, &known, &group, &choice, &end), ST_OK);
    chooser_free(options.chooser);
}

/* Reconciles, and looks at what came of it: the state of the record and its version, how many
 * places it has, and how much garbage. */
static void reconciles_to(enum reconcile_end expected, enum key_state state, uint64_t generation,
                          size_t copies, size_t garbage)
{
    reconcile();
    ck_assert_int_eq(end, expected);
    ck_assert_int_eq(choice.record.state, state);
    ck_assert_uint_eq(choice.record.generation, generation);
    ck_assert_uint_eq(choice.record.place_count, copies);
    ck_assert_uint_eq(choice.record.garbage.count, garbage);
}

START_TEST(nothing_has_happened)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    file(0, 5, MD5_A);
    file(1, 5, MD5_A);
    reconciles_to(RECONCILE_SAME, KEY_LIVE, 5, 2, 0);
}
END_TEST

START_TEST(it_came_after_the_backup)
{
    file(0, 7, MD5_A);
    file(2, 7, MD5_A);
    reconciles_to(RECONCILE_NEW, KEY_LIVE, 7, 2, 0);
    ck_assert_str_eq(choice.record.md5, MD5_A);
}
END_TEST

START_TEST(it_was_overwritten)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    file(0, 5, MD5_A); /* not removed yet */
    file(1, 7, MD5_B);
    file(2, 7, MD5_B);
    reconciles_to(RECONCILE_VERSION, KEY_LIVE, 7, 2, 1);
    ck_assert_str_eq(choice.record.md5, MD5_B);
}
END_TEST

START_TEST(it_was_deleted)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    reconciles_to(RECONCILE_DELETED, KEY_ABSENT, 0, 0, 0);
    ck_assert(!choice.record.has_tombstone);
}
END_TEST

/* Its last copies were damaged, and laid aside: nobody has deleted it. Loop: the version that the
 * index has, a newer one, and one of a key that it does not have. */
START_TEST(its_last_copies_are_in_quarantine)
{
    if (_i < 2)
        index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    scan_group_add_quarantined(&group, _i ? 7 : 5, 1);
    scan_group_add_quarantined(&group, 2, 0);
    reconcile();
    ck_assert(choice.laid_aside);
    ck_assert_int_eq(end, _i < 2 ? RECONCILE_KEPT : RECONCILE_SAME);
}
END_TEST

/* Loop: it was deleted, for certain; an older version was laid aside; there is another copy; there
 * is a newer version. */
START_TEST(a_quarantine_that_does_not_count)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    scan_group_add_quarantined(&group, _i == 1 ? 4 : 5, 1);
    if (_i == 0)
        ck_assert_int_eq(scan_group_add_tombstone(&group, 5, 1), ST_OK);
    else if (_i > 1)
        file(0, _i == 2 ? 5 : 6, MD5_A);
    reconcile();
    ck_assert(!choice.laid_aside);
    ck_assert_int_eq(end, _i < 2    ? RECONCILE_DELETED
                          : _i == 2 ? RECONCILE_MOVED
                                    : RECONCILE_VERSION);
}
END_TEST

/* A volume that was away has its copy still, another one the tombstone. */
START_TEST(it_was_deleted_but_for_a_copy)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    file(0, 5, MD5_A);
    ck_assert_int_eq(scan_group_add_tombstone(&group, 5, 1), ST_OK);
    reconciles_to(RECONCILE_DELETED, KEY_DELETED, 0, 0, 1);
    ck_assert_uint_eq(choice.record.tombstone, 5);
    ck_assert_uint_eq(choice.record.holder_count, 1);
}
END_TEST

/* Of a version that the index has seen replaced. */
START_TEST(an_older_version_does_not_come_back)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "W1;garbage 3 larder a:1;");
    file(0, 3, MD5_B);
    reconciles_to(RECONCILE_DELETED, KEY_DELETED, 0, 0, 1);
    ck_assert_uint_eq(choice.record.tombstone, 5);
}
END_TEST

START_TEST(a_deleted_version_does_not_come_back)
{
    index_says("", "W1;tombstone 5;garbage 5 larder a:1;");
    file(0, 5, MD5_A);
    reconciles_to(RECONCILE_WORK, KEY_DELETED, 0, 0, 1);
    record_free(&choice.record);
    file(1, 6, MD5_B); /* but a newer one does */
    reconciles_to(RECONCILE_NEW, KEY_LIVE, 6, 1, 1);
}
END_TEST

/* A write, or a move, was under way when the backup was taken. */
START_TEST(garbage_of_then_may_be_a_copy_now)
{
    index_says("", "W1;garbage 5 larder a:1;garbage 5 larder b:1;");
    file(0, 5, MD5_A);
    file(1, 5, MD5_A);
    reconciles_to(RECONCILE_NEW, KEY_LIVE, 5, 2, 0);
}
END_TEST

START_TEST(it_was_moved)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "W1;garbage 5 larder c:1;");
    file(1, 5, MD5_A);
    file(2, 5, MD5_A);
    reconciles_to(RECONCILE_MOVED, KEY_LIVE, 5, 2, 0);
    ck_assert(record_has_place(&choice.record, "c:1"));
}
END_TEST

START_TEST(it_was_unlinked)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    file(0, 5, MD5_A)->unlinked = true;
    file(1, 5, MD5_A);
    reconciles_to(RECONCILE_HIDDEN, KEY_UNLINKED, 5, 2, 0);
}
END_TEST

/* Plain servers keep neither; the index does. */
START_TEST(the_index_knows_what_files_do_not_tell)
{
    index_says("L1 unlinked 5 larder " MD5_A " a:1,b:1", "");
    file(0, 5, "");
    file(1, 5, "");
    reconciles_to(RECONCILE_SAME, KEY_UNLINKED, 5, 2, 0);
    ck_assert_str_eq(choice.record.md5, MD5_A);
}
END_TEST

START_TEST(what_a_client_was_told_decides)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1,c:1", "");
    file(0, 5, MD5_B);
    file(1, 5, MD5_B);
    file(2, 5, MD5_A);
    reconciles_to(RECONCILE_MOVED, KEY_LIVE, 5, 1, 2);
    ck_assert_str_eq(choice.record.md5, MD5_A);
    ck_assert(record_has_place(&choice.record, "c:1"));
}
END_TEST

START_TEST(work_that_speaks_of_nothing_goes)
{
    index_says("", "W1;garbage 5 larder a:1;");
    reconciles_to(RECONCILE_WORK, KEY_ABSENT, 0, 0, 0);
}
END_TEST

/* --- generation 0 is given again --- */

enum { MADE = 1000000, BEFORE = MADE - 60000, AFTER = MADE + 60000 };

static void came_at(uint64_t created)
{
    made = MADE;
    file(0, 0, MD5_B)->created = created;
    file(1, 0, MD5_B)->created = created;
}

START_TEST(deleted_and_put_again)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    came_at(AFTER);
    reconciles_to(RECONCILE_VERSION, KEY_LIVE, 0, 2, 0);
    ck_assert_str_eq(choice.record.md5, MD5_B);
    record_free(&choice.record);
    made = 0; /* not known: as the index says */
    reconciles_to(RECONCILE_DELETED, KEY_DELETED, 0, 0, 2);
}
END_TEST

START_TEST(put_again_after_a_deletion_under_way)
{
    index_says("", "W1;tombstone 5;garbage 5 larder a:1;");
    came_at(AFTER);
    reconciles_to(RECONCILE_NEW, KEY_LIVE, 0, 2, 0);
    ck_assert(!choice.record.has_tombstone);
}
END_TEST

START_TEST(put_again_after_an_unlinked_one)
{
    index_says("L1 unlinked 0 larder " MD5_A " a:1,b:1", "");
    came_at(AFTER);
    reconciles_to(RECONCILE_MOVED, KEY_LIVE, 0, 2, 0);
}
END_TEST

START_TEST(put_again_without_md5)
{
    index_says("L1 live 0 larder " MD5_A " a:1,b:1", "");
    came_at(AFTER);
    group.files[0].md5[0] = group.files[1].md5[0] = 0;
    reconcile();
    ck_assert_int_eq(choice.record.state, KEY_LIVE);
    ck_assert_str_eq(choice.record.md5, "");
}
END_TEST

/* A copy that was made since, of a value that has been there all the time. */
START_TEST(a_copy_of_then_says_that_it_is_the_same)
{
    index_says("L1 unlinked 0 larder " MD5_A " a:1,b:1", "");
    made = MADE;
    file(0, 0, "")->created = BEFORE;
    file(2, 0, "")->created = AFTER;
    reconciles_to(RECONCILE_MOVED, KEY_UNLINKED, 0, 2, 0);
    ck_assert_str_eq(choice.record.md5, MD5_A);
}
END_TEST

START_TEST(a_file_of_then_is_past)
{
    index_says("", "W1;tombstone 5;garbage 0 larder a:1;");
    came_at(BEFORE);
    reconciles_to(RECONCILE_WORK, KEY_DELETED, 0, 0, 2);
}
END_TEST

START_TEST(a_tombstone_on_a_volume_counts_always)
{
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    came_at(AFTER);
    ck_assert_int_eq(scan_group_add_tombstone(&group, 0, 2), ST_OK);
    reconciles_to(RECONCILE_DELETED, KEY_DELETED, 0, 0, 2);
}
END_TEST

/* It was on a volume that came back. */
START_TEST(an_older_version_beside_the_one_put_again)
{
    index_says("", "W1;tombstone 5;garbage 5 larder c:1;");
    came_at(AFTER);
    file(2, 5, MD5_A)->created = BEFORE;
    reconciles_to(RECONCILE_NEW, KEY_LIVE, 0, 2, 1);
}
END_TEST

/* --- a volume was left out --- */

START_TEST(in_doubt_it_stays)
{
    unseen = "c:1";
    index_says("L1 live 5 larder " MD5_A " a:1,b:1", "");
    reconcile(); /* it may have been moved there */
    ck_assert_int_eq(end, RECONCILE_KEPT);
}
END_TEST

START_TEST(a_tombstone_leaves_no_doubt)
{
    unseen = "c:1";
    index_says("L1 live 5 larder " MD5_A " a:1,c:1", "");
    ck_assert_int_eq(scan_group_add_tombstone(&group, 5, 1), ST_OK);
    reconcile();
    ck_assert_int_eq(end, RECONCILE_DELETED);
    ck_assert_int_eq(choice.record.state, KEY_DELETED);
    ck_assert_uint_ge(choice.record.garbage.count, 1); /* what c:1 may have */
}
END_TEST

START_TEST(unseen_copies_count)
{
    unseen = "c:1";
    index_says("L1 live 5 larder " MD5_A " a:1,c:1", "W1;garbage 3 larder c:1;");
    file(0, 5, MD5_A);
    reconciles_to(RECONCILE_WORK, KEY_LIVE, 5, 2, 1);
    record_free(&choice.record);
    /* But not of an older version. */
    file(0, 7, MD5_B);
    reconciles_to(RECONCILE_VERSION, KEY_LIVE, 7, 1, 3); /* which is to go from there as well */
    ck_assert_uint_eq(choice.record.garbage.list[1].generation, 5);
    ck_assert_str_eq(choice.record.garbage.list[1].place, "c:1");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {nothing_has_happened,
                                  it_came_after_the_backup,
                                  it_was_overwritten,
                                  it_was_deleted,
                                  it_was_deleted_but_for_a_copy,
                                  an_older_version_does_not_come_back,
                                  a_deleted_version_does_not_come_back,
                                  garbage_of_then_may_be_a_copy_now,
                                  it_was_moved,
                                  it_was_unlinked,
                                  the_index_knows_what_files_do_not_tell,
                                  what_a_client_was_told_decides,
                                  work_that_speaks_of_nothing_goes,
                                  deleted_and_put_again,
                                  put_again_after_a_deletion_under_way,
                                  put_again_after_an_unlinked_one,
                                  put_again_without_md5,
                                  a_copy_of_then_says_that_it_is_the_same,
                                  a_file_of_then_is_past,
                                  a_tombstone_on_a_volume_counts_always,
                                  an_older_version_beside_the_one_put_again,
                                  in_doubt_it_stays,
                                  a_tombstone_leaves_no_doubt,
                                  unseen_copies_count,
                                  NULL};
    Suite *suite = suite_create("tool/reconcile");
    TCase *tcase = suite_case(suite, "reconcile", tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, its_last_copies_are_in_quarantine, 0, 3);
    tcase_add_loop_test(tcase, a_quarantine_that_does_not_count, 0, 4);
    return suite_run(suite);
}
