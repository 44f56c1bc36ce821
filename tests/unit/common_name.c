/* Names of files: minikeyvalue's byte for byte, with two mends; and back to the key. */
#include "common/name.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/md5.h"
#include "tests/unit/suite.h"

/* A key of any bytes, also such as the wire does not let through (minikeyvalue's own vectors). */
static struct key make_key(const void *bytes, size_t len)
{
    struct key key = {.len = len};
    memcpy(key.bytes, bytes, len);
    return key;
}

static struct key text_key(const char *text)
{
    return make_key(text, strlen(text));
}

/* "/" and `len - 1` bytes. */
static struct key long_key(char fill, size_t len)
{
    char bytes[KEY_MAX];
    memset(bytes, fill, len);
    bytes[0] = '/';
    return make_key(bytes, len);
}

static void check_path(struct key key, uint64_t generation, enum naming naming,
                       const char *expected)
{
    struct buf out = BUF_INIT;
    ck_assert_int_eq(name_path(&out, &key, generation, naming), ST_OK);
    ck_assert_str_eq(buf_text(&out), expected);
    buf_free(&out);
}

START_TEST(minikeyvalue_vectors)
{
    check_path(text_key("hello"), 0, NAMING_MKV, "/5d/41/aGVsbG8=");
    check_path(text_key("helloworld"), 0, NAMING_MKV, "/fc/5e/aGVsbG93b3JsZA==");
    check_path(text_key("hello"), 0, NAMING_LARDER, "/5d/41/aGVsbG8=");
    check_path(text_key("helloworld"), 0, NAMING_LARDER, "/fc/5e/aGVsbG93b3JsZA==");
}
END_TEST

START_TEST(the_two_namings)
{
    check_path(text_key("/hello"), 0, NAMING_LARDER, "/3e/d1/L2hlbGxv");
    check_path(text_key("/a"), 0, NAMING_MKV, "/06/39/L2E=");
    check_path(text_key("/k?k?k?"), 0, NAMING_LARDER, "/4b/a5/L2s_az9rPw==");
    check_path(text_key("/k?k?k?"), 0, NAMING_MKV, "/4b/a5/L2s/az9rPw==");
    check_path(text_key("/~~>"), 0, NAMING_LARDER, "/2a/f5/L35+Pg==");
    check_path(text_key("/\xff\xff\xff"), 0, NAMING_LARDER, "/85/8f/L____w==");
    check_path(text_key("/\xff\xff\xff"), 0, NAMING_MKV, "/85/8f/L////w==");
}
END_TEST

START_TEST(generations_are_a_suffix)
{
    check_path(text_key("/hello"), 7, NAMING_LARDER, "/3e/d1/L2hlbGxv.7");
    check_path(text_key("/hello"), 1732197000123, NAMING_LARDER, "/3e/d1/L2hlbGxv.1732197000123");
    check_path(text_key("/hello"), UINT64_MAX, NAMING_LARDER,
               "/3e/d1/L2hlbGxv.18446744073709551615");
}
END_TEST

START_TEST(path_is_appended)
{
    struct key key = text_key("/hello");
    struct buf out = BUF_INIT;
    buf_adds(&out, "http://host:1/sv00");
    ck_assert_int_eq(name_path(&out, &key, 0, NAMING_LARDER), ST_OK);
    ck_assert_str_eq(buf_text(&out), "http://host:1/sv00/3e/d1/L2hlbGxv");
    buf_free(&out);
}
END_TEST

/* The NAME part of a path, behind "/aa/bb/". */
static char *name_of(struct key key, uint64_t generation)
{
    struct buf out = BUF_INIT;
    ck_assert_int_eq(name_path(&out, &key, generation, NAMING_LARDER), ST_OK);
    char *name = strdup(buf_text(&out) + strlen("/aa/bb/"));
    ck_assert_ptr_nonnull(name);
    buf_free(&out);
    return name;
}

/* No component of more than 255 bytes; all but the last have 250 and a '-'. */
static size_t check_components(const char *name)
{
    size_t n = 1;
    const char *slash;
    while ((slash = strchr(name, '/'))) {
        ck_assert_uint_eq((size_t)(slash - name), 251);
        ck_assert_int_eq(slash[-1], '-');
        name = slash + 1;
        n++;
    }
    ck_assert_uint_ge(strlen(name), 1);
    ck_assert_uint_le(strlen(name), 255);
    return n;
}

START_TEST(long_names_are_cut)
{
    /* 189 bytes of key are 252 characters, 190 are 256. */
    static const struct {
        size_t len;
        uint64_t generation;
        size_t components;
    } rows[] = {{189, 0, 1}, {189, 77, 1}, {189, 777, 2}, {190, 0, 2},
                {378, 0, 2}, {379, 0, 3},  {1024, 0, 6},  {1024, UINT64_MAX, 6}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *name = name_of(long_key('x', rows[i].len), rows[i].generation);
        ck_assert_uint_eq(check_components(name), rows[i].components);
        free(name);
    }
}
END_TEST

START_TEST(namings_agree_for_most_keys)
{
    struct key same = text_key("/hello");
    struct key slash = text_key("/k?k?k?");
    struct key fits = long_key('x', 189);
    struct key cut = long_key('x', 190);
    ck_assert(name_same(&same));
    ck_assert(!name_same(&slash));
    ck_assert(name_same(&fits));
    ck_assert(!name_same(&cut));
}
END_TEST

static void check_round_trip(struct key key, uint64_t generation, enum naming naming)
{
    struct buf path = BUF_INIT;
    ck_assert_int_eq(name_path(&path, &key, generation, naming), ST_OK);
    for (size_t skip = 0; skip < 2; skip++) { /* with the leading '/' and without */
        struct key found;
        uint64_t found_generation = 99;
        enum naming found_naming = NAMING_MKV;
        ck_assert_int_eq(
            name_parse(path.data + skip, path.len - skip, &found, &found_generation, &found_naming),
            ST_OK);
        ck_assert_uint_eq(found.len, key.len);
        ck_assert_mem_eq(found.bytes, key.bytes, key.len);
        ck_assert_uint_eq(found_generation, generation);
        ck_assert_int_eq(found_naming, name_same(&key) ? NAMING_LARDER : naming);
    }
    buf_free(&path);
}

START_TEST(every_length_comes_back)
{
    for (size_t len = KEY_MIN; len <= KEY_MAX; len++) {
        check_round_trip(long_key('x', len), 0, NAMING_LARDER);
        check_round_trip(long_key('?', len), 1732197000123 + len, NAMING_LARDER);
    }
}
END_TEST

START_TEST(every_byte_comes_back)
{
    for (int c = 1; c < 256; c++) {
        char bytes[5] = {'/', (char)c, 'b', (char)c, (char)c};
        for (size_t len = 2; len <= 5; len++) {
            check_round_trip(make_key(bytes, len), 0, NAMING_LARDER);
            check_round_trip(make_key(bytes, len), UINT64_MAX / 10, NAMING_LARDER);
        }
    }
}
END_TEST

START_TEST(nested_names_come_back)
{
    check_round_trip(text_key("/k?k?k?"), 0, NAMING_MKV);
    check_round_trip(text_key("/?/?/?/?/?/?/a"), 0, NAMING_MKV);
    check_round_trip(text_key("/\xff\xff\xff\xff"), 0, NAMING_MKV);
}
END_TEST

/* Web servers merge '//': what is left of it on the disk still tells the key. */
static void check_merged(struct key key)
{
    struct buf path = BUF_INIT;
    ck_assert_int_eq(name_path(&path, &key, 0, NAMING_MKV), ST_OK);
    char merged[3 * KEY_MAX];
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++)
        if (path.data[i] != '/' || len == 0 || merged[len - 1] != '/')
            merged[len++] = path.data[i];
    ck_assert_uint_lt(len, path.len);
    struct key found;
    uint64_t generation;
    enum naming naming;
    ck_assert_int_eq(name_parse(merged, len, &found, &generation, &naming), ST_OK);
    ck_assert_uint_eq(found.len, key.len);
    ck_assert_mem_eq(found.bytes, key.bytes, key.len);
    ck_assert_int_eq(naming, NAMING_MKV);
    ck_assert_uint_eq(generation, 0);
    buf_free(&path);
}

START_TEST(merged_slashes_are_found_again)
{
    check_merged(text_key("/\xff\xff\xff"));
    check_merged(text_key("/a\xff\xff\x0f"));
    check_merged(text_key("/photos/\xff\xf0-of-2024"));
}
END_TEST

START_TEST(stray_files_are_no_names)
{
    static const char *const bad[] = {
        "",
        "/",
        "3e",
        "3e/d1",
        "3e/d1/",
        "3e/d1/L2hlbGxv/",
        "/3e/d2/L2hlbGxv", /* not this key's directory */
        "/3E/d1/L2hlbGxv", /* upper case */
        "/3e/D1/L2hlbGxv",
        "/3e/d1/L2hlbGx",    /* not a multiple of four */
        "/3e/d1/L2hlbGxv.",  /* no generation */
        "/3e/d1/L2hlbGxv.0", /* 0 has no suffix */
        "/3e/d1/L2hlbGxv.07",
        "/3e/d1/L2hlbGxv.7x",
        "/3e/d1/L2hlbGxv.-7",
        "/3e/d1/L2hlbGxv.18446744073709551616",
        "/3e/d1/L2hlbGxv.7.8",
        "/3e/d1/L2hlbGxv.tmp",
        "/3e/d1/L2hlbG-v",
        "/3e/d1/L2hl-/bGxv", /* cut where nothing is too long */
        "/3e/d1/L2hl bGxv",
        "/3e/d1/lost+found",
        "/06/39/L2F=",     /* bits behind the end */
        "/5d/41/aGVsbG8=", /* "hello": no key, it does not begin with '/' */
        "d/41/aGVsbG8=",
        "/sv00/3e/d1/L2hlbGxv",
        "/3e/d1//L2hlbGxv",
        "nginx.pid",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct key key;
        uint64_t generation;
        enum naming naming;
        ck_assert_msg(name_parse(bad[i], strlen(bad[i]), &key, &generation, &naming) ==
                          ST_NOT_FOUND,
                      "took '%s' for a name", bad[i]);
    }
}
END_TEST

/* Names that nobody wrote must neither crash nor take long; whatever is taken has this path. */
START_TEST(random_names_do_no_harm)
{
    static const char letters[] = "abcABC019+/=_-.%";
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        char path[600] = "3e/d1/";
        size_t len = 6 + (size_t)rand_r(&seed) % (sizeof path - 6);
        for (size_t i = 6; i < len; i++)
            path[i] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
        struct key key;
        uint64_t generation;
        enum naming naming;
        if (name_parse(path, len, &key, &generation, &naming) == ST_OK)
            ck_assert_int_eq(key.bytes[0], '/');
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {minikeyvalue_vectors,
                                  the_two_namings,
                                  generations_are_a_suffix,
                                  path_is_appended,
                                  long_names_are_cut,
                                  namings_agree_for_most_keys,
                                  every_length_comes_back,
                                  every_byte_comes_back,
                                  nested_names_come_back,
                                  merged_slashes_are_found_again,
                                  stray_files_are_no_names,
                                  random_names_do_no_harm,
                                  NULL};
    Suite *suite = suite_create("name");
    suite_case(suite, "name", tests);
    return suite_run(suite);
}
