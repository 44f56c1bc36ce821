/* The lock of one key: held once, released once, by whoever has it. */
#ifndef LARDER_TESTS_FLOW_FAKE_KEYLOCK_H
#define LARDER_TESTS_FLOW_FAKE_KEYLOCK_H

#include "master/keylock.h"
#include "tests/flow/fake_base.h"

static struct {
    bool taken; /* by another */
    bool held;  /* by the flow */
} fake_lock;

bool keylock_try(struct keylock *locks UNUSED, const struct key *key UNUSED)
{
    if (fake_lock.taken)
        return false;
    ck_assert(!fake_lock.held);
    fake_lock.held = true;
    note("lock");
    return true;
}

bool keylock_try_quietly(struct keylock *locks, const struct key *key)
{
    return keylock_try(locks, key);
}

void keylock_release(struct keylock *locks UNUSED, const struct key *key UNUSED)
{
    ck_assert_msg(fake_lock.held, "a lock is released that is not held");
    fake_lock.held = false;
    note("unlock");
}

#endif
