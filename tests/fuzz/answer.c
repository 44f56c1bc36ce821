/* Answers to our own requests: pieces give what the whole gives, a sink gets what is kept without
 * one, and what is accepted is framed. */
#include "common/http_answer.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

static size_t feed(struct http_answer *answer, const char *bytes, size_t len, size_t piece)
{
    size_t used = 0;
    http_answer_begin(answer, len % 3 == 0);
    while (used < len && answer->state != HTTP_ANSWER_DONE && answer->state != HTTP_ANSWER_BAD) {
        size_t n = len - used < piece ? len - used : piece;
        size_t took = http_answer_feed(answer, bytes + used, n);
        check(took <= n, "no more is taken than was given");
        used += took;
        bool over = answer->state == HTTP_ANSWER_DONE || answer->state == HTTP_ANSWER_BAD;
        check(over || took == n, "all is taken of an answer that goes on");
    }
    return used;
}

/* The body as it came to the sink, of the answer in pieces. */
static void keep(void *arg, uint64_t offset, const char *data, size_t len)
{
    struct buf *body = arg;
    check(offset == body->len, "no byte of the body is left out or comes twice");
    buf_add(body, data, len);
}

static void count(void *arg, const char *name, const char *value)
{
    size_t *total = arg;
    *total += strlen(name) + strlen(value) + 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct http_answer whole = {0};
    struct buf body = BUF_INIT;
    const struct http_answer_sink sink = {keep, &body};
    struct http_answer pieces = {.sink = &sink};
    if (len < 1)
        return 0;
    const char *text = (const char *)bytes + 1;
    size_t used = feed(&whole, text, len - 1, len);
    size_t used_in_pieces = feed(&pieces, text, len - 1, bytes[0] % 40u + 1);
    check(whole.state == pieces.state, "the same result, whole and in pieces");
    if (whole.state == HTTP_ANSWER_DONE || whole.state == HTTP_ANSWER_BODY) {
        check(used == used_in_pieces, "the same bytes");
        check(whole.status == pieces.status && whole.status >= 200 && whole.status <= 599,
              "a final status");
        size_t kept = body.len < HTTP_ANSWER_BODY_MAX ? body.len : HTTP_ANSWER_BODY_MAX;
        check(whole.got == body.len && whole.body.len == kept, "the same body");
        check(!kept || !memcmp(whole.body.data, body.data, kept), "the same bytes of it");
        size_t fields = 0;
        http_answer_each_field(&whole, count, &fields);
        check(fields == whole.head.len, "every field is reached, and nothing else");
        (void)http_answer_field(&whole, "content-md5");
    }
    http_answer_end(&whole);
    check(!whole.reusable, "no connection is used after its end");
    check(whole.state == HTTP_ANSWER_DONE || whole.state == HTTP_ANSWER_BAD, "it is over");
    http_answer_free(&whole);
    http_answer_free(&pieces);
    buf_free(&body);
    return 0;
}
