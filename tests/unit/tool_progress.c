/* The figures of progress, and how long a throttle waits. */
#include "tools/larder/progress.h"

#include "common/buf.h"
#include "tests/unit/suite.h"
#include "tools/larder/throttle.h"

static void check_number(uint64_t number, const char *expected)
{
    struct buf out = BUF_INIT;
    progress_number(&out, number);
    ck_assert_str_eq(buf_text(&out), expected);
    buf_free(&out);
}

START_TEST(numbers_have_commas)
{
    check_number(0, "0");
    check_number(999, "999");
    check_number(1000, "1,000");
    check_number(1002003, "1,002,003");
    check_number(UINT64_MAX, "18,446,744,073,709,551,615");
}
END_TEST

static void check_duration(uint64_t ms, const char *expected)
{
    struct buf out = BUF_INIT;
    progress_duration(&out, ms);
    ck_assert_str_eq(buf_text(&out), expected);
    buf_free(&out);
}

START_TEST(durations)
{
    check_duration(0, "0:00");
    check_duration(499, "0:00");
    check_duration(500, "0:01");
    check_duration(59499, "0:59");
    check_duration(60000, "1:00");
    check_duration(3600000, "1:00:00");
    check_duration(47ULL * 3600000 + 61000, "47:01:01");
    check_duration(50ULL * 3600000 + 120000, "2d 02:02");
}
END_TEST

/* With a total, a part, or neither; more than the total is no negative time, and no time at all
 * divides nothing by zero. */
START_TEST(lines_of_progress)
{
    static const struct {
        struct progress_figures figures;
        const char *line;
    } rows[] = {
        {{"moving", "keys", 1500, 6000, -1, 3000},
         "moving: 1,500 of 6,000 keys (25 %), 500/s, 0:09 left"},
        {{"scanning", "files", 700, 0, 0.5, 10000}, "scanning: 700 files (50 %), 70/s, 0:10 left"},
        {{"looking", "keys", 700, 0, -1, 1000}, "looking: 700 keys, 700/s"},
        {{"x", "y", 150, 100, -1, 1000}, "x: 150 of 100 y (100 %), 150/s, 0:00 left"},
        {{"x", "y", 5, 10, -1, 0}, "x: 5 of 10 y (50 %), 0/s"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = BUF_INIT;
        progress_text(&out, &rows[i].figures);
        ck_assert_str_eq(buf_text(&out), rows[i].line);
        buf_free(&out);
    }
}
END_TEST

START_TEST(nothing_is_foretold_too_early)
{
    struct progress_figures figures = {"x", "y", 1, 100, -1, 100};
    ck_assert_int_eq(progress_left_ms(&figures), -1);
    figures.elapsed_ms = 1000;
    ck_assert_int_eq(progress_left_ms(&figures), 99000);
    figures.done = 0;
    ck_assert_int_eq(progress_left_ms(&figures), -1);
    figures.done = 150;
    ck_assert_int_eq(progress_left_ms(&figures), 0);
}
END_TEST

START_TEST(a_throttle_without_a_rate_never_waits)
{
    struct throttle *throttle = throttle_new(0);
    ck_assert_uint_eq(throttle_wait_ms(throttle, UINT64_MAX, 1), 0);
    throttle_free(throttle);
}
END_TEST

START_TEST(a_throttle_lets_bytes_take_their_time)
{
    struct throttle *throttle = throttle_new(1000);
    ck_assert_uint_eq(throttle_wait_ms(throttle, 500, 10000), 500);
    /* Another thread, at the same moment: both together keep the rate. */
    ck_assert_uint_eq(throttle_wait_ms(throttle, 500, 10000), 1000);
    /* All of it was waited for. */
    ck_assert_uint_eq(throttle_wait_ms(throttle, 500, 11000), 500);
    throttle_free(throttle);
}
END_TEST

START_TEST(a_throttle_saves_no_idle_time_up)
{
    struct throttle *throttle = throttle_new(1000);
    ck_assert_uint_eq(throttle_wait_ms(throttle, 1000, 10000), 1000);
    ck_assert_uint_eq(throttle_wait_ms(throttle, 1000, 99000), 1000);
    throttle_free(throttle);
}
END_TEST

START_TEST(small_pieces_add_up)
{
    struct throttle *throttle = throttle_new(1000000);
    uint64_t wait = 0;
    for (int i = 0; i < 1000; i++)
        wait = throttle_wait_ms(throttle, 100, 5000);
    ck_assert_uint_ge(wait, 99);
    ck_assert_uint_le(wait, 100);
    throttle_free(throttle);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {numbers_have_commas,
                                  durations,
                                  lines_of_progress,
                                  nothing_is_foretold_too_early,
                                  a_throttle_without_a_rate_never_waits,
                                  a_throttle_lets_bytes_take_their_time,
                                  a_throttle_saves_no_idle_time_up,
                                  small_pieces_add_up,
                                  NULL};
    Suite *suite = suite_create("tool/progress");
    (void)suite_case(suite, "progress", tests);
    return suite_run(suite);
}
