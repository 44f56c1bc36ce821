/* The scratch database: what goes in comes out key by key, in order. */
#include "tools/larder/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/suite.h"

static char dir[64];
static char path[80];
static struct scan *scan;
static struct scan_writer *writer;

static void setup(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/tool-scan-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/scan", dir);
    ck_assert_int_eq(scan_open(&scan, path), ST_OK);
    writer = scan_writer_new(scan);
    ck_assert_ptr_nonnull(writer);
}

static void teardown(void)
{
    struct stat there;
    scan_writer_free(writer);
    scan_discard(scan);
    ck_assert_int_ne(stat(path, &there), 0);
    ck_assert_int_eq(rmdir(dir), 0);
}

static struct key make_key(const void *bytes, size_t len)
{
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, bytes, len), ST_OK);
    return key;
}

static void put(const char *text, uint64_t generation, uint32_t place)
{
    struct key key = make_key(text, strlen(text));
    const struct scan_file file = {.generation = generation, .place = place, .size = 1};
    ck_assert_int_eq(scan_add_file(writer, &key, &file), ST_OK);
}

static void bury(const char *text, uint64_t generation, uint32_t place)
{
    struct key key = make_key(text, strlen(text));
    ck_assert_int_eq(scan_add_tombstone(writer, &key, generation, place), ST_OK);
}

static void expect(struct scan_reader *reader, struct scan_group *group, const char *text,
                   size_t files, size_t tombstones)
{
    ck_assert_int_eq(scan_next(reader, group), ST_OK);
    ck_assert_str_eq(group->key.bytes, text);
    ck_assert_uint_eq(group->file_count, files);
    ck_assert_uint_eq(group->tombstone_count, tombstones);
}

START_TEST(keys_come_in_bytewise_order_with_all_that_is_theirs)
{
    put("/b", 0, 1);
    put("/a/b", 0, 0);
    put("/a", 7, 3);
    put("/a", 0, 2);
    put("/a\x01", 0, 0);
    put("/a", 7, 1);
    bury("/a", 6, 4);
    put("/\xff", 0, 0);
    bury("/c", 1, 1);
    ck_assert_int_eq(scan_flush(writer), ST_OK);
    struct scan_reader *reader = scan_reader_new(scan);
    struct scan_group group = {0};
    expect(reader, &group, "/a", 3, 1);
    ck_assert_uint_eq(group.files[0].generation, 0);
    ck_assert_uint_eq(group.files[1].place, 1);
    ck_assert_uint_eq(group.files[2].place, 3);
    ck_assert_uint_eq(group.tombstones[0].generation, 6);
    ck_assert_uint_eq(group.tombstones[0].place, 4);
    expect(reader, &group, "/a\x01", 1, 0);
    expect(reader, &group, "/a/b", 1, 0);
    expect(reader, &group, "/b", 1, 0);
    expect(reader, &group, "/c", 0, 1);
    expect(reader, &group, "/\xff", 1, 0);
    ck_assert_int_eq(scan_next(reader, &group), ST_NOT_FOUND);
    scan_group_free(&group);
    scan_reader_free(reader);
}
END_TEST

START_TEST(everything_of_a_file_comes_back)
{
    struct key key = make_key("/k", 2);
    const struct scan_file file = {.generation = UINT64_MAX - 1,
                                   .size = 1ULL << 62,
                                   .expected = (1ULL << 62) + 1,
                                   .created = 1790000000123,
                                   .place = 0xfffffffe,
                                   .naming = NAMING_MKV,
                                   .has_expected = true,
                                   .unlinked = true,
                                   .md5 = "0123456789abcdef0123456789abcdef"};
    ck_assert_int_eq(scan_add_file(writer, &key, &file), ST_OK);
    ck_assert_int_eq(scan_flush(writer), ST_OK);
    struct scan_reader *reader = scan_reader_new(scan);
    struct scan_group group = {0};
    ck_assert_int_eq(scan_lookup(reader, &key, &group), ST_OK);
    ck_assert_uint_eq(group.file_count, 1);
    const struct scan_file *back = &group.files[0];
    ck_assert_uint_eq(back->generation, file.generation);
    ck_assert_uint_eq(back->size, file.size);
    ck_assert_uint_eq(back->expected, file.expected);
    ck_assert_uint_eq(back->created, file.created);
    ck_assert_uint_eq(back->place, file.place);
    ck_assert_int_eq(back->naming, file.naming);
    ck_assert(back->has_expected && back->unlinked);
    ck_assert_str_eq(back->md5, file.md5);
    scan_group_free(&group);
    scan_reader_free(reader);
}
END_TEST

/* They are no files, and keep nothing but the newest. */
START_TEST(what_is_in_quarantine)
{
    struct key key = make_key("/q", 2);
    struct scan_group group = {0};
    ck_assert_int_eq(scan_add_quarantined(writer, &key, 7, 2), ST_OK);
    ck_assert_int_eq(scan_add_quarantined(writer, &key, 300, 1), ST_OK);
    ck_assert_int_eq(scan_add_quarantined(writer, &key, 5, 3), ST_OK);
    put("/r", 9, 1);
    ck_assert_int_eq(scan_flush(writer), ST_OK);
    struct scan_reader *reader = scan_reader_new(scan);
    expect(reader, &group, "/q", 0, 0);
    ck_assert_uint_eq(group.quarantined, 3);
    ck_assert_uint_eq(group.quarantined_generation, 300);
    ck_assert_uint_eq(group.quarantined_place, 1);
    expect(reader, &group, "/r", 1, 0);
    ck_assert_uint_eq(group.quarantined, 0);
    scan_reader_free(reader);
    scan_group_free(&group);
}
END_TEST

START_TEST(a_lookup_finds_just_its_key)
{
    put("/a", 0, 0);
    put("/ab", 0, 0);
    put("/a", 1, 0);
    ck_assert_int_eq(scan_flush(writer), ST_OK);
    struct scan_reader *reader = scan_reader_new(scan);
    struct scan_group group = {0};
    struct key key = make_key("/a", 2);
    ck_assert_int_eq(scan_lookup(reader, &key, &group), ST_OK);
    ck_assert_uint_eq(group.file_count, 2);
    key = make_key("/aa", 3);
    ck_assert_int_eq(scan_lookup(reader, &key, &group), ST_OK);
    ck_assert_uint_eq(group.file_count, 0);
    ck_assert_str_eq(group.key.bytes, "/aa");
    scan_group_free(&group);
    scan_reader_free(reader);
}
END_TEST

/* Keys of every length and byte, more than a batch of them. */
START_TEST(many_keys)
{
    enum { COUNT = 3000 };
    char bytes[KEY_MAX];
    for (size_t i = 0; i < COUNT; i++) {
        size_t len = 2 + i % (KEY_MAX - 1);
        memset(bytes, (int)(1 + i % 255), sizeof bytes);
        bytes[0] = '/';
        struct key key = make_key(bytes, len);
        const struct scan_file file = {.generation = i, .size = 1};
        ck_assert_int_eq(scan_add_file(writer, &key, &file), ST_OK);
    }
    ck_assert_int_eq(scan_flush(writer), ST_OK);
    struct scan_reader *reader = scan_reader_new(scan);
    struct scan_group group = {0};
    struct key last = {.len = 0};
    size_t files = 0;
    while (scan_next(reader, &group) == ST_OK) {
        ck_assert_int_lt(strcmp(last.bytes, group.key.bytes), 0);
        last = group.key;
        files += group.file_count;
    }
    ck_assert_uint_eq(files, COUNT);
    scan_group_free(&group);
    scan_reader_free(reader);
}
END_TEST

START_TEST(suspects_are_a_list_of_their_own)
{
    struct key a = make_key("/a", 2);
    struct key b = make_key("/b", 2);
    put("/c", 0, 0);
    ck_assert_int_eq(scan_add_suspect(writer, &b), ST_OK);
    ck_assert_int_eq(scan_add_suspect(writer, &a), ST_OK);
    ck_assert_int_eq(scan_add_suspect(writer, &b), ST_OK);
    ck_assert_int_eq(scan_flush(writer), ST_OK);
    struct scan_reader *reader = scan_reader_new(scan);
    struct key key;
    ck_assert_int_eq(scan_next_suspect(reader, &key), ST_OK);
    ck_assert_str_eq(key.bytes, "/a");
    ck_assert_int_eq(scan_next_suspect(reader, &key), ST_OK);
    ck_assert_str_eq(key.bytes, "/b");
    ck_assert_int_eq(scan_next_suspect(reader, &key), ST_NOT_FOUND);
    scan_reader_free(reader);
    struct scan_group group = {0};
    reader = scan_reader_new(scan);
    expect(reader, &group, "/c", 1, 0);
    scan_group_free(&group);
    scan_reader_free(reader);
}
END_TEST

START_TEST(a_second_run_at_the_same_time_is_refused)
{
    struct scan *second;
    ck_assert_int_eq(scan_open(&second, path), ST_LOCKED);
    ck_assert_ptr_null(second);
    /* and has not harmed the first */
    put("/a", 0, 0);
    ck_assert_int_eq(scan_flush(writer), ST_OK);
}
END_TEST

START_TEST(an_interrupted_run_is_begun_anew)
{
    put("/old", 0, 0);
    ck_assert_int_eq(scan_flush(writer), ST_OK);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    char other[100];
    (void)snprintf(other, sizeof other, "%s/other", dir);
    if (child == 0) {
        struct scan *left;
        _exit(scan_open(&left, other) == ST_OK ? 0 : 1); /* dies without closing */
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    struct scan *again;
    ck_assert_int_eq(scan_open(&again, other), ST_OK);
    struct scan_reader *reader = scan_reader_new(again);
    struct scan_group group = {0};
    ck_assert_int_eq(scan_next(reader, &group), ST_NOT_FOUND);
    scan_group_free(&group);
    scan_reader_free(reader);
    scan_discard(again);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {keys_come_in_bytewise_order_with_all_that_is_theirs,
                                  everything_of_a_file_comes_back,
                                  what_is_in_quarantine,
                                  a_lookup_finds_just_its_key,
                                  many_keys,
                                  suspects_are_a_list_of_their_own,
                                  a_second_run_at_the_same_time_is_refused,
                                  an_interrupted_run_is_begun_anew,
                                  NULL};
    Suite *suite = suite_create("tool/scan");
    tcase_add_checked_fixture(suite_case(suite, "scan", tests), setup, teardown);
    return suite_run(suite);
}
