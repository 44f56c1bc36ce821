/* Directories as nginx shows them. */
#include "volume/listing.h"

#include <fcntl.h>
#include <time.h>

#include "common/buf.h"
#include "common/json.h"
#include "tests/unit/volume_dir.h"

enum { PIECE_MAX = 80 * 1024 };

/* The text of a listing; *pieces: how many it came in. */
static enum status list(const char *file, bool meta, struct buf *text, unsigned *pieces)
{
    struct store_at where = at(file);
    struct listing *listing;
    struct buf piece = BUF_INIT;
    bool more = true;
    enum status st = listing_begin(&listing, &where, meta);
    if (st)
        return st;
    for (*pieces = 0; more; (*pieces)++) {
        buf_clear(&piece);
        ck_assert_int_eq(listing_next(listing, &piece, &more), ST_OK);
        ck_assert_uint_lt(piece.len, PIECE_MAX);
        buf_add(text, piece.data, piece.len);
    }
    listing_free(listing);
    buf_free(&piece);
    return ST_OK;
}

static void check_list(const char *file, const char *expected)
{
    struct buf text = BUF_INIT;
    unsigned pieces;
    ck_assert_int_eq(list(file, false, &text, &pieces), ST_OK);
    ck_assert_str_eq(buf_text(&text), expected);
    buf_free(&text);
}

static void set_time(const char *file)
{
    char full[512];
    const struct timespec times[2] = {{1445412480, 0}, {1445412480, 0}};
    (void)snprintf(full, sizeof full, "%s/sv00/%s", dir, file);
    ck_assert_int_eq(utimensat(AT_FDCWD, full, times, 0), 0);
}

/* Byte for byte what nginx 1.22 answered for the same directory. */
START_TEST(test_as_nginx)
{
    write_file("sv00/d/f", "hello");
    write_file("sv00/d/a \"b\"\\", "");
    write_file("sv00/d/.hidden", "x");
    write_file("sv00/d/z/x", "x");
    set_time("d/f");
    set_time("d/a \"b\"\\");
    set_time("d/z");
    check_list("d", "[\r\n"
                    "{ \"name\":\"z\", \"type\":\"directory\", "
                    "\"mtime\":\"Wed, 21 Oct 2015 07:28:00 GMT\" },\r\n"
                    "{ \"name\":\"a \\\"b\\\"\\\\\", \"type\":\"file\", "
                    "\"mtime\":\"Wed, 21 Oct 2015 07:28:00 GMT\", \"size\":0 },\r\n"
                    "{ \"name\":\"f\", \"type\":\"file\", "
                    "\"mtime\":\"Wed, 21 Oct 2015 07:28:00 GMT\", \"size\":5 }\r\n"
                    "]");
}
END_TEST

START_TEST(test_empty)
{
    write_file("sv00/e/.hidden", "x");
    check_list("e", "[\r\n]");
}
END_TEST

START_TEST(test_missing)
{
    struct buf text = BUF_INIT;
    unsigned pieces;
    write_file("sv00/file", "x");
    ck_assert_int_eq(list("nothing", false, &text, &pieces), ST_NOT_FOUND);
    ck_assert_int_eq(list("file", false, &text, &pieces), ST_NOT_FOUND);
    buf_free(&text);
}
END_TEST

START_TEST(test_links)
{
    char full[128];
    write_file("sv00/l/x", "x");
    (void)snprintf(full, sizeof full, "%s/sv00/l/disk", dir);
    ck_assert_int_eq(symlink("/tmp", full), 0);
    (void)snprintf(full, sizeof full, "%s/sv00/l/value", dir);
    ck_assert_int_eq(symlink("x", full), 0);
    struct buf text = BUF_INIT;
    unsigned pieces;
    ck_assert_int_eq(list("l", false, &text, &pieces), ST_OK);
    ck_assert_ptr_nonnull(strstr(buf_text(&text), "\"disk\", \"type\":\"directory\""));
    ck_assert_ptr_nonnull(strstr(buf_text(&text), "\"value\", \"type\":\"other\""));
    buf_free(&text);
}
END_TEST

START_TEST(test_meta)
{
    struct buf text = BUF_INIT;
    unsigned pieces;
    struct store_at where = at("m/two");
    ck_assert_int_eq(put("m/one", "hello"), ST_OK);
    ck_assert_int_eq(put("m/two", ""), ST_OK);
    ck_assert_int_eq(store_unlink(&where), ST_OK);
    write_file("sv00/m/zzz", "plain");
    ck_assert_int_eq(list("m", true, &text, &pieces), ST_OK);
    struct json *json = json_parse(buf_text(&text), text.len, NULL);
    ck_assert_uint_eq(json_count(json), 3);
    const struct json *one = json_item(json, 0), *two = json_item(json, 1),
                      *three = json_item(json, 2);
    ck_assert_str_eq(json_text(json_member(one, "md5")), "5d41402abc4b2a76b9719d911017c592");
    ck_assert_int_eq(json_int(json_member(one, "expected"), -1), 5);
    ck_assert_int_gt(json_int(json_member(one, "created"), -1), 1000000000000);
    ck_assert_ptr_null(json_member(one, "unlinked"));
    ck_assert(json_bool(json_member(two, "unlinked"), false));
    ck_assert_ptr_null(json_member(three, "md5"));
    ck_assert_int_eq(json_int(json_member(three, "size"), -1), 5);
    json_free(json);
    buf_free(&text);
}
END_TEST

START_TEST(test_many)
{
    enum { MANY = 10000 }; /* more than a run */
    char name[32];
    static bool seen[MANY];
    unsigned pieces;
    write_file("sv00/many/0", "");
    for (unsigned i = 1; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "sv00/many/%u", i);
        write_file(name, "");
    }
    struct buf text = BUF_INIT;
    ck_assert_int_eq(list("many", false, &text, &pieces), ST_OK);
    struct json *json = json_parse(buf_text(&text), text.len, NULL);
    ck_assert_uint_eq(json_count(json), MANY);
    for (unsigned i = 0; i < MANY; i++) {
        unsigned long number =
            strtoul(json_text(json_member(json_item(json, i), "name")), NULL, 10);
        ck_assert_uint_lt(number, MANY);
        ck_assert(!seen[number]);
        seen[number] = true;
    }
    ck_assert_uint_gt(pieces, 5);
    json_free(json);
    buf_free(&text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_as_nginx, test_empty, test_missing, test_links,
                                  test_meta,     test_many,  NULL};
    Suite *suite = suite_create("volume listing");
    (void)dir_case(suite, "listing", tests);
    return suite_run(suite);
}
