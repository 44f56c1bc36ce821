/* larder rebuild: the directory that it makes an index for is its own meanwhile, and is what it was
 * where it fails. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/flow/rebuild_fixture.h"

/* Opens the index in another process, and holds it until the pipe is closed. */
static pid_t hold_index(int *release)
{
    int ready[2];
    int end[2];
    char byte = 0;
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(end), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const struct ldb_options options = {.create = true};
        struct ldb *index;
        (void)close(end[1]);
        if (ldb_open(&index, db, &options, NULL) || write(ready[1], "x", 1) != 1)
            _exit(1);
        (void)!read(end[0], &byte, 1);
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    (void)close(end[0]);
    (void)close(ready[0]);
    (void)close(ready[1]);
    *release = end[1];
    return child;
}

START_TEST(an_index_in_use_is_refused)
{
    int release;
    pid_t child = hold_index(&release);
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    ck_assert_uint_eq(count_files("db"), 1);
    (void)close(release);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
}
END_TEST

/* Tries, while a rebuild is at work where there was no index, what must be refused then. */
static int intrusion; /* exit status of the process that tried; -1: not yet */

static void intrude(const char *method UNUSED, const char *url)
{
    if (intrusion >= 0 || !strstr(url, "/sv00/"))
        return;
    pid_t child = fork();
    if (child == 0) {
        const struct ldb_options options = {.create = true};
        struct ldb *index;
        (void)alarm(20); /* a second rebuild that goes on waits for the fixture's lock for ever */
        enum status st = ldb_open(&index, db, &options, NULL); /* as a master does */
        _exit(st != ST_LOCKED ? 1 : rebuild("") != EXIT_FAILED ? 2 : 0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    intrusion = status;
}

START_TEST(a_directory_that_was_not_there_is_held)
{
    intrusion = -1;
    fake_before = intrude;
    (void)fake_copy("a:1/sv00", "/k", 0, 5, NULL, "");
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    ck_assert_int_eq(intrusion, 0);
    check_index("/k", "a:1/sv00");
    ck_assert_uint_eq(count_files("db"), 1);
}
END_TEST

/* One that is there, and empty, stays where the rebuild fails; one that was not does not. */
START_TEST(a_failure_leaves_what_was_there)
{
    char lock[120];
    (void)fake_answer("http://b:1/?meta", 500, "");
    (void)snprintf(lock, sizeof lock, "%s/LOCK", db);
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    ck_assert_uint_eq(count_files("db"), 0);
    ck_assert_int_eq(mkdir(db, 0755), 0);
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    ck_assert_uint_eq(count_files("db"), 1);
    ck_assert_int_ne(access(lock, F_OK), 0);
}
END_TEST

START_TEST(a_directory_that_is_no_index_is_refused)
{
    char file[120];
    ck_assert_int_eq(mkdir(db, 0755), 0);
    (void)snprintf(file, sizeof file, "%s/precious", db);
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    ck_assert_int_eq(access(file, F_OK), 0);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(rebuild(""), EXIT_WELL); /* an empty one is fine */
    ck_assert_uint_eq(count_files("db"), 1);
}
END_TEST

START_TEST(leftovers_of_a_killed_run_are_removed)
{
    char path[120];
    const struct ldb_options options = {.create = true};
    const char *const suffixes[] = {"rebuild-new", "rebuild-scan"};
    for (size_t i = 0; i < 2; i++) {
        struct ldb *left;
        struct ldb_batch *batch = ldb_batch_new();
        (void)snprintf(path, sizeof path, "%s.%s", db, suffixes[i]);
        ck_assert_int_eq(ldb_open(&left, path, &options, NULL), ST_OK);
        ldb_batch_put(batch, "/left", 5, "a:1", 3);
        ck_assert_int_eq(ldb_write(left, batch, true, NULL), ST_OK);
        ldb_batch_free(batch);
        ldb_close(left);
    }
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    check_index("/left", "");
    ck_assert_uint_eq(count_files("db"), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {an_index_in_use_is_refused,
                                  a_directory_that_was_not_there_is_held,
                                  a_failure_leaves_what_was_there,
                                  a_directory_that_is_no_index_is_refused,
                                  leftovers_of_a_killed_run_are_removed,
                                  NULL};
    Suite *suite = suite_create("tool/rebuild held");
    tcase_add_checked_fixture(suite_case(suite, "held", tests), setup, teardown);
    return suite_run(suite);
}
