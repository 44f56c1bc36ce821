/* fsyncs that are shared: who is told what, and when. */
#include "volume/syncer.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "tests/unit/syncer_fixture.h"
#include "volume/disk.h"

enum { EACH = 40, ALL = WRITERS * EACH, PATIENCE_MS = 20000 };

struct writer {
    pthread_barrier_t *begin; /* all of them together */
    unsigned number;
    unsigned failures;
    unsigned lost;       /* values that were not durable when it was told that they are */
    unsigned everything; /* times that it was told that all is */
};

static void *write_values(void *arg)
{
    struct writer *w = arg;
    (void)pthread_barrier_wait(w->begin);
    for (unsigned n = 1; n <= EACH; n++) {
        bool everything;
        lock();
        disk_state.written[w->number] = n;
        unlock();
        int failed = syncer_sync(syncer, disk_state.fds[w->number], &everything);
        lock();
        w->lost += !failed && disk_state.durable[w->number] < n;
        unlock();
        w->failures += failed != 0;
        w->everything += everything;
    }
    return NULL;
}

/* All of them at once; their sum. */
static struct writer run_writers(unsigned count)
{
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS] = {{0}};
    struct writer sum = {0};
    pthread_barrier_t begin;
    ck_assert_int_eq(pthread_barrier_init(&begin, NULL, count), 0);
    for (unsigned i = 0; i < count; i++) {
        writers[i].number = i;
        writers[i].begin = &begin;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_values, &writers[i]), 0);
    }
    for (unsigned i = 0; i < count; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        sum.failures += writers[i].failures;
        sum.lost += writers[i].lost;
        sum.everything += writers[i].everything;
    }
    (void)pthread_barrier_destroy(&begin);
    return sum;
}

START_TEST(many_share)
{
    struct writer sum = run_writers(WRITERS);
    ck_assert_uint_eq(sum.lost, 0);
    ck_assert_uint_eq(sum.failures, 0);
    ck_assert_uint_gt(sum.everything, ALL / 2);
    ck_assert_uint_lt(disk_state.alls, ALL / 4);
}
END_TEST

START_TEST(few_do_not)
{
    struct writer sum = run_writers(3);
    ck_assert_uint_eq(sum.lost + sum.failures + sum.everything, 0);
    ck_assert_uint_eq(disk_state.alls, 0);
    ck_assert_uint_eq(disk_state.syncs, (uintmax_t)3 * EACH);
}
END_TEST

/* Where threads share already, many of them are no reason. */
START_TEST(threads_are_left_to_what_shares_by_itself)
{
    disk_state.sharing = DISK_SHARES_THREAD;
    struct writer sum = run_writers(WRITERS);
    ck_assert_uint_eq(sum.lost + sum.failures + sum.everything, 0);
    ck_assert_uint_eq(disk_state.alls, 0);
}
END_TEST

/* Nor does anybody while a large value is written. */
START_TEST(large_values_have_their_own)
{
    syncer_large_begins(syncer);
    ck_assert_uint_eq(run_writers(WRITERS).everything, 0);
    ck_assert_uint_eq(disk_state.alls, 0);
    syncer_large_ends(syncer);
    ck_assert_uint_gt(run_writers(WRITERS).everything, 0);
}
END_TEST

/* Everybody whose round it was hears of it, and whoever comes later, for good. */
START_TEST(failed_syncfs_fails_all)
{
    disk_state.all_error = EIO;
    struct writer sum = run_writers(WRITERS);
    ck_assert_uint_eq(sum.lost, 0);
    ck_assert_uint_gt(sum.failures, 0);
    disk_state.all_error = 0;
    bool everything;
    ck_assert_int_eq(syncer_sync(syncer, disk_state.fds[1], &everything), -1);
    ck_assert_int_eq(errno, EIO);
}
END_TEST

/* One that is mounted later, and has its device number, is another. */
START_TEST(another_file_system_has_not_failed)
{
    bool everything;
    disk_state.all_error = EIO;
    (void)run_writers(WRITERS);
    disk_state.all_error = 0;
    ck_assert_int_eq(syncer_sync(syncer, disk_state.fds[1], &everything), -1);
    disk_state.file_system = 2;
    ck_assert_int_eq(syncer_sync(syncer, disk_state.fds[1], &everything), 0);
    ck_assert_uint_gt(run_writers(WRITERS).everything, 0);
}
END_TEST

/* A syncfs that says yes on a file system whose journal was aborted. */
START_TEST(failed_fsync_behind_it_fails_all)
{
    disk_state.lead_fails = true;
    struct writer sum = run_writers(WRITERS);
    ck_assert_uint_eq(sum.failures, ALL);
}
END_TEST

/* Bytes that could not be written back are their own file's error alone. */
START_TEST(lost_bytes_fail_their_file)
{
    disk_state.own_error = EIO;
    struct writer sum = run_writers(WRITERS);
    ck_assert_uint_gt(sum.failures, 0);
    ck_assert_uint_le(sum.failures, EACH);
    bool everything;
    ck_assert_int_eq(syncer_sync(syncer, disk_state.fds[1], &everything), 0);
}
END_TEST

/* Where the kernel cannot tell that, an fsync does. */
START_TEST(who_cannot_tell_is_synced)
{
    disk_state.own_error = EOPNOTSUPP;
    ck_assert_uint_eq(run_writers(WRITERS).failures, 0);
}
END_TEST

/* Writes and syncs the file of writer 0; NULL where that worked. */
static void *sync_first(void *arg)
{
    bool everything;
    lock();
    disk_state.written[0] = 1;
    unlock();
    return syncer_sync(arg, disk_state.fds[0], &everything) ? arg : NULL;
}

static void *sync_other(void *arg)
{
    bool everything;
    return syncer_sync(arg, disk_state.fds[1], &everything) ? arg : NULL;
}

static void await_syncfs(void)
{
    unsigned alls = 0;
    for (unsigned ms = 0; ms < PATIENCE_MS && alls == 0; ms++) {
        (void)usleep(1000);
        lock();
        alls = disk_state.alls;
        unlock();
    }
    ck_assert_uint_eq(alls, 1);
}

/* Who comes while one is under way is not content with it. */
START_TEST(late_ones_wait_for_the_next)
{
    pthread_t threads[WRITERS];
    disk_state.held = true;
    for (unsigned i = 1; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, sync_other, syncer), 0);
    await_syncfs(); /* it has looked at what was written by now */
    ck_assert_int_eq(pthread_create(&threads[0], NULL, sync_first, syncer), 0);
    lock();
    disk_state.held = false;
    unlock();
    for (unsigned i = 0; i < WRITERS; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    ck_assert_uint_eq(disk_state.durable[0], 1);
}
END_TEST

/* --sync=none has nothing to share. */
START_TEST(unsynced_is_left_alone)
{
    struct syncer *none = syncer_new(&disk_unsynced);
    bool everything = true;
    ck_assert_int_eq(syncer_sync(none, disk_state.fds[0], &everything), 0);
    ck_assert(!everything);
    syncer_free(none);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {many_share,
                                  few_do_not,
                                  threads_are_left_to_what_shares_by_itself,
                                  large_values_have_their_own,
                                  failed_syncfs_fails_all,
                                  another_file_system_has_not_failed,
                                  failed_fsync_behind_it_fails_all,
                                  lost_bytes_fail_their_file,
                                  who_cannot_tell_is_synced,
                                  late_ones_wait_for_the_next,
                                  unsynced_is_left_alone,
                                  NULL};
    Suite *suite = suite_create("volume/syncer");
    tcase_add_checked_fixture(suite_case(suite, "syncer", tests), setup, teardown);
    return suite_run(suite);
}
