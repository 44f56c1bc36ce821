/* MD5s of values that are written at the same time: whoever they were hashed by, each is right. */
#include "volume/digests.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"

enum { BYTES = 40000, THREADS = 4, VALUES = 200, PIECES = 5 };

static struct digests *digests;
static unsigned char bytes[THREADS * BYTES];

static void setup(void)
{
    srandom(3);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)random();
    digests = digests_new();
    ck_assert_ptr_nonnull(digests);
}

static void teardown(void)
{
    digests_free(digests);
}

/* A value of one part. */
struct value {
    struct md5_run run;
    struct digests_part part;
    const unsigned char *data;
    size_t len;
};

static void offer(struct value *value, const unsigned char *data, size_t len)
{
    value->data = data;
    value->len = len;
    md5_run_begin(&value->run);
    value->part.more = (struct md5_more){&value->run, data, len};
    digests_offer(digests, &value->part);
}

static bool is_right(struct md5_run *run, const unsigned char *data, size_t len)
{
    unsigned char digest[MD5_SIZE];
    unsigned char expected[MD5_SIZE];
    md5_run_end(run, digest);
    return md5_pair(data, len, NULL, 0, expected) == ST_OK &&
           memcmp(digest, expected, MD5_SIZE) == 0;
}

static void collect(struct value *value)
{
    digests_collect(digests, &value->part);
    ck_assert(is_right(&value->run, value->data, value->len));
}

START_TEST(nobody_else_comes)
{
    struct value value;
    for (size_t len = 0; len < BYTES; len += 7777) {
        offer(&value, bytes, len);
        ck_assert_uint_eq(value.run.length, 0); /* it waits for another one */
        collect(&value);
    }
}
END_TEST

/* As far as the shorter one goes; each hashes the rest of his own. */
START_TEST(the_second_hashes_both)
{
    struct value values[2];
    offer(&values[0], bytes, 10000);
    offer(&values[1], bytes + 1, 30000);
    ck_assert_uint_eq(values[0].run.length, 10000);
    ck_assert_uint_eq(values[1].run.length, 10000);
    collect(&values[1]);
    collect(&values[0]);
    ck_assert_uint_eq(values[1].part.more.len, 0);
    offer(&values[0], bytes, 30000);
    offer(&values[1], bytes + 1, 10000);
    ck_assert_uint_eq(values[0].run.length, 10000);
    ck_assert_uint_eq(values[1].run.length, 10000);
    collect(&values[0]);
    collect(&values[1]);
}
END_TEST

/* The third finds nobody, and the one that was taken back is not found. */
START_TEST(who_comes_later_is_alone)
{
    struct value values[4];
    offer(&values[0], bytes, 100);
    offer(&values[1], bytes + 1, 200);
    offer(&values[2], bytes + 2, 300);
    ck_assert_uint_eq(values[2].run.length, 0);
    collect(&values[0]);
    collect(&values[2]);
    offer(&values[3], bytes + 3, 400);
    ck_assert_uint_eq(values[3].run.length, 0);
    collect(&values[1]);
    collect(&values[3]);
}
END_TEST

struct writer {
    pthread_t thread;
    const unsigned char *data; /* BYTES */
    unsigned seed;
    int wrong;
};

/* In pieces of different lengths, so that partners do not end together. */
static bool hash_value(struct writer *writer)
{
    struct md5_run run;
    size_t done = 0;
    md5_run_begin(&run);
    for (int i = 0; i < PIECES; i++) {
        size_t len = (size_t)rand_r(&writer->seed) % (BYTES / PIECES);
        struct digests_part part = {.more = {&run, writer->data + done, len}};
        digests_offer(digests, &part);
        (void)sched_yield(); /* the write: others come meanwhile */
        digests_collect(digests, &part);
        done += len;
    }
    return is_right(&run, writer->data, done);
}

static void *hash_values(void *arg)
{
    struct writer *writer = arg;
    for (int i = 0; i < VALUES; i++)
        writer->wrong += !hash_value(writer);
    return NULL;
}

START_TEST(many_at_once)
{
    struct writer writers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.data = bytes + (size_t)i * BYTES, .seed = i};
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, hash_values, &writers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(writers[i].thread, NULL), 0);
        ck_assert_int_eq(writers[i].wrong, 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {nobody_else_comes, the_second_hashes_both,
                                  who_comes_later_is_alone, many_at_once, NULL};
    Suite *suite = suite_create("volume digests");
    tcase_add_checked_fixture(suite_case(suite, "digests", tests), setup, teardown);
    return suite_run(suite);
}
