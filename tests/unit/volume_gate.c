/* Gates before the pool: a disk that hangs leaves threads for the others. */
#include "volume/gate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/loop.h"
#include "tests/unit/suite.h"

enum { THREADS = 4, INSIDE = 3, WAITING = 5, JOBS = 200, PATIENCE_MS = 20000 };

static struct loop *loop;
static struct pool *pool;
static struct gates *gates;
static atomic_bool disk_hangs;
static atomic_int running, most_running, ended;
static int order[JOBS];
static struct gate_job jobs[JOBS];

static void run(void *arg)
{
    (void)arg;
    int now = atomic_fetch_add(&running, 1) + 1;
    int most = atomic_load(&most_running);
    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
        continue;
    while (atomic_load(&disk_hangs))
        (void)usleep(1000);
    atomic_fetch_sub(&running, 1);
}

static void run_at_once(void *arg)
{
    (void)arg;
}

static void next(void *arg)
{
    struct gate_job *job = arg;
    order[atomic_load(&ended)] = (int)(job - jobs); /* only the loop's thread writes it */
    atomic_fetch_add(&ended, 1);
}

static struct gate_job *job_of(unsigned i, void (*work)(void *arg))
{
    jobs[i] = (struct gate_job){.run = work, .next = next, .arg = &jobs[i], .loop = loop};
    return &jobs[i];
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static pthread_t loop_thread;

static void setup(void)
{
    atomic_store(&disk_hangs, true);
    atomic_store(&running, 0);
    atomic_store(&most_running, 0);
    atomic_store(&ended, 0);
    loop = loop_new();
    pool = pool_new(THREADS, 100);
    gates = gates_new(pool, 2, INSIDE, WAITING);
    ck_assert(loop && pool && gates);
    ck_assert_int_eq(pthread_create(&loop_thread, NULL, run_loop, loop), 0);
}

static void wait_for(atomic_int *number, int value)
{
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    while (atomic_load(number) != value) {
        ck_assert_msg(loop_now_ms() < give_up, "%d, not %d", atomic_load(number), value);
        (void)usleep(1000);
    }
}

static void teardown(void)
{
    atomic_store(&disk_hangs, false);
    pool_free(pool);
    loop_stop(loop);
    ck_assert_int_eq(pthread_join(loop_thread, NULL), 0);
    gates_free(gates);
    loop_free(loop);
}

START_TEST(test_others_go_on)
{
    for (unsigned i = 0; i < INSIDE + WAITING; i++)
        ck_assert(gates_submit(gates, 0, job_of(i, run)));
    wait_for(&running, INSIDE);
    ck_assert(!gates_submit(gates, 0, job_of(20, run)));     /* bounded */
    gates_continue(gates, 0, job_of(INSIDE + WAITING, run)); /* but for what has begun */

    for (unsigned i = 30; i < 30 + WAITING; i++)
        ck_assert(gates_submit(gates, 1, job_of(i, run_at_once)));
    wait_for(&ended, WAITING);
    ck_assert_int_eq(atomic_load(&most_running), INSIDE);

    atomic_store(&disk_hangs, false);
    wait_for(&ended, WAITING + INSIDE + WAITING + 1);
    ck_assert_int_le(atomic_load(&most_running), INSIDE);
    ck_assert(gates_submit(gates, 0, job_of(40, run))); /* open again */
    wait_for(&ended, WAITING + INSIDE + WAITING + 2);
}
END_TEST

START_TEST(test_every_job_once)
{
    bool seen[JOBS] = {false};
    atomic_store(&disk_hangs, false);
    for (unsigned i = 0; i < JOBS; i++)
        gates_continue(gates, i % 2, job_of(i, run));
    wait_for(&ended, JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        ck_assert(!seen[order[i]]);
        seen[order[i]] = true;
    }
    ck_assert_int_le(atomic_load(&most_running), THREADS);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_others_go_on, test_every_job_once, NULL};
    Suite *suite = suite_create("volume gate");
    TCase *tcase = suite_case(suite, "gate", tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    return suite_run(suite);
}
