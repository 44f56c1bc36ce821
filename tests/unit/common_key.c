/* Keys: opaque bytes, decoded exactly once, never normalized. */
#include "common/key.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

static void check_path(const char *path, const char *bytes)
{
    size_t len = strlen(bytes);
    struct key key;
    ck_assert_int_eq(key_from_path(&key, path, strlen(path)), ST_OK);
    ck_assert_uint_eq(key.len, len);
    ck_assert_mem_eq(key.bytes, bytes, len);
    ck_assert_int_eq(key.bytes[len], 0);
}

START_TEST(paths_are_decoded_once)
{
    check_path("/a", "/a");
    check_path("/a%20b", "/a b");
    check_path("/%41%62", "/Ab");
    check_path("/%c3%A9", "/\xc3\xa9");
    check_path("/%2525", "/%25");
    check_path("/a+b", "/a+b");
    check_path("%2Fa", "/a");
}
END_TEST

START_TEST(nothing_is_normalized)
{
    check_path("//", "//");
    check_path("/a//b", "/a//b");
    check_path("/../x", "/../x");
    check_path("/./.", "/./.");
    check_path("/%2e%2e/x", "/../x");
    check_path("/a%2Fb", "/a/b");
    check_path("/a/", "/a/");
    check_path("/\xff\xfe", "/\xff\xfe");
}
END_TEST

START_TEST(broken_paths_are_refused)
{
    static const char *const bad[] = {"",     "/",    "a",    "ab",   "/%",   "/a%",
                                      "/a%2", "/%zz", "/%g0", "/%0g", "/%00", "/a%00b",
                                      "%2F",  "/%-1", "/%+1", "/% 1"};
    struct key key;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(key_from_path(&key, bad[i], strlen(bad[i])) == ST_BAD_REQUEST,
                      "accepted '%s'", bad[i]);
    ck_assert_int_eq(key_from_path(&key, "/a\0b", 4), ST_BAD_REQUEST);
}
END_TEST

/* An escape that begins within the path and ends behind it is broken. */
START_TEST(escapes_end_with_the_path)
{
    struct key key;
    ck_assert_int_eq(key_from_path(&key, "/a%20", 4), ST_BAD_REQUEST);
    ck_assert_int_eq(key_from_path(&key, "/a%20", 3), ST_BAD_REQUEST);
    ck_assert_int_eq(key_from_path(&key, "/a%20", 2), ST_OK);
}
END_TEST

START_TEST(lengths_have_limits)
{
    char path[3 * (KEY_MAX + 1)];
    struct key key;
    path[0] = '/';
    memset(path + 1, 'k', sizeof path - 1);
    ck_assert_int_eq(key_from_path(&key, path, KEY_MAX), ST_OK);
    ck_assert_uint_eq(key.len, KEY_MAX);
    ck_assert_int_eq(key.bytes[KEY_MAX], 0);
    ck_assert_int_eq(key_from_path(&key, path, KEY_MAX + 1), ST_URI_TOO_LONG);
    /* What counts is the length after decoding. */
    for (size_t i = 0; i < KEY_MAX; i++)
        for (size_t j = 0; j < 3; j++)
            path[1 + 3 * i + j] = "%41"[j];
    ck_assert_int_eq(key_from_path(&key, path, 1 + (size_t)3 * (KEY_MAX - 1)), ST_OK);
    ck_assert_uint_eq(key.len, KEY_MAX);
    ck_assert_int_eq(key_from_path(&key, path, 1 + (size_t)3 * KEY_MAX), ST_URI_TOO_LONG);
}
END_TEST

START_TEST(raw_bytes_have_the_same_limits)
{
    char bytes[KEY_MAX + 1];
    struct key key;
    memset(bytes, 'k', sizeof bytes);
    bytes[0] = '/';
    ck_assert_int_eq(key_from_bytes(&key, bytes, KEY_MAX), ST_OK);
    ck_assert_int_eq(key_from_bytes(&key, bytes, KEY_MAX + 1), ST_URI_TOO_LONG);
    ck_assert_int_eq(key_from_bytes(&key, bytes, 2), ST_OK);
    ck_assert_int_eq(key_from_bytes(&key, bytes, 1), ST_BAD_REQUEST);
    ck_assert_int_eq(key_from_bytes(&key, bytes, 0), ST_BAD_REQUEST);
    ck_assert_int_eq(key_from_bytes(&key, "a/", 2), ST_BAD_REQUEST);
    ck_assert_int_eq(key_from_bytes(&key, "/a\0b", 4), ST_BAD_REQUEST);
    ck_assert_int_eq(key_from_bytes(&key, "/%41", 4), ST_OK);
    ck_assert_str_eq(key.bytes, "/%41");
}
END_TEST

START_TEST(encoding_leaves_only_unreserved_bytes)
{
    struct buf out = BUF_INIT;
    static const char bytes[] = "/aZ09-._~/ \"%?#+&\r\n\xc3\xa9";
    key_encode(&out, bytes, strlen(bytes));
    ck_assert_str_eq(buf_text(&out), "/aZ09-._~/%20%22%25%3F%23%2B%26%0D%0A%C3%A9");
    buf_free(&out);
}
END_TEST

START_TEST(every_byte_survives_a_round_trip)
{
    char bytes[256] = "/";
    for (int i = 1; i < 256; i++)
        bytes[i] = (char)i;
    struct buf out = BUF_INIT;
    key_encode(&out, bytes, sizeof bytes);
    ck_assert(buf_ok(&out));
    struct key key;
    ck_assert_int_eq(key_from_path(&key, out.data, out.len), ST_OK);
    ck_assert_uint_eq(key.len, sizeof bytes);
    ck_assert_mem_eq(key.bytes, bytes, sizeof bytes);
    buf_free(&out);
}
END_TEST

START_TEST(decoding_fits_or_fails)
{
    char to[8];
    ck_assert_int_eq(key_decode(to, sizeof to, "a%00b", 5), 3);
    ck_assert_mem_eq(to, "a\0b", 3);
    ck_assert_int_eq(key_decode(to, sizeof to, "", 0), 0);
    ck_assert_int_eq(key_decode(to, 3, "%61%62%63", 9), 3);
    ck_assert_int_eq(key_decode(to, 2, "%61%62%63", 9), -1);
    ck_assert_int_eq(key_decode(to, sizeof to, "a+b", 3), 3);
    ck_assert_mem_eq(to, "a+b", 3);
    ck_assert_int_eq(key_decode(to, sizeof to, "%6", 2), -1);
    ck_assert_int_eq(key_decode(to, sizeof to, "%6x", 3), -1);
}
END_TEST

static long query(const char *text, const char *name, char *to, size_t max)
{
    return key_query(text, strlen(text), name, to, max);
}

START_TEST(queries_give_their_parameters)
{
    char to[16];
    const char *text = "list&start=/a%20b+c&limit=10&empty=";
    ck_assert_int_eq(query(text, "list", to, sizeof to), 0);
    ck_assert_str_eq(to, "");
    ck_assert_int_eq(query(text, "start", to, sizeof to), 6);
    ck_assert_str_eq(to, "/a b c");
    ck_assert_int_eq(query(text, "limit", to, sizeof to), 2);
    ck_assert_str_eq(to, "10");
    ck_assert_int_eq(query(text, "empty", to, sizeof to), 0);
}
END_TEST

START_TEST(queries_without_the_parameter)
{
    char to[16];
    ck_assert_int_eq(query("", "list", to, sizeof to), -1);
    ck_assert_int_eq(query("lists=1&xlist=2&mylist", "list", to, sizeof to), -1);
    ck_assert_int_eq(query("a=list", "list", to, sizeof to), -1);
    ck_assert_int_eq(query("&&=&", "list", to, sizeof to), -1);
    ck_assert_int_eq(query("lis", "list", to, sizeof to), -1);
}
END_TEST

START_TEST(queries_that_are_broken_or_too_long)
{
    char to[4];
    ck_assert_int_eq(query("start=%zz", "start", to, sizeof to), -2);
    ck_assert_int_eq(query("start=%6", "start", to, sizeof to), -2);
    ck_assert_int_eq(query("start=abc", "start", to, sizeof to), 3);
    ck_assert_int_eq(query("start=abcd", "start", to, sizeof to), -2);
    ck_assert_int_eq(query("start=%61%62%63", "start", to, sizeof to), 3);
    ck_assert_str_eq(to, "abc");
    /* The escape of the parameter before does not matter. */
    ck_assert_int_eq(query("x=%zz&start=a", "start", to, sizeof to), 1);
}
END_TEST

START_TEST(a_parameter_is_there_whatever_its_value)
{
    static const char *const with[] = {"list", "list=", "a&list=1&b", "list=%zz", "=&list"};
    static const char *const without[] = {"", "lists", "mylist", "a=list", "&&=&", "lis", "List"};
    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        ck_assert_msg(key_query_has(with[i], strlen(with[i]), "list"), "%s", with[i]);
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        ck_assert_msg(!key_query_has(without[i], strlen(without[i]), "list"), "%s", without[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {paths_are_decoded_once,
                                  nothing_is_normalized,
                                  broken_paths_are_refused,
                                  escapes_end_with_the_path,
                                  lengths_have_limits,
                                  raw_bytes_have_the_same_limits,
                                  encoding_leaves_only_unreserved_bytes,
                                  every_byte_survives_a_round_trip,
                                  decoding_fits_or_fails,
                                  queries_give_their_parameters,
                                  queries_without_the_parameter,
                                  queries_that_are_broken_or_too_long,
                                  a_parameter_is_there_whatever_its_value,
                                  NULL};
    Suite *suite = suite_create("key");
    suite_case(suite, "key", tests);
    return suite_run(suite);
}
