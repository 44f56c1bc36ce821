/* What the index knows of a key: minikeyvalue's text, larder's, and what is still to do. */
#include "common/record.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

#define HEX32 "900150983cd24fb0d6963f7d28e17f72"

static struct key text_key(const char *text)
{
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, text, strlen(text)), ST_OK);
    return key;
}

static enum status decode(struct record *rec, const char *value, const char *work)
{
    record_init(rec);
    return record_decode(rec, value, value ? strlen(value) : 0, work, work ? strlen(work) : 0);
}

/* Reads both texts and writes them again: they must come out as they went in. */
static void check_same(const char *value, const char *work)
{
    struct key key = text_key("/hello");
    struct record rec;
    ck_assert_msg(decode(&rec, value, work) == ST_OK, "'%s' '%s'", value ? value : "",
                  work ? work : "");
    struct buf out = BUF_INIT;
    ck_assert(record_encode(&rec, &key, &out) == (value != NULL));
    ck_assert_str_eq(buf_text(&out), value ? value : "");
    buf_clear(&out);
    ck_assert(record_encode_work(&rec, &out) == (work != NULL));
    ck_assert_str_eq(buf_text(&out), work ? work : "");
    buf_free(&out);
    record_free(&rec);
}

START_TEST(minikeyvalue_texts)
{
    struct record rec;
    ck_assert_int_eq(decode(&rec, "hello,world", NULL), ST_OK);
    ck_assert_int_eq(rec.state, KEY_LIVE);
    ck_assert_uint_eq(rec.place_count, 2);
    ck_assert_str_eq(rec.places[0], "hello");
    ck_assert_str_eq(rec.places[1], "world");
    ck_assert_str_eq(rec.md5, "");
    ck_assert_uint_eq(rec.generation, 0);
    ck_assert_int_eq(rec.naming, NAMING_MKV);
    record_free(&rec);

    ck_assert_int_eq(decode(&rec, "DELETEDhello,world", NULL), ST_OK);
    ck_assert_int_eq(rec.state, KEY_UNLINKED);
    ck_assert_uint_eq(rec.place_count, 2);
    record_free(&rec);

    ck_assert_int_eq(decode(&rec, "HASH" HEX32 "a,b", NULL), ST_OK);
    ck_assert_int_eq(rec.state, KEY_LIVE);
    ck_assert_str_eq(rec.md5, HEX32);
    ck_assert_str_eq(rec.places[0], "a");
    ck_assert_str_eq(rec.places[1], "b");
    record_free(&rec);

    ck_assert_int_eq(decode(&rec, "DELETEDHASH" HEX32 "a:80/sv03", NULL), ST_OK);
    ck_assert_int_eq(rec.state, KEY_UNLINKED);
    ck_assert_str_eq(rec.md5, HEX32);
    ck_assert_str_eq(rec.places[0], "a:80/sv03");
    record_free(&rec);
}
END_TEST

START_TEST(texts_come_out_as_they_went_in)
{
    check_same("hello,world", NULL);
    check_same("hello", NULL);
    check_same("DELETEDhello,world", NULL);
    check_same("HASH" HEX32 "a,b", NULL);
    check_same("DELETEDHASH" HEX32 "a,b,c", NULL);
    check_same("L1 live 1732197000123 larder " HEX32 " h:1/sv00,h:2/sv07", NULL);
    check_same("L1 unlinked 5 larder - h:1", NULL);
    check_same(NULL, "W1\n");
    check_same(NULL, "W1\ndue 17\ngarbage 0 larder h:1/sv00\ngarbage 9 mkv h:2/sv01\n");
    check_same(NULL, "W1\ntombstone 12\ngarbage 12 larder h:1\nholder h:1\nholder h:2/sv01\n");
    check_same(NULL, "W1\ntombstone 12\nholder h:2/sv01\nmaybe h:1\nmaybe h:3\n");
    check_same("hello", "W1\nfew 1\n");
    check_same("L1 live 18446744073709551615 larder - h:1",
               "W1\ntombstone 3\nfew 1\nsuspect\nsince 7\n");
    check_same("a", "W1\nfew 1\ndue 17\ngarbage 1 larder h:1\ndue 9\ngarbage 2 larder h:2\n"
                    "due 0\ngarbage 3 larder h:3\ngarbage 4 larder h:4\nholder h:1\n");
}
END_TEST

/* One time for all garbage, before everything else, as it was once written. */
START_TEST(the_older_due_is_read)
{
    struct record rec;
    ck_assert_int_eq(decode(&rec, "a",
                            "W1\ndue 17\nfew 1\ngarbage 1 larder h:1\n"
                            "garbage 2 larder h:2\n"),
                     ST_OK);
    ck_assert_uint_eq(rec.garbage.count, 2);
    for (size_t i = 0; i < 2; i++)
        ck_assert_uint_eq(rec.garbage.list[i].due, 17);
    record_free(&rec);
    ck_assert_int_eq(decode(&rec, "a", "W1\ndue 17\nsuspect\n"), ST_OK); /* a delayed retry */
    ck_assert_uint_eq(rec.garbage.count, 0);
    record_free(&rec);
}
END_TEST

/* Every version's readers have their time, however often the key is written meanwhile. */
START_TEST(garbage_is_due_copy_by_copy)
{
    struct record rec;
    record_init(&rec);
    rec.state = KEY_LIVE;
    ck_assert_int_eq(record_add_late_garbage(&rec, 1, NAMING_LARDER, "h:1", 100), ST_OK);
    ck_assert_int_eq(record_add_late_garbage(&rec, 2, NAMING_LARDER, "h:1", 200), ST_OK);
    ck_assert(!record_has_due(&rec, 99));
    ck_assert(record_has_due(&rec, 100));
    ck_assert_int_eq(record_add_late_garbage(&rec, 1, NAMING_LARDER, "h:1", 50), ST_OK);
    ck_assert(!record_has_due(&rec, 99)); /* the later time counts */
    ck_assert_int_eq(record_add_garbage(&rec, 3, NAMING_LARDER, "h:1"), ST_OK);
    ck_assert(record_has_due(&rec, 1));
    record_drop_garbage(&rec, 3, "h:1");
    record_hurry_garbage(&rec);
    ck_assert(record_has_due(&rec, 1));
    record_drop_garbage(&rec, 1, "h:1");
    record_drop_garbage(&rec, 2, "h:1");
    rec.suspect = true;
    ck_assert(!record_has_due(&rec, 1000)); /* to be repaired, not removed */
    rec.has_tombstone = true;
    ck_assert(record_has_due(&rec, 1000));
    record_free(&rec);
}
END_TEST

START_TEST(state_follows_from_what_is_there)
{
    struct record rec;
    ck_assert_int_eq(decode(&rec, NULL, NULL), ST_OK);
    ck_assert_int_eq(rec.state, KEY_ABSENT);
    record_free(&rec);
    ck_assert_int_eq(decode(&rec, NULL, "W1\ngarbage 0 larder h:1\n"), ST_OK);
    ck_assert_int_eq(rec.state, KEY_PENDING);
    record_free(&rec);
    ck_assert_int_eq(decode(&rec, NULL, "W1\ntombstone 0\n"), ST_OK);
    ck_assert_int_eq(rec.state, KEY_DELETED);
    ck_assert(rec.has_tombstone);
    ck_assert_uint_eq(rec.tombstone, 0);
    record_free(&rec);
    ck_assert_int_eq(decode(&rec, "a", "W1\ntombstone 4\ngarbage 4 larder a\n"), ST_OK);
    ck_assert_int_eq(rec.state, KEY_LIVE);
    record_free(&rec);
    ck_assert_int_eq(decode(&rec, "DELETEDa", "W1\nfew\n"), ST_OK);
    ck_assert_int_eq(rec.state, KEY_UNLINKED);
    ck_assert(rec.few_copies);
    record_free(&rec);
}
END_TEST

/* minikeyvalue's form wherever it says the same; larder's own where it would not. */
START_TEST(the_older_form_where_it_is_true)
{
    static const struct {
        const char *key;
        uint64_t generation;
        enum naming naming;
        const char *text;
    } rows[] = {
        {"/hello", 0, NAMING_LARDER, "HASH" HEX32 "h:1"},
        {"/hello", 0, NAMING_MKV, "HASH" HEX32 "h:1"},
        {"/hello", 3, NAMING_LARDER, "L1 live 3 larder " HEX32 " h:1"},
        {"/k?k?k?", 0, NAMING_LARDER, "L1 live 0 larder " HEX32 " h:1"},
        {"/k?k?k?", 0, NAMING_MKV, "HASH" HEX32 "h:1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct record rec;
        record_init(&rec);
        rec.state = KEY_LIVE;
        rec.generation = rows[i].generation;
        rec.naming = rows[i].naming;
        strcpy(rec.md5, HEX32);
        ck_assert_int_eq(record_add_place(&rec, "h:1"), ST_OK);
        struct key key = text_key(rows[i].key);
        struct buf out = BUF_INIT;
        ck_assert(record_encode(&rec, &key, &out));
        ck_assert_str_eq(buf_text(&out), rows[i].text);
        buf_free(&out);
        record_free(&rec);
    }
}
END_TEST

START_TEST(damaged_values_are_refused)
{
    static const char *const bad[] = {
        "",
        ",",
        "a,,b",
        ",a",
        "DELETED",
        ("HASH" HEX32),
        ("DELETEDHASH" HEX32),
        "HASHzz0150983cd24fb0d6963f7d28e17f72a",
        "a b",
        "a\nb",
        "\x01",
        "a\xff",
        "L1 ",
        "L1 live",
        "L1 live 1 larder -",
        "L1 live 1 larder - ",
        "L1 gone 1 larder - a",
        "L1 live x larder - a",
        "L1 live -1 larder - a",
        "L1 live 18446744073709551616 larder - a",
        "L1 live 1 other - a",
        "L1 live 1 larder 12 a",
        "L1 live 1 larder - a b",
        "L1 live  1 larder - a",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct record rec;
        ck_assert_msg(decode(&rec, bad[i], NULL) == ST_CORRUPT, "accepted '%s'", bad[i]);
        record_free(&rec);
    }
    struct record rec;
    record_init(&rec);
    ck_assert_int_eq(record_decode(&rec, "a\0b", 3, NULL, 0), ST_CORRUPT);
    record_free(&rec);
}
END_TEST

START_TEST(damaged_work_is_refused)
{
    static const char *const bad[] = {
        "",
        "W2\n",
        "W1\nwhat\n",
        "W1\n\n",
        "W1\ndue\n",
        "W1\ndue x\n",
        "W1\ndue 1 2\n",
        "W1\ntombstone -1\n",
        "W1\nfew x\n",
        "W1\nfew 65\n",
        "W1\nsuspect 1\n",
        "W1\nsince\n",
        "W1\ngarbage\n",
        "W1\ngarbage 1 larder\n",
        "W1\ngarbage 1 other a\n",
        "W1\ngarbage x larder a\n",
        "W1\ngarbage 1 larder a b\n",
        "W1\nholder\n",
        "W1\nholder a,b\n",
        "W1\nmaybe\n",
        "W1\nmaybe a b\n",
        "due 1\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct record rec;
        ck_assert_msg(decode(&rec, NULL, bad[i]) == ST_CORRUPT, "accepted '%s'", bad[i]);
        record_free(&rec);
    }
}
END_TEST

START_TEST(too_many_places_are_damage)
{
    struct buf text = BUF_INIT;
    for (int i = 0; i < RECORD_COPIES_MAX; i++)
        buf_addf(&text, "%sh:%d", i ? "," : "", i + 1);
    struct record rec;
    ck_assert_int_eq(decode(&rec, buf_text(&text), NULL), ST_OK);
    ck_assert_uint_eq(rec.place_count, RECORD_COPIES_MAX);
    record_free(&rec);
    buf_adds(&text, ",h:999");
    ck_assert_int_eq(decode(&rec, buf_text(&text), NULL), ST_CORRUPT);
    record_free(&rec);
    buf_free(&text);
}
END_TEST

START_TEST(nothing_to_write_for_states_without_a_value)
{
    static const enum key_state states[] = {KEY_ABSENT, KEY_PENDING, KEY_DELETED};
    struct key key = text_key("/a");
    for (size_t i = 0; i < 3; i++) {
        struct record rec;
        record_init(&rec);
        rec.state = states[i];
        struct buf out = BUF_INIT;
        ck_assert(!record_encode(&rec, &key, &out));
        ck_assert_uint_eq(out.len, 0);
        ck_assert(record_encode_work(&rec, &out) == (states[i] == KEY_PENDING));
        buf_free(&out);
        record_free(&rec);
    }
}
END_TEST

START_TEST(moves_between_states)
{
    static const struct {
        enum key_state from;
        enum key_state to;
        bool may;
    } rows[] = {
        {KEY_ABSENT, KEY_PENDING, true},    {KEY_PENDING, KEY_LIVE, true},
        {KEY_PENDING, KEY_ABSENT, true},    {KEY_LIVE, KEY_UNLINKED, true},
        {KEY_LIVE, KEY_DELETED, true},      {KEY_LIVE, KEY_LIVE, true},
        {KEY_UNLINKED, KEY_DELETED, true},  {KEY_UNLINKED, KEY_LIVE, true},
        {KEY_DELETED, KEY_ABSENT, true},    {KEY_DELETED, KEY_LIVE, true},
        {KEY_ABSENT, KEY_LIVE, false},      {KEY_ABSENT, KEY_UNLINKED, false},
        {KEY_ABSENT, KEY_DELETED, false},   {KEY_LIVE, KEY_ABSENT, false},
        {KEY_LIVE, KEY_PENDING, false},     {KEY_UNLINKED, KEY_ABSENT, false},
        {KEY_DELETED, KEY_UNLINKED, false}, {KEY_PENDING, KEY_UNLINKED, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_msg(record_may_move(rows[i].from, rows[i].to) == rows[i].may, "%s -> %s",
                      key_state_text(rows[i].from), key_state_text(rows[i].to));
    struct record rec;
    record_init(&rec);
    record_move(&rec, KEY_PENDING);
    record_move(&rec, KEY_LIVE);
    ck_assert_int_eq(rec.state, KEY_LIVE);
    record_free(&rec);
}
END_TEST

START_TEST(forbidden_move_is_a_bug)
{
    struct record rec;
    record_init(&rec);
    record_move(&rec, KEY_LIVE); /* aborts */
}
END_TEST

START_TEST(generations_only_grow)
{
    struct record rec;
    record_init(&rec);
    ck_assert_uint_eq(record_next_generation(&rec, 1000), 0);
    rec.state = KEY_LIVE;
    ck_assert_uint_eq(record_next_generation(&rec, 1000), 1000);
    rec.generation = 5000; /* of a clock that went back since */
    ck_assert_uint_eq(record_next_generation(&rec, 1000), 5001);
    rec.has_tombstone = true;
    rec.tombstone = 7000;
    ck_assert_uint_eq(record_next_generation(&rec, 1000), 7001);
    ck_assert_int_eq(record_add_garbage(&rec, 9000, NAMING_LARDER, "h:1"), ST_OK);
    ck_assert_uint_eq(record_next_generation(&rec, 1000), 9001);
    ck_assert_uint_eq(record_next_generation(&rec, 9500), 9500);
    record_free(&rec);
}
END_TEST

START_TEST(lists_of_places)
{
    struct record rec;
    record_init(&rec);
    const char *const places[] = {"h:1", "h:2", "h:3"};
    ck_assert_int_eq(record_set_places(&rec, places, 3), ST_OK);
    ck_assert(record_has_place(&rec, "h:2"));
    record_drop_place(&rec, "h:2");
    record_drop_place(&rec, "h:9");
    ck_assert(!record_has_place(&rec, "h:2"));
    ck_assert_uint_eq(rec.place_count, 2);
    ck_assert_str_eq(rec.places[1], "h:3");
    ck_assert_int_eq(record_add_place(&rec, "h:4"), ST_OK);
    ck_assert_str_eq(rec.places[2], "h:4");
    ck_assert_int_eq(record_set_places(&rec, places, 1), ST_OK);
    ck_assert_uint_eq(rec.place_count, 1);
    record_free(&rec);
    record_free(&rec); /* twice does no harm */
}
END_TEST

START_TEST(lists_of_garbage_and_holders)
{
    struct record rec;
    record_init(&rec);
    ck_assert_int_eq(record_add_garbage(&rec, 1, NAMING_LARDER, "h:1"), ST_OK);
    ck_assert_int_eq(record_add_garbage(&rec, 2, NAMING_LARDER, "h:1"), ST_OK);
    ck_assert_int_eq(record_add_garbage(&rec, 1, NAMING_MKV, "h:2"), ST_OK);
    ck_assert_uint_eq(rec.garbage.count, 3);
    record_drop_garbage(&rec, 1, "h:1");
    record_drop_garbage(&rec, 1, "h:1");
    ck_assert_uint_eq(rec.garbage.count, 2);
    ck_assert_uint_eq(rec.garbage.list[0].generation, 2);
    ck_assert_str_eq(rec.garbage.list[1].place, "h:2");
    ck_assert_int_eq(rec.garbage.list[1].naming, NAMING_MKV);
    ck_assert_int_eq(record_add_holder(&rec, "h:1"), ST_OK);
    ck_assert_int_eq(record_add_holder(&rec, "h:2"), ST_OK);
    record_drop_holder(&rec, "h:1");
    ck_assert_uint_eq(rec.holder_count, 1);
    ck_assert_str_eq(rec.holders[0], "h:2");
    record_free(&rec);
}
END_TEST

/* A place is on one of the two lists at most: it keeps the tombstone, or nobody knows. */
START_TEST(holders_and_maybes)
{
    struct record rec;
    record_init(&rec);
    ck_assert_int_eq(record_add_maybe(&rec, "h:1"), ST_OK);
    ck_assert_int_eq(record_add_maybe(&rec, "h:2"), ST_OK);
    ck_assert_int_eq(record_add_maybe(&rec, "h:1"), ST_OK);
    ck_assert_uint_eq(rec.maybe_count, 2);
    ck_assert_int_eq(record_add_holder(&rec, "h:1"), ST_OK);
    ck_assert_uint_eq(rec.maybe_count, 1);
    ck_assert_str_eq(rec.maybes[0], "h:2");
    ck_assert_int_eq(record_add_maybe(&rec, "h:1"), ST_OK);
    ck_assert_uint_eq(rec.maybe_count, 1);
    ck_assert_int_eq(record_doubt_holders(&rec), ST_OK);
    ck_assert_uint_eq(rec.holder_count, 0);
    ck_assert_uint_eq(rec.maybe_count, 2);
    ck_assert_str_eq(rec.maybes[1], "h:1");
    record_drop_holder(&rec, "h:1");
    record_drop_holder(&rec, "h:2");
    ck_assert_uint_eq(rec.maybe_count, 0);
    record_free(&rec);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {minikeyvalue_texts,
                                  the_older_due_is_read,
                                  garbage_is_due_copy_by_copy,
                                  texts_come_out_as_they_went_in,
                                  state_follows_from_what_is_there,
                                  the_older_form_where_it_is_true,
                                  damaged_values_are_refused,
                                  damaged_work_is_refused,
                                  too_many_places_are_damage,
                                  nothing_to_write_for_states_without_a_value,
                                  moves_between_states,
                                  generations_only_grow,
                                  lists_of_places,
                                  lists_of_garbage_and_holders,
                                  holders_and_maybes,
                                  NULL};
    Suite *suite = suite_create("record");
    TCase *tcase = suite_case(suite, "record", tests);
    tcase_add_test_raise_signal(tcase, forbidden_move_is_a_bug, 6);
    return suite_run(suite);
}
