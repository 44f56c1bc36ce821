/* Copies that the targets fetch by themselves, over fakes. */
#include "tests/flow/copy_fixture.h"

static const uint64_t LARGE = 1 << 20;

/* Both targets were asked. */
static void start_handover(void)
{
    ration_free(fake_worker.copies);
    fake_worker.copies = ration_new(fake_worker.loop, 2 * LARGE);
    ck_assert_int_eq(copy_from_length(2, LARGE), ST_OK);
    loop_turns();
    ck_trace("PUT:v4:1 PUT:v5:1 ");
    ck_assert_str_eq(call_to("v5:1")->url, "http://v5:1/54/a9/L2s=");
    ck_assert_ptr_nonnull(
        strstr(call_to("v5:1")->fields, "Larder-Copy-From: " FAKE_MD5 " http://v1:1/54/a9/L2s=\n"));
}

static void answers(const char *target, enum status st, int status, const char *md5)
{
    call_to(target)->md5 = md5;
    call_ends(call_to(target), st, status);
}

START_TEST(targets_fetch_a_large_value)
{
    start_handover();
    answers("v5:1", ST_OK, 201, FAKE_MD5);
    loop_turns();
    ck_assert_uint_eq(ends, 0);
    answers("v4:1", ST_OK, 204, FAKE_MD5);
    loop_turns();
    ck_assert_int_eq(ended, ST_OK);
    ck_assert(stored[0] && stored[1]);
    ck_assert_uint_eq(copied, LARGE);
    ck_trace("");
}
END_TEST

START_TEST(one_target_that_fetched_it_is_enough)
{
    start_handover();
    answers("v4:1", ST_UNAVAILABLE, 0, NULL);
    ck_assert_uint_eq(fake_volumes[3].failures, 1);
    answers("v5:1", ST_OK, 201, FAKE_MD5);
    loop_turns();
    ck_assert_int_eq(ended, ST_OK);
    ck_assert(!stored[0] && stored[1]);
    ck_trace("");
}
END_TEST

/* Volumes that do not know it, or not this master; a source that they cannot reach; something else
 * than was asked for. Then it goes the other way. */
START_TEST(targets_that_cannot_fetch_it)
{
    static const int refusals[] = {403, 411, 502, 201, 201};
    start_handover();
    answers("v4:1", ST_OK, refusals[_i], _i == 3 ? NULL : "ffffffffffffffffffffffffffffffff");
    answers("v5:1", ST_PEER, 0, NULL);
    loop_turns();
    ck_trace("GET:v1:1 ");
    call_ends(call_to("v1:1"), ST_OK, 404);
    ck_trace("GET:v2:1 ");
    second_source_is_good();
}
END_TEST

START_TEST(a_target_goes_down)
{
    start_handover();
    fake_volumes[3].lost = true;
    time_passes(1000);
    ck_trace("cancel:v4:1 ");
    answers("v5:1", ST_OK, 201, FAKE_MD5);
    loop_turns();
    ck_assert(!stored[0] && stored[1]);
}
END_TEST

START_TEST(other_kinds_of_volumes_fetch_nothing)
{
    static const size_t plain[] = {0, 4};
    fake_volumes[plain[_i]].kind = VOLUME_PLAIN;
    ck_assert_int_eq(copy_from_length(1, LARGE), ST_OK);
    loop_turns();
    ck_trace("GET:v1:1 ");
    call_ends(call_to("v1:1"), ST_OK, 404);
    ck_assert_int_eq(ended, ST_PEER);
}
END_TEST

static void play_handover_without_memory(unsigned k)
{
    setup();
    memory_arm(k);
    enum status st = copy_from_length(1, LARGE);
    loop_turns();
    for (int i = 0; i < 2; i++)
        if (call_to(targets[i]))
            answers(targets[i], ST_OK, 201, FAKE_MD5);
    loop_turns();
    if (call_to("v1:1"))
        call_ends(call_to("v1:1"), ST_OK, 404);
    memory.left = 0;
    ck_assert_uint_eq(ends, st == ST_OK);
    ck_assert(st != ST_OK || ended != ST_OK || stored[0] || stored[1]);
    ends = 1;
}

START_TEST(memory_may_run_out_in_a_handover)
{
    memory_sweep(play_handover_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{targets_fetch_a_large_value, 1},
                                   {one_target_that_fetched_it_is_enough, 1},
                                   {targets_that_cannot_fetch_it, 5},
                                   {a_target_goes_down, 1},
                                   {other_kinds_of_volumes_fetch_nothing, 2},
                                   {memory_may_run_out_in_a_handover, 1},
                                   {NULL, 0}};
    return play_all("master_copy_handover", tests, setup, teardown);
}
