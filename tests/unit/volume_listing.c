/* Directories as nginx shows them. */
#include "volume/listing.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <time.h>

#include "common/buf.h"
#include "common/json.h"
#include "tests/unit/volume_dir.h"

enum { PIECE_MAX = 80 * 1024 };

/* The text of a listing; *pieces: how many it came in. */
static enum status list(const char *file, enum listing_form form, struct buf *text,
                        unsigned *pieces)
{
    struct store_at where = at(file);
    struct listing *listing;
    struct buf piece = BUF_INIT;
    bool more = true;
    enum status st = listing_begin(&listing, &where, form);
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
    ck_assert_int_eq(list(file, LISTING_PLAIN, &text, &pieces), ST_OK);
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
    ck_assert_int_eq(list("nothing", LISTING_PLAIN, &text, &pieces), ST_NOT_FOUND);
    ck_assert_int_eq(list("file", LISTING_PLAIN, &text, &pieces), ST_NOT_FOUND);
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
    ck_assert_int_eq(list("l", LISTING_PLAIN, &text, &pieces), ST_OK);
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
    ck_assert_int_eq(list("m", LISTING_META, &text, &pieces), ST_OK);
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

/* A number that readers of JSON refuse would take the whole listing with it. */
START_TEST(test_numbers_too_large)
{
    static const char much[] = "10000000000000000000";
    struct buf text = BUF_INIT;
    unsigned pieces;
    char full[128];
    ck_assert_int_eq(put("n/one", "hello"), ST_OK);
    (void)snprintf(full, sizeof full, "%s/sv00/n/one", dir);
    ck_assert_int_eq(setxattr(full, "user.larder.created", much, sizeof much - 1, 0), 0);
    ck_assert_int_eq(setxattr(full, "user.larder.size", much, sizeof much - 1, 0), 0);
    ck_assert_int_eq(list("n", LISTING_META, &text, &pieces), ST_OK);
    struct json *json = json_parse(buf_text(&text), text.len, NULL);
    ck_assert_uint_eq(json_count(json), 1);
    ck_assert_ptr_null(json_member(json_item(json, 0), "created"));
    ck_assert_ptr_null(json_member(json_item(json, 0), "expected"));
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
    ck_assert_int_eq(list("many", LISTING_PLAIN, &text, &pieces), ST_OK);
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

/* The entry of that name; NULL without one. */
static const struct json *entry_of(const struct json *list, const char *name)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (strcmp(json_text(json_member(json_item(list, i), "name")), name) == 0)
            return json_item(list, i);
    return NULL;
}

static struct json *list_json(const char *file, enum listing_form form)
{
    struct buf text = BUF_INIT;
    unsigned pieces;
    char error[200] = "";
    ck_assert_int_eq(list(file, form, &text, &pieces), ST_OK);
    struct json *json = json_parse(buf_text(&text), text.len, error);
    ck_assert_msg(json != NULL, "%s: %s", error, buf_text(&text));
    buf_free(&text);
    return json;
}

/* One level deep, and no further. */
START_TEST(test_below)
{
    char full[128];
    ck_assert_int_eq(put("54/a9/one", "hello"), ST_OK);
    ck_assert_int_eq(put("54/a9/cut-/two", "hello"), ST_OK);
    ck_assert_int_eq(put("54/b0/three", ""), ST_OK);
    write_file("sv00/54/empty/.hidden", "x");
    (void)snprintf(full, sizeof full, "%s/sv00/54/link", dir);
    ck_assert_int_eq(symlink("/tmp", full), 0);
    struct json *json = list_json("54", LISTING_BELOW);
    ck_assert_uint_eq(json_count(json), 4);
    const struct json *a9 = json_member(entry_of(json, "a9"), "below");
    ck_assert_uint_eq(json_count(a9), 2);
    ck_assert_str_eq(json_text(json_member(entry_of(a9, "one"), "md5")),
                     "5d41402abc4b2a76b9719d911017c592");
    ck_assert_str_eq(json_text(json_member(entry_of(a9, "cut-"), "type")), "directory");
    ck_assert_ptr_null(json_member(entry_of(a9, "cut-"), "below"));
    ck_assert_uint_eq(json_count(json_member(entry_of(json, "b0"), "below")), 1);
    ck_assert(json_is_list(json_member(entry_of(json, "empty"), "below")));
    ck_assert_uint_eq(json_count(json_member(entry_of(json, "empty"), "below")), 0);
    ck_assert_ptr_nonnull(entry_of(json, "link"));
    ck_assert_ptr_null(json_member(entry_of(json, "link"), "below"));
    json_free(json);
}
END_TEST

/* In a place's root there may be other disks. Nobody else has asked for it. */
START_TEST(test_nothing_below)
{
    ck_assert_int_eq(put("54/a9/one", "hello"), ST_OK);
    struct json *root = list_json("", LISTING_BELOW);
    ck_assert_ptr_nonnull(entry_of(root, "54"));
    ck_assert_ptr_null(json_member(entry_of(root, "54"), "below"));
    json_free(root);
    struct json *plain = list_json("54", LISTING_META);
    ck_assert_ptr_nonnull(entry_of(plain, "a9"));
    ck_assert_ptr_null(json_member(entry_of(plain, "a9"), "below"));
    json_free(plain);
}
END_TEST

/* Directories come along until the answer has 4,096 entries: then they are named only. */
START_TEST(test_below_has_a_bound)
{
    enum { DIRECTORIES = 5, FILES = 1500 };
    char name[64];
    for (unsigned i = 0; i < DIRECTORIES * FILES; i++) {
        (void)snprintf(name, sizeof name, "sv00/54/%02u/%u", i / FILES, i);
        write_file(name, "");
    }
    struct json *json = list_json("54", LISTING_BELOW);
    size_t shown = 0;
    ck_assert_uint_eq(json_count(json), DIRECTORIES);
    for (size_t i = 0; i < DIRECTORIES; i++) {
        const struct json *below = json_member(json_item(json, i), "below");
        ck_assert_uint_eq(json_count(below), json_is_list(below) ? FILES : 0);
        ck_assert(json_is_list(below) || i > 0);
        shown += json_count(below);
    }
    ck_assert_uint_lt(shown, 4096 + FILES);
    json_free(json);
}
END_TEST

/* The text of a piece; the names of its run were read before. */
static void next_piece(struct listing *listing, struct buf *text, bool *more)
{
    struct buf piece = BUF_INIT;
    ck_assert_int_eq(listing_next(listing, &piece, more), ST_OK);
    buf_add(text, piece.data, piece.len);
    buf_free(&piece);
}

/* What happens between the reading of the names and the writing of their texts. */
START_TEST(test_changes_meanwhile)
{
    char name[64], full[128];
    struct buf text = BUF_INIT;
    struct listing *listing;
    struct store_at where = at("busy");
    bool more;
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(name, sizeof name, "sv00/busy/%04u", i);
        write_file(name, "");
    }
    ck_assert_int_eq(listing_begin(&listing, &where, LISTING_META), ST_OK);
    next_piece(listing, &text, &more);
    ck_assert(more);
    for (unsigned i = 1996; i < 2000; i++) {
        (void)snprintf(full, sizeof full, "%s/sv00/busy/%u", dir, i);
        ck_assert_int_eq(unlink(full), 0);
        if (i == 1997)
            ck_assert_int_eq(mkdir(full, 0755), 0);
        if (i == 1998)
            ck_assert_int_eq(symlink("0000", full), 0);
    }
    while (more)
        next_piece(listing, &text, &more);
    listing_free(listing);
    struct json *json = json_parse(buf_text(&text), text.len, NULL);
    ck_assert_uint_eq(json_count(json), 1998);
    ck_assert_ptr_null(entry_of(json, "1996"));
    ck_assert_str_eq(json_text(json_member(entry_of(json, "1997"), "type")), "directory");
    ck_assert_str_eq(json_text(json_member(entry_of(json, "1998"), "type")), "other");
    ck_assert_ptr_null(entry_of(json, "1999"));
    json_free(json);
    buf_free(&text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_as_nginx,
                                  test_empty,
                                  test_missing,
                                  test_links,
                                  test_meta,
                                  test_numbers_too_large,
                                  test_many,
                                  test_below,
                                  test_nothing_below,
                                  test_below_has_a_bound,
                                  test_changes_meanwhile,
                                  NULL};
    Suite *suite = suite_create("volume listing");
    (void)dir_case(suite, "listing", tests);
    return suite_run(suite);
}
