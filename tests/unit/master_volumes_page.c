/* The table of volumes, as its pages and metrics show it. */
#include "master/volumes.h"

#include "common/json.h"
#include "tests/unit/volumes_fixture.h"

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

int main(void)
{
    const struct played tests[] = {{tallies, 1}, {pages, 1}, {NULL, 0}};
    return play_all("master_volumes_page", tests, three_volumes, no_volumes);
}
