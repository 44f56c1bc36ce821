/* Who a disk is, and in which state; the lock and the identity of the whole directory. */
#include "volume/subvolume.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "common/durable.h"
#include "tests/unit/volume_dir.h"
#include "volume/identity.h"

static char *full(const char *path)
{
    static char text[4][256];
    static unsigned turn;
    char *to = text[turn++ % 4];
    (void)snprintf(to, 256, "%s/%s", dir, path);
    return to;
}

static void move(const char *from, const char *to)
{
    ck_assert_int_eq(rename(full(from), full(to)), 0);
}

static enum subvolume_state state(unsigned index)
{
    subvolumes_check(all);
    struct subvolume *sub = subvolumes_find(all, index);
    return sub ? subvolume_state(sub) : SUBVOLUME_MISSING;
}

static enum status look(const char *file)
{
    struct store_at where = at(file);
    struct store_value value;
    enum status st = store_open(&where, &value);
    if (!st)
        (void)close(value.fd);
    return st;
}

static void check_refused(enum status wanted, const char *says)
{
    char *error = NULL;
    ck_assert_int_eq(dir_try(&error), wanted);
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error, says) != NULL, "%s", error);
    free(error);
}

START_TEST(test_new_directory)
{
    char id[IDENTITY_SIZE + 1];
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(identity_read(fd, ".larder/id", id), ST_OK);
    ck_assert_str_eq(id, subvolumes_id(all));
    ck_assert_int_eq(state(0), SUBVOLUME_UP);
    ck_assert_ptr_null(subvolumes_find(all, 1));
    /* The first PUT gives the disk an identity, on both sides. */
    char recorded[IDENTITY_SIZE + 1];
    ck_assert_int_eq(put("aa/bb/x", "x"), ST_OK);
    ck_assert_int_eq(identity_read(fd, "sv00/.larder/id", id), ST_OK);
    ck_assert_int_eq(identity_read(fd, ".larder/subvolumes/sv00", recorded), ST_OK);
    ck_assert_str_eq(id, recorded);
    (void)close(fd);
}
END_TEST

START_TEST(test_second_process)
{
    struct subvolumes *first = all;
    check_refused(ST_LOCKED, "in use by another");
    all = first;
    dir_close();
    dir_open();
}
END_TEST

START_TEST(test_identity_that_is_gone)
{
    ck_assert_int_eq(put("x", "x"), ST_OK);
    dir_close();
    ck_assert_int_eq(unlink(full(".larder/id")), 0);
    check_refused(ST_FOREIGN, "not the directory that it was");
    write_file(".larder/id", "rubbish\n");
    check_refused(ST_FOREIGN, "damaged");
}
END_TEST

START_TEST(test_subvolume_is_no_volume)
{
    ck_assert_int_eq(put("x", "x"), ST_OK);
    dir_close();
    size_t len = strlen(dir);
    (void)snprintf(dir + len, sizeof dir - len, "/sv00");
    check_refused(ST_FOREIGN, "subvolume");
    dir[len] = 0;
}
END_TEST

START_TEST(test_missing_mount)
{
    ck_assert_int_eq(put("x", "x"), ST_OK);
    move("sv00", "away"); /* unmounted, an empty mount point is left */
    ck_assert_int_eq(mkdir(full("sv00"), 0755), 0);
    ck_assert_int_eq(look("x"), ST_UNAVAILABLE); /* noticed at once, before any check */
    ck_assert_int_eq(put("y", "y"), ST_UNAVAILABLE);
    ck_assert_int_eq(state(1), SUBVOLUME_MISSING);
    ck_assert(!exists("sv00/y") && !exists("sv00/.larder"));
    struct store_at where = at("x");
    ck_assert_int_eq(store_delete(&where), ST_UNAVAILABLE);

    ck_assert_int_eq(rmdir(full("sv00")), 0); /* no mount point either */
    ck_assert_int_eq(state(1), SUBVOLUME_MISSING);
    ck_assert_int_eq(put("y", "y"), ST_UNAVAILABLE);
    dir_close();
    dir_open(); /* nor after a restart */
    ck_assert_int_eq(state(1), SUBVOLUME_MISSING);

    move("away", "sv00");
    ck_assert_int_eq(state(1), SUBVOLUME_UP);
    ck_assert_int_eq(look("x"), ST_OK);
}
END_TEST

/* A look that cannot be made is no disk that is away. */
START_TEST(test_no_descriptors)
{
    struct rlimit all_of_them, few;
    ck_assert_int_eq(put("x", "x"), ST_OK);
    ck_assert_int_eq(state(1), SUBVOLUME_UP);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all_of_them), 0);
    int next = dup(0);
    ck_assert_int_ge(next, 0);
    (void)close(next);
    for (unsigned more = 0; more < 3; more++) {
        few = all_of_them;
        few.rlim_cur = (rlim_t)next + more;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        ck_assert_int_eq(state(0), SUBVOLUME_UP);
        ck_assert_int_eq(state(1), SUBVOLUME_UP);
    }
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all_of_them), 0);
    ck_assert_int_eq(look("x"), ST_OK);
}
END_TEST

/* Rights that are wrong are an operator's slip, and no broken disk: back as soon as they are right.
 */
START_TEST(test_identity_that_may_not_be_read)
{
    uid_t own = geteuid();
    ck_assert_int_eq(put("aa/bb/x", "x"), ST_OK);
    ck_assert_int_eq(state(1), SUBVOLUME_UP);
    ck_assert_int_eq(chmod(dir, 0755), 0);
    ck_assert_int_eq(chmod(full("sv00/.larder/id"), own ? 0 : 0600), 0);
    if (own == 0) /* root may read anything */
        ck_assert_int_eq(seteuid(65534), 0);
    ck_assert_int_eq(state(1), SUBVOLUME_MISSING);
    ck_assert_int_eq(seteuid(own), 0);
    ck_assert_int_eq(chmod(full("sv00/.larder/id"), 0644), 0);
    ck_assert_int_eq(state(1), SUBVOLUME_UP);
    ck_assert_int_eq(look("aa/bb/x"), ST_OK);
    ck_assert_int_eq(put("aa/bb/y", "y"), ST_OK);
}
END_TEST

START_TEST(test_swapped_disks)
{
    struct store_at other = at("x");
    other.subvolume = 2;
    ck_assert_int_eq(put("x", "x"), ST_OK);
    ck_assert_int_eq(put_at(&other, "y", NULL), ST_OK);
    move("sv00", "t");
    move("sv01", "sv00");
    move("t", "sv01");
    ck_assert_int_eq(look("x"), ST_UNAVAILABLE);
    ck_assert_int_eq(state(1), SUBVOLUME_MISSING);
    ck_assert_int_eq(state(2), SUBVOLUME_MISSING);
}
END_TEST

/* A disk that comes from another machine is taken as it is; one that is there twice is not. */
START_TEST(test_adopted_and_copied)
{
    ck_assert_int_eq(put("x", "x"), ST_OK);
    dir_close();
    ck_assert_int_eq(unlink(full(".larder/subvolumes/sv00")), 0);
    dir_open();
    ck_assert_int_eq(state(1), SUBVOLUME_UP);
    ck_assert(exists(".larder/subvolumes/sv00"));

    ck_assert_int_eq(symlink("sv00", full("sv07")), 0);
    ck_assert_int_eq(state(8), SUBVOLUME_MISSING);
    ck_assert_int_eq(state(1), SUBVOLUME_UP);

    /* Masters are told, or they would take it for one that is only to be made, and go on writing
     * there; and it can be made once nothing is there any more. */
    struct subvolume_report report;
    struct subvolume *twice = subvolumes_find(all, 8);
    subvolume_report(twice, &report);
    ck_assert(report.present && report.state == SUBVOLUME_MISSING);
    ck_assert_int_eq(subvolume_admit(twice, SUBVOLUME_WRITE, 0), ST_UNAVAILABLE);
    ck_assert_int_eq(unlink(full("sv07")), 0);
    ck_assert_int_eq(state(8), SUBVOLUME_MISSING);
    subvolume_report(twice, &report);
    ck_assert(!report.present);
    ck_assert_int_eq(subvolume_admit(twice, SUBVOLUME_WRITE, 0), ST_OK);
}
END_TEST

/* How many lines of the log so far say `text`; the log is in `captured`. */
static unsigned lines_with(FILE *captured, const char *text)
{
    char line[2048];
    unsigned count = 0;
    rewind(captured);
    while (fgets(line, sizeof line, captured))
        count += strstr(line, text) != NULL;
    return count;
}

/* Something stands at sv07 that cannot be entered: it is missing, masters are told, nothing is
 * written there, and the log says once what to do. */
static void check_cannot_enter(FILE *captured, const char *advice)
{
    struct subvolume_report report;
    unsigned said = lines_with(captured, advice);
    for (int look_again = 0; look_again < 3; look_again++)
        ck_assert_int_eq(state(8), SUBVOLUME_MISSING);
    ck_assert_uint_eq(lines_with(captured, advice), said + 1);
    struct subvolume *sub = subvolumes_find(all, 8);
    subvolume_report(sub, &report);
    ck_assert_msg(report.present, "%s", advice);
    ck_assert_int_eq(subvolume_admit(sub, SUBVOLUME_WRITE, 0), ST_UNAVAILABLE);
    ck_assert_int_eq(subvolume_admit(sub, SUBVOLUME_READ, 0), ST_UNAVAILABLE);
}

static void check_can_be_made(const char *path)
{
    ck_assert_int_eq(remove(path), 0);
    ck_assert_int_eq(state(8), SUBVOLUME_MISSING);
    ck_assert_int_eq(subvolume_admit(subvolumes_find(all, 8), SUBVOLUME_WRITE, 0), ST_OK);
}

START_TEST(test_directories_that_cannot_be_entered)
{
    uid_t own = geteuid();
    char *sv07 = strdup(full("sv07"));
    FILE *captured = tmpfile();
    int kept_stderr = dup(STDERR_FILENO);
    ck_assert(sv07 && captured && kept_stderr >= 0);
    ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
    log_set_level(LOG_ERROR);

    write_file("sv07", "no directory");
    check_cannot_enter(captured, "move away what stands there");
    check_can_be_made(sv07);
    ck_assert_int_eq(symlink("sv07", sv07), 0);
    check_cannot_enter(captured, "move away what stands there");
    check_can_be_made(sv07);
    ck_assert_int_eq(symlink("not-mounted", sv07), 0);
    check_cannot_enter(captured, "a link to nowhere");
    check_can_be_made(sv07);
    ck_assert_int_eq(chmod(dir, 0755), 0);
    ck_assert_int_eq(mkdir(sv07, 0), 0);
    if (own == 0) /* root may enter anything */
        ck_assert_int_eq(seteuid(65534), 0);
    check_cannot_enter(captured, "see to owner and mode");
    ck_assert_int_eq(seteuid(own), 0);
    check_can_be_made(sv07);

    ck_assert_int_ge(dup2(kept_stderr, STDERR_FILENO), 0);
    (void)close(kept_stderr);
    (void)fclose(captured);
    free(sv07);
}
END_TEST

/* One that has an identity, and not even a mount point at the start: nothing changes then that
 * could be logged, so the look has to say it. */
START_TEST(test_a_disk_that_is_gone_at_the_start_is_logged)
{
    FILE *captured = tmpfile();
    int kept_stderr = dup(STDERR_FILENO);
    ck_assert_int_eq(put("x", "x"), ST_OK);
    dir_close();
    move("sv00", "away");
    ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
    log_set_level(LOG_ERROR);
    dir_open();
    ck_assert_int_eq(state(1), SUBVOLUME_MISSING);
    ck_assert_int_ge(dup2(kept_stderr, STDERR_FILENO), 0);
    (void)close(kept_stderr);
    ck_assert_uint_eq(lines_with(captured, "its directory is gone"), 1);
    (void)fclose(captured);
}
END_TEST

/* The disk has its identity, the record of it has not got its name yet. */
START_TEST(test_killed_while_it_recorded_an_identity)
{
    ck_assert_int_eq(put("x", "x"), ST_OK);
    dir_close();
    move(".larder/subvolumes/sv00", ".larder/subvolumes/sv00.new");
    dir_open();
    ck_assert_int_eq(state(1), SUBVOLUME_UP);
    ck_assert_int_eq(look("x"), ST_OK);
    ck_assert_int_eq(put("y", "y"), ST_OK);
    ck_assert(exists(".larder/subvolumes/sv00") && !exists(".larder/subvolumes/sv00.new"));
}
END_TEST

START_TEST(test_symlinked_disk)
{
    ck_assert_int_eq(mkdir(full("elsewhere"), 0755), 0);
    ck_assert_int_eq(symlink("elsewhere", full("sv00")), 0);
    ck_assert_int_eq(put("aa/x", "x"), ST_OK);
    ck_assert(exists("elsewhere/aa/x"));
    ck_assert_int_eq(unlink(full("sv00")), 0);
    ck_assert_int_eq(look("aa/x"), ST_UNAVAILABLE);
}
END_TEST

/* Values of minikeyvalue, without anything of ours. */
START_TEST(test_plain_directory)
{
    write_file("sv00/aa/bb/x", "old");
    ck_assert_int_eq(look("aa/bb/x"), ST_OK);
    ck_assert_int_eq(state(1), SUBVOLUME_UP);
    ck_assert(!exists("sv00/.larder"));
    ck_assert_int_eq(put("aa/bb/y", "new"), ST_OK);
    ck_assert(exists("sv00/.larder/id"));
    ck_assert_int_eq(look("aa/bb/x"), ST_OK);
}
END_TEST

START_TEST(test_temp_files_of_the_dead)
{
    ck_assert_int_eq(put("x", "x"), ST_OK);
    dir_close();
    write_file("sv00/.larder/tmp/0123456789abcdef-1", "left");
    write_file(".larder/tmp/0123456789abcdef-1", "left");
    dir_open();
    ck_assert(!exists("sv00/.larder/tmp/0123456789abcdef-1"));
    ck_assert(!exists(".larder/tmp/0123456789abcdef-1"));
}
END_TEST

START_TEST(test_errors)
{
    ck_assert_int_eq(put("x", "x"), ST_OK);
    struct subvolume *sub = subvolumes_find(all, 1);
    struct subvolume_report report;

    ck_assert_int_eq(subvolume_error(sub, "-", "write", "x", ENOSPC), ST_NO_SPACE);
    ck_assert_int_eq(subvolume_state(sub), SUBVOLUME_FULL);
    ck_assert_int_eq(put("y", "y"), ST_NO_SPACE);
    ck_assert_int_eq(look("x"), ST_OK);
    ck_assert_int_eq(subvolume_admit(sub, SUBVOLUME_DELETE, 0), ST_OK);
    ck_assert_int_eq(state(1), SUBVOLUME_UP); /* there is room, says the disk */

    ck_assert_int_eq(subvolume_error(sub, "-", "write", "x", EROFS), ST_READ_ONLY);
    ck_assert_int_eq(put("y", "y"), ST_READ_ONLY);
    ck_assert_int_eq(subvolume_admit(sub, SUBVOLUME_DELETE, 0), ST_READ_ONLY);
    ck_assert_int_eq(state(1), SUBVOLUME_UP);

    ck_assert_int_eq(subvolume_error(sub, "-", "write", "x", EACCES), ST_IO);
    ck_assert_int_eq(state(1), SUBVOLUME_UP); /* no fault of the disk */
    ck_assert_int_eq(subvolume_error(sub, "-", "write", "x", EFBIG), ST_TOO_LARGE);

    ck_assert_int_eq(subvolume_sync_error(sub, "-", "fsync", "x", ENOSPC), ST_NO_SPACE);
    ck_assert(subvolume_failed(sub));
    ck_assert_int_eq(state(1), SUBVOLUME_READ_ONLY); /* and stays so */
    ck_assert_int_eq(put("y", "y"), ST_READ_ONLY);
    ck_assert_int_eq(look("x"), ST_OK);
    subvolume_report(sub, &report);
    ck_assert_uint_eq(report.errors, 4);
    ck_assert_str_eq(report.name, "sv00");
    ck_assert_uint_gt(report.total, 0);
    ck_assert_int_eq(state(0), SUBVOLUME_UP); /* the others go on */
}
END_TEST

START_TEST(test_reserve)
{
    dir_close();
    struct subvolumes_options options = {
        .dir = dir, .disk = &disk_unsynced, .reserve = UINT64_MAX / 2};
    char *error;
    ck_assert_int_eq(subvolumes_open(&all, &options, &error), ST_OK);
    write_file("sv00/x", "x");
    ck_assert_int_eq(state(1), SUBVOLUME_FULL);
    ck_assert_int_eq(put("y", "y"), ST_NO_SPACE);
    ck_assert_int_eq(look("x"), ST_OK);
    struct store_at where = at("x");
    ck_assert_int_eq(store_delete(&where), ST_OK);
}
END_TEST

START_TEST(test_too_large_for_the_disk)
{
    ck_assert_int_eq(put("x", "x"), ST_OK);
    struct subvolume *sub = subvolumes_find(all, 1);
    ck_assert_int_eq(subvolume_admit(sub, SUBVOLUME_WRITE, 1000), ST_OK);
    ck_assert_int_eq(subvolume_admit(sub, SUBVOLUME_WRITE, UINT64_MAX / 2), ST_NO_SPACE);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_new_directory,
                                  test_second_process,
                                  test_identity_that_is_gone,
                                  test_killed_while_it_recorded_an_identity,
                                  test_subvolume_is_no_volume,
                                  test_missing_mount,
                                  test_no_descriptors,
                                  test_identity_that_may_not_be_read,
                                  test_swapped_disks,
                                  test_adopted_and_copied,
                                  test_directories_that_cannot_be_entered,
                                  test_a_disk_that_is_gone_at_the_start_is_logged,
                                  test_symlinked_disk,
                                  test_plain_directory,
                                  test_temp_files_of_the_dead,
                                  test_errors,
                                  test_reserve,
                                  test_too_large_for_the_disk,
                                  NULL};
    Suite *suite = suite_create("volume subvolume");
    (void)dir_case(suite, "subvolume", tests);
    return suite_run(suite);
}
