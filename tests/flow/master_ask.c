/* Small requests to several volumes at once, over a fake client. */
#include "master/ask.h"
#include "tests/flow/fake_client.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_volumes.h"

#define MD5 "0123456789abcdef0123456789abcdef"

static const struct ask_item items[] = {{"v1:1", 0, NAMING_LARDER, NULL},
                                        {"v2:1/sv01", 7, NAMING_LARDER, "X-Word: one"},
                                        {"v3:1", 0, NAMING_MKV, NULL}};
static unsigned ends;
static struct ask_answer got[3];
static size_t got_count;

static void has_answers(void *arg, const struct ask_answer *answers, size_t count)
{
    ck_assert_ptr_eq(arg, &ends);
    ends++;
    got_count = count;
    if (count)
        memcpy(got, answers, count * sizeof *answers);
}

static void setup(void)
{
    master_is_new();
    volumes_are(6);
    ends = 0;
}

static void teardown(void)
{
    calls_forget();
    ck_assert_ptr_null(fake_timers);
}

static void ask(size_t count)
{
    ck_assert_int_eq(ask_start(&fake_worker, "test", "DELETE", &fake_key, items, count, 4000,
                               has_answers, &ends),
                     ST_OK);
    ck_assert_uint_eq(ends, 0); /* never before it has returned */
}

START_TEST(all_are_asked_at_once)
{
    ask(3);
    ck_trace("DELETE:v1:1 DELETE:v2:1 DELETE:v3:1 ");
    ck_assert_str_eq(call_to("v1:1")->url, "http://v1:1/54/a9/L2s=");
    ck_assert_str_eq(call_to("v2:1")->url, "http://v2:1/sv01/54/a9/L2s=.7");
    ck_assert_str_eq(call_to("v1:1")->fields, "Larder-Internal: 1\n");
    ck_assert_str_eq(call_to("v2:1")->fields, "Larder-Internal: 1\nX-Word: one\n");
    ck_assert_uint_eq(call_to("v3:1")->spec.timeout_ms, 4000);
    call_to("v3:1")->length = "500";
    call_to("v3:1")->md5 = "ABEiM0RVZneImaq7zN3u/w==";
    call_ends(call_to("v3:1"), ST_OK, 200);
    call_ends(call_to("v1:1"), ST_OK, 404);
    ck_assert_uint_eq(ends, 0);
    call_to("v2:1")->md5 = "nonsense";
    call_ends(call_to("v2:1"), ST_OK, 204);
    ck_assert_uint_eq(ends, 1);
    ck_assert_int_eq(got[0].http, 404);
    ck_assert_int_eq(got[0].length, -1);
    ck_assert_int_eq(got[1].http, 204);
    ck_assert_str_eq(got[1].md5, "");
    ck_assert_int_eq(got[2].length, 500);
    ck_assert_str_eq(got[2].md5, "00112233445566778899aabbccddeeff");
}
END_TEST

START_TEST(silence_is_an_answer)
{
    static const enum status why[] = {ST_UNAVAILABLE, ST_PEER_TIMEOUT, ST_PEER};
    ask(3);
    for (int i = 0; i < 3; i++)
        call_ends(calls.first, why[i], 0);
    ck_assert_uint_eq(ends, 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(got[i].st, why[i]);
        ck_assert_uint_eq(fake_volumes[i].failures, i < 2); /* one that broke off is there */
    }
}
END_TEST

START_TEST(nobody_is_asked)
{
    ask(0);
    loop_turns();
    ck_assert_uint_eq(ends, 1);
    ck_assert_uint_eq(got_count, 0);
}
END_TEST

START_TEST(calls_cannot_be_started)
{
    calls.fail_at = 2;
    ask(3);
    call_ends(call_to("v1:1"), ST_OK, 204);
    call_ends(call_to("v3:1"), ST_OK, 204);
    ck_assert_uint_eq(ends, 1);
    ck_assert_int_eq(got[1].st, ST_NO_MEMORY);
    ck_assert_int_eq(got[2].http, 204);
    calls.fail_all = true;
    ends = 0;
    ask(3);
    loop_turns();
    ck_assert_uint_eq(ends, 1);
    ck_assert_int_eq(got[2].st, ST_NO_MEMORY);
}
END_TEST

static void play_without_memory(unsigned k)
{
    ends = 0;
    memory_arm(k);
    enum status st =
        ask_start(&fake_worker, "test", "HEAD", &fake_key, items, 3, 4000, has_answers, &ends);
    loop_turns();
    while (calls.first) {
        calls.first->md5 = MD5;
        call_ends(calls.first, ST_OK, 200);
    }
    memory.left = 0;
    ck_assert_uint_eq(ends, st == ST_OK);
    for (int i = 0; i < 3 && !st; i++)
        ck_assert(got[i].st == ST_NO_MEMORY || strcmp(got[i].md5, MD5) == 0);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {
        {all_are_asked_at_once, 1},   {silence_is_an_answer, 1},        {nobody_is_asked, 1},
        {calls_cannot_be_started, 1}, {memory_may_run_out_anywhere, 1}, {NULL, 0}};
    return play_all("master_ask", tests, setup, teardown);
}
