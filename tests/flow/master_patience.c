/* A client's write waits for the janitor, over fakes. */
#include "common/http_server.h"
#include "master/patience.h"
#include "tests/flow/fake_keylock.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"

struct http_request {
    char unused;
};

static struct http_request request;
static bool quiet;      /* the janitor is at the key */
static unsigned starts; /* of the flow */
static uint64_t started_ms;

bool keylock_is_quiet(struct keylock *locks UNUSED, const struct key *key)
{
    ck_assert_str_eq(key->bytes, "/k");
    return quiet;
}

static void has_started(struct worker *worker, struct http_request *req, const struct key *key)
{
    ck_assert_ptr_eq(worker, &fake_worker);
    ck_assert_ptr_eq(req, &request);
    ck_assert_str_eq(key->bytes, "/k");
    ck_assert_uint_eq(key->len, 2);
    starts++;
    started_ms = fake_now;
}

static void setup(void)
{
    master_is_new();
    quiet = false;
    starts = 0;
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_timers);
}

/* The caller's key is gone when the flow starts later. */
static void write_arrives(void)
{
    struct key key = fake_key;
    patience_start(&fake_worker, &request, &key, has_started);
    memset(&key, 'x', sizeof key);
}

START_TEST(nobody_is_at_the_key)
{
    write_arrives();
    ck_assert_uint_eq(starts, 1);
    ck_assert_ptr_null(fake_timers);
}
END_TEST

START_TEST(the_janitor_lets_it_go)
{
    quiet = true;
    write_arrives();
    time_passes(1000);
    ck_assert_uint_eq(starts, 0);
    quiet = false;
    time_passes(5);
    ck_assert_uint_eq(starts, 1);
    ck_assert_ptr_null(fake_timers);
    time_passes(10000);
    ck_assert_uint_eq(starts, 1);
}
END_TEST

START_TEST(the_janitor_takes_long)
{
    uint64_t begun = fake_now;
    quiet = true;
    write_arrives();
    time_passes(1999);
    ck_assert_uint_eq(starts, 0);
    time_passes(1);
    ck_assert_uint_eq(starts, 1); /* which finds it locked, and says so */
    ck_assert_uint_eq(started_ms - begun, 2000);
    time_passes(10000);
    ck_assert_uint_eq(starts, 1);
}
END_TEST

/* Without memory nobody waits, but the flow starts all the same. */
static void play_without_memory(unsigned k)
{
    setup();
    quiet = true;
    memory_arm(k);
    write_arrives();
    ck_assert_uint_eq(starts, memory.failed);
    quiet = false;
    time_passes(5);
    memory.left = 0;
    ck_assert_uint_eq(starts, 1);
    ck_assert_ptr_null(fake_timers);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{nobody_is_at_the_key, 1},
                                   {the_janitor_lets_it_go, 1},
                                   {the_janitor_takes_long, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_patience", tests, setup, teardown);
}
