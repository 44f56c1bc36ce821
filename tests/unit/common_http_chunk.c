/* The chunked coding: what comes out, what is refused, and that pieces make no difference. */
#include "common/http_chunk.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/suite.h"

static char body[1024];
static size_t body_len;

/* Decodes `len` bytes that arrive in pieces of `piece`; the sink takes at most `take` at a time.
 * *rest is what was left over after the end. */
static enum http_chunk_result decode(const char *bytes, size_t len, size_t piece, size_t take,
                                     size_t *rest)
{
    struct http_chunk chunk;
    enum http_chunk_result result = HTTP_CHUNK_MORE;
    size_t at = 0;
    http_chunk_init(&chunk);
    body_len = 0;
    for (size_t have = 0; have < len && (result == HTTP_CHUNK_MORE || result == HTTP_CHUNK_DATA);) {
        have = have + piece < len ? have + piece : len;
        do {
            size_t used;
            const char *data;
            size_t data_len;
            result = http_chunk_next(&chunk, bytes + at, have - at, &used, &data, &data_len);
            ck_assert_uint_le(used, have - at);
            at += used;
            if (result != HTTP_CHUNK_DATA)
                break;
            ck_assert_ptr_eq(data, bytes + at);
            ck_assert_uint_gt(data_len, 0);
            ck_assert_uint_le(data_len, have - at);
            size_t n = data_len < take ? data_len : take;
            ck_assert_uint_le(body_len + n, sizeof body);
            memcpy(body + body_len, data, n);
            body_len += n;
            at += n;
            http_chunk_took(&chunk, n);
        } while (at < have);
    }
    *rest = len - at;
    return result;
}

static void check_decoded(const char *text, const char *expected, size_t expected_rest)
{
    static const size_t sizes[] = {1, 2, 3, 5, 1000};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++) {
            size_t rest;
            ck_assert_msg(decode(text, strlen(text), sizes[i], sizes[j], &rest) == HTTP_CHUNK_END,
                          "%s", text);
            ck_assert_uint_eq(body_len, strlen(expected));
            ck_assert_mem_eq(body, expected, body_len);
            if (sizes[i] == 1000)
                ck_assert_uint_eq(rest, expected_rest);
        }
}

START_TEST(good)
{
    check_decoded("0\r\n\r\n", "", 0);
    check_decoded("5\r\nhello\r\n0\r\n\r\n", "hello", 0);
    check_decoded("1\r\na\r\n0002\r\nbc\r\n00000000000000\r\n\r\n", "abc", 0);
    check_decoded("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\nGET /", "01234567890123456789",
                  5);
    check_decoded("3;name=value;other=\"a b\"\r\n\r\n.\r\n0\r\n\r\n", "\r\n.", 0);
}
END_TEST

START_TEST(trailers)
{
    check_decoded("1\r\na\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\nrest", "a", 4);
    check_decoded("0;last\r\nX: \t\xe4\r\n\r\n", "", 0);
}
END_TEST

START_TEST(bad)
{
    static const char *const texts[] = {
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1\n",
        "1\r\r",
        "1\r\nab",
        "1\r\na\n",
        "1\r\na\r\r",
        "1;a\nb\r\n",
        "1;\x01\r\n",
        "8000000000000000\r\n",
        "FFFFFFFFFFFFFFFF\r\n",
        "00000000000000001\r\n",
        "0\r\n\n",
        "0\r\n\r\r",
        "0\r\nX\r\n",
        "0\r\n: a\r\n",
        "0\r\n X: a\r\n",
        "0\r\nX : a\r\n",
        "0\r\nX: a\nY",
        "0\r\nX: \x7f",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t piece = 1; piece < 5; piece++) {
            size_t rest;
            ck_assert_msg(decode(texts[i], strlen(texts[i]), piece, 9, &rest) == HTTP_CHUNK_BAD,
                          "%s", texts[i]);
        }
}
END_TEST

START_TEST(nul_in_framing)
{
    size_t rest;
    ck_assert_int_eq(decode("1\0\r\n", 4, 1, 1, &rest), HTTP_CHUNK_BAD);
    ck_assert_int_eq(decode("1;\0\r\n", 5, 1, 1, &rest), HTTP_CHUNK_BAD);
    ck_assert_int_eq(decode("0\r\n\0", 4, 1, 1, &rest), HTTP_CHUNK_BAD);
}
END_TEST

START_TEST(largest_size)
{
    struct http_chunk chunk;
    const char *data;
    size_t used;
    size_t len;
    http_chunk_init(&chunk);
    ck_assert_int_eq(http_chunk_next(&chunk, "7fffffffffffffff\r\nab", 20, &used, &data, &len),
                     HTTP_CHUNK_DATA);
    ck_assert_uint_eq(used, 18);
    ck_assert_uint_eq(len, 2);
    ck_assert_uint_eq(chunk.left, INT64_MAX);
}
END_TEST

/* The text without its NUL, into the middle of other bytes. */
static void put(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
}

/* A client must not be able to send framing for ever. */
START_TEST(framing_is_bounded)
{
    char text[10000] = "1;";
    size_t rest;
    memset(text + 2, 'x', sizeof text - 2);
    put(text + 2 + 256, "\r\na\r\n0\r\n\r\n");
    ck_assert_int_eq(decode(text, 268, 7, 9, &rest), HTTP_CHUNK_END);
    memset(text + 2, 'x', sizeof text - 2);
    ck_assert_int_eq(decode(text, 2 + 256, 7, 9, &rest), HTTP_CHUNK_MORE);
    ck_assert_int_eq(decode(text, 2 + 257, 7, 9, &rest), HTTP_CHUNK_BAD);
    put(text, "0\r\nX:");
    ck_assert_int_eq(decode(text, 3 + 8192, 7, 9, &rest), HTTP_CHUNK_MORE);
    ck_assert_int_eq(decode(text, 3 + 8193, 7, 9, &rest), HTTP_CHUNK_BAD);
}
END_TEST

START_TEST(stays_ended_and_stays_bad)
{
    struct http_chunk chunk;
    const char *data;
    size_t used;
    size_t len;
    http_chunk_init(&chunk);
    ck_assert_int_eq(http_chunk_next(&chunk, "0\r\n\r\n", 5, &used, &data, &len), HTTP_CHUNK_END);
    ck_assert_int_eq(http_chunk_next(&chunk, "5\r\n", 3, &used, &data, &len), HTTP_CHUNK_END);
    ck_assert_uint_eq(used, 0);
    http_chunk_init(&chunk);
    ck_assert_int_eq(http_chunk_next(&chunk, "z", 1, &used, &data, &len), HTTP_CHUNK_BAD);
    ck_assert_int_eq(http_chunk_next(&chunk, "0\r\n\r\n", 5, &used, &data, &len), HTTP_CHUNK_BAD);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("common_http_chunk");
    suite_case(suite, "decoder",
               (const TTest *const[]){good, trailers, bad, nul_in_framing, largest_size,
                                      framing_is_bounded, stays_ended_and_stays_bad, NULL});
    return suite_run(suite);
}
