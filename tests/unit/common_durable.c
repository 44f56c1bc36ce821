/* Small files that are whole after a crash, locks, identities. */
#include "common/durable.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

static char dir[64];
static int dir_fd;

static void make_dir(void)
{
    strcpy(dir, "/tmp/larder-durable.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(dir_fd, 0);
}

static void remove_dir(void)
{
    char command[100];
    close(dir_fd);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own making */
}

static void check_file(const char *name, const char *expected)
{
    struct buf out = BUF_INIT;
    ck_assert_int_eq(durable_read(dir_fd, name, &out), ST_OK);
    ck_assert_str_eq(buf_text(&out), expected);
    buf_free(&out);
}

START_TEST(files_are_replaced_whole)
{
    ck_assert_int_eq(durable_write(dir_fd, "id", "first and long", 14), ST_OK);
    check_file("id", "first and long");
    ck_assert_int_eq(durable_write(dir_fd, "id", "2", 1), ST_OK);
    check_file("id", "2");
    ck_assert_int_eq(durable_write(dir_fd, "id", "", 0), ST_OK);
    check_file("id", "");
}
END_TEST

/* A reader that has the old file open goes on to see the old one: it is replaced, not changed. */
START_TEST(old_file_is_not_touched)
{
    ck_assert_int_eq(durable_write(dir_fd, "f", "old", 3), ST_OK);
    int fd = openat(dir_fd, "f", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(durable_write(dir_fd, "f", "new", 3), ST_OK);
    char text[4] = "";
    ck_assert_int_eq(read(fd, text, 3), 3);
    ck_assert_str_eq(text, "old");
    close(fd);
}
END_TEST

START_TEST(nothing_is_left_beside_it)
{
    ck_assert_int_eq(durable_write(dir_fd, "f", "1", 1), ST_OK);
    ck_assert_int_eq(durable_write(dir_fd, "f", "2", 1), ST_OK);
    ck_assert_int_eq(unlinkat(dir_fd, "f", 0), 0);
    ck_assert_int_eq(rmdir(dir), 0); /* it is empty */
    ck_assert_int_eq(mkdir(dir, 0700), 0);
}
END_TEST

/* The temp file has four bytes more, and a name never more than 255. */
START_TEST(names_have_a_largest_length)
{
    char name[256];
    memset(name, 'n', sizeof name);
    name[252] = 0;
    ck_assert_int_eq(durable_write(dir_fd, name, "x", 1), ST_INTERNAL);
    ck_assert_int_eq(faccessat(dir_fd, name, F_OK, 0), -1);
    name[251] = 0;
    ck_assert_int_eq(durable_write(dir_fd, name, "x", 1), ST_OK);
    check_file(name, "x");
}
END_TEST

START_TEST(leftovers_of_a_crash_do_not_hinder)
{
    int fd = openat(dir_fd, "f.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "half of a much longer file", 26), 26);
    close(fd);
    ck_assert_int_eq(durable_write(dir_fd, "f", "whole", 5), ST_OK);
    check_file("f", "whole");
}
END_TEST

START_TEST(missing_files_are_not_found)
{
    struct buf out = BUF_INIT;
    ck_assert_int_eq(durable_read(dir_fd, "absent", &out), ST_NOT_FOUND);
    ck_assert_int_ne(durable_write(dir_fd, "absent/f", "1", 1), ST_OK);
    ck_assert_int_eq(durable_write(-1, "f", "1", 1), ST_IO);
    buf_free(&out);
}
END_TEST

START_TEST(files_have_a_largest_size)
{
    const size_t len = (size_t)1 << 20;
    char *text = calloc(1, len + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', len + 1);
    struct buf out = BUF_INIT;
    ck_assert_int_eq(durable_write(dir_fd, "f", text, len), ST_OK);
    ck_assert_int_eq(durable_read(dir_fd, "f", &out), ST_OK);
    ck_assert_uint_eq(out.len, len);
    buf_clear(&out);
    ck_assert_int_eq(durable_write(dir_fd, "f", text, len + 1), ST_OK);
    ck_assert_int_ne(durable_read(dir_fd, "f", &out), ST_OK);
    buf_free(&out);
    free(text);
}
END_TEST

START_TEST(directories_may_be_there)
{
    ck_assert_int_eq(durable_mkdir(dir_fd, "d"), ST_OK);
    ck_assert_int_eq(durable_mkdir(dir_fd, "d"), ST_OK);
    struct stat is;
    ck_assert_int_eq(fstatat(dir_fd, "d", &is, 0), 0);
    ck_assert(S_ISDIR(is.st_mode));
    ck_assert_int_eq(durable_write(dir_fd, "f", "1", 1), ST_OK);
    ck_assert_int_ne(durable_mkdir(dir_fd, "f"), ST_OK);
    ck_assert_int_ne(durable_mkdir(dir_fd, "no/such"), ST_OK);
}
END_TEST

/* What another process gets that asks for the lock. */
static enum status lock_elsewhere(void)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        enum status st = ST_INTERNAL;
        int other = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int fd = durable_lock(other, "lock", &st);
        _exit((fd >= 0) == (st == ST_OK) ? (int)st : 255);
    }
    int state = 0;
    ck_assert_int_eq(waitpid(pid, &state, 0), pid);
    ck_assert(WIFEXITED(state));
    return (enum status)WEXITSTATUS(state);
}

START_TEST(one_process_has_the_lock)
{
    enum status st = ST_INTERNAL;
    int fd = durable_lock(dir_fd, "lock", &st);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(st, ST_OK);
    ck_assert_int_eq(lock_elsewhere(), ST_LOCKED);
    close(fd);
    ck_assert_int_eq(lock_elsewhere(), ST_OK);
}
END_TEST

/* Another process that dies, however it dies, lets go. */
START_TEST(lock_ends_with_its_process)
{
    int ready[2];
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        enum status st;
        bool ok = durable_lock(dir_fd, "lock", &st) >= 0;
        (void)!write(ready[1], &ok, sizeof ok);
        for (;;)
            (void)pause();
    }
    bool ok = false;
    ck_assert_int_eq(read(ready[0], &ok, sizeof ok), sizeof ok);
    ck_assert(ok);
    enum status st = ST_OK;
    ck_assert_int_eq(durable_lock(dir_fd, "lock", &st), -1);
    ck_assert_int_eq(st, ST_LOCKED);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    int fd = durable_lock(dir_fd, "lock", &st);
    ck_assert_int_ge(fd, 0);
    close(fd);
    close(ready[0]);
    close(ready[1]);
}
END_TEST

START_TEST(lock_needs_its_directory)
{
    enum status st = ST_OK;
    ck_assert_int_eq(durable_lock(dir_fd, "no/such", &st), -1);
    ck_assert_int_ne(st, ST_OK);
    ck_assert_int_ne(st, ST_LOCKED);
}
END_TEST

START_TEST(identities_differ)
{
    char one[IDENTITY_SIZE + 1];
    char two[IDENTITY_SIZE + 1];
    ck_assert_int_eq(durable_new_identity(one), ST_OK);
    ck_assert_int_eq(durable_new_identity(two), ST_OK);
    ck_assert_uint_eq(strlen(one), IDENTITY_SIZE);
    ck_assert_uint_eq(strspn(one, "0123456789abcdef"), IDENTITY_SIZE);
    ck_assert_str_ne(one, two);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {files_are_replaced_whole,
                                  old_file_is_not_touched,
                                  nothing_is_left_beside_it,
                                  names_have_a_largest_length,
                                  leftovers_of_a_crash_do_not_hinder,
                                  missing_files_are_not_found,
                                  files_have_a_largest_size,
                                  directories_may_be_there,
                                  one_process_has_the_lock,
                                  lock_ends_with_its_process,
                                  lock_needs_its_directory,
                                  identities_differ,
                                  NULL};
    Suite *suite = suite_create("durable");
    tcase_add_checked_fixture(suite_case(suite, "durable", tests), make_dir, remove_dir);
    return suite_run(suite);
}
