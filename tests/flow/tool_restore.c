/* larder restore: whose directory it takes. That a master is started, and ended, at any moment
 * while it looks, takes no key from anybody. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/checkpoint_fixture.h"
#include "tools/larder/commands.h"

/* --- locks are taken one after the other; before the n-th one a key comes into the index --- */

static int lock_to_meet; /* 0: none */
static bool came;        /* a master could begin there, and has written */

/* In another process, as a lock is one's own to one's own process. */
static void begin_and_end_a_master(void)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        const struct ldb_options options = {.create = true};
        struct ldb *index;
        struct ldb_batch *batch = ldb_batch_new();
        if (ldb_open(&index, dir, &options, NULL) != ST_OK)
            _exit(1); /* refused */
        ldb_batch_put(batch, "/precious", 9, "a:1", 3);
        _exit(ldb_write(index, batch, true, NULL) == ST_OK ? 0 : 2);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    came = WEXITSTATUS(status) == 0;
}

/* In the place of libc's, for the command and LevelDB alike. */
int fcntl(int fd, int cmd, ...)
{
    va_list values;
    va_start(values, cmd);
    void *value = va_arg(values, void *);
    va_end(values);
    if (cmd == F_SETLK && lock_to_meet && --lock_to_meet == 0)
        begin_and_end_a_master();
    return (int)syscall(SYS_fcntl, fd, cmd, value);
}

/* --- */

static char backup[100];

static int restore(void)
{
    char name[] = "larder restore";
    char option[] = "--db";
    char *argv[] = {name, backup, option, dir, NULL};
    return restore_run(4, argv);
}

static void restore_setup(void)
{
    setup();
    (void)snprintf(backup, sizeof backup, "%s/backup", base);
    FILE *file = fopen(backup, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(stream.data, 1, stream.len, file), stream.len);
    ck_assert_int_eq(fclose(file), 0);
    lock_to_meet = 0;
    came = false;
}

static bool has_key(const char *key)
{
    const struct ldb_options options = {0};
    struct ldb *db;
    struct buf value = BUF_INIT;
    ck_assert_int_eq(ldb_open(&db, dir, &options, NULL), ST_OK);
    enum status st = ldb_get(db, key, strlen(key), &value);
    ck_assert(st == ST_OK || st == ST_NOT_FOUND);
    ldb_close(db);
    buf_free(&value);
    return st == ST_OK;
}

/* Names and sizes of what is in the index' directory, added up. */
static uint64_t fingerprint(void)
{
    uint64_t sum = 0;
    DIR *list = opendir(dir);
    ck_assert_ptr_nonnull(list);
    const struct dirent *entry;
    while ((entry = readdir(list))) {
        struct stat is;
        uint64_t hash = 5381;
        ck_assert_int_eq(fstatat(dirfd(list), entry->d_name, &is, 0), 0);
        for (const char *c = entry->d_name; *c; c++)
            hash = hash * 33 + (unsigned char)*c;
        if (S_ISREG(is.st_mode))
            sum += hash * ((uint64_t)is.st_size + 1);
    }
    (void)closedir(list);
    return sum;
}

static void no_keys(void)
{
    make_index(dir, "!vhost:9");
}

/* Whichever lock it is that a master comes before: either it is refused, or its key stays. */
static void restore_meets(int which)
{
    lock_to_meet = which;
    int result = restore();
    ck_assert_int_eq(result, came ? EXIT_FAILED : EXIT_WELL);
    lock_to_meet = 0;
    ck_assert(has_key("/precious") == came);
    ck_assert(has_key("/key/a/0/000") != came);
}

START_TEST(no_key_is_lost_to_a_restore)
{
    no_keys();
    restore_meets(_i + 1);
}
END_TEST

START_TEST(nor_where_there_was_no_index)
{
    restore_meets(_i + 1);
}
END_TEST

START_TEST(an_index_with_keys_stays_as_it_is)
{
    make_index(dir, "/precious");
    uint64_t before = fingerprint();
    ck_assert_int_eq(restore(), EXIT_FAILED);
    ck_assert_uint_eq(fingerprint(), before);
    ck_assert(has_key("/precious"));
    ck_assert(!is_there(beside(".rebuild-old")) && !is_there(beside(".checkpoint-new")));
}
END_TEST

/* Work is left to do for a key that is not visible any more: it is one all the same. */
START_TEST(an_index_with_work_stays_as_it_is)
{
    make_index(dir, "!w/deleted");
    ck_assert_int_eq(restore(), EXIT_FAILED);
    ck_assert(has_key("!w/deleted"));
}
END_TEST

START_TEST(a_directory_of_somebody_elses_stays_as_it_is)
{
    char file[120];
    ck_assert_int_eq(mkdir(dir, 0755), 0);
    (void)snprintf(file, sizeof file, "%s/precious", dir);
    ck_assert_int_eq(mkdir(file, 0755), 0);
    ck_assert_int_eq(restore(), EXIT_FAILED);
    (void)snprintf(file, sizeof file, "%s/LOCK", dir);
    ck_assert(!is_there(file));
}
END_TEST

/* LevelDB has begun a diary there by the time that it is refused. */
START_TEST(nor_is_a_master_in_the_way_that_was_refused)
{
    lock_to_meet = 2; /* ours, then that of the new index */
    ck_assert_int_eq(truncate(backup, 1000), 0);
    ck_assert_int_eq(restore(), EXIT_FAILED);
    ck_assert(lock_to_meet == 0 && !came);
    ck_assert(!is_there(dir));
}
END_TEST

START_TEST(a_failure_leaves_what_was_there)
{
    ck_assert_int_eq(truncate(backup, 1000), 0);
    ck_assert_int_eq(restore(), EXIT_FAILED);
    ck_assert(!is_there(dir));
    ck_assert_int_eq(mkdir(dir, 0755), 0);
    ck_assert_int_eq(restore(), EXIT_FAILED);
    ck_assert_int_eq(rmdir(dir), 0); /* it is empty */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {an_index_with_keys_stays_as_it_is,
                                  an_index_with_work_stays_as_it_is,
                                  a_directory_of_somebody_elses_stays_as_it_is,
                                  nor_is_a_master_in_the_way_that_was_refused,
                                  a_failure_leaves_what_was_there,
                                  NULL};
    Suite *suite = suite_create("tool/restore");
    TCase *tcase = suite_case(suite, "restore", tests);
    tcase_add_checked_fixture(tcase, restore_setup, teardown);
    tcase_add_loop_test(tcase, no_key_is_lost_to_a_restore, 0, 4);
    tcase_add_loop_test(tcase, nor_where_there_was_no_index, 0, 3);
    return suite_run(suite);
}
