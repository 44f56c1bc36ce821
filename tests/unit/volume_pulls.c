/* Copies that a volume fetches: a disk that hangs leaves threads for those of the others. */
#include "volume/pulls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/loop.h"
#include "tests/unit/suite.h"
#include "volume/gate.h"

enum { JOBS = 40, PATIENCE_MS = 20000 };

static struct loop *loop;
static struct pulls *pulls;
static pthread_t thread;
static atomic_bool hangs;
static atomic_uint running, ended;
static struct gate_job jobs[JOBS];

static void run(void *arg)
{
    atomic_fetch_add(&running, 1);
    while (arg && atomic_load(&hangs))
        (void)usleep(1000);
}

static void next(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ended, 1);
}

static bool submit(unsigned i, unsigned subvolume, void *waits)
{
    jobs[i] = (struct gate_job){.run = run, .next = next, .arg = waits, .loop = loop};
    return pulls_submit(pulls, subvolume, &jobs[i]);
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void setup(void)
{
    atomic_store(&hangs, true);
    atomic_store(&running, 0);
    atomic_store(&ended, 0);
    loop = loop_new();
    pulls = pulls_new();
    ck_assert(loop && pulls);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_loop, loop), 0);
}

static void wait_for(atomic_uint *number, unsigned value)
{
    for (int ms = 0; ms < PATIENCE_MS && atomic_load(number) != value; ms++)
        (void)usleep(1000);
    ck_assert_uint_eq(atomic_load(number), value);
}

static void teardown(void)
{
    loop_stop(loop);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    pulls_free(pulls);
    loop_free(loop);
}

START_TEST(test_a_disk_that_hangs)
{
    static int disk;
    for (unsigned i = 0; i < JOBS - 1; i++)
        ck_assert(submit(i, 3, &disk));
    wait_for(&running, 12); /* a quarter of 16 is left */
    ck_assert(submit(JOBS - 1, 4, NULL));
    wait_for(&ended, 1);
    ck_assert_uint_eq(atomic_load(&running), 13);
    atomic_store(&hangs, false);
    wait_for(&ended, JOBS);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_a_disk_that_hangs, NULL};
    Suite *suite = suite_create("volume pulls");
    tcase_add_checked_fixture(suite_case(suite, "pulls", tests), setup, teardown);
    return suite_run(suite);
}
