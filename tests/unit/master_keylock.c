/* Locks of keys: one holder each, many keys, many threads. */
#include "master/keylock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/suite.h"

static struct keylock *locks;

static void setup(void)
{
    locks = keylock_new();
    ck_assert_ptr_nonnull(locks);
}

static void teardown(void)
{
    keylock_free(locks);
}

static struct key key_of(const char *bytes)
{
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, bytes, strlen(bytes)), ST_OK);
    return key;
}

START_TEST(one_holder_a_key)
{
    struct key a = key_of("/a");
    struct key b = key_of("/b");
    struct key longer = key_of("/aa");
    ck_assert(keylock_try(locks, &a));
    ck_assert(!keylock_try(locks, &a));
    ck_assert(keylock_try(locks, &b));
    ck_assert(keylock_try(locks, &longer));
    ck_assert_uint_eq(keylock_count(locks), 3);
    keylock_release(locks, &a);
    ck_assert(keylock_try(locks, &a));
    ck_assert(!keylock_try(locks, &b));
    ck_assert_uint_eq(keylock_count(locks), 3);
    keylock_release(locks, &a);
    keylock_release(locks, &b);
    keylock_release(locks, &longer);
    ck_assert_uint_eq(keylock_count(locks), 0);
}
END_TEST

START_TEST(many_keys_at_once)
{
    enum { MANY = 50000 };
    char name[32];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "/key-%d", i);
        struct key key = key_of(name);
        ck_assert(keylock_try(locks, &key));
    }
    ck_assert_uint_eq(keylock_count(locks), MANY);
    for (int i = 0; i < MANY; i += 2) {
        (void)snprintf(name, sizeof name, "/key-%d", i);
        struct key key = key_of(name);
        ck_assert(!keylock_try(locks, &key));
        keylock_release(locks, &key);
    }
    ck_assert_uint_eq(keylock_count(locks), MANY / 2);
    /* What is still held is freed with the table. */
}
END_TEST

/* --- threads --- */

enum { THREADS = 4, ROUNDS = 5000, KEYS = 3 };

static struct {
    atomic_int holders;
    unsigned entered; /* not atomic: the lock guards it */
} guarded[KEYS];

static void *contend(void *arg)
{
    static const char *const names[KEYS] = {"/x", "/y", "/z"};
    unsigned *won = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned which = i % KEYS;
        struct key key;
        if (key_from_bytes(&key, names[which], 2) || !keylock_try(locks, &key))
            continue;
        if (atomic_fetch_add(&guarded[which].holders, 1) != 0)
            return NULL; /* two at once: the sums will not match */
        guarded[which].entered++;
        (*won)++;
        atomic_fetch_sub(&guarded[which].holders, 1);
        keylock_release(locks, &key);
    }
    return NULL;
}

START_TEST(threads_exclude_each_other)
{
    pthread_t threads[THREADS];
    unsigned won[THREADS] = {0};
    unsigned sum = 0;
    unsigned entered = 0;
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, contend, &won[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        sum += won[i];
    }
    for (int i = 0; i < KEYS; i++) {
        ck_assert_int_eq(atomic_load(&guarded[i].holders), 0);
        entered += guarded[i].entered;
    }
    ck_assert_uint_ge(sum, ROUNDS); /* one of them can always have it */
    ck_assert_uint_eq(entered, sum);
    ck_assert_uint_eq(keylock_count(locks), 0);
}
END_TEST

START_TEST(work_of_the_janitor_is_told_apart)
{
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, "/quiet", 6), ST_OK);
    ck_assert(!keylock_is_quiet(locks, &key));
    ck_assert(keylock_try_quietly(locks, &key));
    ck_assert(keylock_is_quiet(locks, &key));
    ck_assert(!keylock_try(locks, &key) && !keylock_try_quietly(locks, &key));
    keylock_release(locks, &key);
    ck_assert(keylock_try(locks, &key));
    ck_assert(!keylock_is_quiet(locks, &key));
    keylock_release(locks, &key);
}
END_TEST

START_TEST(nothing_can_be_freed)
{
    keylock_free(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {one_holder_a_key,           many_keys_at_once,
                                  threads_exclude_each_other, work_of_the_janitor_is_told_apart,
                                  nothing_can_be_freed,       NULL};
    Suite *suite = suite_create("master_keylock");
    tcase_add_checked_fixture(suite_case(suite, "keylock", tests), setup, teardown);
    return suite_run(suite);
}
