/* Threads for what blocks: bounded, and each job comes back to its loop. */
#include "common/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"

static struct loop *loop;
static pthread_t loop_thread;

/* Blocks the pool's threads until the test opens it. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int at_gate;

static void start(void)
{
    loop = loop_new();
    ck_assert_ptr_nonnull(loop);
    loop_thread = pthread_self();
    gate_open = false;
    at_gate = 0;
}

static void end(void)
{
    loop_free(loop);
}

static void open_gate(void)
{
    (void)pthread_mutex_lock(&gate);
    gate_open = true;
    (void)pthread_cond_broadcast(&gate_changed);
    (void)pthread_mutex_unlock(&gate);
}

static void wait_at_gate(void *arg UNUSED)
{
    (void)pthread_mutex_lock(&gate);
    at_gate++;
    (void)pthread_cond_broadcast(&gate_changed);
    while (!gate_open)
        (void)pthread_cond_wait(&gate_changed, &gate);
    (void)pthread_mutex_unlock(&gate);
}

static void wait_until_at_gate(int count)
{
    (void)pthread_mutex_lock(&gate);
    while (at_gate < count)
        (void)pthread_cond_wait(&gate_changed, &gate);
    (void)pthread_mutex_unlock(&gate);
}

/* A job that counts its run and its end, and stops the loop when the last has ended. */
struct counted {
    struct pool_job job;
    atomic_int ran;
    int done;
    int *left;
};

static void counted_run(void *arg)
{
    struct counted *of = arg;
    if (pthread_equal(pthread_self(), loop_thread))
        abort(); /* it would block the loop */
    atomic_fetch_add(&of->ran, 1);
}

static void counted_done(void *arg)
{
    struct counted *of = arg;
    ck_assert(pthread_equal(pthread_self(), loop_thread));
    ck_assert_int_eq(atomic_load(&of->ran), of->done + 1);
    of->done++;
    if (--*of->left == 0)
        loop_stop(loop);
}

static void prepare(struct counted *of, int *left)
{
    of->job.run = counted_run;
    of->job.done = counted_done;
    of->job.arg = of;
    of->job.loop = loop;
    of->left = left;
}

/* As many jobs as *left says, all of them at once. The caller frees them. */
static struct counted *submit_all(struct pool *pool, int *left)
{
    int count = *left;
    struct counted *jobs = calloc((size_t)count, sizeof *jobs);
    ck_assert_ptr_nonnull(jobs);
    for (int i = 0; i < count; i++) {
        prepare(&jobs[i], left);
        ck_assert(pool_submit(pool, &jobs[i].job));
    }
    return jobs;
}

START_TEST(every_job_runs_once_and_comes_back)
{
    enum { JOBS = 2000 };
    struct pool *pool = pool_new(4, JOBS);
    ck_assert_ptr_nonnull(pool);
    int left = JOBS;
    struct counted *jobs = submit_all(pool, &left);
    loop_run(loop);
    for (int i = 0; i < JOBS; i++) {
        ck_assert_int_eq(atomic_load(&jobs[i].ran), 1);
        ck_assert_int_eq(jobs[i].done, 1);
    }
    ck_assert_uint_eq(pool_queued(pool), 0);
    pool_free(pool);
    free(jobs);
}
END_TEST

static void gate_done(void *arg)
{
    int *left = arg;
    if (--*left == 0)
        loop_stop(loop);
}

START_TEST(queue_has_a_bound)
{
    struct pool *pool = pool_new(1, 2);
    int left = 4;
    struct pool_job jobs[5];
    for (int i = 0; i < 5; i++)
        jobs[i] =
            (struct pool_job){.run = wait_at_gate, .done = gate_done, .arg = &left, .loop = loop};
    ck_assert(pool_submit(pool, &jobs[0]));
    wait_until_at_gate(1); /* the only thread is busy now */
    ck_assert_uint_eq(pool_queued(pool), 0);
    ck_assert(pool_submit(pool, &jobs[1]));
    ck_assert(pool_submit(pool, &jobs[2]));
    ck_assert(!pool_submit(pool, &jobs[3]));
    ck_assert_uint_eq(pool_queued(pool), 2);
    pool_continue(pool, &jobs[4]); /* what was admitted may end */
    ck_assert_uint_eq(pool_queued(pool), 3);
    open_gate();
    loop_run(loop);
    ck_assert_int_eq(left, 0);
    ck_assert_int_eq(at_gate, 4);
    pool_free(pool);
}
END_TEST

START_TEST(threads_work_at_the_same_time)
{
    struct pool *pool = pool_new(3, 10);
    int left = 3;
    struct pool_job jobs[3];
    for (int i = 0; i < 3; i++) {
        jobs[i] =
            (struct pool_job){.run = wait_at_gate, .done = gate_done, .arg = &left, .loop = loop};
        ck_assert(pool_submit(pool, &jobs[i]));
    }
    wait_until_at_gate(3);
    open_gate();
    loop_run(loop);
    pool_free(pool);
}
END_TEST

/* A job may be submitted again from its own end. */
static int rounds;
static struct pool *round_pool;
static struct pool_job round_job;

static void round_run(void *arg UNUSED)
{
    rounds++;
}

static void round_done(void *arg UNUSED)
{
    if (rounds == 100)
        loop_stop(loop);
    else
        ck_assert(pool_submit(round_pool, &round_job));
}

START_TEST(job_can_be_used_again)
{
    round_pool = pool_new(2, 1);
    round_job = (struct pool_job){.run = round_run, .done = round_done, .loop = loop};
    ck_assert(pool_submit(round_pool, &round_job));
    loop_run(loop);
    ck_assert_int_eq(rounds, 100);
    pool_free(round_pool);
}
END_TEST

/* Without `done` a job is its owner's again as soon as it runs: */
struct unowned {
    struct pool_job job;
    atomic_int *left;
};

static void unowned_ended(atomic_int *left)
{
    if (atomic_fetch_sub(left, 1) == 1)
        loop_stop(loop);
}

/* it may be freed, */
static void free_itself(void *arg)
{
    struct unowned *of = arg;
    atomic_int *left = of->left;
    memset(of, 0xff, sizeof *of); /* whoever still looks at it sees that he must not */
    free(of);
    unowned_ended(left);
}

/* or be on its way to the next thread, which may have begun before this one returns. */
static void submit_itself(void *arg UNUSED)
{
    rounds++; /* never two of them at once */
    if (rounds == 100)
        unowned_ended(round_job.arg);
    else
        pool_continue(round_pool, &round_job);
}

START_TEST(jobs_without_an_end_are_over_at_once)
{
    enum { JOBS = 200 };
    atomic_int left = JOBS + 1;
    struct pool *pool = round_pool = pool_new(3, JOBS + 1);
    ck_assert_ptr_nonnull(pool);
    round_job = (struct pool_job){.run = submit_itself, .arg = &left};
    pool_continue(pool, &round_job);
    for (int i = 0; i < JOBS; i++) {
        struct unowned *of = malloc(sizeof *of);
        ck_assert_ptr_nonnull(of);
        *of = (struct unowned){.job = {.run = free_itself, .arg = of}, .left = &left};
        ck_assert(pool_submit(pool, &of->job));
    }
    loop_run(loop);
    ck_assert_int_eq(atomic_load(&left), 0);
    ck_assert_int_eq(rounds, 100);
    pool_free(pool);
}
END_TEST

/* Freeing the pool waits for all of its jobs; their ends are posted by then. */
START_TEST(free_waits_for_all_jobs)
{
    enum { JOBS = 50 };
    struct pool *pool = pool_new(2, JOBS);
    int left = JOBS;
    struct counted *jobs = submit_all(pool, &left);
    pool_free(pool);
    for (int i = 0; i < JOBS; i++)
        ck_assert_int_eq(atomic_load(&jobs[i].ran), 1);
    loop_run(loop);
    ck_assert_int_eq(left, 0);
    free(jobs);
    pool_free(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {every_job_runs_once_and_comes_back,
                                  queue_has_a_bound,
                                  threads_work_at_the_same_time,
                                  job_can_be_used_again,
                                  jobs_without_an_end_are_over_at_once,
                                  free_waits_for_all_jobs,
                                  NULL};
    Suite *suite = suite_create("pool");
    tcase_add_checked_fixture(suite_case(suite, "pool", tests), start, end);
    return suite_run(suite);
}
