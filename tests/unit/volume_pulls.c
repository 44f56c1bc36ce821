/* Copies that a volume fetches: a disk that hangs leaves threads for those of the others; who may
 * ask for them. */
#include "volume/pulls.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/options.h"
#include "tests/unit/suite.h"
#include "volume/gate.h"

enum { JOBS = 40, PATIENCE_MS = 20000 };

static struct loop *loop;
static struct pulls *pulls;
static const struct option_list none;
static char dir[64];
static int dir_fd;
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
    strcpy(dir, "/tmp/larder-pulls.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pulls = pulls_new(&none, dir_fd);
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
    (void)unlinkat(dir_fd, "master", 0);
    (void)close(dir_fd);
    ck_assert_int_eq(rmdir(dir), 0);
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

static void restart(const struct option_list *masters)
{
    pulls_free(pulls);
    pulls = pulls_new(masters, dir_fd);
    ck_assert_ptr_nonnull(pulls);
}

/* And whoever comes later is not, however he speaks. */
START_TEST(test_the_first_master_is_trusted)
{
    ck_assert(!pulls_trusts(pulls, "10.0.0.1:4000"));
    pulls_trust(pulls, "10.0.0.1:4000");
    ck_assert(pulls_trusts(pulls, "10.0.0.1:4001")); /* another connection */
    pulls_trust(pulls, "10.0.0.2:4000");
    ck_assert(!pulls_trusts(pulls, "10.0.0.2:4000"));
    restart(&none); /* it need not tell the name again */
    ck_assert(pulls_trusts(pulls, "10.0.0.1:9"));
    pulls_trust(pulls, "10.0.0.2:4000");
    ck_assert(!pulls_trusts(pulls, "10.0.0.2:4000"));
}
END_TEST

START_TEST(test_only_the_masters_of_the_list_are_trusted)
{
    char first[] = "127.0.0.7:3000";
    char second[] = "[::1]:3000";
    char *items[] = {first, second};
    const struct option_list masters = {.items = items, .count = 2};
    pulls_trust(pulls, "10.0.0.1:4000"); /* which is not asked for any more */
    restart(&masters);
    ck_assert(pulls_trusts(pulls, "127.0.0.7:1"));
    ck_assert(pulls_trusts(pulls, "[::1]:1"));
    ck_assert(!pulls_trusts(pulls, "10.0.0.1:4000"));
    pulls_trust(pulls, "10.0.0.1:4000");
    ck_assert(!pulls_trusts(pulls, "10.0.0.1:4000"));
    ck_assert(pulls_trusts(pulls, "127.0.0.7:1"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_a_disk_that_hangs, test_the_first_master_is_trusted,
                                  test_only_the_masters_of_the_list_are_trusted, NULL};
    Suite *suite = suite_create("volume pulls");
    tcase_add_checked_fixture(suite_case(suite, "pulls", tests), setup, teardown);
    return suite_run(suite);
}
