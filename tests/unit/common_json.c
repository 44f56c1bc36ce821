/* JSON: strings that lose no byte, and reading that never minds what it is given. */
#include "common/json.h"

#include <string.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

static void check_string(const char *bytes, size_t len, const char *expected)
{
    struct buf out = BUF_INIT;
    json_add_string(&out, bytes, len);
    ck_assert(buf_ok(&out));
    ck_assert_str_eq(buf_text(&out), expected);
    buf_free(&out);
}

START_TEST(strings_are_quoted)
{
    check_string("", 0, "\"\"");
    check_string("/plain", 6, "\"/plain\"");
    check_string("a\"b\\c", 5, "\"a\\\"b\\\\c\"");
    check_string("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 14,
                 "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
}
END_TEST

START_TEST(control_characters_are_escaped)
{
    char c;
    for (c = 1; c < 0x20; c++) {
        struct buf out = BUF_INIT;
        json_add_string(&out, &c, 1);
        for (size_t i = 0; i < out.len; i++)
            ck_assert_int_ge((unsigned char)out.data[i], 0x20);
        buf_free(&out);
    }
}
END_TEST

START_TEST(bytes_that_are_no_utf8_survive)
{
    check_string("\xff", 1, "\"\\udcff\"");
    check_string("a\x80z", 3, "\"a\\udc80z\"");
    check_string("\xc3", 1, "\"\\udcc3\"");                       /* cut off */
    check_string("\xc0\xaf", 2, "\"\\udcc0\\udcaf\"");            /* overlong '/' */
    check_string("\xed\xa0\x80", 3, "\"\\udced\\udca0\\udc80\""); /* a surrogate */
    check_string("\xf5\x80\x80\x80", 4, "\"\\udcf5\\udc80\\udc80\\udc80\"");
    check_string("\xe0\x80\xaf", 3, "\"\\udce0\\udc80\\udcaf\"");
    check_string("\xf4\x90\x80\x80", 4, "\"\\udcf4\\udc90\\udc80\\udc80\"");
}
END_TEST

/* Whatever is written as a string is read as one, if it is UTF-8 (see names_need_not_be_utf8). */
START_TEST(what_is_written_can_be_read)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "[");
    char all[0x7f];
    for (int i = 1; i < 0x80; i++)
        all[i - 1] = (char)i;
    json_add_string(&out, all, sizeof all);
    buf_adds(&out, "]");
    char error[200];
    struct json *json = json_parse(out.data, out.len, error);
    ck_assert_ptr_nonnull(json);
    const char *text = json_text(json_item(json, 0));
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(strlen(text), sizeof all);
    ck_assert_mem_eq(text, all, sizeof all);
    json_free(json);
    buf_free(&out);
}
END_TEST

/* A listing with a stray name is a listing all the same. */
START_TEST(names_need_not_be_utf8)
{
    static const char *const names[][2] = {
        {"\"a\\udcffz\"", "a?z"},   {"\"a\xffz\"", "a?z"},        {"\"\\\\udcff\"", "\\udcff"},
        {"\"\\\\\\uDC80\"", "\\?"}, {"\"\xc3\xa4\"", "\xc3\xa4"}, {"\"\\u0041\xff\"", "A?"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf text = BUF_INIT;
        buf_addf(&text, "[%s]", names[i][0]);
        struct json *json = json_parse_names(text.data, text.len, NULL);
        const char *name = json_text(json_item(json, 0));
        ck_assert_msg(name && !strcmp(name, names[i][1]), "%s", names[i][0]);
        json_free(json);
        buf_free(&text);
    }
    char error[200] = "";
    ck_assert_ptr_null(json_parse_names("[\"\\udc", 7, error));
    ck_assert_ptr_null(json_parse_names("", 0, NULL));
    ck_assert_str_ne(error, "");
}
END_TEST

static const char sample[] = "{\"name\": \"sv00\", \"free\": 5000000000000, \"up\": true, "
                             "\"list\": [1, \"two\", null], \"none\": null}";

START_TEST(members_and_items)
{
    struct json *json = json_parse(sample, strlen(sample), NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(json_text(json_member(json, "name")), "sv00");
    ck_assert_int_eq(json_int(json_member(json, "free"), -1), 5000000000000);
    ck_assert(json_bool(json_member(json, "up"), false));
    const struct json *list = json_member(json, "list");
    ck_assert_uint_eq(json_count(list), 3);
    ck_assert_int_eq(json_int(json_item(list, 0), -1), 1);
    ck_assert_str_eq(json_text(json_item(list, 1)), "two");
    json_free(json);
}
END_TEST

START_TEST(other_types_say_nothing)
{
    struct json *json = json_parse(sample, strlen(sample), NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_ptr_null(json_member(json, "absent"));
    ck_assert_ptr_null(json_member(json_member(json, "name"), "x"));
    ck_assert_ptr_null(json_member(NULL, "x"));
    ck_assert_ptr_null(json_text(json_member(json, "free")));
    ck_assert_ptr_null(json_text(NULL));
    ck_assert_int_eq(json_int(json_member(json, "name"), -7), -7);
    ck_assert_int_eq(json_int(NULL, -7), -7);
    ck_assert(json_bool(json_member(json, "name"), true));
    ck_assert(!json_bool(NULL, false));
    ck_assert_uint_eq(json_count(json), 0);
    ck_assert_uint_eq(json_count(NULL), 0);
    ck_assert_ptr_null(json_item(json_member(json, "list"), 3));
    ck_assert_ptr_null(json_item(NULL, 0));
    json_free(json);
    json_free(NULL);
}
END_TEST

static void count_member(void *arg, const char *name, const struct json *value)
{
    ck_assert_ptr_nonnull(value);
    *(size_t *)arg += strlen(name);
}

START_TEST(each_member_is_visited)
{
    struct json *json = json_parse(sample, strlen(sample), NULL);
    size_t letters = 0;
    json_each(json, count_member, &letters);
    ck_assert_uint_eq(letters, strlen("namefreeuplistnone"));
    letters = 0;
    json_each(json_member(json, "list"), count_member, &letters);
    json_each(NULL, count_member, &letters);
    ck_assert_uint_eq(letters, 0);
    json_free(json);
}
END_TEST

START_TEST(what_is_no_json_is_refused)
{
    static const char *const bad[] = {"",        "{",   "[1,]",     "{\"a\":1,}",        "{a:1}",
                                      "[1] x",   "'a'", "[\"\n\"]", "{\"a\":1,\"a\":2}", "[01]",
                                      "\"\xff\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char error[200] = "";
        ck_assert_msg(json_parse(bad[i], strlen(bad[i]), error) == NULL, "accepted '%s'", bad[i]);
        ck_assert_uint_gt(strlen(error), 0);
    }
    /* Only as many bytes are read as were given. */
    struct json *json = json_parse("[1] x", 3, NULL);
    ck_assert_ptr_nonnull(json);
    json_free(json);
}
END_TEST

START_TEST(deep_nesting_does_no_harm)
{
    char text[200000];
    memset(text, '[', sizeof text);
    ck_assert_ptr_null(json_parse(text, sizeof text, NULL));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {strings_are_quoted,
                                  control_characters_are_escaped,
                                  bytes_that_are_no_utf8_survive,
                                  what_is_written_can_be_read,
                                  names_need_not_be_utf8,
                                  members_and_items,
                                  other_types_say_nothing,
                                  each_member_is_visited,
                                  what_is_no_json_is_refused,
                                  deep_nesting_does_no_harm,
                                  NULL};
    Suite *suite = suite_create("json");
    suite_case(suite, "json", tests);
    return suite_run(suite);
}
