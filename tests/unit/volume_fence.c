/* The fence between a master that wrote before, and who writes now. */
#include "volume/fence.h"

#include "tests/unit/suite.h"

START_TEST(test_fields)
{
    ck_assert_uint_eq(fence_parse(NULL), 0);
    ck_assert_uint_eq(fence_parse(""), 0);
    ck_assert_uint_eq(fence_parse("12"), 12);
    ck_assert_uint_eq(fence_parse("12x"), 0);
    ck_assert_uint_eq(fence_parse("-1"), 0);
    ck_assert_uint_eq(fence_parse(" 1"), 0);
}
END_TEST

START_TEST(test_older_terms_are_over)
{
    struct fence fence = {0};
    ck_assert(fence_hear(&fence, 5, 1000));
    ck_assert(fence_hear(&fence, 5, 1001));
    ck_assert(fence_holds(&fence, 5, 1002));
    ck_assert(fence_hear(&fence, 9, 1003));
    ck_assert(!fence_holds(&fence, 5, 1004)); /* one that had begun before */
    ck_assert(!fence_hear(&fence, 8, 1005));
    ck_assert(fence_holds(&fence, 9, 1006)); /* 8 has left no trace */
    ck_assert(fence_hear(&fence, 0, 1007));  /* of an only master */
    ck_assert(fence_holds(&fence, 0, 1008));
}
END_TEST

/* Another etcd counts from the beginning. */
START_TEST(test_a_term_that_is_silent_is_forgotten)
{
    struct fence fence = {0};
    ck_assert(fence_hear(&fence, 1000, 1));
    ck_assert(!fence_hear(&fence, 3, 1 + FENCE_FORGETS_MS));
    ck_assert(fence_hear(&fence, 3, 2 + FENCE_FORGETS_MS));
    ck_assert(fence_holds(&fence, 3, 3 + FENCE_FORGETS_MS));
    ck_assert(!fence_hear(&fence, 2, 3 + FENCE_FORGETS_MS));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_fields, test_older_terms_are_over,
                                  test_a_term_that_is_silent_is_forgotten, NULL};
    Suite *suite = suite_create("volume fence");
    (void)suite_case(suite, "fence", tests);
    return suite_run(suite);
}
