/* LevelDB in our words: what is written with sync is there, damage is an error. */
#include "common/ldb.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

static char dir[64];
static char path[80];

static void make_dir(void)
{
    strcpy(dir, "/tmp/larder-ldb.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/db", dir);
}

static void remove_dir(void)
{
    (void)!ldb_destroy(path);
    DIR *list = opendir(path);
    struct dirent *entry;
    while (list && (entry = readdir(list))) {
        char name[400];
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        (void)unlink(name);
    }
    if (list)
        (void)closedir(list);
    (void)rmdir(path);
    (void)rmdir(dir);
}

static struct ldb *open_db(void)
{
    struct ldb_options options = {.create = true};
    struct ldb *db;
    char *error = NULL;
    enum status st = ldb_open(&db, path, &options, &error);
    ck_assert_msg(st == ST_OK, "%s", error ? error : "");
    return db;
}

static void put(struct ldb *db, const char *key, const char *value)
{
    struct ldb_batch *batch = ldb_batch_new();
    ck_assert_ptr_nonnull(batch);
    ldb_batch_put(batch, key, strlen(key), value, strlen(value));
    ck_assert_int_eq(ldb_write(db, batch, true, NULL), ST_OK);
    ldb_batch_free(batch);
}

static void check_value(struct ldb *db, const char *key, const char *expected)
{
    struct buf value = BUF_INIT;
    enum status st = ldb_get(db, key, strlen(key), &value);
    ck_assert_int_eq(st, expected ? ST_OK : ST_NOT_FOUND);
    ck_assert_str_eq(buf_text(&value), expected ? expected : "");
    buf_free(&value);
}

START_TEST(values_come_back)
{
    struct ldb *db = open_db();
    put(db, "/a", "1");
    put(db, "/b", "");
    check_value(db, "/a", "1");
    check_value(db, "/b", "");
    check_value(db, "/c", NULL);
    ldb_close(db);
    db = open_db();
    check_value(db, "/a", "1");
    ldb_close(db);
}
END_TEST

START_TEST(value_is_appended)
{
    struct ldb *db = open_db();
    put(db, "/a", "value");
    struct buf out = BUF_INIT;
    buf_adds(&out, "the ");
    ck_assert_int_eq(ldb_get(db, "/a", 2, &out), ST_OK);
    ck_assert_str_eq(buf_text(&out), "the value");
    buf_free(&out);
    ldb_close(db);
}
END_TEST

START_TEST(any_bytes_are_keys_and_values)
{
    struct ldb *db = open_db();
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    struct ldb_batch *batch = ldb_batch_new();
    ldb_batch_put(batch, bytes, sizeof bytes, bytes, sizeof bytes);
    ck_assert_int_eq(ldb_write(db, batch, true, NULL), ST_OK);
    ldb_batch_free(batch);
    struct buf out = BUF_INIT;
    ck_assert_int_eq(ldb_get(db, bytes, sizeof bytes, &out), ST_OK);
    ck_assert_uint_eq(out.len, sizeof bytes);
    ck_assert_mem_eq(out.data, bytes, sizeof bytes);
    buf_free(&out);
    ldb_close(db);
}
END_TEST

START_TEST(batches_are_applied_in_order)
{
    struct ldb *db = open_db();
    struct ldb_batch *batch = ldb_batch_new();
    ldb_batch_put(batch, "a", 1, "1", 1);
    ldb_batch_put(batch, "b", 1, "1", 1);
    ldb_batch_delete(batch, "a", 1);
    ldb_batch_put(batch, "b", 1, "2", 1);
    ck_assert_int_eq(ldb_write(db, batch, true, NULL), ST_OK);
    check_value(db, "a", NULL);
    check_value(db, "b", "2");
    ldb_batch_clear(batch);
    ldb_batch_put(batch, "c", 1, "3", 1);
    ck_assert_int_eq(ldb_write(db, batch, false, NULL), ST_OK);
    ldb_batch_free(batch);
    check_value(db, "b", "2");
    check_value(db, "c", "3");
    ldb_close(db);
}
END_TEST

START_TEST(iteration_is_in_bytewise_order)
{
    struct ldb *db = open_db();
    static const char *const keys[] = {"/b", "/a", "/\xff", "/B", "/a/1", "!w/a"};
    static const char *const sorted[] = {"/B", "/a", "/a/1", "/b", "/\xff"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        put(db, keys[i], keys[i]);
    struct ldb_iter *iter = ldb_iter_new(db);
    ck_assert_ptr_nonnull(iter);
    ldb_iter_seek(iter, "/", 1);
    for (size_t i = 0; i < sizeof sorted / sizeof sorted[0]; i++) {
        size_t len;
        ck_assert(ldb_iter_valid(iter));
        const char *key = ldb_iter_key(iter, &len);
        ck_assert_uint_eq(len, strlen(sorted[i]));
        ck_assert_mem_eq(key, sorted[i], len);
        const char *value = ldb_iter_value(iter, &len);
        ck_assert_mem_eq(value, sorted[i], len);
        ldb_iter_next(iter);
    }
    ck_assert(!ldb_iter_valid(iter));
    ck_assert_int_eq(ldb_iter_status(iter), ST_OK);
    ldb_iter_free(iter);
    ldb_close(db);
}
END_TEST

START_TEST(what_is_written_meanwhile_is_not_seen)
{
    struct ldb *db = open_db();
    put(db, "/a", "old");
    struct ldb_iter *iter = ldb_iter_new(db);
    ck_assert_ptr_nonnull(iter);
    put(db, "/a", "new");
    put(db, "/b", "later");
    ldb_iter_seek(iter, "/", 1);
    ck_assert(ldb_iter_valid(iter));
    size_t len;
    ck_assert_mem_eq(ldb_iter_value(iter, &len), "old", 3);
    ldb_iter_next(iter);
    ck_assert(!ldb_iter_valid(iter));
    ldb_iter_free(iter);
    check_value(db, "/a", "new");
    ldb_close(db);
}
END_TEST

static void check_cannot_open(struct ldb_options options, enum status expected)
{
    struct ldb *db = NULL;
    char *error = NULL;
    ck_assert_int_eq(ldb_open(&db, path, &options, &error), expected);
    ck_assert_ptr_null(db);
    ck_assert_ptr_nonnull(error);
    ck_assert_uint_gt(strlen(error), 0);
    free(error);
    ck_assert_int_eq(ldb_open(&db, path, &options, NULL), expected);
}

START_TEST(missing_is_not_made_unasked)
{
    check_cannot_open((struct ldb_options){.create = false}, ST_NOT_FOUND);
}
END_TEST

START_TEST(second_opening_is_refused)
{
    struct ldb *db = open_db();
    check_cannot_open((struct ldb_options){.create = true}, ST_LOCKED);
    ldb_close(db);
    ldb_close(open_db());
}
END_TEST

START_TEST(exclusive_refuses_one_that_is_there)
{
    ldb_close(open_db());
    struct ldb_options options = {.create = true, .exclusive = true};
    struct ldb *db;
    ck_assert_int_ne(ldb_open(&db, path, &options, NULL), ST_OK);
    ck_assert_int_eq(ldb_destroy(path), ST_OK);
    ck_assert_int_eq(ldb_open(&db, path, &options, NULL), ST_OK);
    ldb_close(db);
}
END_TEST

/* Changes each file of the database whose name ends so. */
static void damage(const char *ending, void (*change)(int fd, off_t size))
{
    DIR *list = opendir(path);
    ck_assert_ptr_nonnull(list);
    struct dirent *entry;
    int done = 0;
    while ((entry = readdir(list))) {
        size_t len = strlen(entry->d_name);
        if (len < strlen(ending) || strcmp(entry->d_name + len - strlen(ending), ending) != 0)
            continue;
        int fd = openat(dirfd(list), entry->d_name, O_RDWR);
        struct stat is;
        ck_assert_int_eq(fstat(fd, &is), 0);
        if (is.st_size > 100) {
            change(fd, is.st_size);
            done++;
        }
        close(fd);
    }
    closedir(list);
    ck_assert_int_gt(done, 0);
}

static void flip_a_byte(int fd, off_t size)
{
    unsigned char byte = 0;
    ck_assert_int_eq(pread(fd, &byte, 1, size / 2), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, size / 2), 1);
}

static void cut_half(int fd, off_t size)
{
    ck_assert_int_eq(ftruncate(fd, size / 2), 0);
}

static void make_many_keys(void)
{
    struct ldb *db = open_db();
    for (int i = 0; i < 1000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "/key-%d", i);
        put(db, key, "a value of some length");
    }
    ldb_close(db);
}

/* One flipped bit in the log once hid synced keys in silence; it must be an error. */
START_TEST(damaged_log_is_an_error)
{
    make_many_keys();
    damage(".log", flip_a_byte);
    check_cannot_open((struct ldb_options){.create = true}, ST_CORRUPT);
}
END_TEST

/* Mapped files gave zeros for a filter that had been there, so the keys were silently not found,
 * and a SIGBUS behind the last page. */
START_TEST(what_an_open_table_loses_is_an_error)
{
    make_many_keys();
    struct ldb *db = open_db(); /* makes a table of the log */
    check_value(db, "/key-0", "a value of some length");
    damage(".ldb", cut_half); /* under a database that has them open */
    int errors = 0;
    for (int i = 0; i < 1000; i++) {
        char key[32];
        struct buf value = BUF_INIT;
        (void)snprintf(key, sizeof key, "/key-%d", i);
        enum status st = ldb_get(db, key, strlen(key), &value);
        ck_assert_msg(st == ST_OK || st == ST_CORRUPT || st == ST_IO, "%s: %s", key,
                      status_text(st));
        errors += st != ST_OK;
        buf_free(&value);
    }
    ck_assert_int_gt(errors, 0);
    ldb_close(db);
}
END_TEST

START_TEST(free_of_null_is_safe)
{
    ldb_close(NULL);
    ldb_batch_free(NULL);
    ldb_iter_free(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {values_come_back,
                                  value_is_appended,
                                  any_bytes_are_keys_and_values,
                                  batches_are_applied_in_order,
                                  iteration_is_in_bytewise_order,
                                  what_is_written_meanwhile_is_not_seen,
                                  missing_is_not_made_unasked,
                                  second_opening_is_refused,
                                  exclusive_refuses_one_that_is_there,
                                  damaged_log_is_an_error,
                                  what_an_open_table_loses_is_an_error,
                                  free_of_null_is_safe,
                                  NULL};
    Suite *suite = suite_create("ldb");
    tcase_add_checked_fixture(suite_case(suite, "ldb", tests), make_dir, remove_dir);
    return suite_run(suite);
}
