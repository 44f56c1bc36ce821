/* The server: requests, bodies and answers, over real sockets. Its limits have their own program.
 */
#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

#include "tests/unit/http_fixture.h"

#define HOST      " HTTP/1.1\r\nHost: h\r\n"
#define GET(path) "GET " path HOST "\r\n"

static struct client *client;

static void start(void)
{
    start_server((struct http_server_options){0});
    client = client_new();
}

static void end(void)
{
    client_free(client);
    stop_server();
}

/* --- requests and answers --- */

START_TEST(simple_get)
{
    client_send(client, GET("/hello"));
    struct answer answer = client_answer(client);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(buf_text(&answer.body), "hello\n");
    ck_assert(answer_has(&answer, "HTTP/1.1 200 OK\r\n"));
    ck_assert(answer_has(&answer, "\r\nServer: larder-test/"));
    ck_assert(answer_has(&answer, "\r\nDate: "));
    ck_assert(answer_has(&answer, " GMT\r\n"));
    ck_assert(answer_has(&answer, "\r\nLarder-Request-Id: "));
    ck_assert(!answer_has(&answer, "\r\nConnection:"));
    answer_free(&answer);
    client_send(client, GET("/hello"));
    client_expect(client, 200, "hello\n");
}
END_TEST

START_TEST(what_a_handler_sees)
{
    client_send(client, "PUT /describe?q=1" HOST "Content-Length: 3\r\n\r\nabc");
    struct answer answer = client_answer(client);
    ck_assert_str_eq(buf_text(&answer.body), "PUT /describe q=1 1 0 3");
    ck_assert(answer_has(&answer, "\r\nGood: value\r\n"));
    ck_assert(!answer_has(&answer, "Evil"));
    ck_assert(answer_has(&answer, "0000000007\r\n"));
    answer_free(&answer);
    client_send(client, "UNLINK /describe" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    client_expect(client, 200, "UNLINK /describe  1 0 -1");
    client_send(client, "DELETE http://h/describe?" HOST "\r\n");
    client_expect(client, 200, "DELETE /describe  0 1 0");
}
END_TEST

START_TEST(peers)
{
    struct sockaddr_in self = {0};
    socklen_t len = sizeof self;
    char text[64];
    ck_assert_int_eq(getsockname(client->fd, (struct sockaddr *)&self, &len), 0);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(self.sin_port));
    client_send(client, GET("/peer"));
    client_expect(client, 200, text);
}
END_TEST

START_TEST(head_has_no_body)
{
    static const char *const paths[] = {"/hello", "/file?0-1000", "/pieces?3", "/status/1"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char text[100];
        (void)snprintf(text, sizeof text, "HEAD %s" HOST "\r\n", paths[i]);
        client_send(client, text);
        struct answer answer = client_answer_to(client, true);
        ck_assert(i != 0 || answer_has(&answer, "\r\nContent-Length: 6\r\n"));
        ck_assert(i != 1 || answer_has(&answer, "\r\nContent-Length: 1000\r\n"));
        ck_assert(i != 2 || answer_has(&answer, "\r\nTransfer-Encoding: chunked\r\n"));
        answer_free(&answer);
    }
    client_send(client, GET("/hello"));
    client_expect(client, 200, "hello\n");
}
END_TEST

START_TEST(answers_without_a_body)
{
    static const int codes[] = {204, 304};
    for (size_t i = 0; i < 2; i++) {
        char text[100];
        (void)snprintf(text, sizeof text, "GET /code/%d" HOST "\r\n", codes[i]);
        client_send(client, text);
        struct answer answer = client_answer(client);
        ck_assert_int_eq(answer.status, codes[i]);
        ck_assert(!answer_has(&answer, "\r\nContent-Length:"));
        answer_free(&answer);
    }
    client_send(client, GET("/hello"));
    client_expect(client, 200, "hello\n");
}
END_TEST

/* GETs a status; whether the answer has the line. */
static bool status_has(enum status st, const char *line)
{
    char text[100];
    (void)snprintf(text, sizeof text, "GET /status/%d" HOST "\r\n", (int)st);
    client_send(client, text);
    struct answer answer = client_answer(client);
    ck_assert_int_eq(answer.status, status_http(st));
    bool has = answer_has(&answer, line);
    answer_free(&answer);
    return has;
}

START_TEST(statuses)
{
    ck_assert(status_has(ST_BUSY, "\r\nRetry-After: 1\r\n"));
    ck_assert(!status_has(ST_CONFLICT, "\r\nRetry-After:"));
    ck_assert(status_has(ST_METHOD, "\r\nAllow: GET, "));
    ck_assert(status_has(ST_NOT_FOUND, "\r\nContent-Length: 0\r\n"));
    client_send(client, GET("/status/2"));
    struct buf text = BUF_INIT;
    buf_addf(&text, "%s\n", status_text(ST_EXISTS));
    client_expect(client, 403, buf_text(&text));
    buf_free(&text);
}
END_TEST

START_TEST(http_1_0)
{
    client_send(client, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct answer answer = client_answer(client);
    ck_assert(answer_has(&answer, "\r\nConnection: keep-alive\r\n"));
    answer_free(&answer);
    client_send(client, "GET /hello HTTP/1.0\r\n\r\n");
    answer = client_answer(client);
    ck_assert(answer_has(&answer, "\r\nConnection: close\r\n"));
    answer_free(&answer);
    client_expect_end(client);
}
END_TEST

START_TEST(connection_close)
{
    client_send(client, "GET /hello" HOST "Connection: close\r\n\r\n" GET("/hello"));
    struct answer answer = client_answer(client);
    ck_assert(answer_has(&answer, "\r\nConnection: close\r\n"));
    answer_free(&answer);
    client_expect_end(client);
}
END_TEST

/* --- pipelining --- */

START_TEST(pipelined_answers_are_in_order)
{
    client_send(client, GET("/slow") GET("/hello") "PUT /echo" HOST
                                                   "Content-Length: 3\r\n\r\nabc" GET("/pieces?1")
                                                       GET("/hello"));
    client_expect(client, 200, "slow\n");
    client_expect(client, 200, "hello\n");
    client_expect(client, 200, "abc");
    client_expect(client, 200, NULL);
    client_expect(client, 200, "hello\n");
}
END_TEST

/* More of them than fit the stack, if each were handled inside the one before. */
START_TEST(long_pipelines)
{
    enum { MANY = 20000 };
    struct buf text = BUF_INIT;
    for (int i = 0; i < MANY; i++)
        buf_adds(&text, i % 100 ? GET("/hello") : GET("/code/204"));
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        client_send_bytes(client, buf_text(&text), text.len);
        _exit(0);
    }
    for (int i = 0; i < MANY; i++)
        client_expect(client, i % 100 ? 200 : 204, NULL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    buf_free(&text);
}
END_TEST

START_TEST(nothing_after_an_error)
{
    client_send(client, GET("/hello") "GET /a b" HOST "\r\n" GET("/hello"));
    client_expect(client, 200, "hello\n");
    struct answer answer = client_answer(client);
    ck_assert_int_eq(answer.status, 400);
    ck_assert(answer_has(&answer, "\r\nConnection: close\r\n"));
    answer_free(&answer);
    client_expect_end(client);
}
END_TEST

/* Each way of cutting two requests in two gives the same answers. */
START_TEST(splits)
{
    static const char text[] =
        "PUT /echo" HOST "Content-Length: 5\r\n\r\nhello"
        "PUT /echo" HOST
        "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\nT: 1\r\n\r\n"
        "GET /hello" HOST "\r\n";
    for (size_t at = 1; at < sizeof text - 1; at++) {
        client_send_bytes(client, text, at);
        struct pollfd wait = {.fd = client->fd, .events = POLLIN};
        (void)poll(&wait, 1, 1); /* so that the server sees two pieces */
        client_send_bytes(client, text + at, sizeof text - 1 - at);
        client_expect(client, 200, "hello");
        client_expect(client, 200, "abc");
        client_expect(client, 200, "hello\n");
    }
}
END_TEST

/* --- bodies --- */

START_TEST(empty_bodies_end_too)
{
    client_send(client, "PUT /echo" HOST "Content-Length: 0\r\n\r\n" GET("/echo"));
    client_expect(client, 200, "");
    client_expect(client, 200, "");
}
END_TEST

static char *large_body(size_t len)
{
    char *bytes = malloc(len);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7 + i / 1000);
    return bytes;
}

static void expect_sum(const char *bytes, size_t len)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%zu %llx", len, (unsigned long long)sum_of(bytes, len));
    client_expect(client, 200, text);
}

START_TEST(large_bodies)
{
    enum { LEN = 5 * 1000 * 1000, PIECE = 7001 };
    char *bytes = large_body(LEN);
    client_send(client, "PUT /sum" HOST "Content-Length: 5000000\r\n\r\n");
    client_send_bytes(client, bytes, LEN);
    expect_sum(bytes, LEN);

    client_send(client, "PUT /sum" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < LEN; at += PIECE) {
        size_t len = LEN - at < PIECE ? LEN - at : PIECE;
        char size[20];
        (void)snprintf(size, sizeof size, "%zX\r\n", len);
        client_send(client, size);
        client_send_bytes(client, bytes + at, len);
        client_send(client, "\r\n");
    }
    client_send(client, "0\r\n\r\n" GET("/hello"));
    expect_sum(bytes, LEN);
    client_expect(client, 200, "hello\n");
    free(bytes);
}
END_TEST

START_TEST(sinks_that_take_little)
{
    enum { LEN = 10000 };
    char *bytes = large_body(LEN);
    client_send(client, "PUT /narrow?999" HOST "Content-Length: 10000\r\n\r\n");
    client_send_bytes(client, bytes, LEN);
    expect_sum(bytes, LEN);
    client_send(client, "PUT /narrow?777" HOST "Transfer-Encoding: chunked\r\n\r\n2710\r\n");
    client_send_bytes(client, bytes, LEN);
    client_send(client, "\r\n0\r\n\r\n");
    expect_sum(bytes, LEN);
    free(bytes);
}
END_TEST

START_TEST(expect_100_continue)
{
    client_send(client, "PUT /echo" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client_expect(client, 100, NULL);
    client_send(client, "abc");
    client_expect(client, 200, "abc");
    /* One that does not wait is not told to go on. */
    client_send(client, "PUT /echo" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    client_expect(client, 200, "abc");
    client_send(client, "PUT /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client_send(client, "abc");
    client_expect(client, 200, "abc");
    client_expect_end(client);
}
END_TEST

START_TEST(refused_before_100_continue)
{
    client_send(client, "PUT /status/2" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    struct answer answer = client_answer(client);
    ck_assert_int_eq(answer.status, 403);
    ck_assert(answer_has(&answer, "\r\nConnection: close\r\n"));
    answer_free(&answer);
    client_expect_end(client);
}
END_TEST

START_TEST(early_answer_small_rest)
{
    for (int i = 0; i < 3; i++) {
        client_send(client, "PUT /hello" HOST "Content-Length: 10\r\n\r\n01234");
        client_expect(client, 200, "hello\n");
        client_send(client, "56789");
        client_send(client, "PUT /eager" HOST "Content-Length: 10\r\n\r\n0123456789");
        client_expect(client, 409, NULL);
        client_send(client, "PUT /eager" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n");
        client_expect(client, 409, NULL);
        client_send(client, "1\r\n5\r\n0\r\n\r\n");
    }
    client_send(client, GET("/hello"));
    client_expect(client, 200, "hello\n");
}
END_TEST

/* The answer must reach a client that only looks for it when it has sent all. */
START_TEST(early_answer_large_rest)
{
    enum { LEN = 20 * 1000 * 1000 };
    static const char *const heads[] = {
        "PUT /status/2" HOST "Content-Length: 20000000\r\n\r\n",
        "PUT /eager" HOST "Content-Length: 20000000\r\n\r\n",
        "PUT /status/2" HOST "Transfer-Encoding: chunked\r\n\r\n1312D00\r\n",
    };
    char *bytes = large_body(LEN);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        client_send(client, heads[i]);
        client_send_bytes(client, bytes, LEN);
        struct answer answer = client_answer(client);
        ck_assert_int_eq(answer.status, i == 1 ? 409 : 403);
        ck_assert(i == 2 || answer_has(&answer, "\r\nConnection: close\r\n"));
        answer_free(&answer);
        client_expect_end(client);
        client_free(client);
        client = client_new();
    }
    free(bytes);
}
END_TEST

START_TEST(bodies_that_break_off)
{
    static const char *const texts[] = {
        "PUT /echo" HOST "Content-Length: 5\r\n\r\nabc",
        "PUT /echo" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        "PUT /echo" HOST "Transfer-Encoding: chunked\r\n\r\n5\nabc"};
    static const enum status ends[] = {ST_CLOSED, ST_CLOSED, ST_BAD_REQUEST};
    for (size_t i = 0; i < 3; i++) {
        client_send(client, texts[i]);
        if (ends[i] == ST_CLOSED)
            (void)shutdown(client->fd, SHUT_WR);
        client_expect(client, 400, NULL);
        ck_assert_int_eq(atomic_load(&last_end), ends[i]);
        client_expect_end(client);
        client_free(client);
        client = client_new();
    }
}
END_TEST

START_TEST(half_closed_clients_get_their_answers)
{
    client_send(client, GET("/slow") GET("/hello") "PUT /echo" HOST "Content-Length: 3\r\n\r\nabc");
    (void)shutdown(client->fd, SHUT_WR);
    client_expect(client, 200, "slow\n");
    client_expect(client, 200, "hello\n");
    client_expect(client, 200, "abc");
    client_expect_end(client);
}
END_TEST

/* --- files and pieces --- */

static void expect_file(uint64_t offset, size_t len)
{
    struct answer answer = client_answer(client);
    ck_assert_int_eq(answer.status, 206);
    ck_assert_uint_eq(answer.body.len, len);
    size_t good = 0;
    while (good < len && answer.body.data[good] == file_byte(offset + good))
        good++;
    ck_assert_uint_eq(good, len);
    answer_free(&answer);
}

START_TEST(files)
{
    client_send(client,
                GET("/file?0-3145728") GET("/file?1000001-77") GET("/file?5-0") GET("/hello"));
    expect_file(0, FILE_BYTES);
    expect_file(1000001, 77);
    expect_file(5, 0);
    client_expect(client, 200, "hello\n");
}
END_TEST

/* What is missing at the end must not be made up, and must be noticed. */
START_TEST(files_that_are_too_short)
{
    client_send(client, GET("/file?3145720-100"));
    struct buf head = BUF_INIT;
    client_take_to(client, &head, "\r\n\r\n");
    buf_free(&head);
    size_t got = client->len;
    while (recv(client->fd, client->bytes, 1, 0) == 1)
        got++;
    ck_assert_uint_eq(got, 8);
}
END_TEST

START_TEST(pieces)
{
    client_send(client, GET("/pieces?2000") GET("/hello"));
    struct answer answer = client_answer(client);
    ck_assert_uint_eq(answer.body.len, 2000000);
    ck_assert_mem_eq(answer.body.data + 1999990, "0123456789", 10);
    answer_free(&answer);
    client_expect(client, 200, "hello\n");
    ck_assert_int_eq(atomic_load(&drains), 2001);
    client_send(client, "GET /pieces?3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer = client_answer(client);
    ck_assert_uint_eq(answer.body.len, 3000);
    ck_assert(answer_has(&answer, "\r\nConnection: close\r\n"));
    answer_free(&answer);
}
END_TEST

/* A client of HTTP/1.0 learns only from a reset that this was not all. */
START_TEST(pieces_that_break_off)
{
    client_send(client, "GET /cut?3 HTTP/1.0\r\n\r\n");
    ssize_t n;
    do
        n = recv(client->fd, client->bytes, sizeof client->bytes, 0);
    while (n > 0);
    ck_assert_int_lt(n, 0);
    ck_assert_int_eq(errno, ECONNRESET);
}
END_TEST

START_TEST(pieces_to_a_client_that_is_gone)
{
    client_send(client, GET("/pieces?100000"));
    ck_assert(client_more(client));
    client_free(client);
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    while (atomic_load(&last_alive) != 0)
        ck_assert_msg(loop_now_ms() < give_up, "the handler was not told");
    client = client_new();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("common_http_server");
    const struct {
        const char *name;
        const TTest *const *tests;
    } cases[] = {
        {"answers", (const TTest *const[]){simple_get, what_a_handler_sees, peers, head_has_no_body,
                                           answers_without_a_body, statuses, http_1_0,
                                           connection_close, NULL}},
        {"pipelining", (const TTest *const[]){pipelined_answers_are_in_order, long_pipelines,
                                              nothing_after_an_error, splits, NULL}},
        {"bodies", (const TTest *const[]){empty_bodies_end_too, large_bodies,
                                          sinks_that_take_little, expect_100_continue,
                                          refused_before_100_continue, early_answer_small_rest,
                                          early_answer_large_rest, bodies_that_break_off,
                                          half_closed_clients_get_their_answers, NULL}},
        {"files and pieces",
         (const TTest *const[]){files, files_that_are_too_short, pieces, pieces_that_break_off,
                                pieces_to_a_client_that_is_gone, NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        tcase_add_checked_fixture(suite_case(suite, cases[i].name, cases[i].tests), start, end);
    return suite_run(suite);
}
