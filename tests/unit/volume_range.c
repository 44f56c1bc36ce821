/* The Range header. */
#include "volume/range.h"

#include "tests/unit/suite.h"

START_TEST(test_parts)
{
    static const struct {
        const char *header;
        uint64_t offset, length;
    } cases[] = {
        {"bytes=0-9", 0, 10},
        {"bytes=0-0", 0, 1},
        {"bytes=99-99", 99, 1},
        {"bytes=50-", 50, 50},
        {"bytes=-1", 99, 1},
        {"bytes=-100", 0, 100},
        {"bytes=-99999", 0, 100},
        {"bytes=90-200", 90, 10},
        {"bytes=90-18446744073709551615", 90, 10},
        {"bytes=90-99999999999999999999999999", 90, 10},
        {"bytes=-99999999999999999999999999", 0, 100},
        {"Bytes= 1-2", 1, 2},
        {"bytes=1-2,", 1, 2},
        {"bytes=,1-2 , ", 1, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t offset, length;
        ck_assert_msg(range_parse(cases[i].header, 100, &offset, &length) == RANGE_PART, "%s",
                      cases[i].header);
        ck_assert_uint_eq(offset, cases[i].offset);
        ck_assert_uint_eq(length, cases[i].length);
    }
}
END_TEST

START_TEST(test_whole)
{
    static const char *const cases[] = {
        NULL,         "",           "bytes",       "bytes=",        "bytes=,",        "lines=1-2",
        "bytes=a-b",  "bytes=1",    "bytes=-",     "bytes=2-1",     "bytes=1-2-3",    "bytes=--1",
        "bytes=+1-2", "bytes=1 -2", "bytes=1-2;x", "bytes=0-1,2-3", "bytes=0-1,200-", "bytes 0-1",
        "bytes=0x1-2"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t offset, length;
        ck_assert_msg(range_parse(cases[i], 100, &offset, &length) == RANGE_WHOLE, "%s", cases[i]);
    }
}
END_TEST

START_TEST(test_unsatisfiable)
{
    static const char *const cases[] = {"bytes=100-", "bytes=100-200", "bytes=-0",
                                        "bytes=200-,300-", "bytes=99999999999999999999-"};
    uint64_t offset, length;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(range_parse(cases[i], 100, &offset, &length) == RANGE_UNSATISFIABLE, "%s",
                      cases[i]);
    ck_assert_int_eq(range_parse("bytes=0-", 0, &offset, &length), RANGE_UNSATISFIABLE);
    ck_assert_int_eq(range_parse("bytes=-5", 0, &offset, &length), RANGE_UNSATISFIABLE);
}
END_TEST

START_TEST(test_huge_values)
{
    uint64_t offset, length;
    ck_assert_int_eq(range_parse("bytes=1-", UINT64_MAX, &offset, &length), RANGE_PART);
    ck_assert_uint_eq(length, UINT64_MAX - 1);
    ck_assert_int_eq(range_parse("bytes=0-18446744073709551614", UINT64_MAX, &offset, &length),
                     RANGE_PART);
    ck_assert_uint_eq(length, UINT64_MAX);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_parts, test_whole, test_unsatisfiable, test_huge_values,
                                  NULL};
    Suite *suite = suite_create("volume range");
    (void)suite_case(suite, "range", tests);
    return suite_run(suite);
}
