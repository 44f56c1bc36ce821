/* Burying, as far as the flows that start it see it: it is under way until the test says that it
 * has ended. */
#ifndef LARDER_TESTS_FAKE_BURY_H
#define LARDER_TESTS_FAKE_BURY_H

#include "master/bury.h"
#include "tests/flow/fake_base.h"

static struct {
    bool cannot_start;
    bool careful;       /* as it was started */
    struct record *rec; /* under way; NULL: nothing is */
    void (*buried)(void *arg);
    void *arg;
} burial;

enum status bury_start(struct worker *worker UNUSED, const char *request UNUSED,
                       const struct key *key UNUSED, struct record *rec, bool careful,
                       void (*buried)(void *arg), void *arg)
{
    ck_assert_ptr_null(burial.rec);
    if (burial.cannot_start || memory_is_short())
        return ST_NO_MEMORY;
    burial.careful = careful;
    burial.rec = rec;
    burial.buried = buried;
    burial.arg = arg;
    note("bury");
    return ST_OK;
}

/* The record stands as the test has left it. */
static inline void burial_is_over(void)
{
    burial.rec = NULL;
    burial.buried(burial.arg);
}

#endif
