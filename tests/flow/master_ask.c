/* Small requests to several volumes at once, over a fake client. */
#include "master/ask.h"
#include "tests/flow/fake_client.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_volumes.h"

#define MD5 "0123456789abcdef0123456789abcdef"

static const struct ask_item items[] = {{"v1:1", 0, NAMING_LARDER, NULL, NULL},
                                        {"v2:1/sv01", 7, NAMING_LARDER, "X-Word: one", NULL},
                                        {"v3:1", 0, NAMING_MKV, NULL, NULL}};
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
    ck_assert_str_eq(call_to("v1:1")->fields, "Larder-Internal: 1\nLarder-Identity: id-of-v1:1\n");
    ck_assert_str_eq(call_to("v2:1")->fields,
                     "Larder-Internal: 1\nX-Word: one\nLarder-Identity: id-of-v2:1\n");
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

/* --- a value that comes with the answer --- */

static struct ask_value value;

/* Two copies; the first sends the value along. The call to it. */
static struct http_call *ask_for_value(void)
{
    struct ask_item both[] = {{"v1:1", 0, NAMING_LARDER, NULL, &value},
                              {"v3:1", 0, NAMING_MKV, NULL, NULL}};
    ends = 0;
    buf_clear(&value.bytes);
    buf_clear(&value.type);
    value.whole = false;
    ck_assert_int_eq(
        ask_start(&fake_worker, "test", "HEAD", &fake_key, both, 2, 4000, has_answers, &ends),
        ST_OK);
    return call_to("v1:1");
}

static void both_answer(int status)
{
    call_ends(call_to("v1:1"), ST_OK, status);
    call_ends(call_to("v3:1"), ST_OK, 200);
    ck_assert_uint_eq(ends, 1);
}

static void forget_value(void)
{
    buf_free(&value.bytes);
    buf_free(&value.type);
}

START_TEST(a_value_comes_with_the_answer)
{
    struct http_call *call = ask_for_value();
    ck_trace("GET:v1:1 HEAD:v3:1 ");
    ck_assert_str_eq(call->fields, "Larder-Internal: 1\nLarder-Check: none\nRange: bytes=0-65535\n"
                                   "Larder-Identity: id-of-v1:1\n");
    call->range = "bytes 0-4/5";
    call->length = "5";
    call->tag = "\"" MD5 "\"";
    call->type = "image/png";
    call->body = "value";
    both_answer(206);
    ck_assert_int_eq(got[0].http, 200); /* as of a HEAD */
    ck_assert_int_eq(got[0].length, 5);
    ck_assert_str_eq(got[0].md5, MD5);
    ck_assert(value.whole);
    ck_assert_str_eq(buf_text(&value.bytes), "value");
    ck_assert_str_eq(buf_text(&value.type), "image/png");
    forget_value();
}
END_TEST

/* Only its beginning came, or the body broke off, or the whole of it came unasked (200). */
START_TEST(a_value_is_whole_or_not_there)
{
    static const struct {
        int status, http;
        const char *range, *length, *tag, *body;
        int64_t said;
        bool whole;
    } cases[] = {{206, 200, "bytes 0-4/70000", "5", "\"" MD5 "\"", "value", 70000, false},
                 {206, 200, "bytes 0-4/5", "5", "\"" MD5 "\"", "val", 5, false},
                 {206, 200, "nonsense", "5", "\"1-2\"", "value", -1, false},
                 {206, 200, NULL, "5", NULL, "value", -1, false},
                 {200, 200, NULL, "5", NULL, "value", 5, true},
                 {416, 200, "bytes */0", "19", "\"" MD5 "\"", "no such range", 0, false},
                 {416, 416, "bytes */9", "19", NULL, "no such range", 9, false},
                 {404, 404, NULL, "9", NULL, "not found", 9, false}};
    struct http_call *call = ask_for_value();
    call->range = cases[_i].range;
    call->length = cases[_i].length;
    call->tag = cases[_i].tag;
    call->body = cases[_i].body;
    both_answer(cases[_i].status);
    ck_assert_int_eq(got[0].http, cases[_i].http);
    ck_assert_int_eq(got[0].length, cases[_i].said);
    ck_assert(value.whole == cases[_i].whole);
    bool tagged = cases[_i].tag && cases[_i].tag[1] == MD5[0] && cases[_i].tag[2] == MD5[1];
    ck_assert_str_eq(got[0].md5, tagged ? MD5 : "");
    forget_value();
}
END_TEST

START_TEST(memory_is_short_for_a_value)
{
    struct http_call *call = ask_for_value();
    call->range = "bytes 0-4/5";
    call->body = "value";
    memory_arm(1);
    both_answer(206);
    memory.left = 0;
    ck_assert_int_eq(got[0].http, 200); /* the copy is there all the same */
    ck_assert(!value.whole);
    forget_value();
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
    const struct played tests[] = {{all_are_asked_at_once, 1},
                                   {silence_is_an_answer, 1},
                                   {nobody_is_asked, 1},
                                   {calls_cannot_be_started, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {a_value_comes_with_the_answer, 1},
                                   {a_value_is_whole_or_not_there, 8},
                                   {memory_is_short_for_a_value, 1},
                                   {NULL, 0}};
    return play_all("master_ask", tests, setup, teardown);
}
