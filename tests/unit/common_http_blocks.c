/* The HTTP server's answers out of a caller's memory, and in pieces of a known length. */
#include "common/loop.h"
#include "tests/unit/http_fixture.h"

enum { LARGE = 9 * 1000 * 1000 };

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static struct client *client;

static void start(void)
{
    start_server((struct http_server_options){.port = 0});
    atomic_store(&blocks, 0);
    client = client_new();
}

static void end(void)
{
    client_free(client);
    stop_server();
    ck_assert_int_eq(atomic_load(&blocks), 0);
}

static void wait_for(atomic_int *number, int value, const char *what)
{
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    while (atomic_load(number) != value)
        ck_assert_msg(loop_now_ms() < give_up, "not in time: %s", what);
}

static void expect_digits(size_t len)
{
    struct answer answer = client_answer(client);
    ck_assert_int_eq(answer.status, 200);
    ck_assert(answer_has(&answer, "\r\nContent-Length: "));
    ck_assert_uint_eq(answer.body.len, len);
    size_t good = 0; /* one assertion, for each of them takes its time */
    while (good < len && answer.body.data[good] == (char)('0' + good % 10))
        good++;
    ck_assert_uint_eq(good, len);
    answer_free(&answer);
}

/* Larger than what a socket takes, and than what leaves in one turn; and what follows is whole. */
START_TEST(blocks_leave_whole)
{
    client_send(client, GET("/block?9000000") GET("/block?1") GET("/block?0") GET("/hello"));
    expect_digits(LARGE);
    expect_digits(1);
    expect_digits(0);
    client_expect(client, 200, "hello\n");
    wait_for(&blocks, 0, "the memory is given back");
}
END_TEST

START_TEST(head_of_a_block)
{
    client_send(client, "HEAD /block?5000 HTTP/1.1\r\nHost: x\r\n\r\n" GET("/hello"));
    struct buf head = BUF_INIT;
    client_take_to(client, &head, "\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(buf_text(&head), "\r\nContent-Length: 5000\r\n"));
    buf_free(&head);
    client_expect(client, 200, "hello\n");
    wait_for(&blocks, 0, "the memory is given back");
}
END_TEST

/* The client takes a part of it and goes: the memory is given back all the same. */
START_TEST(block_to_a_client_that_goes)
{
    client_send(client, GET("/block?9000000"));
    ck_assert(client_more(client));
    ck_assert_int_eq(atomic_load(&blocks), 1);
    client_free(client);
    wait_for(&blocks, 0, "the memory is given back");
    client = client_new();
}
END_TEST

START_TEST(pieces_of_a_known_length)
{
    client_send(client, GET("/length?2000") GET("/hello"));
    expect_digits(2000000);
    client_expect(client, 200, "hello\n");
    client_send(client, "GET /length?3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct answer answer = client_answer(client);
    ck_assert_uint_eq(answer.body.len, 3000);
    ck_assert(answer_has(&answer, "\r\nConnection: keep-alive\r\n"));
    ck_assert(!answer_has(&answer, "\r\nTransfer-Encoding"));
    answer_free(&answer);
    client_send(client, GET("/hello"));
    client_expect(client, 200, "hello\n");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {blocks_leave_whole, head_of_a_block, block_to_a_client_that_goes,
                                  pieces_of_a_known_length, NULL};
    Suite *suite = suite_create("common_http_blocks");
    tcase_add_checked_fixture(suite_case(suite, "blocks", tests), start, end);
    return suite_run(suite);
}
