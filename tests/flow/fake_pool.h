/* A pool whose jobs run when the test says so. */
#ifndef LARDER_TESTS_FLOW_FAKE_POOL_H
#define LARDER_TESTS_FLOW_FAKE_POOL_H

#include "common/pool.h"
#include "tests/flow/fake_base.h"

static struct {
    struct pool_job *job; /* waits */
    bool full;
} fake_pool;

bool pool_submit(struct pool *pool UNUSED, struct pool_job *job)
{
    ck_assert_ptr_null(fake_pool.job);
    if (fake_pool.full)
        return false;
    fake_pool.job = job;
    return true;
}

void pool_continue(struct pool *pool UNUSED, struct pool_job *job)
{
    ck_assert_ptr_null(fake_pool.job);
    fake_pool.job = job;
}

/* The job that waits is done. */
static inline void pool_runs(void)
{
    struct pool_job *job = fake_pool.job;
    ck_assert_ptr_nonnull(job);
    fake_pool.job = NULL;
    job->run(job->arg);
    job->done(job->arg);
}

#endif
