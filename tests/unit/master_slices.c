/* When keys are begun while clients are busy, with clients and keys that are reckoned here. */
#include "master/slices.h"

#include <string.h>

#include "tests/unit/suite.h"

/* Clients who wait for each answer: so many a second while nothing is worked on, and so large a
 * part of it while keys are. */
static struct {
    double rate, kept;
    double requests;  /* so far */
    uint64_t ms;      /* now */
    uint64_t key_ms;  /* that a key takes */
    uint64_t left;    /* keys to begin */
    uint64_t over_ms; /* when those that are under way will have ended */
    double work_ms;   /* in which some were under way */
} world;
static struct slices slices;

static struct slices_now now(void)
{
    return (struct slices_now){.ms = world.ms,
                               .requests = (uint64_t)world.requests,
                               .under_way = world.over_ms > world.ms,
                               .more = world.left > 0};
}

/* A millisecond, as the janitor would spend it. */
static void step(void)
{
    struct slices_now at = now();
    if (world.ms % 250 == 0)
        slices_look(&slices, &at);
    if (slices_may_begin(&slices, &at) && world.left) {
        world.left--;
        world.over_ms = world.ms + world.key_ms;
    }
    bool works = world.over_ms > world.ms;
    world.work_ms += works;
    world.requests += world.rate / 1000 * (works ? world.kept : 1);
    world.ms++;
}

/* Of the rate without any work. */
static double share_of_clients(uint64_t ms)
{
    double before = world.requests;
    world.work_ms = 0;
    for (uint64_t i = 0; i < ms; i++)
        step();
    return (world.requests - before) / (world.rate / 1000 * (double)ms);
}

static void begin(double rate, double kept)
{
    memset(&world, 0, sizeof world);
    memset(&slices, 0, sizeof slices);
    world.rate = rate;
    world.kept = kept;
    world.key_ms = 20;
    world.ms = 1000;
    (void)share_of_clients(600); /* they are there first */
    world.left = 1000000;
}

START_TEST(without_clients_nothing_waits)
{
    begin(_i ? 30 : 0, 1);
    (void)share_of_clients(2000);
    ck_assert_double_ge(world.work_ms, 1999);
    ck_assert_uint_eq(slices_next_ms(&slices), 0);
}
END_TEST

/* Clients keep four fifths of their rate, whatever the work takes from them, and what they can
 * spare is used. */
START_TEST(clients_keep_most_of_their_rate)
{
    static const double kept[] = {0, 0.1, 0.3, 0.5, 0.7, 0.78, 0.95, 1};
    static const double rates[] = {10000, 300};
    for (int i = 0; i < 2; i++) {
        begin(rates[i], kept[_i]);
        (void)share_of_clients(5000); /* so long it may take to find out */
        double share = share_of_clients(20000);
        double most = kept[_i] < 1 ? 0.2 / (1 - kept[_i]) : 1;
        most = most < 0.9 ? most : 0.9;
        ck_assert_double_ge(share, 0.77);
        ck_assert_double_ge(world.work_ms, 0.75 * most * 20000);
    }
}
END_TEST

/* Keys that take long make slices long, and rests with them. */
START_TEST(long_keys)
{
    begin(1000, 0.2);
    world.key_ms = 400;
    (void)share_of_clients(5000);
    ck_assert_double_ge(share_of_clients(20000), 0.77);
    ck_assert_double_ge(world.work_ms, 3000);
}
END_TEST

/* One that hangs: the others are not kept waiting for it for ever. */
START_TEST(a_key_that_hangs)
{
    begin(1000, 0.9);
    (void)share_of_clients(3000);
    world.key_ms = 100000;
    uint64_t before = world.left;
    (void)share_of_clients(20000);
    ck_assert_uint_ge(before - world.left, 1000);
}
END_TEST

/* Soon nothing waits any more, though nearly no request came in the last slices either. */
START_TEST(clients_leave_and_come)
{
    begin(10000, 0);
    (void)share_of_clients(5000);
    ck_assert_uint_ne(slices_next_ms(&slices), 0);
    world.rate = 0;
    (void)share_of_clients(2500);
    ck_assert_uint_eq(slices_next_ms(&slices), 0);
    world.rate = 10000;
    world.kept = 0.1;
    (void)share_of_clients(1000);
    ck_assert_double_ge(share_of_clients(10000), 0.77);
}
END_TEST

/* Slices in which clients get nothing are no sign that they have left. */
START_TEST(starved_clients_are_busy_still)
{
    begin(100, 0);
    for (int i = 0; i < 20; i++) {
        (void)share_of_clients(1000);
        ck_assert(i == 0 || slices_next_ms(&slices) != 0);
    }
}
END_TEST

/* Nothing is to be done for long; what is then done is not measured by what was before. */
START_TEST(work_comes_and_goes)
{
    begin(10000, 0.5);
    (void)share_of_clients(3000);
    world.left = 0;
    (void)share_of_clients(60000);
    world.kept = 0.1;
    world.left = 1000000;
    ck_assert_double_ge(share_of_clients(3000), 0.6);
    ck_assert_double_ge(share_of_clients(10000), 0.77);
    world.left = 0;
    world.rate = 0;
    (void)share_of_clients(5000);
    ck_assert_uint_eq(slices_next_ms(&slices), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("master_slices");
    TCase *tests = tcase_create("core");
    tcase_add_loop_test(tests, without_clients_nothing_waits, 0, 2);
    tcase_add_loop_test(tests, clients_keep_most_of_their_rate, 0, 8);
    tcase_add_test(tests, long_keys);
    tcase_add_test(tests, a_key_that_hangs);
    tcase_add_test(tests, clients_leave_and_come);
    tcase_add_test(tests, starved_clients_are_busy_still);
    tcase_add_test(tests, work_comes_and_goes);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
