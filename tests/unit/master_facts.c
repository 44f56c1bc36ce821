/* What is lasting of volumes: its text in the index; names, addresses and identities. */
#include "common/buf.h"
#include "master/volumes.h"
#include "tests/flow/fake_base.h"
#include "tests/flow/fake_loop.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct volumes *volumes;
static char name[VOLUME_NAME_MAX + 1];

static void add(const char *named, const char *id, const char *address)
{
    struct volume_facts facts = {.added_ms = 7};
    (void)snprintf(facts.id, sizeof facts.id, "%s", id);
    (void)snprintf(facts.address, sizeof facts.address, "%s", address);
    ck_assert_int_eq(volumes_set(volumes, named, &facts), ST_OK);
}

static void setup(void)
{
    be_quiet();
    volumes = volumes_new(3, 600000);
    ck_assert_ptr_nonnull(volumes);
    add("a:1", ID_A, "x:1/deep");
    add("a:1/sub", ID_B, "");
    add("b:1", "", "a:1");
}

static void teardown(void)
{
    volumes_free(volumes);
}

static void removed(const char *named)
{
    struct volume_facts facts;
    ck_assert(volumes_facts(volumes, named, &facts));
    facts.removed = true;
    ck_assert_int_eq(volumes_set(volumes, named, &facts), ST_OK);
}

#define ck_address(place, expected)                                                                \
    do {                                                                                           \
        struct buf text = BUF_INIT;                                                                \
        volumes_add_address(volumes, place, &text);                                                \
        ck_assert_str_eq(buf_text(&text), expected);                                               \
        buf_free(&text);                                                                           \
    } while (0)

START_TEST(texts_come_out_as_they_went_in)
{
    static const char *const texts[] = {
        "{\"id\":\"\",\"added\":0}", "{\"id\":\"" ID_A "\",\"added\":1700000000000}",
        "{\"id\":\"" ID_A "\",\"added\":7,\"address\":\"b:1/x\",\"draining\":true}",
        "{\"id\":\"" ID_B "\",\"added\":7,\"removed\":true}"};
    struct volume_facts facts;
    struct buf out = BUF_INIT;
    volumes_read(&facts, texts[_i]);
    volumes_describe(&out, "a:1", &facts);
    ck_assert_str_eq(buf_text(&out), texts[_i]);
    buf_free(&out);
}
END_TEST

/* The address of a volume is followed: what is none is left alone. */
START_TEST(texts_that_are_none)
{
    static const char *const texts[] = {"",
                                        "7",
                                        "{\"id\":7,\"address\":7}",
                                        "{\"id\":\"short\",\"address\":\"\"}",
                                        "{\"address\":\"https://b:1\"}",
                                        "{\"address\":\"b\"}",
                                        "{\"address\":\"b:1/../c\"}",
                                        "{\"address\":\"b:1,c:1\"}"};
    struct volume_facts facts;
    volumes_read(&facts, texts[_i]);
    ck_assert_str_eq(facts.id, "");
    ck_assert_str_eq(facts.address, "");
    ck_assert(!facts.removed && !facts.draining);
}
END_TEST

START_TEST(places_are_reached_at_addresses)
{
    ck_address("a:1", "x:1/deep");
    ck_address("a:1/sv01", "x:1/deep/sv01");
    ck_address("a:1/sub/sv01", "a:1/sub/sv01"); /* another volume */
    ck_address("b:1/sv02", "a:1/sv02");
    ck_address("a:11/sv00", "a:11/sv00");
    ck_address("nobody:1", "nobody:1");
}
END_TEST

/* With the identity of who is meant, where that is known. */
START_TEST(requests_name_who_is_meant)
{
    char field[VOLUMES_FIELD];
    struct buf text = BUF_INIT;
    const char *said = volumes_reach(volumes, "a:1/sv01", &text, field);
    ck_assert_ptr_eq(said, field);
    ck_assert_str_eq(said, "Larder-Identity: " ID_A);
    ck_assert_str_eq(buf_text(&text), "x:1/deep/sv01");
    add("plain:1", "", "");
    buf_clear(&text);
    ck_assert_ptr_null(volumes_reach(volumes, "plain:1/sv01", &text, field));
    ck_assert_ptr_null(volumes_reach(volumes, "nobody:1", &text, field));
    ck_assert_str_eq(buf_text(&text), "plain:1/sv01nobody:1");
    buf_free(&text);
}
END_TEST

START_TEST(names_before_addresses)
{
    ck_assert(volumes_find(volumes, "a:1", name));
    ck_assert_str_eq(name, "a:1"); /* not b:1, which is reached there */
    ck_assert(volumes_at(volumes, "a:1", name));
    ck_assert_str_eq(name, "b:1");
    ck_assert(volumes_find(volumes, "x:1/deep", name));
    ck_assert_str_eq(name, "a:1");
    ck_assert(!volumes_find(volumes, "x:1", name));
    removed("a:1");
    ck_assert(volumes_find(volumes, "a:1", name));
    ck_assert_str_eq(name, "b:1");
    ck_assert(!volumes_find(volumes, "x:1/deep", name));
    ck_assert(!volumes_with_id(volumes, ID_A, name));
}
END_TEST

START_TEST(identities_find_their_volume)
{
    ck_assert(volumes_with_id(volumes, ID_B, name));
    ck_assert_str_eq(name, "a:1/sub");
    removed("a:1");
    add("c:1", ID_A, ""); /* the removed one has come back under another name */
    ck_assert(volumes_with_id(volumes, ID_A, name));
    ck_assert_str_eq(name, "c:1");
}
END_TEST

/* What was known of it was known of another address. */
START_TEST(one_that_moves_is_unknown_until_it_is_asked)
{
    struct volume_facts facts;
    struct volume_report report = {.address = "a:1/sub"};
    (void)volumes_checked(volumes, 1, &report);
    ck_assert_int_eq(volumes_state(volumes, "a:1/sub"), VOLUME_DOWN);
    (void)volumes_facts(volumes, "a:1/sub", &facts);
    memcpy(facts.address, "y:1", 4);
    ck_assert_int_eq(volumes_set(volumes, "a:1/sub", &facts), ST_OK);
    ck_assert_int_eq(volumes_state(volumes, "a:1/sub"), VOLUME_UNKNOWN);
    report.answered = true;
    memcpy(report.id, ID_A, sizeof report.id);
    (void)volumes_checked(volumes, 1, &report); /* who is at the old address now */
    ck_assert_int_eq(volumes_state(volumes, "a:1/sub"), VOLUME_UNKNOWN);
    report = (struct volume_report){.address = "y:1", .answered = true};
    memcpy(report.id, ID_B, sizeof report.id);
    (void)volumes_checked(volumes, 1, &report);
    ck_assert_int_eq(volumes_state(volumes, "a:1/sub"), VOLUME_UP);
}
END_TEST

START_TEST(copies_cease_to_count)
{
    struct volume_facts facts;
    uint64_t epoch = volumes_epoch(volumes);
    (void)volumes_facts(volumes, "b:1", &facts);
    ck_assert_int_eq(volumes_set(volumes, "b:1", &facts), ST_OK);
    ck_assert_uint_eq(volumes_epoch(volumes), epoch); /* nothing has changed */
    facts.draining = true;
    ck_assert_int_eq(volumes_set(volumes, "b:1", &facts), ST_OK);
    ck_assert_uint_gt(volumes_epoch(volumes), epoch);
    ck_assert(!volumes_keeps(volumes, "b:1/sv00"));
    epoch = volumes_epoch(volumes);
    (void)volumes_facts(volumes, "b:1", &facts);
    ck_assert_uint_eq(facts.turns, 1);
    removed("a:1/sub");
    ck_assert_uint_gt(volumes_epoch(volumes), epoch);
    ck_assert_uint_eq(volumes_members(volumes), 2);
}
END_TEST

/* Where copies should be: not where they would not count. */
START_TEST(wanted_is_where_copies_count)
{
    struct key key;
    struct ranked *all, *list;
    size_t all_count, count;
    struct volume_facts facts;
    ck_assert_int_eq(key_from_bytes(&key, "/k", 2), ST_OK);
    ck_assert_int_eq(volumes_rank(volumes, &key, &all, &all_count), ST_OK);
    ck_assert_uint_eq(all_count, 3);
    char first[VOLUME_NAME_MAX + 1];
    (void)snprintf(first, sizeof first, "%.*s", (int)(strrchr(all[0].place, '/') - all[0].place),
                   all[0].place);
    (void)volumes_facts(volumes, first, &facts);
    facts.draining = true;
    ck_assert_int_eq(volumes_set(volumes, first, &facts), ST_OK);
    ck_assert_int_eq(volumes_wanted(volumes, &key, 1, &list, &count), ST_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(list[0].place, all[1].place);
    free(list);
    ck_assert_int_eq(volumes_wanted(volumes, &key, 3, &list, &count), ST_OK);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(list[1].place, all[2].place);
    free(list);
    free(all);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{texts_come_out_as_they_went_in, 4},
                                   {texts_that_are_none, 8},
                                   {places_are_reached_at_addresses, 1},
                                   {requests_name_who_is_meant, 1},
                                   {names_before_addresses, 1},
                                   {identities_find_their_volume, 1},
                                   {one_that_moves_is_unknown_until_it_is_asked, 1},
                                   {copies_cease_to_count, 1},
                                   {wanted_is_where_copies_count, 1},
                                   {NULL, 0}};
    return play_all("master_facts", tests, setup, teardown);
}
