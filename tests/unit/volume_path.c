/* From the path of a request to a subvolume and a file. */
#include "volume/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/key.h"
#include "common/name.h"
#include "tests/unit/suite.h"

static enum status parse(struct path *path, const char *raw)
{
    return path_parse(path, raw, strlen(raw));
}

START_TEST(test_good_paths)
{
    static const struct {
        const char *raw, *text, *file;
        unsigned subvolume;
        bool directory;
    } cases[] = {
        {"/", "", "", 0, true},
        {"/a", "/a", "a", 0, false},
        {"/sv00/aa/bb/x", "/sv00/aa/bb/x", "aa/bb/x", 1, false},
        {"/sv0A/x", "/sv0A/x", "x", 11, false},
        {"/svFF/x", "/svFF/x", "x", 256, false},
        {"/sv100/x", "/sv100/x", "x", 257, false},
        {"/sv0a/x", "/sv0a/x", "sv0a/x", 0, false},
        {"/sv000/x", "/sv000/x", "sv000/x", 0, false},
        {"/sv0/x", "/sv0/x", "sv0/x", 0, false},
        {"/svXY/x", "/svXY/x", "svXY/x", 0, false},
        {"/sv00", "/sv00", "", 1, false},
        {"/sv00/", "/sv00", "", 1, true},
        {"//sv00///aa//", "/sv00/aa", "aa", 1, true},
        {"/sv00%2faa%2Fb", "/sv00/aa/b", "aa/b", 1, false},
        {"/%41%25", "/A%", "A%", 0, false},
        {"/...", "/...", "...", 0, false},
        {"/.larderx/larder", "/.larderx/larder", ".larderx/larder", 0, false},
        {"/a/sv01/x", "/a/sv01/x", "a/sv01/x", 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct path path;
        ck_assert_msg(parse(&path, cases[i].raw) == ST_OK, "%s", cases[i].raw);
        ck_assert_str_eq(path.text, cases[i].text);
        ck_assert_uint_eq(path.len, strlen(cases[i].text));
        ck_assert_str_eq(path.file, cases[i].file);
        ck_assert_uint_eq(path.subvolume, cases[i].subvolume);
        ck_assert_int_eq(path.directory, cases[i].directory);
    }
}
END_TEST

START_TEST(test_refused_paths)
{
    static const char *const cases[] = {
        "",
        "a",
        "/.",
        "/..",
        "/a/../b",
        "/%2e%2e/x",
        "/a/.",
        "/.larder/id",
        "/sv00/.larder",
        "/%2Elarder",
        "/a%2f..%2fb",
        "/%00",
        "/a%00",
        "/%zz",
        "/%4",
        "/sv00/a/./b",
    };
    char raw[400] = "/";
    struct path path;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(parse(&path, cases[i]) == ST_BAD_REQUEST, "%s", cases[i]);
    memset(raw + 1, 'n', 255);
    ck_assert_int_eq(parse(&path, raw), ST_OK);
    raw[256] = 'n';
    ck_assert_int_eq(parse(&path, raw), ST_BAD_REQUEST);
}
END_TEST

START_TEST(test_long_paths)
{
    char raw[PATH_LIMIT + 2];
    struct path path;
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = i % 100 ? 'x' : '/';
    ck_assert_int_eq(path_parse(&path, raw, PATH_LIMIT), ST_OK);
    ck_assert_uint_eq(path.len, PATH_LIMIT);
    ck_assert_int_eq(path_parse(&path, raw, PATH_LIMIT + 1), ST_URI_TOO_LONG);
}
END_TEST

START_TEST(test_subvolume_names)
{
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        char name[PATH_SUBVOLUME_NAME];
        path_subvolume_name(i, name);
        ck_assert_uint_eq(path_subvolume(name, strlen(name)), i);
    }
}
END_TEST

START_TEST(test_keys)
{
    struct key key, found;
    struct path path;
    size_t prefix;
    struct buf raw = BUF_INIT;
    ck_assert_int_eq(key_from_bytes(&key, "/some key", 9), ST_OK);
    buf_adds(&raw, "/base/sv00");
    ck_assert_int_eq(name_path(&raw, &key, 17, NAMING_LARDER), ST_OK);
    ck_assert_int_eq(parse(&path, buf_text(&raw)), ST_OK);
    ck_assert_int_eq(path_key(&path, &found, &prefix), ST_OK);
    ck_assert_str_eq(found.bytes, "/some key");
    ck_assert_uint_eq(prefix, strlen("/base/sv00"));
    buf_free(&raw);

    ck_assert_int_eq(parse(&path, "/sv00/aa/bb/L3N0cmF5"), ST_OK);
    ck_assert_int_eq(path_key(&path, &found, &prefix), ST_NOT_FOUND);
    ck_assert_int_eq(parse(&path, "/"), ST_OK);
    ck_assert_int_eq(path_key(&path, &found, &prefix), ST_NOT_FOUND);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_good_paths,      test_refused_paths, test_long_paths,
                                  test_subvolume_names, test_keys,          NULL};
    Suite *suite = suite_create("volume path");
    (void)suite_case(suite, "path", tests);
    return suite_run(suite);
}
