/* What every unit test program ends with: a run of its suite, and an exit status for it. */
#ifndef LARDER_TESTS_UNIT_SUITE_H
#define LARDER_TESTS_UNIT_SUITE_H

#include <check.h>

/* A case's tests, ended by NULL. */
static inline TCase *suite_case(Suite *suite, const char *name, const TTest *const *tests)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    for (; *tests; tests++)
        tcase_add_test(tcase, *tests);
    suite_add_tcase(suite, tcase);
    return tcase;
}

/* Runs the suite and frees it; 0 where every test passed. */
static inline int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
