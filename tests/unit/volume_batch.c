/* Jobs of a disk that are run together: which thread runs what, and who is told. */
#include "volume/batch.h"

#include <pthread.h>
#include <string.h>

#include "common/thread.h"
#include "tests/unit/suite.h"

enum {
    LOOPS = 2,
    POOL_THREADS = 8,
    DISKS = 64, /* as batch.c has them */
    DEVICES = DISKS + 2,
    JOBS = 2000,
    FREELY = 1000000, /* more than there are runs */
    PATIENCE_MS = 20000
};

struct job {
    struct batch_job job;
    unsigned device;
    bool taken;     /* by the lane */
    unsigned ended; /* calls of `next` */
};

/* A disk of the test. A run passes two places, where it waits until as many may pass. */
struct place {
    unsigned may_pass;
    unsigned come; /* in all */
};
struct disk_twin {
    struct place files; /* it works on files */
    struct place disk;  /* it waits for the disk, having said so; not come to where !says_so */
    unsigned inside, most_inside;
};

struct run {
    unsigned device, count;
    pthread_t thread;
    unsigned numbers[BATCH_MANY]; /* of the jobs */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static pthread_cond_t changed;
static struct disk_twin disks[DEVICES];
static bool says_so; /* by batch_waits() */
static struct run runs[JOBS];
static unsigned begun, ended, misled; /* runs; jobs; jobs that ended on another's thread */
static unsigned order[LOOPS][JOBS], ended_of[LOOPS];

static struct job jobs[JOBS];
static struct loop *loops[LOOPS];
static pthread_t loop_threads[LOOPS];
static struct pool *pool;
static struct batches *batches;

/* --- What the lanes call --- */

/* With the lock held. */
static void pass(struct place *place)
{
    place->come++;
    (void)pthread_cond_broadcast(&changed);
    while (place->may_pass == 0)
        (void)pthread_cond_wait(&changed, &lock);
    place->may_pass--;
}

/* With the lock held. Jobs of several devices in one run are noted as of none. */
static void note_run(void *const *args, unsigned count)
{
    const struct job *first = args[0];
    struct run *run = &runs[begun++];
    run->device = first->device;
    run->count = count;
    run->thread = pthread_self();
    for (unsigned i = 0; i < count && i < BATCH_MANY; i++) {
        const struct job *job = args[i];
        run->numbers[i] = (unsigned)(job - jobs);
        if (job->device != run->device)
            run->device = DEVICES;
    }
}

static void run_jobs(void *const *args, unsigned count, struct batch *batch)
{
    const struct job *first = args[0];
    struct disk_twin *disk = &disks[first->device];
    (void)pthread_mutex_lock(&lock);
    note_run(args, count);
    if (++disk->inside > disk->most_inside)
        disk->most_inside = disk->inside;
    pass(&disk->files);
    if (says_so) {
        (void)pthread_mutex_unlock(&lock);
        batch_waits(batch);
        (void)pthread_mutex_lock(&lock);
        pass(&disk->disk);
    }
    disk->inside--;
    (void)pthread_mutex_unlock(&lock);
}

static void job_ended(void *arg)
{
    struct job *job = arg;
    unsigned number = (unsigned)(job - jobs);
    unsigned mine = number % LOOPS;
    (void)pthread_mutex_lock(&lock);
    if (!pthread_equal(pthread_self(), loop_threads[mine]))
        misled++;
    if (job->ended++ == 0)
        order[mine][ended_of[mine]++] = number;
    ended++;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

/* --- What the tests do --- */

static bool submit(unsigned number, unsigned device)
{
    struct job *job = &jobs[number];
    job->device = device;
    job->job = (struct batch_job){.arg = job, .next = job_ended, .loop = loops[number % LOOPS]};
    job->taken = batches_submit(batches, (dev_t)device + 100, &job->job);
    return job->taken;
}

/* Those from `first` on, in this order. */
static void submit_all(unsigned first, unsigned count, unsigned device)
{
    for (unsigned i = first; i < first + count; i++)
        ck_assert(submit(i, device));
}

static void let_pass(struct place *place, unsigned count)
{
    (void)pthread_mutex_lock(&lock);
    place->may_pass = count;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

static void await(const unsigned *number, unsigned value)
{
    const struct timespec until = thread_time(PATIENCE_MS);
    (void)pthread_mutex_lock(&lock);
    while (*number < value)
        if (!thread_wait(&changed, &lock, &until))
            break;
    unsigned is = *number;
    (void)pthread_mutex_unlock(&lock);
    ck_assert_uint_ge(is, value);
}

/* The n-th run to begin was of these jobs, in this order. */
static void check_run(unsigned n, unsigned first, unsigned count)
{
    await(&begun, n + 1);
    ck_assert_uint_eq(runs[n].device, jobs[first].device);
    ck_assert_uint_eq(runs[n].count, count);
    for (unsigned i = 0; i < count; i++)
        ck_assert_uint_eq(runs[n].numbers[i], first + i);
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void setup(void)
{
    ck_assert(thread_condition_init(&changed));
    says_so = true;
    memset(disks, 0, sizeof disks);
    memset(jobs, 0, sizeof jobs);
    memset(ended_of, 0, sizeof ended_of);
    begun = ended = misled = 0;
    for (unsigned i = 0; i < DEVICES; i++)
        disks[i].files.may_pass = disks[i].disk.may_pass = FREELY;
    pool = pool_new(POOL_THREADS, 1);
    ck_assert_ptr_nonnull(pool);
    for (unsigned i = 0; i < LOOPS; i++) {
        loops[i] = loop_new();
        ck_assert_ptr_nonnull(loops[i]);
        ck_assert_int_eq(pthread_create(&loop_threads[i], NULL, run_loop, loops[i]), 0);
    }
}

static void use(unsigned threads, size_t waiting)
{
    batches = batches_new(pool, run_jobs, threads, waiting);
    ck_assert_ptr_nonnull(batches);
}

/* Whatever the test was, each job that was taken has come back once by now, where it belongs. */
static void teardown(void)
{
    pool_free(pool);
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_stop(loops[i]);
        ck_assert_int_eq(pthread_join(loop_threads[i], NULL), 0);
        loop_free(loops[i]);
    }
    batches_free(batches);
    for (unsigned i = 0; i < JOBS; i++)
        ck_assert_uint_eq(jobs[i].ended, jobs[i].taken);
    ck_assert_uint_eq(misled, 0);
    (void)pthread_cond_destroy(&changed);
}

/* What comes while a thread works on files is the next thread's, once the first waits. */
START_TEST(those_that_wait_are_run_together)
{
    use(2, JOBS);
    let_pass(&disks[0].files, 0);
    let_pass(&disks[0].disk, 0);
    submit_all(0, 1, 0);
    check_run(0, 0, 1);
    submit_all(1, 9, 0);
    let_pass(&disks[0].files, 1);
    check_run(1, 1, 9);
    ck_assert_uint_eq(disks[0].inside, 2);
    ck_assert(!pthread_equal(runs[0].thread, runs[1].thread));
    let_pass(&disks[0].files, FREELY);
    let_pass(&disks[0].disk, FREELY);
    await(&ended, 10);
    ck_assert_uint_eq(begun, 2);
    ck_assert_uint_eq(ended_of[1], 5);
    for (unsigned i = 0; i < 5; i++) /* a loop hears of those of a run in their order, too */
        ck_assert_uint_eq(order[1][i], 1 + i * LOOPS);
}
END_TEST

/* Where nothing waits for the disk, the same thread goes on. */
START_TEST(who_does_not_wait_takes_the_next)
{
    use(2, JOBS);
    says_so = false;
    let_pass(&disks[0].files, 0);
    submit_all(0, 1, 0);
    check_run(0, 0, 1);
    submit_all(1, 9, 0);
    let_pass(&disks[0].files, 1);
    check_run(1, 1, 9);
    ck_assert(pthread_equal(runs[0].thread, runs[1].thread));
    let_pass(&disks[0].files, FREELY);
    await(&ended, 10);
    ck_assert_uint_eq(disks[0].most_inside, 1);
}
END_TEST

/* Much that waits is worth a second thread, although the first has not come to wait. */
START_TEST(much_is_shared_by_threads)
{
    use(2, JOBS);
    let_pass(&disks[0].files, 0);
    submit_all(0, 1, 0);
    check_run(0, 0, 1);
    submit_all(1, 4 * BATCH_MANY, 0);
    await(&disks[0].files.come, 2);
    let_pass(&disks[0].files, FREELY);
    await(&ended, 1 + 4 * BATCH_MANY);
    ck_assert_uint_eq(disks[0].most_inside, 2);
}
END_TEST

/* Threads that are all busy are no more than the lane may have; the first that is done goes on. */
START_TEST(threads_of_a_lane_are_bounded)
{
    use(2, JOBS);
    let_pass(&disks[0].disk, 0);
    submit_all(0, 1, 0);
    await(&disks[0].disk.come, 1);
    submit_all(1, 1, 0);
    await(&disks[0].disk.come, 2);
    submit_all(2, 7, 0);
    /* The pool takes its jobs in their order: before this one it would have taken a third thread's
     * of the other disk. */
    submit_all(9, 1, 1);
    check_run(2, 9, 1);
    await(&ended, 1);
    let_pass(&disks[0].disk, 1);
    check_run(3, 2, 7);
    ck_assert(pthread_equal(runs[3].thread, runs[0].thread) ||
              pthread_equal(runs[3].thread, runs[1].thread));
    let_pass(&disks[0].disk, FREELY);
    await(&ended, 10);
    ck_assert_uint_eq(disks[0].most_inside, 2);
}
END_TEST

/* However its disk hangs, and whatever waits for it. */
START_TEST(others_go_on_while_a_disk_hangs)
{
    use(2, JOBS);
    let_pass(&disks[0].disk, 0);
    let_pass(&disks[1].files, 0);
    for (unsigned device = 0; device < 2; device++)
        submit_all(100 * device, 100, device);
    for (unsigned i = 200; i < 300; i++) {
        submit_all(i, 1, 2 + i % 2);
        await(&ended, i - 199);
    }
    let_pass(&disks[0].disk, FREELY);
    let_pass(&disks[1].files, FREELY);
    await(&ended, 300);
    for (unsigned n = 0; n < begun; n++)
        ck_assert_uint_lt(runs[n].device, DEVICES);
}
END_TEST

START_TEST(waiting_has_a_bound)
{
    enum { WAITING = 5 };
    use(2, WAITING);
    let_pass(&disks[0].files, 0);
    submit_all(0, 1, 0);
    check_run(0, 0, 1); /* it does not wait any more */
    submit_all(1, WAITING, 0);
    ck_assert(!submit(1 + WAITING, 0));
    submit_all(2 + WAITING, 1, 1); /* it is the disk's own bound */
    await(&ended, 1);
    let_pass(&disks[0].files, FREELY);
    await(&ended, 2 + WAITING);
    ck_assert_uint_eq(jobs[1 + WAITING].ended, 0);
    submit_all(1 + WAITING, 1, 0); /* there is room again, as much as before */
    await(&ended, 3 + WAITING);
    let_pass(&disks[0].files, 0);
    submit_all(10 + WAITING, 1, 0);
    await(&disks[0].files.come, 4);
    submit_all(11 + WAITING, WAITING, 0);
    ck_assert(!submit(11 + 2 * WAITING, 0));
    let_pass(&disks[0].files, FREELY);
    await(&ended, 4 + 2 * WAITING);
}
END_TEST

START_TEST(too_many_for_one_run_are_several)
{
    use(1, JOBS);
    let_pass(&disks[0].files, 0);
    submit_all(0, 1, 0);
    check_run(0, 0, 1);
    submit_all(1, 2 * BATCH_MANY + 3, 0);
    let_pass(&disks[0].files, FREELY);
    await(&ended, 1 + 2 * BATCH_MANY + 3);
    check_run(1, 1, BATCH_MANY);
    check_run(2, 1 + BATCH_MANY, BATCH_MANY);
    check_run(3, 1 + 2 * BATCH_MANY, 3);
    ck_assert_uint_eq(begun, 4);
}
END_TEST

START_TEST(disks_are_bounded)
{
    use(2, JOBS);
    for (unsigned i = 0; i < DISKS; i++)
        submit_all(i, 1, i);
    ck_assert(!submit(DISKS, DISKS));
    ck_assert(!submit(DISKS + 1, DISKS + 1));
    submit_all(DISKS + 2, DISKS, DISKS - 1); /* those that are known are taken on */
    await(&ended, 2 * DISKS);
}
END_TEST

static void *submit_half(void *arg)
{
    unsigned half = *(unsigned *)arg;
    unsigned refused = 0;
    for (unsigned i = half; i < JOBS; i += 2)
        refused += !submit(i, i / 2 % 3);
    *(unsigned *)arg = refused;
    return NULL;
}

/* From two threads, to three disks, back to two loops: teardown() sees that each comes back once.
 */
START_TEST(every_job_once)
{
    use(3, JOBS);
    pthread_t threads[2];
    unsigned halves[2] = {0, 1};
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_half, &halves[i]), 0);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(halves[i], 0);
    }
    await(&ended, JOBS);
    unsigned noted = 0;
    for (unsigned n = 0; n < begun; n++) {
        ck_assert_uint_lt(runs[n].device, DEVICES);
        noted += runs[n].count;
    }
    ck_assert_uint_eq(noted, JOBS);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_le(disks[i].most_inside, 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {those_that_wait_are_run_together,
                                  who_does_not_wait_takes_the_next,
                                  much_is_shared_by_threads,
                                  threads_of_a_lane_are_bounded,
                                  others_go_on_while_a_disk_hangs,
                                  waiting_has_a_bound,
                                  too_many_for_one_run_are_several,
                                  disks_are_bounded,
                                  every_job_once,
                                  NULL};
    Suite *suite = suite_create("volume/batch");
    tcase_add_checked_fixture(suite_case(suite, "batch", tests), setup, teardown);
    return suite_run(suite);
}
