/* How many values are copied at the same time. */
#include "master/ration.h"
#include "tests/flow/fake_loop.h"

static struct ration *ration;
static struct ration_share shares[4];

static void granted(void *arg)
{
    note("%zu", (size_t)((struct ration_share *)arg - shares));
}

static void setup(void)
{
    memset(shares, 0, sizeof shares);
    for (size_t i = 0; i < 4; i++)
        shares[i] = (struct ration_share){.granted = granted, .arg = &shares[i]};
    ration = ration_new(NULL, 3 << 20);
    ck_assert_ptr_nonnull(ration);
}

static void teardown(void)
{
    ration_free(ration);
    ration_free(NULL);
    ck_assert_ptr_null(fake_timers);
}

START_TEST(small_ones_together)
{
    for (size_t i = 0; i < 4; i++)
        ration_ask(ration, &shares[i], 4096);
    ck_trace(""); /* never from inside */
    loop_turns();
    ck_trace("0 1 2 3 ");
    for (size_t i = 0; i < 4; i++)
        ration_return(&shares[i]);
    for (size_t i = 0; i < 4; i++)
        ration_return(&shares[i]); /* once is enough */
}
END_TEST

/* However large they are, they need no more memory than their windows. */
START_TEST(large_ones_in_turn)
{
    for (size_t i = 0; i < 4; i++)
        ration_ask(ration, &shares[i], i == 3 ? 1 : 1ULL << 40);
    loop_turns();
    ck_trace("0 1 2 "); /* nobody overtakes */
    ration_return(&shares[1]);
    loop_turns();
    ck_trace("3 ");
}
END_TEST

START_TEST(one_stops_waiting)
{
    for (size_t i = 0; i < 3; i++)
        ration_ask(ration, &shares[i], 1ULL << 40);
    loop_turns();
    ck_trace("0 1 2 ");
    ration_return(&shares[0]);
    ration_ask(ration, &shares[0], 1 << 20);
    ration_ask(ration, &shares[3], 1 << 20);
    if (_i)
        ration_return(&shares[0]); /* the first that waits, or the last */
    else
        ration_return(&shares[3]);
    loop_turns();
    ck_trace(_i ? "3 " : "0 ");
    ration_ask(ration, &shares[_i ? 0 : 3], 1);
    ration_return(&shares[1]);
    loop_turns();
    ck_trace(_i ? "0 " : "3 ");
}
END_TEST

START_TEST(one_that_is_too_large_gets_all)
{
    ration_free(ration);
    ration = ration_new(NULL, 10);
    ration_ask(ration, &shares[0], 100);
    ration_ask(ration, &shares[1], 1);
    loop_turns();
    ck_trace("0 ");
    ration_return(&shares[0]);
    loop_turns();
    ck_trace("1 ");
}
END_TEST

static void play_without_memory(unsigned k)
{
    ration_free(ration);
    memory_arm(k);
    ration = ration_new(NULL, 10);
    memory.left = 0;
    ck_assert(ration || memory.failed);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {
        {small_ones_together, 1},         {large_ones_in_turn, 1},
        {one_stops_waiting, 2},           {one_that_is_too_large_gets_all, 1},
        {memory_may_run_out_anywhere, 1}, {NULL, 0}};
    return play_all("master_ration", tests, setup, teardown);
}
