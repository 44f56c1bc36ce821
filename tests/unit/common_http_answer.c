/* Answers to our own requests, read in whatever pieces they come. */
#include "common/http_answer.h"

#include <string.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

static struct buf body; /* what the sink got */

static void keep(void *arg UNUSED, uint64_t offset, const char *data, size_t len)
{
    ck_assert_uint_eq(offset, body.len);
    buf_add(&body, data, len);
}

static const struct http_answer_sink sink = {keep, NULL};

/* Feeds the text in pieces of `step` bytes, and then the end of the connection where `ends`.
 * Returns how much of it belongs to the answer. */
static size_t feed(struct http_answer *answer, const char *text, size_t step, bool to_head,
                   bool ends)
{
    size_t len = strlen(text);
    size_t used = 0;
    buf_clear(&body);
    http_answer_begin(answer, to_head);
    for (size_t at = 0; at < len; at += step)
        used += http_answer_feed(answer, text + at, step < len - at ? step : len - at);
    if (ends)
        http_answer_end(answer);
    return used;
}

/* In pieces of all sizes, with a sink and without; `behind` bytes of the text are not the answer's.
 */
static void check_answer(const char *text, bool to_head, bool ends, enum http_answer_state state,
                         int status, const char *content, size_t behind)
{
    struct http_answer kept = {0};
    struct http_answer passed = {.sink = &sink};
    for (size_t step = 1; step <= strlen(text); step++) {
        size_t used = feed(&kept, text, step, to_head, ends);
        ck_assert_uint_eq(feed(&passed, text, step, to_head, ends), used);
        ck_assert_msg(kept.state == state, "%s, pieces of %zu: %d", text, step, kept.state);
        ck_assert_int_eq(passed.state, state);
        ck_assert_uint_eq(passed.body.len, 0);
        if (state == HTTP_ANSWER_DONE) {
            ck_assert_uint_eq(used, strlen(text) - behind);
            ck_assert_int_eq(kept.status, status);
            ck_assert_uint_eq(kept.got, strlen(content));
            ck_assert_str_eq(buf_text(&kept.body), content);
            ck_assert_str_eq(buf_text(&body), content);
        }
    }
    http_answer_free(&kept);
    http_answer_free(&passed);
    buf_free(&body);
}

START_TEST(whole_answers)
{
    static const struct {
        const char *text;
        const char *content;
        size_t behind;
        int status;
        bool to_head, ends;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", 0, 200, false, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "", 0, 200, true, false},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", 0, 204, false, false},
        {"HTTP/1.1 404 \r\ncontent-length:0\r\n\r\n", "", 0, 404, false, false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "", 0,
         201, false, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
         "abcde", 0, 200, false, false},
        {"HTTP/1.0 200 OK\r\n\r\nto the end", "to the end", 0, 200, false, true},
        /* what comes behind its end is not its own */
        {"HTTP/1.1 204 No Content\r\n\r\nmore", "", 4, 204, false, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "abc", 1, 200, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_answer(rows[i].text, rows[i].to_head, rows[i].ends, HTTP_ANSWER_DONE, rows[i].status,
                     rows[i].content, rows[i].behind);
}
END_TEST

START_TEST(broken_answers)
{
    static const char *const bad[] = {
        "SSH-2.0-x\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Bare: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_answer(bad[i], false, false, HTTP_ANSWER_BAD, 0, "", 0);
}
END_TEST

/* What the owner is told of a connection that ended: too early, or after it had said nonsense. */
START_TEST(answers_that_are_cut_off)
{
    struct http_answer answer = {0};
    feed(&answer, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", 7, false, true);
    ck_assert(answer.state == HTTP_ANSWER_BAD && answer.cut && answer.begun && !answer.reusable);
    feed(&answer, "HTTP/1.1 200 OK\r\nContent-Le", 7, false, true);
    ck_assert(answer.state == HTTP_ANSWER_BAD && answer.cut && answer.begun);
    feed(&answer, "", 1, false, true);
    ck_assert(answer.state == HTTP_ANSWER_BAD && answer.cut && !answer.begun);
    feed(&answer, "SSH-2.0-x\r\n\r\n", 7, false, true);
    ck_assert(answer.state == HTTP_ANSWER_BAD && !answer.cut);
    feed(&answer, "HTTP/1.0 200 OK\r\n\r\nto the end", 7, false, true);
    ck_assert(answer.state == HTTP_ANSWER_DONE && !answer.cut && !answer.reusable);
    feed(&answer, "HTTP/1.1 204 No Content\r\n\r\n", 7, false, false);
    ck_assert(answer.state == HTTP_ANSWER_DONE && answer.reusable);
    http_answer_spoil(&answer); /* as its owner does where more came */
    ck_assert(answer.state == HTTP_ANSWER_BAD && !answer.cut && !answer.reusable);
    http_answer_free(&answer);
}
END_TEST

START_TEST(a_head_without_an_end_is_given_up)
{
    struct http_answer answer = {0};
    char line[1024];
    memset(line, 'a', sizeof line);
    http_answer_begin(&answer, false);
    for (int i = 0; i < 17; i++)
        (void)http_answer_feed(&answer, line, sizeof line);
    ck_assert_int_eq(answer.state, HTTP_ANSWER_BAD);
    http_answer_free(&answer);
}
END_TEST

static void ck_field(const struct http_answer *answer, const char *name, const char *expected)
{
    const char *value = http_answer_field(answer, name);
    ck_assert_str_eq(value ? value : "-", expected);
}

START_TEST(the_fields_of_an_answer)
{
    struct http_answer answer = {0};
    feed(&answer,
         "HTTP/1.1 302 Found\r\nLocation: http://a:1/b\r\nCONTENT-MD5:\t0123 \r\n"
         "Connection: close\r\nContent-Length: 0\r\n\r\n",
         7, false, false);
    ck_assert_int_eq(answer.state, HTTP_ANSWER_DONE);
    ck_field(&answer, "location", "http://a:1/b");
    ck_field(&answer, "Content-MD5", "0123");
    ck_assert(!answer.reusable);
    feed(&answer, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", 100, true, false);
    ck_assert(answer.reusable);
    ck_field(&answer, "Location", "-");
    ck_assert_uint_eq(answer.length, 12); /* a HEAD is told it */
    ck_assert_uint_eq(answer.got, 0);
    http_answer_free(&answer);
}
END_TEST

START_TEST(a_body_may_be_thrown_away)
{
    struct http_answer answer = {.sink = &sink};
    feed(&answer, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 100, false, false);
    ck_assert_uint_eq(http_answer_left(&answer), 7);
    http_answer_skip(&answer, 3);
    ck_assert_int_eq(answer.state, HTTP_ANSWER_BODY);
    http_answer_skip(&answer, 4);
    ck_assert_int_eq(answer.state, HTTP_ANSWER_DONE);
    ck_assert_uint_eq(http_answer_left(&answer), 0);
    ck_assert_uint_eq(answer.got, 10);
    /* Between chunks stand bytes that have to be read. */
    feed(&answer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nab", 100, false,
         false);
    ck_assert_int_eq(answer.state, HTTP_ANSWER_BODY);
    ck_assert_uint_eq(http_answer_left(&answer), 0);
    http_answer_free(&answer);
    buf_free(&body);
}
END_TEST

int main(void)
{
    const TTest *const answers[] = {whole_answers,
                                    broken_answers,
                                    answers_that_are_cut_off,
                                    a_head_without_an_end_is_given_up,
                                    the_fields_of_an_answer,
                                    a_body_may_be_thrown_away,
                                    NULL};
    Suite *suite = suite_create("common/http_answer");
    (void)suite_case(suite, "answers", answers);
    return suite_run(suite);
}
