/* What LevelDB would take for the end of a log, and drop synced records after it, is damage; what a
 * crash leaves is not. The logs are written here, record by record. */
#include "common/ldb_log.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/ldb.h"
#include "tests/unit/suite.h"

enum { BLOCK = 32768, KEYS = 1000, NAME_MAX_LEN = 128 };

static char dir[64];
static char log_path[NAME_MAX_LEN];

/* A database whose log has several blocks; the log's path is noted. */
static void make_db(void)
{
    strcpy(dir, "/tmp/larder-ldb-log.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    struct ldb *db;
    const struct ldb_options options = {.create = true};
    ck_assert_int_eq(ldb_open(&db, dir, &options, NULL), ST_OK);
    struct ldb_batch *batch = ldb_batch_new();
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        char value[80];
        int len = snprintf(key, sizeof key, "/key-%d", i);
        memset(value, 'v', sizeof value);
        ldb_batch_clear(batch);
        ldb_batch_put(batch, key, (size_t)len, value, sizeof value);
        ck_assert_int_eq(ldb_write(db, batch, false, NULL), ST_OK);
    }
    ldb_batch_free(batch);
    ldb_close(db);
    (void)snprintf(log_path, sizeof log_path, "%s/000003.log", dir);
}

static void remove_db(void)
{
    (void)!ldb_destroy(dir);
    (void)rmdir(dir);
}

static off_t log_size(void)
{
    int fd = open(log_path, O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END);
    close(fd);
    ck_assert_int_gt(size / BLOCK, 1);
    return size;
}

static void overwrite(off_t at, int byte, size_t len)
{
    char bytes[512];
    memset(bytes, byte, sizeof bytes);
    int fd = open(log_path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, bytes, len, at), (ssize_t)len);
    close(fd);
}

static void check_damaged(void)
{
    char *error = NULL;
    ck_assert_int_eq(ldb_log_check(dir, &error), ST_CORRUPT);
    ck_assert_ptr_nonnull(strstr(error, "000003.log"));
    free(error);
}

static void check_sound(void)
{
    ck_assert_int_eq(ldb_log_check(dir, NULL), ST_OK);
}

START_TEST(whole_log_is_sound)
{
    check_sound();
}
END_TEST

/* LevelDB reports nothing where a header became zeros, and skips the rest of the block. */
START_TEST(zeros_before_records_are_damage)
{
    overwrite(0, 0, 512);
    check_damaged();
}
END_TEST

START_TEST(zeros_in_the_last_block_before_records_are_damage)
{
    overwrite(log_size() / BLOCK * BLOCK, 0, 512);
    check_damaged();
}
END_TEST

/* The length of the first record in the last block points beyond the end of the file. */
START_TEST(length_beyond_the_end_before_records_is_damage)
{
    overwrite(log_size() / BLOCK * BLOCK + 5, 0x7f, 1);
    check_damaged();
}
END_TEST

START_TEST(cut_off_record_is_what_a_crash_leaves)
{
    for (int cut = 1; cut < 200; cut++) {
        ck_assert_int_eq(truncate(log_path, log_size() - 1), 0);
        check_sound();
    }
}
END_TEST

START_TEST(zeros_at_the_end_are_what_a_crash_leaves)
{
    ck_assert_int_eq(truncate(log_path, log_size() + 300), 0);
    check_sound();
}
END_TEST

START_TEST(missing_directory_is_not_its_business)
{
    ck_assert_int_eq(ldb_log_check("/nonexistent/larder", NULL), ST_OK);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {whole_log_is_sound,
                                  zeros_before_records_are_damage,
                                  zeros_in_the_last_block_before_records_are_damage,
                                  length_beyond_the_end_before_records_is_damage,
                                  cut_off_record_is_what_a_crash_leaves,
                                  zeros_at_the_end_are_what_a_crash_leaves,
                                  missing_directory_is_not_its_business,
                                  NULL};
    Suite *suite = suite_create("ldb_log");
    tcase_add_checked_fixture(suite_case(suite, "ldb_log", tests), make_db, remove_db);
    return suite_run(suite);
}
