/* A value on its way to several volumes, whose bytes the test moves: for the tests of replicate.c.
 */
#ifndef LARDER_TESTS_UNIT_REPLICATE_FIXTURE_H
#define LARDER_TESTS_UNIT_REPLICATE_FIXTURE_H

#include "common/md5.h"
#include "master/replicate.h"
#include "tests/flow/fake_client.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_volumes.h"

enum { WINDOW = 512 * 1024, BIG = 3 * 1024 * 1024, AT_ONCE = 64 * 1024 };

#define VALUE_MD5 "2063c1608d6e0baf80249c42e2be5804" /* of "value" */
#define OTHER_MD5 "00000000000000000000000000000001"

static const char *const places[] = {"v1:1", "v2:1", "v3:1", "v4:1", "v5:1"};
static char big[BIG];
static struct replicate *rep;
static struct replicate_spec spec;
static unsigned rooms, ends;
static enum status ended;

static inline void has_room(void *arg)
{
    ck_assert_ptr_eq(arg, &spec);
    rooms++;
}

static inline void has_ended(void *arg, enum status st)
{
    ck_assert_ptr_eq(arg, &spec);
    ends++;
    ended = st;
}

static inline void setup(void)
{
    master_is_new();
    volumes_are(6);
    rooms = ends = 0;
    rep = NULL;
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i % 251);
    spec = (struct replicate_spec){.worker = &fake_worker,
                                   .request = "test",
                                   .path = "/aa/bb/NAME",
                                   .candidates = places,
                                   .candidate_count = 5,
                                   .wanted = 3,
                                   .minimum = 2,
                                   .length = -1, /* what is short and known goes another way */
                                   .digest = true,
                                   .room = has_room,
                                   .done = has_ended,
                                   .arg = &spec};
}

static inline void teardown(void)
{
    replicate_free(rep);
    calls_forget();
    ck_assert_ptr_null(fake_timers);
}

static inline void start(void)
{
    rep = replicate_start(&spec);
    ck_assert_ptr_nonnull(rep);
    ck_assert_uint_eq(ends, 0);
    loop_turns();
}

static inline void start_big(void)
{
    spec.length = BIG;
    start();
    trace[0] = 0;
}

static inline void give_value(void)
{
    ck_assert_uint_eq(replicate_data(rep, "value", 5), 5);
    replicate_end(rep);
}

/* The volume takes all that there is for it just now. How much. */
static inline size_t takes_all(const char *place)
{
    struct http_call *call = call_to(place);
    size_t all = 0;
    size_t n;
    ck_assert_ptr_nonnull(call);
    while ((n = call_reads(call, AT_ONCE)) != HTTP_READ_PAUSE && n)
        all += n;
    return all;
}

static inline void stores(const char *place, const char *md5)
{
    struct http_call *call = call_to(place);
    ck_assert_ptr_nonnull(call);
    call->md5 = md5;
    call_ends(call, ST_OK, 201);
}

/* It took all, and says so. */
static inline void takes_and_stores(const char *place)
{
    (void)takes_all(place);
    stores(place, NULL);
}

/* A letter a candidate: Unused, Stored, Failed. */
static inline void check_results(const char *expected)
{
    char results[8] = "";
    for (size_t i = 0; i < spec.candidate_count; i++)
        results[i] = "USF"[replicate_result(rep, i)];
    ck_assert_str_eq(results, expected);
}

#define ck_ended(st)                                                                               \
    do {                                                                                           \
        loop_turns();                                                                              \
        ck_assert_uint_eq(ends, 1);                                                                \
        ck_assert_int_eq(ended, st);                                                               \
    } while (0)

#endif
