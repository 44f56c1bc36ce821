/* When the janitor's rounds begin. */
#include "master/pace.h"

#include "tests/unit/suite.h"

static struct pace pace;

/* A round from 1000 to 2000 that has done so much. */
static struct pace_round round_of(struct pace_tally cleared, struct pace_tally repaired)
{
    return (struct pace_round){
        .began_ms = 1000,
        .ended_ms = 2000,
        .repairs = true,
        .cleared = cleared,
        .repaired = repaired,
        .left = cleared.failed + repaired.failed + 1,
        .to_repair = repaired.done + repaired.failed,
    };
}

static const struct pace_tally none = {0, 0};

START_TEST(nothing_to_do)
{
    ck_assert_uint_eq(pace_begin(&pace), 500);
    ck_assert(pace_may_repair(&pace, 0));
    struct pace_round round = round_of(none, none);
    round.left = 0;
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(pace_pause(&pace, &round), 500);
    ck_assert(pace_may_repair(&pace, 2000)); /* what comes is repaired at once */
}
END_TEST

START_TEST(more_to_do_is_done_at_once)
{
    (void)pace_begin(&pace);
    struct pace_round round = round_of((struct pace_tally){10, 0}, none);
    ck_assert_uint_eq(pace_pause(&pace, &round), 10);
    round = round_of(none, (struct pace_tally){10, 0});
    ck_assert_uint_eq(pace_pause(&pace, &round), 10);
    ck_assert(pace_may_repair(&pace, 2000));
    round = round_of((struct pace_tally){10, 5}, none);
    ck_assert_uint_eq(pace_pause(&pace, &round), 510); /* half of it was in vain */
    round = round_of((struct pace_tally){1, 1000}, none);
    ck_assert_uint_eq(pace_pause(&pace, &round), 4000);
}
END_TEST

START_TEST(what_cannot_be_done_is_tried_less_and_less)
{
    static const uint64_t pauses[] = {1000, 2000, 4000, 4000};
    (void)pace_begin(&pace);
    struct pace_round round = round_of((struct pace_tally){0, 5}, none);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(pace_pause(&pace, &round), pauses[i]);
    round = round_of((struct pace_tally){1, 0}, none);
    round.left = 0;
    ck_assert_uint_eq(pace_pause(&pace, &round), 500);
}
END_TEST

/* From one second to fifteen; garbage is cleared away meanwhile. */
START_TEST(repairs_back_off_by_themselves)
{
    static const uint64_t pauses[] = {1000, 2000, 4000, 8000, 15000, 15000};
    (void)pace_begin(&pace);
    struct pace_round round = round_of(none, (struct pace_tally){0, 5});
    for (int i = 0; i < 6; i++) {
        ck_assert_uint_le(pace_pause(&pace, &round), 4000);
        ck_assert(!pace_may_repair(&pace, 2000 + pauses[i] - 1));
        ck_assert(pace_may_repair(&pace, 2000 + pauses[i]));
    }
    struct pace_round between = round_of((struct pace_tally){10, 0}, none);
    between.repairs = false; /* a round that repairs nothing moves nothing */
    ck_assert_uint_eq(pace_pause(&pace, &between), 10);
    ck_assert(!pace_may_repair(&pace, 2000 + 14999));
    round = round_of(none, (struct pace_tally){1, 5});
    (void)pace_pause(&pace, &round);
    ck_assert(!pace_may_repair(&pace, 6999));
    ck_assert(pace_may_repair(&pace, 7000)); /* five seconds in vain for one that was not */
    round = round_of(none, (struct pace_tally){0, 5});
    (void)pace_pause(&pace, &round);
    ck_assert(pace_may_repair(&pace, 3000)); /* from the beginning again */
}
END_TEST

START_TEST(it_ends_when_something_is_due)
{
    (void)pace_begin(&pace);
    struct pace_round round = round_of(none, none);
    round.due_ms = 2300;
    ck_assert_uint_eq(pace_pause(&pace, &round), 300);
    round.due_ms = 1500;
    ck_assert_uint_eq(pace_pause(&pace, &round), 10);
    round.due_ms = 0;
    round.sweeping = true;
    ck_assert_uint_eq(pace_pause(&pace, &round), 50);
    round = round_of((struct pace_tally){0, 9}, (struct pace_tally){0, 5});
    (void)pace_pause(&pace, &round);
    round.repairs = false;
    ck_assert_uint_eq(pace_pause(&pace, &round), 1000); /* for the repairs; else 2000 */
}
END_TEST

START_TEST(it_hurries_when_asked)
{
    (void)pace_begin(&pace);
    struct pace_round round = round_of(none, (struct pace_tally){0, 5});
    round.reading_ms = 300;
    for (int i = 0; i < 5; i++)
        (void)pace_pause(&pace, &round);
    ck_assert(!pace_may_repair(&pace, 10000));
    ck_assert_uint_eq(pace_hurry(&pace, &round, 2000), 310); /* not more reading than pausing */
    ck_assert_uint_eq(pace_hurry(&pace, &round, 5000), 0);
    ck_assert(!pace_may_repair(&pace, 2999));
    ck_assert(pace_may_repair(&pace, 3000)); /* nor more trying in vain */
    round.rung = true;
    ck_assert_uint_eq(pace_pause(&pace, &round), 310);
    ck_assert(pace_may_repair(&pace, 3000));
    round = round_of((struct pace_tally){0, 3}, none);
    round.rung = true;
    ck_assert_uint_eq(pace_pause(&pace, &round), 10);
    ck_assert(pace_may_repair(&pace, 2000));
}
END_TEST

/* The queue is full of what is under way, and each round reads all of it. */
START_TEST(reading_in_vain_takes_a_twentieth)
{
    (void)pace_begin(&pace);
    struct pace_round round = round_of(none, none);
    round.reading_ms = 100;
    round.due_ms = 2050;
    ck_assert_uint_eq(pace_pause(&pace, &round), 1910);
    round.reading_ms = 10000;
    ck_assert_uint_eq(pace_pause(&pace, &round), 4000);
    round.reading_ms = 100;
    ck_assert_uint_eq(pace_hurry(&pace, &round, 2000), 110); /* it was asked for meanwhile */
    round.cleared.done = 1;                                  /* it was worth it */
    ck_assert_uint_eq(pace_pause(&pace, &round), 110);
    round.cleared.done = 0;
    round.rung = true; /* it was asked for */
    ck_assert_uint_eq(pace_pause(&pace, &round), 110);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {nothing_to_do,
                                  more_to_do_is_done_at_once,
                                  what_cannot_be_done_is_tried_less_and_less,
                                  repairs_back_off_by_themselves,
                                  it_ends_when_something_is_due,
                                  it_hurries_when_asked,
                                  reading_in_vain_takes_a_twentieth,
                                  NULL};
    Suite *suite = suite_create("master_pace");
    (void)suite_case(suite, "pace", tests);
    return suite_run(suite);
}
