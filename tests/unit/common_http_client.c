/* The HTTP client on a loop, against a small server with scripted answers. */
#include "common/http_client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/http_peer.h"
#include "tests/unit/suite.h"

static const int64_t huge = (int64_t)100 * BIG;

/* --- the fixture --- */

static struct loop *loop;
static struct http_client *client;
static struct loop_timer *watchdog_timer;

static void watchdog(void *arg UNUSED)
{
    ck_abort_msg("the call did not end");
}

static void start(void)
{
    ck_assert(http_client_global_init());
    start_peer();
    loop = loop_new();
    ck_assert_ptr_nonnull(loop);
    client = http_client_new(loop, 8);
    ck_assert_ptr_nonnull(client);
    watchdog_timer = loop_timer_new(loop, watchdog, NULL);
    loop_timer_set(watchdog_timer, 30000);
}

static void end(void)
{
    http_client_free(client);
    loop_timer_free(watchdog_timer);
    loop_free(loop);
    end_peer();
}

/* What became of a call. */
struct outcome {
    int done;
    enum status st;
    int status;
    char body[200];
    size_t body_len;
    char word[20];
    size_t taken;
    size_t to_send;
    int pauses;
    struct http_call *call;
    struct loop_timer *resume;
};

static void call_over(void *arg, struct http_call *call, enum status st)
{
    struct outcome *of = arg;
    size_t len;
    of->done++;
    of->st = st;
    if (of->resume)
        loop_timer_clear(of->resume); /* the call is gone after this */
    of->status = http_call_status(call);
    const char *body = http_call_body(call, &len);
    of->body_len = len;
    (void)snprintf(of->body, sizeof of->body, "%.*s", len < 100 ? (int)len : 100, body);
    const char *word = http_call_field(call, "x-WORD");
    (void)snprintf(of->word, sizeof of->word, "%s", word ? word : "-");
    loop_stop(loop);
}

static void run(struct outcome *of, struct http_call_spec spec)
{
    spec.done = call_over;
    spec.arg = of;
    of->call = http_call_start(client, &spec);
    ck_assert_ptr_nonnull(of->call);
    ck_assert_int_eq(of->done, 0); /* never before it returned */
    loop_run(loop);
    ck_assert_int_eq(of->done, 1);
}

START_TEST(answer_comes_back)
{
    struct outcome of = {0};
    run(&of, (struct http_call_spec){.method = "GET", .url = url("/hello")});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_int_eq(of.status, 200);
    ck_assert_str_eq(of.body, "hello");
    ck_assert_str_eq(of.word, "one");
}
END_TEST

START_TEST(any_status_is_an_answer)
{
    struct outcome of = {0};
    run(&of, (struct http_call_spec){.method = "GET", .url = url("/absent")});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_int_eq(of.status, 404);
    ck_assert_str_eq(of.word, "-");
}
END_TEST

START_TEST(redirects_are_not_followed)
{
    struct outcome of = {0};
    run(&of, (struct http_call_spec){.method = "GET", .url = url("/moved")});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_int_eq(of.status, 302);
}
END_TEST

START_TEST(head_has_no_body)
{
    struct outcome of = {0};
    run(&of, (struct http_call_spec){.method = "HEAD", .url = url("/head"), .timeout_ms = 5000});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_int_eq(of.status, 200);
    ck_assert_uint_eq(of.body_len, 0);
    ck_assert_int_eq(strncmp(last_request, "HEAD /head ", 11), 0);
}
END_TEST

START_TEST(request_is_sent_as_it_was_asked_for)
{
    struct outcome of = {0};
    const char *const fields[] = {"X-One: 1", "Larder-Tombstone: 7", NULL};
    run(&of, (struct http_call_spec){
                 .method = "UNLINK", .url = url("/a/../%2e%2e//b%2Fc?x=1"), .fields = fields});
    ck_assert_int_eq(of.st, ST_OK);
    static const char first[] = "UNLINK /a/../%2e%2e//b%2Fc?x=1 HTTP/1.1\r\n";
    ck_assert_int_eq(strncmp(last_request, first, strlen(first)), 0);
    ck_assert_ptr_nonnull(strstr(last_request, "\r\nX-One: 1\r\n"));
    ck_assert_ptr_nonnull(strstr(last_request, "\r\nLarder-Tombstone: 7\r\n"));
    ck_assert_ptr_null(strcasestr(last_request, "expect:"));
}
END_TEST

/* Gives `to_send` bytes in pieces, with a pause before each second one. */
static void resume_later(void *arg)
{
    struct outcome *of = arg;
    http_call_resume(of->call);
}

static size_t give(void *arg, char *to, size_t max)
{
    struct outcome *of = arg;
    if (of->to_send % 2000 == 1000 && of->pauses < 20 && of->resume) {
        of->pauses++;
        of->to_send -= 1000;
        memset(to, 'u', 1000);
        return 1000;
    }
    if (of->resume && of->pauses < 20 && of->to_send) {
        of->pauses++;
        loop_timer_set(of->resume, 2);
        return HTTP_READ_PAUSE;
    }
    size_t n = of->to_send < max ? of->to_send : max;
    memset(to, 'u', n);
    of->to_send -= n;
    return n;
}

START_TEST(body_of_known_length)
{
    struct outcome of = {.to_send = BIG};
    run(&of, (struct http_call_spec){.method = "PUT",
                                     .url = url("/put"),
                                     .has_body = true,
                                     .body_length = BIG,
                                     .read = give});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_int_eq(of.status, 404);
    ck_assert_ptr_nonnull(strstr(last_request, "\r\nContent-Length: 1048576\r\n"));
    ck_assert_ptr_null(strcasestr(last_request, "expect:"));
    const char *body = strstr(last_request, "\r\n\r\n") + 4;
    ck_assert_uint_eq(strspn(body, "u"), BIG);
}
END_TEST

START_TEST(body_with_pauses)
{
    struct outcome of = {.to_send = 50000};
    of.resume = loop_timer_new(loop, resume_later, &of);
    run(&of, (struct http_call_spec){.method = "PUT",
                                     .url = url("/put"),
                                     .has_body = true,
                                     .body_length = 50000,
                                     .read = give});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_int_ge(of.pauses, 2);
    ck_assert_uint_eq(strspn(strstr(last_request, "\r\n\r\n") + 4, "u"), 50000);
    loop_timer_free(of.resume);
}
END_TEST

START_TEST(body_of_unknown_length_is_chunked)
{
    struct outcome of = {.to_send = 1000};
    run(&of, (struct http_call_spec){.method = "PUT",
                                     .url = url("/put"),
                                     .has_body = true,
                                     .body_length = -1,
                                     .read = give});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_ptr_nonnull(strcasestr(last_request, "\r\nTransfer-Encoding: chunked\r\n"));
    ck_assert_ptr_null(strcasestr(last_request, "\r\nContent-Length:"));
}
END_TEST

static size_t give_up(void *arg, char *to, size_t max)
{
    struct outcome *of = arg;
    if (of->taken >= 100000)
        return HTTP_READ_ABORT;
    memset(to, 'u', max);
    of->taken += max;
    return max;
}

START_TEST(body_that_breaks_off)
{
    struct outcome of = {0};
    run(&of, (struct http_call_spec){.method = "PUT",
                                     .url = url("/put"),
                                     .has_body = true,
                                     .body_length = huge,
                                     .read = give_up});
    ck_assert_int_ne(of.st, ST_OK);
}
END_TEST

static bool take(void *arg, const char *data, size_t len)
{
    struct outcome *of = arg;
    for (size_t i = 0; i < len; i++)
        ck_assert_int_eq(data[i], 'b');
    ck_assert_int_eq(http_call_status(of->call), 200);
    of->taken += len;
    if (of->resume)
        loop_timer_set(of->resume, 1);
    return true;
}

START_TEST(answer_in_pieces)
{
    struct outcome of = {0};
    run(&of, (struct http_call_spec){.method = "GET", .url = url("/big"), .write = take});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_uint_eq(of.taken, BIG);
}
END_TEST

START_TEST(answer_in_pieces_with_pauses)
{
    struct outcome of = {0};
    of.resume = loop_timer_new(loop, resume_later, &of);
    run(&of, (struct http_call_spec){
                 .method = "GET", .url = url("/big"), .write = take, .pause_after_write = true});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_uint_eq(of.taken, BIG);
    loop_timer_free(of.resume);
}
END_TEST

static bool refuse(void *arg UNUSED, const char *data UNUSED, size_t len UNUSED)
{
    return false;
}

START_TEST(answer_that_is_refused)
{
    struct outcome of = {0};
    run(&of, (struct http_call_spec){.method = "GET", .url = url("/big"), .write = refuse});
    ck_assert_int_ne(of.st, ST_OK);
}
END_TEST

/* Nobody takes it: no more than 64 KiB are kept. */
START_TEST(answer_that_nobody_takes)
{
    struct outcome of = {0};
    run(&of, (struct http_call_spec){.method = "GET", .url = url("/big")});
    ck_assert_int_eq(of.st, ST_OK);
    ck_assert_uint_le(of.body_len, (size_t)64 * 1024);
}
END_TEST

START_TEST(broken_answers_and_timeouts)
{
    struct outcome cut = {0};
    run(&cut, (struct http_call_spec){.method = "GET", .url = url("/cut")});
    ck_assert_int_eq(cut.st, ST_PEER);
    struct outcome slow = {0};
    uint64_t began = loop_now_ms();
    run(&slow, (struct http_call_spec){.method = "GET", .url = url("/slow"), .timeout_ms = 100});
    ck_assert_int_eq(slow.st, ST_PEER_TIMEOUT);
    ck_assert_uint_lt(loop_now_ms() - began, 10000);
}
END_TEST

/* By libcurl, which tells no time of connecting where the connection was there: it is not to be
 * taken for a server that nobody reached, since the request may have been carried out. */
START_TEST(timeout_on_a_kept_connection)
{
    struct outcome first = {0};
    run(&first, (struct http_call_spec){.method = "GET", .url = url("/hello"), .stall_ms = 9000});
    ck_assert_int_eq(first.status, 200);
    struct outcome slow = {0};
    run(&slow, (struct http_call_spec){
                   .method = "GET", .url = url("/slow"), .stall_ms = 9000, .timeout_ms = 100});
    ck_assert_int_eq(slow.st, ST_PEER_TIMEOUT);
    ck_assert_int_eq(atomic_load(&connections), 1);
}
END_TEST

START_TEST(nobody_there)
{
    int free_port;
    int fd = listen_somewhere(&free_port);
    close(fd);
    char text[60];
    (void)snprintf(text, sizeof text, "http://127.0.0.1:%d/", free_port);
    struct outcome of = {0};
    run(&of, (struct http_call_spec){.method = "GET", .url = text});
    ck_assert_int_eq(of.st, ST_UNAVAILABLE);
}
END_TEST

START_TEST(connections_are_kept)
{
    for (int i = 0; i < 5; i++) {
        struct outcome of = {0};
        run(&of, (struct http_call_spec){.method = "GET", .url = url("/hello")});
        ck_assert_int_eq(of.status, 200);
    }
    ck_assert_int_eq(atomic_load(&connections), 1);
}
END_TEST

static void stop_loop(void *arg UNUSED)
{
    loop_stop(loop);
}

START_TEST(cancelled_calls_are_silent)
{
    struct outcome of = {0};
    struct http_call_spec spec = {
        .method = "GET", .url = url("/slow"), .done = call_over, .arg = &of};
    struct http_call *early = http_call_start(client, &spec);
    ck_assert_ptr_nonnull(early);
    http_call_cancel(early);
    struct http_call *running = http_call_start(client, &spec);
    ck_assert_ptr_nonnull(running);
    struct loop_timer *timer = loop_timer_new(loop, stop_loop, NULL);
    loop_timer_set(timer, 50);
    loop_run(loop);
    http_call_cancel(running);
    ck_assert_int_eq(of.done, 0);
    /* One more is left for http_client_free(). */
    ck_assert_ptr_nonnull(http_call_start(client, &spec));
    loop_timer_free(timer);
}
END_TEST

/* From its end a call may start the next. */
static int links;

static void chain_over(void *arg, struct http_call *call, enum status st)
{
    ck_assert_int_eq(st, ST_OK);
    ck_assert_int_eq(http_call_status(call), 200);
    if (++links == 20) {
        loop_stop(loop);
        return;
    }
    struct http_call_spec spec = {
        .method = "GET", .url = url("/hello"), .done = chain_over, .arg = arg};
    ck_assert_ptr_nonnull(http_call_start(client, &spec));
}

START_TEST(calls_start_others)
{
    struct http_call_spec spec = {.method = "GET", .url = url("/hello"), .done = chain_over};
    ck_assert_ptr_nonnull(http_call_start(client, &spec));
    loop_run(loop);
    ck_assert_int_eq(links, 20);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {answer_comes_back,
                                  any_status_is_an_answer,
                                  redirects_are_not_followed,
                                  head_has_no_body,
                                  request_is_sent_as_it_was_asked_for,
                                  body_of_known_length,
                                  body_with_pauses,
                                  body_of_unknown_length_is_chunked,
                                  body_that_breaks_off,
                                  answer_in_pieces,
                                  answer_in_pieces_with_pauses,
                                  answer_that_is_refused,
                                  answer_that_nobody_takes,
                                  broken_answers_and_timeouts,
                                  timeout_on_a_kept_connection,
                                  nobody_there,
                                  connections_are_kept,
                                  cancelled_calls_are_silent,
                                  calls_start_others,
                                  NULL};
    Suite *suite = suite_create("http_client");
    tcase_add_checked_fixture(suite_case(suite, "http_client", tests), start, end);
    return suite_run(suite);
}
