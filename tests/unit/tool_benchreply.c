/* larder bench: how it reads answers, in whatever pieces they come. */
#include "tools/larder/benchreply.h"

#include <string.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

static struct buf body;

static void keep(void *arg, uint64_t offset, const char *data, size_t len)
{
    (void)arg;
    ck_assert_uint_eq(offset, body.len);
    buf_add(&body, data, len);
}

/* Feeds the text in pieces of `step` bytes, and then the end of the connection where `ends`. */
static void feed(struct benchreply *reply, const char *text, size_t step, bool to_head, bool ends)
{
    const struct benchreply_sink sink = {keep, NULL};
    size_t len = strlen(text);
    buf_clear(&body);
    benchreply_begin(reply, to_head);
    for (size_t at = 0; at < len; at += step)
        benchreply_feed(reply, text + at, step < len - at ? step : len - at, &sink);
    if (ends)
        benchreply_end(reply);
}

static void check_reply(const char *text, bool to_head, bool ends, enum benchreply_state state,
                        int status, const char *content)
{
    struct benchreply reply;
    benchreply_init(&reply);
    for (size_t step = 1; step <= strlen(text); step++) {
        feed(&reply, text, step, to_head, ends);
        ck_assert_msg(reply.state == state, "%s, pieces of %zu: %d", text, step, reply.state);
        if (state == BENCHREPLY_DONE) {
            ck_assert_int_eq(reply.status, status);
            ck_assert_str_eq(buf_text(&body), content);
        }
    }
    benchreply_free(&reply);
    buf_free(&body);
}

START_TEST(whole_answers)
{
    check_reply("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, false, BENCHREPLY_DONE,
                200, "abc");
    check_reply("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, false, BENCHREPLY_DONE, 200,
                "");
    check_reply("HTTP/1.1 204 No Content\r\n\r\n", false, false, BENCHREPLY_DONE, 204, "");
    check_reply("HTTP/1.1 404 \r\ncontent-length:0\r\n\r\n", false, false, BENCHREPLY_DONE, 404,
                "");
    check_reply("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
                false, false, BENCHREPLY_DONE, 201, "");
    check_reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n"
                "\r\n",
                false, false, BENCHREPLY_DONE, 200, "abcde");
    check_reply("HTTP/1.0 200 OK\r\n\r\nto the end", false, true, BENCHREPLY_DONE, 200,
                "to the end");
}
END_TEST

START_TEST(broken_answers)
{
    static const char *const bad[] = {
        "SSH-2.0-x\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 204 No Content\r\n\r\nmore",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_reply(bad[i], false, false, BENCHREPLY_BAD, 0, "");
    check_reply("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false, true, BENCHREPLY_BAD, 0,
                "");
    check_reply("HTTP/1.1 200 OK\r\nContent-Le", false, true, BENCHREPLY_BAD, 0, "");
}
END_TEST

START_TEST(a_head_without_an_end_is_given_up)
{
    struct benchreply reply;
    const struct benchreply_sink sink = {keep, NULL};
    char line[1024];
    memset(line, 'a', sizeof line);
    benchreply_init(&reply);
    benchreply_begin(&reply, false);
    for (int i = 0; i < 17; i++)
        benchreply_feed(&reply, line, sizeof line, &sink);
    ck_assert_int_eq(reply.state, BENCHREPLY_BAD);
    benchreply_free(&reply);
}
END_TEST

START_TEST(the_fields_of_an_answer)
{
    struct benchreply reply;
    benchreply_init(&reply);
    feed(&reply,
         "HTTP/1.1 302 Found\r\nLocation: http://a:1/b\r\nCONTENT-MD5:\t0123\r\n"
         "Connection: close\r\nContent-Length: 0\r\n\r\n",
         7, false, false);
    ck_assert_int_eq(reply.state, BENCHREPLY_DONE);
    ck_assert_str_eq(reply.location, "http://a:1/b");
    ck_assert_str_eq(reply.md5, "0123");
    ck_assert(reply.closes);
    feed(&reply, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 100, false, false);
    ck_assert(!reply.closes);
    ck_assert_str_eq(reply.location, "");
    benchreply_free(&reply);
}
END_TEST

START_TEST(a_body_may_be_thrown_away)
{
    struct benchreply reply;
    benchreply_init(&reply);
    feed(&reply, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 100, false, false);
    ck_assert_uint_eq(benchreply_left(&reply), 7);
    benchreply_skip(&reply, 3);
    ck_assert_int_eq(reply.state, BENCHREPLY_BODY);
    benchreply_skip(&reply, 4);
    ck_assert_int_eq(reply.state, BENCHREPLY_DONE);
    benchreply_free(&reply);
    buf_free(&body);
}
END_TEST

int main(void)
{
    const TTest *const answers[] = {whole_answers,
                                    broken_answers,
                                    a_head_without_an_end_is_given_up,
                                    the_fields_of_an_answer,
                                    a_body_may_be_thrown_away,
                                    NULL};
    Suite *suite = suite_create("tool/benchreply");
    (void)suite_case(suite, "answers", answers);
    return suite_run(suite);
}
