/* Placement as minikeyvalue does it, and the names of volumes. */
#include "common/placement.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/suite.h"

static const char *const stooges[] = {"larry", "moe", "curly"};

static struct key make_key(const char *text)
{
    struct key key = {.len = strlen(text)};
    memcpy(key.bytes, text, key.len + 1);
    return key;
}

static void check_first(const char *text, const char *volume)
{
    struct key key = make_key(text);
    struct place places[3];
    ck_assert_int_eq(placement_rank(&key, stooges, 3, 3, places), ST_OK);
    size_t len = strlen(volume);
    ck_assert_str_eq(stooges[places[0].volume], volume);
    ck_assert_int_eq(strncmp(places[0].name, volume, len), 0);
    ck_assert_int_eq(strncmp(places[0].name + len, "/sv", 3), 0);
}

START_TEST(minikeyvalue_vectors)
{
    check_first("hello", "larry");
    check_first("helloworld", "curly");
    check_first("world", "moe");
    check_first("blah", "curly");
}
END_TEST

static void check_order(const char *text, unsigned subvolumes, const char *const *expected)
{
    struct key key = make_key(text);
    struct place places[3];
    ck_assert_int_eq(placement_rank(&key, stooges, 3, subvolumes, places), ST_OK);
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(places[i].name, expected[i]);
}

/* Computed apart from larder, with Python's hashlib. */
START_TEST(order_and_subvolumes)
{
    check_order("hello", 3, (const char *const[]){"larry/sv00", "curly/sv01", "moe/sv02"});
    check_order("helloworld", 3, (const char *const[]){"curly/sv01", "larry/sv02", "moe/sv00"});
    check_order("/hello", 3, (const char *const[]){"moe/sv02", "larry/sv01", "curly/sv01"});
    check_order("/hello", 1, (const char *const[]){"moe", "larry", "curly"});
}
END_TEST

START_TEST(more_than_256_subvolumes)
{
    check_order("world", 300, (const char *const[]){"moe/svD4", "curly/sv114", "larry/svFE"});
    check_order("blah", 300, (const char *const[]){"curly/sv3A", "larry/svB4", "moe/sv113"});
}
END_TEST

START_TEST(order_of_the_list_does_not_matter)
{
    static const char *const turned[] = {"curly", "larry", "moe"};
    for (int i = 0; i < 200; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "/key-%d", i);
        struct key key = make_key(text);
        struct place one[3];
        struct place two[3];
        ck_assert_int_eq(placement_rank(&key, stooges, 3, 10, one), ST_OK);
        ck_assert_int_eq(placement_rank(&key, turned, 3, 10, two), ST_OK);
        for (size_t j = 0; j < 3; j++) {
            ck_assert_str_eq(one[j].name, two[j].name);
            ck_assert_str_eq(stooges[one[j].volume], turned[two[j].volume]);
        }
    }
}
END_TEST

START_TEST(every_volume_is_ranked_once)
{
    char names[100][16];
    const char *volumes[100];
    struct place places[100];
    for (size_t i = 0; i < 100; i++) {
        (void)snprintf(names[i], sizeof names[i], "host%zu:80", i);
        volumes[i] = names[i];
    }
    struct key key = make_key("/some/key");
    ck_assert_int_eq(placement_rank(&key, volumes, 100, 1, places), ST_OK);
    int seen[100] = {0};
    for (size_t i = 0; i < 100; i++) {
        ck_assert_uint_lt(places[i].volume, 100);
        seen[places[i].volume]++;
        ck_assert_str_eq(places[i].name, names[places[i].volume]);
    }
    for (size_t i = 0; i < 100; i++)
        ck_assert_int_eq(seen[i], 1);
}
END_TEST

START_TEST(no_volumes_are_no_error)
{
    struct key key = make_key("/a");
    struct place places[1] = {{.volume = 7}};
    ck_assert_int_eq(placement_rank(&key, stooges, 0, 1, places), ST_OK);
    ck_assert_uint_eq(places[0].volume, 7);
}
END_TEST

START_TEST(longest_volume_name_fits)
{
    char volume[VOLUME_NAME_MAX + 1];
    memset(volume, 'v', sizeof volume - 1);
    volume[VOLUME_NAME_MAX] = 0;
    const char *const volumes[] = {volume};
    struct key key = make_key("/a");
    struct place place;
    ck_assert_int_eq(placement_rank(&key, volumes, 1, 1000, &place), ST_OK);
    ck_assert_int_eq(strncmp(place.name, volume, VOLUME_NAME_MAX), 0);
    ck_assert_int_eq(strncmp(place.name + VOLUME_NAME_MAX, "/sv", 3), 0);
}
END_TEST

START_TEST(names_are_normalized)
{
    static const struct {
        const char *text;
        const char *name;
    } rows[] = {
        {"host:3001", "host:3001"},
        {"http://host:3001", "host:3001"},
        {"http://host:3001/", "host:3001"},
        {"host:3001///", "host:3001"},
        {"127.0.0.1:80/disks/a/", "127.0.0.1:80/disks/a"},
        {"[::1]:3001", "[::1]:3001"},
        {"host-1.example.org:65535/x", "host-1.example.org:65535/x"},
    };
    char name[VOLUME_NAME_MAX + 1];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_int_eq(placement_volume_name(rows[i].text, strlen(rows[i].text), name), ST_OK);
        ck_assert_str_eq(name, rows[i].name);
    }
    ck_assert_int_eq(placement_volume_name("host:30011", 9, name), ST_OK);
    ck_assert_str_eq(name, "host:3001");
}
END_TEST

START_TEST(bad_names_are_refused)
{
    static const char *const bad[] = {
        "",
        "/",
        "http://",
        "host",
        "host:",
        ":3001",
        "host:0",
        "host:65536",
        "host:99999",
        "host:123456",
        "host:x",
        "host:80x",
        "host:-1",
        "host: 80",
        "ho st:80",
        "https://h:1",
        "ftp://h:1",
        "host:80,h:81",
        "host:80?a",
        "host:80#a",
        "user@host:80",
        "host:80/a//b",
        "host:80//a",
        "host:80/./a",
        "host:80/.",
        "host:80/..",
        "host:80/../a",
        "host:80/a/../b",
        "host:80/a\r\n",
        "host:80/\x01",
        "::1:80",
        "host/a:80",
    };
    char name[VOLUME_NAME_MAX + 1];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(placement_volume_name(bad[i], strlen(bad[i]), name) == ST_BAD_REQUEST,
                      "accepted '%s'", bad[i]);
    ck_assert_int_eq(placement_volume_name("h\0st:80", 7, name), ST_BAD_REQUEST);
}
END_TEST

START_TEST(names_have_a_longest_length)
{
    char text[VOLUME_NAME_MAX + 2];
    char name[VOLUME_NAME_MAX + 1];
    memset(text, 'p', sizeof text);
    for (size_t i = 0; i < 10; i++)
        text[i] = "host:3001/"[i];
    ck_assert_int_eq(placement_volume_name(text, VOLUME_NAME_MAX, name), ST_OK);
    ck_assert_uint_eq(strlen(name), VOLUME_NAME_MAX);
    ck_assert_int_eq(placement_volume_name(text, VOLUME_NAME_MAX + 1, name), ST_BAD_REQUEST);
}
END_TEST

/* The beginning of the order, whatever the volumes are offered in. */
START_TEST(the_best_few_begin_the_order)
{
    enum { VOLUMES = 9 };
    static const char *const names[VOLUMES] = {"a:1", "b:1", "c:1", "d:1",  "e:1",
                                               "f:1", "g:1", "h:1", "a:1/x"};
    static const unsigned disks[] = {1, 10, 300};
    char text[16];
    for (unsigned i = 0; i < 300; i++) {
        struct place places[VOLUMES];
        (void)snprintf(text, sizeof text, "/key%u", i);
        struct key key = make_key(text);
        unsigned subvolumes = disks[i % 3];
        ck_assert_int_eq(placement_rank(&key, names, VOLUMES, subvolumes, places), ST_OK);
        struct placement_best best = {.most = 1 + i % (VOLUMES + 2)};
        for (unsigned v = 0; v < VOLUMES; v++) {
            const char *name = names[(v * 4 + i) % VOLUMES];
            ck_assert_int_eq(placement_offer(&best, &key, name, strlen(name)), ST_OK);
        }
        ck_assert_uint_eq(best.count, best.most < VOLUMES ? best.most : VOLUMES);
        for (size_t v = 0; v < best.count; v++) {
            ck_assert(placement_is(&best, v, subvolumes, places[v].name));
            ck_assert(!placement_is(&best, v, subvolumes, places[(v + 1) % VOLUMES].name));
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {minikeyvalue_vectors,         order_and_subvolumes,
                                  more_than_256_subvolumes,     order_of_the_list_does_not_matter,
                                  every_volume_is_ranked_once,  no_volumes_are_no_error,
                                  longest_volume_name_fits,     names_are_normalized,
                                  bad_names_are_refused,        names_have_a_longest_length,
                                  the_best_few_begin_the_order, NULL};
    Suite *suite = suite_create("placement");
    suite_case(suite, "placement", tests);
    return suite_run(suite);
}
