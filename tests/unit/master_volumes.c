/* The table of volumes: order, states, identities. Time is the test's own. */
#include "master/volumes.h"

#include <pthread.h>

#include "common/buf.h"
#include "common/json.h"
#include "tests/flow/fake_base.h"
#include "tests/flow/fake_loop.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct volumes *volumes;
static struct key key;

static void add(const char *name, const char *id)
{
    struct volume_facts facts;
    ck_assert(!volumes_facts(volumes, name, &facts));
    (void)snprintf(facts.id, sizeof facts.id, "%s", id ? id : "");
    ck_assert_int_eq(volumes_set(volumes, name, &facts), ST_OK);
}

static void setup(void)
{
    be_quiet();
    fake_now = 1000;
    volumes = volumes_new(3, 600000);
    ck_assert_ptr_nonnull(volumes);
    add("a:1", NULL);
    add("b:1", NULL);
    add("b:1/sub", NULL);
    ck_assert_int_eq(key_from_bytes(&key, "/k", 2), ST_OK);
}

static void teardown(void)
{
    volumes_free(volumes);
    volumes_free(NULL);
}

/* A health check of volume i found this identity ("" none, NULL: no answer). */
static bool checked(size_t i, const char *id)
{
    struct volume_report report = {.answered = id != NULL, .kind = VOLUME_LARDER};
    struct volume_facts facts;
    (void)volumes_facts(volumes, volumes_name(volumes, i), &facts);
    report.address = facts.address;
    (void)snprintf(report.id, sizeof report.id, "%s", id ? id : "");
    bool first = volumes_checked(volumes, i, &report);
    ck_assert_ptr_null(report.subvolumes);
    return first;
}

/* … and one subvolume in this state. */
static void checked_subvolume(size_t i, const char *name, enum volume_state state)
{
    struct volume_facts facts;
    (void)volumes_facts(volumes, volumes_name(volumes, i), &facts);
    struct volume_report report = {.address = facts.address,
                                   .answered = true,
                                   .kind = VOLUME_LARDER,
                                   .free = 7,
                                   .subvolume_count = 1};
    memcpy(report.id, facts.id, sizeof report.id);
    report.subvolumes = __real_calloc(1, sizeof *report.subvolumes);
    ck_assert_ptr_nonnull(report.subvolumes);
    (void)snprintf(report.subvolumes->name, sizeof report.subvolumes->name, "%s", name);
    report.subvolumes->state = state;
    (void)volumes_checked(volumes, i, &report);
}

#define ck_state(place, state) ck_assert_int_eq(volumes_state(volumes, place), state)

/* As readers are told. */
static bool hesitates(struct volumes *table, const char *place)
{
    struct key any = {.len = 2, .bytes = "/k"};
    struct volume_copy copy;
    struct buf text = BUF_INIT;
    (void)volumes_look(table, &any, 1, &place, 1, &text, &copy, &(uint64_t){0});
    ck_assert_uint_eq(copy.len, text.len);
    buf_free(&text);
    return copy.hesitates;
}

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

/* The stamp spares the digests only as long as they would come to the same. */
START_TEST(stamps_are_of_the_volumes_that_keep_copies)
{
    struct place ranked[3];
    const char *const names[] = {"a:1", "b:1", "b:1/sub"};
    ck_assert_int_eq(placement_rank(&key, names, 3, 3, ranked), ST_OK);
    const char *const places[] = {ranked[0].name, ranked[1].name};
    struct volume_copy copies[2];
    struct buf text = BUF_INIT;
    uint64_t stamp = 0;
    ck_assert(volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));
    uint64_t first = stamp;
    ck_assert_uint_ne(first, 0);
    ck_assert_uint_eq(volumes_stamp(volumes, &key, 2, places, 2), first);
    ck_assert(volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));
    ck_assert_uint_eq(stamp, first);
    stamp ^= 1; /* it is believed */
    ck_assert(!volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));

    struct volume_facts facts;
    ck_assert(volumes_facts(volumes, names[ranked[0].volume], &facts));
    facts.draining = true;
    ck_assert_int_eq(volumes_set(volumes, names[ranked[0].volume], &facts), ST_OK);
    stamp = first;
    ck_assert(!volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));
    ck_assert_uint_ne(stamp, first);
    facts.draining = false;
    ck_assert_int_eq(volumes_set(volumes, names[ranked[0].volume], &facts), ST_OK);
    ck_assert(volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));
    ck_assert_uint_eq(stamp, first);
    add("new:1", NULL);
    (void)volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp);
    ck_assert_uint_ne(stamp >> 1, first >> 1);

    for (int i = 4; i <= 62; i++) { /* so many have a bit each */
        char name[16];
        ck_assert_uint_ne(volumes_stamp(volumes, &key, 2, places, 2), 0);
        (void)snprintf(name, sizeof name, "n%d:1", i);
        add(name, NULL);
    }
    ck_assert_uint_eq(volumes_stamp(volumes, &key, 2, places, 2), 0);
    buf_free(&text);
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

START_TEST(it_hesitates_while_an_answer_is_late)
{
    (void)checked(0, ID_A);
    fake_now += 5000; /* nobody has asked */
    ck_assert(!hesitates(volumes, "a:1/sv00"));
    volumes_asked(volumes, 0);
    fake_now += 249;
    ck_assert(!hesitates(volumes, "a:1/sv00"));
    fake_now += 1;
    ck_assert(hesitates(volumes, "a:1/sv00"));
    ck_assert(!hesitates(volumes, "b:1"));
    ck_assert(!hesitates(volumes, "nobody:1"));
    ck_state("a:1", VOLUME_UP); /* no more than that */
    (void)checked(0, ID_A);
    ck_assert(!hesitates(volumes, "a:1/sv00"));
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

/* --- what is told of them --- */

START_TEST(tallies)
{
    size_t writable;
    size_t seen;
    size_t full;
    volumes_tally(volumes, &writable, &seen, &full);
    ck_assert_uint_eq(writable, 3); /* not known: as if they were up */
    ck_assert_uint_eq(seen, 0);
    (void)checked(0, NULL);
    checked_subvolume(1, "sv00", VOLUME_FULL);
    volumes_tally(volumes, &writable, &seen, &full);
    ck_assert_uint_eq(writable, 2);
    ck_assert_uint_eq(seen, 2);
    ck_assert_uint_eq(full, 1);
}
END_TEST

START_TEST(pages)
{
    struct buf text = BUF_INIT;
    (void)checked(0, ID_A);
    checked_subvolume(1, "sv\"00", VOLUME_FULL);
    volumes_failed(volumes, "b:1/sub/sv00");
    volumes_json(volumes, &text);
    struct json *json = json_parse(buf_text(&text), text.len, NULL);
    const struct json *list = json_member(json, "volumes");
    ck_assert_uint_eq(json_count(list), 3);
    const struct json *first = json_item(list, 0);
    ck_assert_str_eq(json_text(json_member(first, "name")), "a:1");
    ck_assert_str_eq(json_text(json_member(first, "address")), "a:1");
    ck_assert_str_eq(json_text(json_member(first, "id")), ID_A);
    ck_assert_str_eq(json_text(json_member(first, "state")), "up");
    ck_assert_str_eq(json_text(json_member(first, "kind")), "larder");
    const struct json *sub = json_member(json_member(json_item(list, 1), "subvolumes"), "sv\"00");
    ck_assert_str_eq(json_text(json_member(sub, "state")), "full");
    ck_assert_int_eq(json_int(json_member(json_item(list, 2), "errors"), -1), 1);
    json_free(json);
    buf_clear(&text);
    volumes_metrics(volumes, &text);
    ck_assert(strstr(buf_text(&text), "larder_volume_up{volume=\"a:1\"} 1\n") != NULL);
    ck_assert(strstr(buf_text(&text), "larder_volume_up{volume=\"b:1/sub\"} 0\n") != NULL);
    ck_assert(strstr(buf_text(&text), "larder_volume_errors_total{volume=\"b:1/sub\"} 1\n") !=
              NULL);
    buf_free(&text);
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
                                   {stamps_are_of_the_volumes_that_keep_copies, 1},
                                   {one_silence_makes_it_slow, 1},
                                   {it_hesitates_while_an_answer_is_late, 1},
                                   {one_that_never_answered_is_down_at_once, 1},
                                   {a_failed_request_makes_it_down, 1},
                                   {it_is_settled_after_a_while, 1},
                                   {a_subvolume_may_be_worse_than_its_volume, 1},
                                   {a_disk_may_be_lost_while_its_volume_is_up, 1},
                                   {the_first_identity_is_to_be_kept, 1},
                                   {another_directory_is_foreign, 1},
                                   {no_identity_is_another_one, 1},
                                   {a_second_name_of_a_volume_is_foreign, 1},
                                   {tallies, 1},
                                   {pages, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {threads_use_it_while_volumes_are_added, 1},
                                   {NULL, 0}};
    return play_all("master_volumes", tests, setup, teardown);
}
