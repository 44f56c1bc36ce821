/* Many files that one thread syncs in one go: when that is one syncfs, and who is told what. */
#include "volume/syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "tests/unit/syncer_fixture.h"
#include "volume/disk.h"

static struct syncer_file files[WRITERS];

/* Writes the first `count` files and syncs them in one go. What is said of each is to be said
 * whatever stood there before. */
static void sync_many(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        disk_state.written[i]++;
        files[i] =
            (struct syncer_file){.fd = disk_state.fds[i], .err = ENOTTY, .everything = i % 2};
    }
    disk_state.alls = disk_state.syncs = 0;
    syncer_sync_many(syncer, files, count);
}

/* What was said of those from `first` on, and whether it is true. */
static void check_files(unsigned first, unsigned count, int err, bool everything)
{
    for (unsigned i = first; i < first + count; i++) {
        ck_assert_int_eq(files[i].err, err);
        ck_assert(files[i].everything == everything);
        ck_assert(err || disk_state.durable[i] == disk_state.written[i]);
    }
}

/* On a disk whose fsyncs share by themselves, too, since those of one thread do not. */
START_TEST(files_of_one_thread_are_one_syncfs)
{
    disk_state.sharing = _i == 0 ? DISK_SHARES_ALL : DISK_SHARES_THREAD;
    sync_many(WRITERS);
    check_files(0, WRITERS, 0, true);
    ck_assert_uint_eq(disk_state.alls, 1);
    ck_assert_uint_eq(disk_state.syncs, 1); /* behind it */
}
END_TEST

START_TEST(few_files_are_fsyncs)
{
    disk_state.sharing = _i == 0 ? DISK_SHARES_ALL : DISK_SHARES_THREAD;
    sync_many(3);
    check_files(0, 3, 0, false);
    ck_assert_uint_eq(disk_state.alls, 0);
    ck_assert_uint_eq(disk_state.syncs, 3);
}
END_TEST

START_TEST(files_beside_large_values_are_fsyncs)
{
    syncer_large_begins(syncer);
    sync_many(WRITERS);
    check_files(0, WRITERS, 0, false);
    ck_assert_uint_eq(disk_state.alls, 0);
    syncer_large_ends(syncer);
}
END_TEST

/* One in the middle: whose own bytes were lost. */
START_TEST(lost_bytes_fail_one_of_many)
{
    disk_state.own_error = EIO;
    for (unsigned i = 0; i < WRITERS; i++)
        files[i] = (struct syncer_file){.fd = disk_state.fds[(i + 4) % WRITERS]};
    syncer_sync_many(syncer, files, WRITERS);
    for (unsigned i = 0; i < WRITERS; i++)
        ck_assert_int_eq(files[i].err, files[i].fd == disk_state.fds[0] ? EIO : 0);
    disk_state.own_error = 0;
    sync_many(WRITERS); /* and nothing stays */
    check_files(0, WRITERS, 0, true);
}
END_TEST

/* An fsync of that one alone, whether it is worth its name or fails. */
START_TEST(who_cannot_tell_of_many_is_synced)
{
    disk_state.own_error = EOPNOTSUPP;
    sync_many(WRITERS);
    check_files(0, WRITERS, 0, true);
    ck_assert_uint_eq(disk_state.syncs, 2);
}
END_TEST

/* A directory has no bytes of its own that could be asked for. */
START_TEST(directories_are_not_asked)
{
    (void)close(disk_state.fds[0]);
    use_file(0, open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    disk_state.own_error = EIO;
    sync_many(WRITERS);
    check_files(0, WRITERS, 0, true);
}
END_TEST

/* One of which nothing can be told, not even where it is. */
START_TEST(unknown_file_fails_alone)
{
    disk_state.refused_fd = -2;
    for (unsigned i = 0; i < WRITERS; i++)
        files[i] = (struct syncer_file){.fd = i == 3 ? -2 : disk_state.fds[i]};
    syncer_sync_many(syncer, files, WRITERS);
    check_files(3, 1, EIO, false);
    check_files(4, WRITERS - 4, 0, true);
}
END_TEST

START_TEST(failed_fsync_fails_one_of_few)
{
    disk_state.refused_fd = disk_state.fds[1];
    sync_many(3);
    check_files(0, 1, 0, false);
    check_files(1, 1, EIO, false);
    check_files(2, 1, 0, false);
    ck_assert_uint_eq(disk_state.syncs, 3);
    disk_state.refused_fd = -1;
    sync_many(WRITERS);
    check_files(0, WRITERS, 0, true);
}
END_TEST

START_TEST(failed_syncfs_fails_all_files)
{
    disk_state.sharing = _i == 0 ? DISK_SHARES_ALL : DISK_SHARES_THREAD;
    disk_state.all_error = EIO;
    sync_many(WRITERS);
    check_files(0, WRITERS, EIO, false);
    disk_state.all_error = 0;
    sync_many(WRITERS); /* for good, */
    check_files(0, WRITERS, EIO, false);
    sync_many(3); /* and whatever way it would have been */
    check_files(0, 3, EIO, false);
    ck_assert_uint_eq(disk_state.syncs, 0);
}
END_TEST

/* Of the files from the `half`-th on. False: there is only one on this machine. */
static bool use_two_file_systems(unsigned half)
{
    for (unsigned i = half; i < WRITERS; i++) {
        int fd = make_file("/dev/shm");
        if (fd < 0)
            return false;
        (void)close(disk_state.fds[i]);
        use_file(i, fd);
    }
    return disk_state.devices[0] != disk_state.devices[half];
}

START_TEST(file_systems_have_a_syncfs_each)
{
    enum { HALF = WRITERS / 2 };
    if (!use_two_file_systems(HALF))
        return;
    sync_many(WRITERS);
    check_files(0, WRITERS, 0, true);
    ck_assert_uint_eq(disk_state.alls, 2);

    disk_state.all_error = EIO;
    disk_state.all_error_on = disk_state.devices[0];
    sync_many(WRITERS);
    check_files(0, HALF, EIO, false);
    check_files(HALF, WRITERS - HALF, 0, true);
}
END_TEST

/* `everything` is said of the file system where it was done, and of no other. */
START_TEST(many_of_one_file_system_do_not_speak_for_another)
{
    if (!use_two_file_systems(WRITERS - 2))
        return;
    sync_many(WRITERS);
    check_files(0, WRITERS - 2, 0, true);
    check_files(WRITERS - 2, 2, 0, false);
    ck_assert_uint_eq(disk_state.alls, 1);
    ck_assert_uint_eq(disk_state.syncs, 1 + 2);
}
END_TEST

static void swap_files(unsigned a, unsigned b)
{
    int fd = disk_state.fds[a];
    use_file(a, disk_state.fds[b]);
    use_file(b, fd);
}

/* In whatever order they come. */
START_TEST(mixed_file_systems_are_all_durable)
{
    enum { HALF = WRITERS / 2 };
    if (!use_two_file_systems(HALF))
        return;
    for (unsigned i = 1; i < HALF; i += 2)
        swap_files(i, HALF + i);
    sync_many(WRITERS);
    for (unsigned i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(files[i].err, 0);
        ck_assert_uint_eq(disk_state.durable[i], disk_state.written[i]);
    }
}
END_TEST

/* Where there is no syncfs (an old kernel), each has an fsync and what it says. */
START_TEST(without_syncfs_each_is_synced)
{
    syncer_free(syncer);
    disk.sync_all = NULL;
    syncer = syncer_new(&disk);
    ck_assert_ptr_nonnull(syncer);
    disk_state.refused_fd = disk_state.fds[7];
    sync_many(WRITERS);
    check_files(0, 7, 0, false);
    check_files(7, 1, EIO, false);
    check_files(8, WRITERS - 8, 0, false);
    ck_assert_uint_eq(disk_state.syncs, WRITERS);
}
END_TEST

START_TEST(unsynced_files_are_left_alone)
{
    syncer_free(syncer);
    syncer = syncer_new(&disk_unsynced);
    ck_assert_ptr_nonnull(syncer);
    sync_many(WRITERS);
    for (unsigned i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(files[i].err, 0);
        ck_assert(!files[i].everything);
    }
    ck_assert_uint_eq(disk_state.alls + disk_state.syncs, 0);
}
END_TEST

/* The kernel's syncfs may say yes to what the file system's own server has never seen. */
START_TEST(unknown_file_systems_have_fsyncs)
{
    disk_state.sharing = DISK_SHARES_NEVER;
    sync_many(WRITERS);
    check_files(0, WRITERS, 0, false);
    ck_assert_uint_eq(disk_state.alls, 0);
    ck_assert_uint_eq(disk_state.syncs, WRITERS);
}
END_TEST

/* Whether they are to be collected for it at all. */
START_TEST(who_takes_many)
{
    struct stat is;
    ck_assert_int_eq(fstat(disk_state.fds[0], &is), 0);
    ck_assert(syncer_takes_many(syncer, is.st_dev)); /* nothing is known of it */
    disk_state.sharing = _i == 0 ? DISK_SHARES_NEVER : DISK_SHARES_THREAD;
    sync_many(1);
    ck_assert(syncer_takes_many(syncer, is.st_dev) == (_i == 1));
    ck_assert(syncer_takes_many(syncer, is.st_dev + 1));
    syncer_large_begins(syncer);
    ck_assert(!syncer_takes_many(syncer, is.st_dev));
    ck_assert(!syncer_takes_many(syncer, is.st_dev + 1));
    syncer_large_ends(syncer);
    ck_assert(syncer_takes_many(syncer, is.st_dev) == (_i == 1));
    struct syncer *none = syncer_new(&disk_unsynced);
    ck_assert_ptr_nonnull(none);
    ck_assert(syncer_takes_many(none, is.st_dev));
    syncer_free(none);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {unknown_file_systems_have_fsyncs,
                                  files_beside_large_values_are_fsyncs,
                                  lost_bytes_fail_one_of_many,
                                  who_cannot_tell_of_many_is_synced,
                                  directories_are_not_asked,
                                  unknown_file_fails_alone,
                                  failed_fsync_fails_one_of_few,
                                  file_systems_have_a_syncfs_each,
                                  many_of_one_file_system_do_not_speak_for_another,
                                  mixed_file_systems_are_all_durable,
                                  without_syncfs_each_is_synced,
                                  unsynced_files_are_left_alone,
                                  NULL};
    Suite *suite = suite_create("volume/syncer many");
    TCase *tcase = suite_case(suite, "many", tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    /* On a disk that shares, and on one that does so by itself. */
    tcase_add_loop_test(tcase, files_of_one_thread_are_one_syncfs, 0, 2);
    tcase_add_loop_test(tcase, who_takes_many, 0, 2);
    tcase_add_loop_test(tcase, few_files_are_fsyncs, 0, 2);
    tcase_add_loop_test(tcase, failed_syncfs_fails_all_files, 0, 2);
    return suite_run(suite);
}
