/* Short exchanges: over connections of our own, against a small server with scripted answers. That
 * calls take this way where they can is tested with them, in common_http_client.c. */
#include "common/http_short.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/http_client.h"
#include "common/http_peers.h"
#include "tests/unit/http_peer.h"
#include "tests/unit/suite.h"

static struct loop *loop;
static struct http_short *brief;
static struct loop_timer *watchdog_timer;

static void watchdog(void *arg UNUSED)
{
    ck_abort_msg("the exchange did not end");
}

static void start(void)
{
    start_peer();
    loop = loop_new();
    ck_assert_ptr_nonnull(loop);
    brief = http_short_new(loop, 2);
    ck_assert_ptr_nonnull(brief);
    watchdog_timer = loop_timer_new(loop, watchdog, NULL);
    loop_timer_set(watchdog_timer, 30000);
}

static void end(void)
{
    http_short_free(brief);
    loop_timer_free(watchdog_timer);
    loop_free(loop);
    end_peer();
}

struct outcome {
    int done;
    enum status st;
    int status;
    char body[100];
    char word[20];
    int left; /* of several that run at once: the last stops the loop */
};

static void exchange_over(void *arg, struct http_exchange *exchange, enum status st)
{
    struct outcome *of = arg;
    const struct http_answer *answer = http_short_answer(exchange);
    of->done++;
    of->st = st;
    of->status = answer->status;
    (void)snprintf(of->body, sizeof of->body, "%s", buf_text(&answer->body));
    const char *word = http_answer_field(answer, "x-WORD");
    (void)snprintf(of->word, sizeof of->word, "%s", word ? word : "-");
    if (--of->left <= 0)
        loop_stop(loop);
}

static struct http_exchange *begin(struct outcome *of, const char *path,
                                   struct http_exchange_spec spec)
{
    char url[200];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    spec.method = spec.method ? spec.method : "GET";
    spec.url = url;
    spec.connect_timeout_ms = 1000;
    spec.done = exchange_over;
    spec.arg = of;
    struct http_exchange *exchange = http_short_start(brief, &spec);
    ck_assert_ptr_nonnull(exchange);
    ck_assert_int_eq(of->done, 0); /* never before it returned */
    return exchange;
}

static struct outcome ask(const char *path, struct http_exchange_spec spec)
{
    struct outcome of = {0};
    (void)begin(&of, path, spec);
    loop_run(loop);
    ck_assert_int_eq(of.done, 1);
    return of;
}

#define ck_answer(of, expected_status, expected_body)                                              \
    do {                                                                                           \
        ck_assert_int_eq((of).st, ST_OK);                                                          \
        ck_assert_int_eq((of).status, expected_status);                                            \
        ck_assert_str_eq((of).body, expected_body);                                                \
    } while (0)

START_TEST(answers_come_back)
{
    struct outcome of = ask("/hello", (struct http_exchange_spec){0});
    ck_answer(of, 200, "hello");
    ck_assert_str_eq(of.word, "one");
    of = ask("/pieces", (struct http_exchange_spec){0});
    ck_answer(of, 200, "hello");
    ck_assert_str_eq(of.word, "two");
    of = ask("/head", (struct http_exchange_spec){.method = "HEAD"});
    ck_answer(of, 200, "");
    of = ask("/absent", (struct http_exchange_spec){0});
    ck_answer(of, 404, "");
    ck_assert_str_eq(of.word, "-");
    ck_assert_int_eq(atomic_load(&connections), 1); /* all of them over one */
    of = ask("/until-end", (struct http_exchange_spec){0});
    ck_answer(of, 200, "hello");
}
END_TEST

START_TEST(the_request_is_sent_as_it_was_asked_for)
{
    const char *const fields[] = {"X-One: 1", "Larder-Tombstone: 7", NULL};
    char expected[300];
    struct outcome of = ask("/a/../%2e//b?x=1", (struct http_exchange_spec){.method = "UNLINK",
                                                                            .fields = fields,
                                                                            .has_body = true,
                                                                            .body = "value",
                                                                            .body_len = 5});
    ck_assert_int_eq(of.status, 404);
    (void)snprintf(expected, sizeof expected,
                   "UNLINK /a/../%%2e//b?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-One: 1\r\n"
                   "Larder-Tombstone: 7\r\nContent-Length: 5\r\n\r\nvalue",
                   port);
    ck_assert_str_eq(last_request, expected);
}
END_TEST

/* More than the socket takes at once: the rest follows when there is room. */
START_TEST(a_large_body_leaves_whole)
{
    enum { LARGE = 3 * BIG };
    char *body = malloc(LARGE);
    ck_assert_ptr_nonnull(body);
    memset(body, 'u', LARGE);
    struct outcome of =
        ask("/absent", (struct http_exchange_spec){
                           .method = "PUT", .has_body = true, .body = body, .body_len = LARGE});
    ck_answer(of, 404, "");
    ck_assert_uint_eq(strspn(strstr(last_request, "\r\n\r\n") + 4, "u"), LARGE);
    of = ask("/early", (struct http_exchange_spec){
                           .method = "PUT", .has_body = true, .body = body, .body_len = LARGE});
    /* The peer closes with bytes unread, so the answer may be lost to a reset. */
    ck_assert(of.st == ST_PEER || (of.st == ST_OK && of.status == 507));
    free(body);
    ck_answer(ask("/hello", (struct http_exchange_spec){0}), 200, "hello");
}
END_TEST

static void stop_loop(void *arg UNUSED)
{
    loop_stop(loop);
}

START_TEST(a_stale_connection_is_no_failure)
{
    static const char *const methods[] = {"GET", "PUT", "DELETE", "POST"};
    ck_answer(ask("/last", (struct http_exchange_spec){0}), 200, "last");
    /* The other side has closed, or is about to: we find out by writing, or while it is idle. */
    struct loop_timer *idle = loop_timer_new(loop, stop_loop, NULL);
    if (_i >= 4) {
        loop_timer_set(idle, 20);
        loop_run(loop);
    }
    loop_timer_free(idle);
    struct outcome of = ask("/hello", (struct http_exchange_spec){.method = methods[_i % 4],
                                                                  .has_body = _i % 4 == 1,
                                                                  .body = "v",
                                                                  .body_len = _i % 4 == 1});
    if (_i % 4 == 3 && of.st)
        ck_assert_int_eq(of.st, ST_PEER); /* POST may have been done: its owner decides */
    else
        ck_answer(of, 200, "hello");
}
END_TEST

START_TEST(what_is_no_answer)
{
    ck_assert_int_eq(ask("/cut", (struct http_exchange_spec){0}).st, ST_PEER);
    ck_assert_int_eq(ask("/junk", (struct http_exchange_spec){0}).st, ST_PEER);
    ck_assert_int_eq(ask("/slow", (struct http_exchange_spec){.timeout_ms = 50}).st,
                     ST_PEER_TIMEOUT);
    /* Its answer counts; what comes behind it belongs to nobody, and to no other exchange. */
    ck_answer(ask("/more", (struct http_exchange_spec){0}), 200, "more");
    ck_answer(ask("/hello", (struct http_exchange_spec){0}), 200, "hello");
}
END_TEST

START_TEST(nobody_there)
{
    int used = port;
    int fd = listen_somewhere(&port);
    close(fd);
    ck_assert_int_eq(ask("/", (struct http_exchange_spec){0}).st, ST_UNAVAILABLE);
    port = used;
}
END_TEST

/* Many at once take as many connections; not more than two of them are kept. */
START_TEST(connections_are_kept_up_to_a_limit)
{
    struct outcome of = {.left = 5};
    char url[100];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/hello", port);
    const struct http_exchange_spec spec = {
        .method = "GET", .url = url, .connect_timeout_ms = 1000, .done = exchange_over, .arg = &of};
    for (int round = 0; round < 2; round++) {
        of.left = 5;
        for (int i = 0; i < 5; i++)
            ck_assert_ptr_nonnull(http_short_start(brief, &spec));
        loop_run(loop);
    }
    ck_assert_int_eq(of.done, 10);
    ck_assert_int_eq(atomic_load(&connections), 8);
}
END_TEST

/* Another peer's turn, and all descriptors are in connections that are kept. */
START_TEST(kept_connections_give_way)
{
    struct rlimit usual;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
    ck_answer(ask("/hello", (struct http_exchange_spec){0}), 200, "hello");
    int first = port;
    int other = listen_somewhere(&port);
    int next = dup(other); /* the number that a new descriptor gets */
    ck_assert_int_ge(next, 0);
    close(next);
    struct rlimit few = {.rlim_cur = (rlim_t)next, .rlim_max = usual.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct outcome of = {0};
    struct http_exchange *exchange = begin(&of, "/hello", (struct http_exchange_spec){0});
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
    http_short_cancel(exchange);
    close(other);
    port = first;
    ck_answer(ask("/hello", (struct http_exchange_spec){0}), 200, "hello");
    ck_assert_int_eq(atomic_load(&connections), 2);
}
END_TEST

START_TEST(cancelled_exchanges_are_silent)
{
    struct outcome of = {0};
    http_short_cancel(begin(&of, "/slow", (struct http_exchange_spec){.timeout_ms = 1}));
    struct http_exchange *running = begin(&of, "/slow", (struct http_exchange_spec){0});
    ck_answer(ask("/hello", (struct http_exchange_spec){0}), 200, "hello");
    http_short_cancel(running);
    (void)begin(&of, "/slow", (struct http_exchange_spec){0}); /* for http_short_free() */
    ck_answer(ask("/hello", (struct http_exchange_spec){0}), 200, "hello");
    ck_assert_int_eq(of.done, 0);
}
END_TEST

/* --- whom a URL means --- */

static bool finds(const struct http_peers *peers, const char *url, const char *name,
                  const char *expected_target)
{
    struct http_peer peer;
    const char *target;
    if (!http_peers_find(peers, url, &peer, &target))
        return false;
    ck_assert_str_eq(peer.name, name);
    ck_assert_str_eq(target, expected_target);
    return true;
}

START_TEST(hosts_that_are_addresses)
{
    struct http_peers *peers = http_peers_new();
    ck_assert(finds(peers, "http://127.0.0.1:3001/a?b", "127.0.0.1:3001", "/a?b"));
    ck_assert(finds(peers, "http://127.0.0.1", "127.0.0.1", ""));
    ck_assert(finds(peers, "http://[::1]:80?x", "[::1]:80", "?x"));
    static const char *const bad[] = {
        "https://127.0.0.1/",   "127.0.0.1:1/",          "http:///",
        "http://127.0.0.1:/",   "http://127.0.0.1:0/",   "http://127.0.0.1:65536/",
        "http://127.0.0.1:1x/", "http://u@127.0.0.1/",   "http://[::1/",
        "http://[::1]x/",       "http://127.0.0.1.5:1/", "http://volume-1:3001/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!finds(peers, bad[i], "", ""), "%s", bad[i]);
    http_peers_free(peers);
}
END_TEST

START_TEST(names_whose_address_was_told)
{
    struct http_peers *peers = http_peers_new();
    struct http_peer before, after;
    const char *target;
    http_peers_know(peers, "http://volume-1:3001/x", "127.0.0.1");
    http_peers_know(peers, "http://volume-2:3001/x", "no address");
    ck_assert(http_peers_find(peers, "http://volume-1:4000/y", &before, &target));
    ck_assert_int_eq(ntohs(before.address.v4.sin_port), 4000);
    ck_assert(!finds(peers, "http://volume-2:3001/", "", ""));
    /* It moves: connections to where it was are not for it any more. */
    http_peers_know(peers, "http://volume-1/", "::1");
    ck_assert(http_peers_find(peers, "http://volume-1:4000/y", &after, &target));
    ck_assert(!http_peers_same(&before, &after));
    for (int i = 0; i < 64; i++) {
        char url[60];
        (void)snprintf(url, sizeof url, "http://name-%d", i);
        http_peers_know(peers, url, "127.0.0.1");
        ck_assert(finds(peers, url, url + strlen("http://"), ""));
    }
    ck_assert(!finds(peers, "http://volume-1:4000/y", "", "")); /* too many came after it */
    http_peers_free(peers);
}
END_TEST

/* libcurl resolves a name once; then the short way knows it. Both ways give the same. */
static void call_over(void *arg, struct http_call *call, enum status st)
{
    struct outcome *of = arg;
    size_t len;
    of->done++;
    of->st = st;
    of->status = http_call_status(call);
    (void)snprintf(of->body, sizeof of->body, "%s", http_call_body(call, &len));
    loop_stop(loop);
}

START_TEST(names_are_resolved_by_libcurl)
{
    ck_assert(http_client_global_init());
    struct http_client *client = http_client_new(loop, 4);
    ck_assert_ptr_nonnull(client);
    char url[100];
    (void)snprintf(url, sizeof url, "http://localhost:%d/hello", port);
    for (int i = 0; i < 3; i++) {
        struct outcome of = {0};
        const struct http_call_spec spec = {.method = "PUT",
                                            .url = url,
                                            .has_body = true,
                                            .body = "value",
                                            .body_length = 5,
                                            .done = call_over,
                                            .arg = &of};
        ck_assert_ptr_nonnull(http_call_start(client, &spec));
        loop_run(loop);
        ck_answer(of, 200, "hello");
        ck_assert_str_eq(strstr(last_request, "\r\n\r\n"), "\r\n\r\nvalue");
        /* libcurl says that it accepts everything, we say nothing */
        ck_assert_int_eq(strcasestr(last_request, "\r\nAccept:") != NULL, i == 0);
    }
    http_client_free(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {answers_come_back,
                                  the_request_is_sent_as_it_was_asked_for,
                                  a_large_body_leaves_whole,
                                  what_is_no_answer,
                                  nobody_there,
                                  connections_are_kept_up_to_a_limit,
                                  kept_connections_give_way,
                                  cancelled_exchanges_are_silent,
                                  hosts_that_are_addresses,
                                  names_whose_address_was_told,
                                  names_are_resolved_by_libcurl,
                                  NULL};
    Suite *suite = suite_create("http_short");
    TCase *tcase = suite_case(suite, "http_short", tests);
    tcase_add_loop_test(tcase, a_stale_connection_is_no_failure, 0, 8);
    tcase_add_checked_fixture(tcase, start, end);
    return suite_run(suite);
}
