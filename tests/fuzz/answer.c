/* Answers to our own requests: pieces give what the whole gives, and what is accepted is framed. */
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

static void count(void *arg, const char *name, const char *value)
{
    size_t *total = arg;
    *total += strlen(name) + strlen(value) + 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct http_answer whole = {0};
    struct http_answer pieces = {0};
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
        check(whole.body.len == pieces.body.len && whole.body.len <= HTTP_ANSWER_BODY_MAX,
              "the same body");
        check(!whole.body.len || !memcmp(whole.body.data, pieces.body.data, whole.body.len),
              "the same bytes of it");
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
    return 0;
}
