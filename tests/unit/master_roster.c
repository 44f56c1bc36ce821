/* Which keys may be in the index: never wrong of one that is, seldom of one that is not. */
#include "master/roster.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/suite.h"

enum { KEYS = 100000, BYTES = 128 * 1024 }; /* ten bits a key */

static struct roster *roster;

static void setup(void)
{
    roster = roster_new(BYTES);
    ck_assert_ptr_nonnull(roster);
}

static void teardown(void)
{
    roster_free(roster);
    roster_free(NULL);
}

static void add(const char *key)
{
    roster_add(roster, key, strlen(key));
}

static bool lacks(const char *key)
{
    return roster_lacks(roster, key, strlen(key));
}

START_TEST(it_says_nothing_before_it_is_complete)
{
    add("/a");
    ck_assert(!lacks("/a"));
    ck_assert(!lacks("/b"));
    roster_complete(roster);
    ck_assert(!lacks("/a"));
    ck_assert(lacks("/b"));
    ck_assert(lacks("/a/"));
    add("/b");
    ck_assert(!lacks("/b"));
}
END_TEST

START_TEST(it_says_nothing_of_another_index)
{
    roster_complete(roster);
    ck_assert(lacks("/a"));
    roster_void(roster);
    ck_assert(!lacks("/a"));
    roster_complete(roster); /* who was still reading the old one */
    ck_assert(!lacks("/a"));
}
END_TEST

/* Each adds every second key. */
static void *add_many(void *arg)
{
    char key[32];
    for (int i = *(const int *)arg; i < KEYS; i += 2) {
        (void)snprintf(key, sizeof key, "/key/%06d", i);
        add(key);
    }
    return NULL;
}

/* 0.8 % is what the arithmetic says of eight bits a key in blocks of 512, filled to a tenth. */
START_TEST(it_is_seldom_wrong)
{
    static const int begins[] = {0, 1};
    pthread_t thread;
    char key[32];
    unsigned wrong = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, add_many, (void *)&begins[0]), 0);
    (void)add_many((void *)&begins[1]);
    (void)pthread_join(thread, NULL);
    roster_complete(roster);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "/key/%06d", i);
        ck_assert_msg(!lacks(key), "%s is lost", key);
        (void)snprintf(key, sizeof key, "/other/%06d", i);
        wrong += !lacks(key);
    }
    ck_assert_uint_gt(wrong, 0); /* or it would not be what it says */
    ck_assert_uint_lt(wrong, KEYS / 50);
}
END_TEST

/* Of one block only, the least there is. */
START_TEST(a_full_one_says_that_all_are_there)
{
    roster_free(roster);
    roster = roster_new(1);
    ck_assert_ptr_nonnull(roster);
    roster_complete(roster);
    ck_assert(lacks("/key/000001"));
    (void)add_many((void *)&(const int){0});
    ck_assert(!lacks("/key/000001"));
    ck_assert(!lacks("/other"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {it_says_nothing_before_it_is_complete,
                                  it_says_nothing_of_another_index, it_is_seldom_wrong,
                                  a_full_one_says_that_all_are_there, NULL};
    Suite *suite = suite_create("master_roster");
    tcase_add_checked_fixture(suite_case(suite, "roster", tests), setup, teardown);
    return suite_run(suite);
}
