/* The table of volumes: order, states, identities. Time is the test's own. */
#include "master/volumes.h"

#include <pthread.h>

#include "tests/unit/volumes_fixture.h"

START_TEST(volumes_are_added_once)
{
    struct volume_facts facts;
    ck_assert(volumes_facts(volumes, "a:1", &facts));
    ck_assert_int_eq(volumes_set(volumes, "a:1", &facts), ST_OK);
    ck_assert_uint_eq(volumes_count(volumes), 3);
    ck_assert_str_eq(volumes_name(volumes, 2), "b:1/sub");
}
END_TEST

START_TEST(places_belong_to_volumes)
{
    (void)checked(0, ID_A);
    (void)checked(1, NULL);
    ck_state("a:1", VOLUME_UP);
    ck_state("a:1/sv00", VOLUME_UP);
    ck_state("a:11/sv00", VOLUME_UNKNOWN); /* no volume of ours */
    ck_state("b:1/sv00", VOLUME_DOWN);
    ck_state("b:1/sub/sv00", VOLUME_UNKNOWN); /* another volume below the same address */
    ck_assert_int_eq(volumes_kind(volumes, "a:1/sv00"), VOLUME_LARDER);
    ck_assert_int_eq(volumes_kind(volumes, "c:1/sv00"), VOLUME_PLAIN);
}
END_TEST

START_TEST(what_states_allow)
{
    static const struct {
        enum volume_state state;
        bool readable, writable, erasable;
    } allow[] = {{VOLUME_UNKNOWN, true, true, true}, {VOLUME_UP, true, true, true},
                 {VOLUME_FULL, true, false, true},   {VOLUME_READ_ONLY, true, false, false},
                 {VOLUME_DOWN, false, false, false}, {VOLUME_FOREIGN, false, false, false}};
    for (size_t i = 0; i < sizeof allow / sizeof allow[0]; i++) {
        ck_assert_int_eq(volume_readable(allow[i].state), allow[i].readable);
        ck_assert_int_eq(volume_writable(allow[i].state), allow[i].writable);
        ck_assert_int_eq(volume_erasable(allow[i].state), allow[i].erasable);
    }
}
END_TEST

START_TEST(ranking_follows_placement)
{
    struct ranked *list;
    size_t count;
    struct place places[3];
    const char *const names[] = {"a:1", "b:1", "b:1/sub"};
    ck_assert_int_eq(placement_rank(&key, names, 3, 3, places), ST_OK);
    (void)checked(places[1].volume, ID_A);
    ck_assert_int_eq(volumes_rank(volumes, &key, &list, &count), ST_OK);
    ck_assert_uint_eq(count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(list[i].place, places[i].name);
        ck_assert_int_eq(list[i].state, i == 1 ? VOLUME_UP : VOLUME_UNKNOWN);
        ck_assert_int_eq(list[i].kind, i == 1 ? VOLUME_LARDER : VOLUME_PLAIN);
    }
    free(list);
    struct volumes *none = volumes_new(3, 600000);
    ck_assert_int_eq(volumes_rank(none, &key, &list, &count), ST_OK);
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_null(list);
    volumes_free(none);
}
END_TEST

/* --- up and down --- */

START_TEST(one_silence_makes_it_slow)
{
    (void)checked(0, ID_A);
    (void)checked(0, NULL);
    ck_state("a:1", VOLUME_SLOW);
    ck_assert(!volumes_lost(volumes, "a:1/sv00"));
    (void)checked(0, NULL);
    ck_state("a:1", VOLUME_DOWN);
    ck_assert(volumes_lost(volumes, "a:1/sv00"));
    (void)checked(0, ID_A);
    ck_state("a:1", VOLUME_UP);
    ck_assert(!volumes_lost(volumes, "a:1/sv00"));
    (void)checked(0, NULL); /* counted anew */
    ck_state("a:1", VOLUME_SLOW);
}
END_TEST

START_TEST(one_that_never_answered_is_down_at_once)
{
    (void)checked(0, NULL);
    ck_state("a:1", VOLUME_DOWN);
}
END_TEST

START_TEST(a_failed_request_makes_it_down)
{
    (void)checked(0, ID_A);
    volumes_failed(volumes, "a:1/sv01");
    ck_state("a:1/sv00", VOLUME_DOWN);
    ck_assert(!volumes_lost(volumes, "a:1")); /* what is under way may go on */
    (void)checked(0, ID_A);
    ck_state("a:1/sv00", VOLUME_UP);
    volumes_failed(volumes, "nobody:1");
}
END_TEST

START_TEST(it_is_settled_after_a_while)
{
    (void)checked(0, ID_A);
    ck_assert(!volumes_settled(volumes, "a:1/sv00"));
    time_passes(2900);
    (void)checked(0, ID_A);
    ck_assert(!volumes_settled(volumes, "a:1/sv00"));
    time_passes(200);
    ck_assert(volumes_settled(volumes, "a:1/sv00"));
    volumes_failed(volumes, "a:1");
    ck_assert(!volumes_settled(volumes, "a:1/sv00"));
    (void)checked(0, ID_A);
    ck_assert(!volumes_settled(volumes, "a:1/sv00")); /* from the beginning */
    ck_assert(!volumes_settled(volumes, "nobody:1"));
}
END_TEST

START_TEST(a_subvolume_may_be_worse_than_its_volume)
{
    checked_subvolume(0, "sv01", VOLUME_READ_ONLY);
    ck_state("a:1/sv00", VOLUME_UP); /* not reported: not made yet */
    ck_state("a:1/sv01", VOLUME_READ_ONLY);
    checked_subvolume(0, "sv01", VOLUME_DOWN);
    ck_state("a:1/sv01", VOLUME_DOWN);
    ck_state("a:1", VOLUME_UP);
    checked_subvolume(0, "sv01", VOLUME_UP);
    ck_state("a:1/sv01", VOLUME_UP);
    (void)checked(0, NULL);
    (void)checked(0, NULL);
    ck_state("a:1/sv01", VOLUME_DOWN); /* and the volume worse than its subvolume */
}
END_TEST

START_TEST(a_disk_may_be_lost_while_its_volume_is_up)
{
    struct ranked *list;
    size_t count;
    checked_subvolume(0, "sv01", VOLUME_DOWN);
    uint64_t epoch = volumes_epoch(volumes);
    time_passes(590000);
    checked_subvolume(0, "sv01", VOLUME_DOWN); /* it has been so all the time */
    ck_assert_uint_eq(volumes_epoch(volumes), epoch);
    ck_assert(volumes_keeps(volumes, "a:1/sv01"));
    time_passes(11000);
    ck_assert_uint_eq(volumes_epoch(volumes), epoch + 1);
    ck_assert_uint_eq(volumes_epoch(volumes), epoch + 1); /* once */
    checked_subvolume(0, "sv01", VOLUME_DOWN);
    ck_assert(!volumes_keeps(volumes, "a:1/sv01"));
    ck_assert(volumes_keeps(volumes, "a:1/sv00")); /* the others go on */
    ck_assert(volumes_keeps(volumes, "a:1"));
    ck_assert_int_eq(volumes_rank(volumes, &key, &list, &count), ST_OK);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(list[i].keeps, strcmp(list[i].place, "a:1/sv01") != 0);
    free(list);
    checked_subvolume(0, "sv01", VOLUME_UP);
    ck_assert(volumes_keeps(volumes, "a:1/sv01")); /* at once */
    checked_subvolume(0, "sv01", VOLUME_DOWN);
    ck_assert_uint_eq(volumes_epoch(volumes), epoch + 1); /* from the beginning */
}
END_TEST

/* --- identities --- */

START_TEST(the_first_identity_is_to_be_kept)
{
    ck_assert(checked(0, ID_A));
    ck_assert(!checked(0, ID_A));
    add("c:1", ID_B); /* known from the index */
    ck_assert(!checked(3, ID_B));
    ck_state("c:1", VOLUME_UP);
    ck_assert(!checked(1, "")); /* a plain server has none */
    ck_state("b:1", VOLUME_UP);
}
END_TEST

START_TEST(another_directory_is_foreign)
{
    (void)checked(0, ID_A);
    ck_assert(!checked(0, ID_B));
    ck_state("a:1/sv00", VOLUME_FOREIGN);
    volumes_failed(volumes, "a:1"); /* stays foreign */
    ck_state("a:1/sv00", VOLUME_FOREIGN);
    (void)checked(0, ID_A); /* the right one is back */
    ck_state("a:1/sv00", VOLUME_UP);
    (void)checked(0, ID_B);
    struct volume_facts facts;
    (void)volumes_facts(volumes, "a:1", &facts);
    facts.id[0] = 0;
    ck_assert_int_eq(volumes_set(volumes, "a:1", &facts), ST_OK);
    ck_assert(!checked(0, ID_B)); /* that was a change that knew of no identity yet */
    facts.forgets_id = true;
    ck_assert_int_eq(volumes_set(volumes, "a:1", &facts), ST_OK);
    ck_assert(checked(0, ID_B)); /* the new one is to be kept */
    ck_state("a:1/sv00", VOLUME_UP);
}
END_TEST

/* What answers without one, where a volume of ours was, must get no readers. */
START_TEST(no_identity_is_another_one)
{
    (void)checked(0, ID_A);
    ck_assert(!checked(0, ""));
    ck_state("a:1/sv00", VOLUME_FOREIGN);
    (void)checked(0, ID_A);
    ck_state("a:1/sv00", VOLUME_UP);
}
END_TEST

START_TEST(a_second_name_of_a_volume_is_foreign)
{
    (void)checked(0, ID_A);
    ck_assert(!checked(1, ID_A));
    ck_state("b:1/sv00", VOLUME_FOREIGN); /* two copies there would be one */
    ck_state("a:1/sv00", VOLUME_UP);
}
END_TEST

/* --- memory, threads --- */

static void play_without_memory(unsigned k)
{
    struct ranked *list = NULL;
    size_t count;
    const struct volume_facts facts = {.added_ms = 1};
    memory_arm(k);
    struct volumes *table = volumes_new(3, 600000);
    enum status added = table ? volumes_set(table, "a:1", &facts) : ST_NO_MEMORY;
    enum status ranked = added ? added : volumes_rank(table, &key, &list, &count);
    memory.left = 0;
    ck_assert_int_eq(ranked, memory.failed ? ST_NO_MEMORY : ST_OK);
    ck_assert(!table || volumes_count(table) == (added == ST_OK));
    ck_assert_int_eq(list != NULL, ranked == ST_OK);
    free(list);
    volumes_free(table);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

static void *use(void *arg)
{
    for (int i = 0; i < 300; i++) {
        struct ranked *list;
        size_t count;
        if (volumes_rank(volumes, &key, &list, &count))
            return NULL;
        for (size_t j = 0; j < count; j++)
            if (!volume_readable(volumes_state(volumes, list[j].place)))
                volumes_failed(volumes, list[j].place);
        free(list);
    }
    return arg;
}

START_TEST(threads_use_it_while_volumes_are_added)
{
    pthread_t threads[2];
    void *result;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use, &key), 0);
    for (int i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d:1", i);
        add(name, NULL);
        (void)checked((size_t)i % 3, i % 2 ? "" : NULL);
        checked_subvolume((size_t)i % 3, "sv00", VOLUME_FULL);
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_eq(result, &key);
    }
    ck_assert_uint_eq(volumes_count(volumes), 103);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{volumes_are_added_once, 1},
                                   {places_belong_to_volumes, 1},
                                   {what_states_allow, 1},
                                   {ranking_follows_placement, 1},
                                   {one_silence_makes_it_slow, 1},
                                   {one_that_never_answered_is_down_at_once, 1},
                                   {a_failed_request_makes_it_down, 1},
                                   {it_is_settled_after_a_while, 1},
                                   {a_subvolume_may_be_worse_than_its_volume, 1},
                                   {a_disk_may_be_lost_while_its_volume_is_up, 1},
                                   {the_first_identity_is_to_be_kept, 1},
                                   {another_directory_is_foreign, 1},
                                   {no_identity_is_another_one, 1},
                                   {a_second_name_of_a_volume_is_foreign, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {threads_use_it_while_volumes_are_added, 1},
                                   {NULL, 0}};
    return play_all("master_volumes", tests, three_volumes, no_volumes);
}
