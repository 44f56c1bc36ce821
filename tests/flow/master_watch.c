/* Watches, over a fake client and the real ring: where they begin, what is sent, who is cut off. */
#include "master/changes.h"
#include "master/flows.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"

static enum http_method method;

enum http_method http_request_method(const struct http_request *req)
{
    check_request(req);
    return method;
}

static void setup(void)
{
    master_is_new();
    fake_config.max_watchers = 2;
    fake_master.changes = changes_new((size_t)64 << 10);
    ck_assert_ptr_nonnull(fake_master.changes);
    changes_begin(fake_master.changes, 100);
    method = HTTP_GET;
    fake_posts.wait = true; /* who feeds the ring holds its lock */
    client.path = "/a";
    client.query = "watch";
}

static void teardown(void)
{
    changes_free(fake_master.changes);
    ck_assert_ptr_null(fake_timers); /* nothing is left behind */
    client_free();
}

static void put(const char *key, uint64_t sequence)
{
    struct buf text = BUF_INIT;
    changes_encode(&text, CHANGES_PUT, 5, "");
    changes_stage(fake_master.changes, key, strlen(key), text.data, text.len);
    changes_publish(fake_master.changes, sequence);
    buf_free(&text);
    deliver_posts();
}

static void ask(const char *query)
{
    trace[0] = 0;
    client.query = query;
    watch_start(&fake_worker, client_asks());
}

/* Takes pieces until nothing more is sent now. */
static void take_all(void)
{
    while (client.req && client.drained)
        client_takes(true);
}

/* The client is gone, which the next piece shows. */
static void go_away(void)
{
    if (client.req && !client.drained)
        time_passes(15000);
    client_takes(false);
    ck_assert(!client.whole);
}

#define ck_body(expected) ck_assert_str_eq(client.body, expected)
#define EVENT(number, key)                                                                         \
    "id: " number "\nevent: put\ndata: {\"key\":\"" key "\",\"sequence\":" number ",\"size\":5}"   \
    "\n\n"

START_TEST(events_are_sent_as_they_come)
{
    ask("watch");
    take_all();
    ck_assert(answer_has("Content-Type: text/event-stream"));
    ck_assert(answer_has("Larder-Sequence: 100"));
    put("/a b", 101);
    put("/other", 102);
    put("/a", 103);
    take_all();
    ck_body(": watching\nid: 100\n\n" EVENT("101", "/a%20b") EVENT("103", "/a"));
    go_away();
}
END_TEST

START_TEST(it_goes_on_where_it_was)
{
    put("/a1", 101);
    put("/a2", 102);
    if (_i)
        client.last_event_id = "101";
    ask(_i ? "watch&since=100" : "watch&since=101");
    take_all();
    ck_body(": watching\nid: 101\n\n" EVENT("102", "/a2"));
    client.last_event_id = NULL;
    go_away();
}
END_TEST

START_TEST(heartbeats_tell_how_far_it_is)
{
    ask("watch");
    take_all();
    put("/other", 107);
    time_passes(15000);
    take_all();
    ck_body(": watching\nid: 100\n\n: heartbeat\nid: 107\n\n");
    put("/a", 108);
    take_all();
    ck_assert_ptr_nonnull(strstr(client.body, EVENT("108", "/a")));
    go_away();
}
END_TEST

START_TEST(bad_questions)
{
    static const char *const queries[] = {"watch&since=x", "watch&since=", "watch&since=-1",
                                          "watch&since=1x"};
    ask(queries[_i]);
    ck_trace("reply:400 ");
}
END_TEST

START_TEST(what_is_not_kept)
{
    ask(_i ? "watch&since=99" : "watch&since=101"); /* forgotten; in the future */
    ck_trace("reply:410 ");
    ck_body("{\"oldest\":100,\"sequence\":100}\n");
}
END_TEST

/* It takes nothing, while the ring goes round. */
START_TEST(a_slow_reader_is_cut_off)
{
    char key[1000];
    memset(key, 'x', sizeof key);
    memcpy(key, "/a", 2);
    key[sizeof key - 1] = 0;
    ask("watch");
    for (unsigned i = 1; i < 500; i++)
        put(key, 100 + i);
    size_t before = client.body_len;
    ck_assert_uint_lt(before, (size_t)100); /* nothing is kept for it */
    take_all();
    ck_trace("piece piece reply:200 ");
    ck_assert(client.whole);
    ck_assert_ptr_nonnull(strstr(client.body, "event: behind\ndata: {\"oldest\":"));
}
END_TEST

START_TEST(long_runs_go_in_pieces)
{
    char key[1000];
    memset(key, 'x', sizeof key);
    memcpy(key, "/a", 2);
    key[sizeof key - 1] = 0;
    changes_free(fake_master.changes);
    fake_master.changes = changes_new((size_t)1 << 20);
    changes_begin(fake_master.changes, 100);
    for (unsigned i = 1; i <= 200; i++)
        put(key, 100 + i);
    ask("watch&since=100");
    take_all();
    ck_assert_uint_ge(count_words(trace, "piece"), 4);
    ck_assert_ptr_nonnull(strstr(client.body, "id: 300\n"));
    go_away();
}
END_TEST

/* Many events that are not for it do not keep the loop from others. */
START_TEST(others_events_are_passed_over)
{
    changes_free(fake_master.changes);
    fake_master.changes = changes_new((size_t)1 << 20);
    changes_begin(fake_master.changes, 100);
    for (unsigned i = 1; i <= 3000; i++)
        put("/b", 100 + i);
    put("/a", 3101);
    ask("watch&since=100");
    take_all();
    ck_assert_ptr_null(strstr(client.body, "id: 3101"));
    for (int i = 0; i < 10; i++)
        loop_turns();
    take_all();
    ck_assert_ptr_nonnull(strstr(client.body, EVENT("3101", "/a")));
    go_away();
}
END_TEST

START_TEST(there_may_be_so_many)
{
    ck_assert(changes_admit(fake_master.changes, 2));
    ck_assert(changes_admit(fake_master.changes, 2));
    ask("watch");
    ck_trace("reply:503 ");
    changes_leave(fake_master.changes);
    ask("watch");
    take_all();
    go_away();
    ask("watch"); /* it made room */
    take_all();
    ck_assert_ptr_nonnull(client.req);
    go_away();
}
END_TEST

START_TEST(it_ends_with_the_master)
{
    ask("watch");
    if (_i)
        take_all();
    changes_stop(fake_master.changes);
    deliver_posts();
    take_all();
    ck_assert_ptr_null(client.req);
    ck_assert(client.whole);
}
END_TEST

START_TEST(a_head_is_all_that_was_asked_for)
{
    method = HTTP_HEAD;
    ask("watch");
    take_all();
    ck_assert_ptr_null(client.req);
    ck_assert(client.whole);
}
END_TEST

static void play_without_memory(unsigned k)
{
    client.body_len = 0;
    memory_arm(k);
    ask("watch&since=100");
    take_all();
    memory.left = 0;
    if (client.req)
        go_away();
    ck_assert(client.status == 500 || client.status == 200);
}

START_TEST(memory_may_run_out_anywhere)
{
    put("/a", 101);
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{events_are_sent_as_they_come, 1},
                                   {it_goes_on_where_it_was, 2},
                                   {heartbeats_tell_how_far_it_is, 1},
                                   {bad_questions, 4},
                                   {what_is_not_kept, 2},
                                   {a_slow_reader_is_cut_off, 1},
                                   {long_runs_go_in_pieces, 1},
                                   {others_events_are_passed_over, 1},
                                   {there_may_be_so_many, 1},
                                   {it_ends_with_the_master, 2},
                                   {a_head_is_all_that_was_asked_for, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_watch", tests, setup, teardown);
}
