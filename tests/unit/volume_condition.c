/* Conditional requests, and the dates in them. */
#include "volume/condition.h"

#include <string.h>

#include "tests/unit/suite.h"
#include "volume/date.h"

static const char tag[] = "\"abc\"";
static const time_t modified = 1445412480; /* Wed, 21 Oct 2015 07:28:00 GMT */
static const char at_that_time[] = "Wed, 21 Oct 2015 07:28:00 GMT";
static const char before[] = "Wed, 21 Oct 2015 07:27:59 GMT";
static const char after[] = "Wed, 21 Oct 2015 07:28:01 GMT";

static enum condition_result check(struct condition condition)
{
    return condition_check(&condition, tag, modified);
}

START_TEST(test_dates)
{
    static const char *const same[] = {at_that_time, "Wednesday, 21-Oct-15 07:28:00 GMT",
                                       "Wed Oct 21 07:28:00 2015"};
    static const char *const bad[] = {"", "yesterday", "Wed, 21 Oct 2015 07:28:00",
                                      "Wed, 21 Oct 2015 07:28:00 GMT x", "1445412480"};
    char text[DATE_SIZE];
    time_t when;
    date_format(modified, text);
    ck_assert_str_eq(text, at_that_time);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        ck_assert(date_parse(same[i], &when));
        ck_assert_int_eq(when, modified);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!date_parse(bad[i], &when), "%s", bad[i]);
    date_format((time_t)INT64_MAX, text); /* a year that no calendar has */
    ck_assert(date_parse(text, &when));
}
END_TEST

START_TEST(test_none)
{
    ck_assert_int_eq(check((struct condition){NULL}), CONDITION_SEND);
}
END_TEST

START_TEST(test_if_none_match)
{
    static const char *const same[] = {
        "\"abc\"",        "W/\"abc\"", "*", " * ", "\"x\", \"abc\"", "\"x\",W/\"abc\" , \"y\"",
        "\"a,b\",\"abc\""};
    static const char *const other[] = {"\"abcd\"", "\"ab\"", "abc",   "",
                                        ",",        "\"abc",  "W/abc", "\"x\" , "};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        ck_assert_msg(check((struct condition){.if_none_match = same[i]}) == CONDITION_NOT_MODIFIED,
                      "%s", same[i]);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        ck_assert_msg(check((struct condition){.if_none_match = other[i]}) == CONDITION_SEND, "%s",
                      other[i]);
}
END_TEST

START_TEST(test_if_match)
{
    ck_assert_int_eq(check((struct condition){.if_match = tag}), CONDITION_SEND);
    ck_assert_int_eq(check((struct condition){.if_match = "*"}), CONDITION_SEND);
    ck_assert_int_eq(check((struct condition){.if_match = "\"x\""}), CONDITION_FAILED);
    /* A weak tag never matches strongly. */
    ck_assert_int_eq(check((struct condition){.if_match = "W/\"abc\""}), CONDITION_FAILED);
}
END_TEST

START_TEST(test_times)
{
    ck_assert_int_eq(check((struct condition){.if_modified_since = at_that_time}),
                     CONDITION_NOT_MODIFIED);
    ck_assert_int_eq(check((struct condition){.if_modified_since = after}), CONDITION_NOT_MODIFIED);
    ck_assert_int_eq(check((struct condition){.if_modified_since = before}), CONDITION_SEND);
    ck_assert_int_eq(check((struct condition){.if_modified_since = "x"}), CONDITION_SEND);
    ck_assert_int_eq(check((struct condition){.if_unmodified_since = before}), CONDITION_FAILED);
    ck_assert_int_eq(check((struct condition){.if_unmodified_since = at_that_time}),
                     CONDITION_SEND);
    ck_assert_int_eq(check((struct condition){.if_unmodified_since = "x"}), CONDITION_SEND);
}
END_TEST

/* Tags come before times (RFC 9110, 13.2.2). */
START_TEST(test_precedence)
{
    ck_assert_int_eq(check((struct condition){.if_match = tag, .if_unmodified_since = before}),
                     CONDITION_SEND);
    ck_assert_int_eq(
        check((struct condition){.if_none_match = "\"x\"", .if_modified_since = after}),
        CONDITION_SEND);
    ck_assert_int_eq(check((struct condition){.if_match = "\"x\"", .if_none_match = tag}),
                     CONDITION_FAILED);
    ck_assert_int_eq(check((struct condition){.if_unmodified_since = after, .if_none_match = tag}),
                     CONDITION_NOT_MODIFIED);
}
END_TEST

static bool range_with(const char *if_range)
{
    struct condition condition = {.if_range = if_range};
    return condition_range(&condition, tag, modified);
}

START_TEST(test_if_range)
{
    ck_assert(range_with(NULL));
    ck_assert(range_with(tag));
    ck_assert(range_with(at_that_time));
    ck_assert(!range_with("\"x\""));
    ck_assert(!range_with("W/\"abc\""));
    ck_assert(!range_with("\"abc\", \"x\""));
    ck_assert(!range_with(before));
    ck_assert(!range_with(after));
    ck_assert(!range_with("x"));
    ck_assert(!range_with(""));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_dates, test_none,       test_if_none_match, test_if_match,
                                  test_times, test_precedence, test_if_range,      NULL};
    Suite *suite = suite_create("volume condition");
    (void)suite_case(suite, "condition", tests);
    return suite_run(suite);
}
