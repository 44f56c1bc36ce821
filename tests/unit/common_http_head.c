/* Heads of requests: what is accepted, what is refused and with which status, in one piece and in
 * many. */
#include "common/http_head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"

enum { BYTES_MAX = 64 * 1024 };

static char bytes[BYTES_MAX];
static struct http_head head;

/* Finds and parses the head at the front of `len` bytes; ST_TIMEOUT where it is not complete. */
static enum status parse_bytes(const char *from, size_t len)
{
    enum status refusal;
    ck_assert_uint_le(len, BYTES_MAX);
    memcpy(bytes, from, len);
    size_t end = http_head_find(bytes, len, NULL, &refusal);
    if (refusal) {
        ck_assert_uint_eq(end, 0);
        return refusal;
    }
    return end ? http_head_parse(&head, bytes, end) : ST_TIMEOUT;
}

static enum status parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

#define REST " HTTP/1.1\r\nHost: h\r\n"

struct refused {
    const char *text;
    enum status st;
};

static void check_refused(const struct refused *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum status st = parse(table[i].text);
        ck_assert_msg(st == table[i].st, "\"%s\": %s, not %s", table[i].text, status_text(st),
                      status_text(table[i].st));
    }
}

#define CHECK_REFUSED(table) check_refused(table, sizeof(table) / sizeof *(table))

/* --- what is accepted --- */

START_TEST(plain_get)
{
    ck_assert_int_eq(
        parse("GET /a/b%20c?list&start=%2F HTTP/1.1\r\nHost: h:1\r\nX-y:  z \t\r\n\r\n"), ST_OK);
    ck_assert_int_eq(head.method, HTTP_GET);
    ck_assert_str_eq(head.method_name, "GET");
    ck_assert_str_eq(head.path, "/a/b%20c");
    ck_assert_uint_eq(head.path_len, 8);
    ck_assert_str_eq(head.query, "list&start=%2F");
    ck_assert_uint_eq(head.query_len, 14);
    ck_assert_uint_eq(head.minor, 1);
    ck_assert(head.keep_alive && !head.chunked && !head.has_length && !head.expects_continue);
    ck_assert(!http_head_has_body(&head));
    ck_assert_str_eq(http_head_field(&head, "HOST"), "h:1");
    ck_assert_str_eq(http_head_field(&head, "x-Y"), "z");
    ck_assert_ptr_null(http_head_field(&head, "x"));
}
END_TEST

START_TEST(methods)
{
    static const struct {
        const char *name;
        enum http_method method;
    } table[] = {{"GET", HTTP_GET},
                 {"HEAD", HTTP_HEAD},
                 {"PUT", HTTP_PUT},
                 {"POST", HTTP_POST},
                 {"DELETE", HTTP_DELETE},
                 {"UNLINK", HTTP_UNLINK},
                 {"REBALANCE", HTTP_REBALANCE},
                 {"OPTIONS", HTTP_OPTIONS},
                 {"PATCH", HTTP_OTHER},
                 {"get", HTTP_OTHER},
                 {"G!x-1", HTTP_OTHER}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[100];
        (void)snprintf(text, sizeof text, "%s /" REST "\r\n", table[i].name);
        ck_assert_int_eq(parse(text), ST_OK);
        ck_assert_int_eq(head.method, table[i].method);
        ck_assert_str_eq(head.method_name, table[i].name);
    }
}
END_TEST

START_TEST(targets)
{
    static const struct {
        const char *target, *path, *query;
    } table[] = {{"/", "/", ""},
                 {"//a/../%2e./", "//a/../%2e./", ""},
                 {"/a?", "/a", ""},
                 {"/a?b?c", "/a", "b?c"},
                 {"/\xff\x80", "/\xff\x80", ""},
                 {"http://h/a?b", "/a", "b"},
                 {"HTTP://h:80", "/", ""},
                 {"https://h?b", "/", "b"},
                 {"/http://h/", "/http://h/", ""}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[100];
        (void)snprintf(text, sizeof text, "PUT %s" REST "\r\n", table[i].target);
        ck_assert_int_eq(parse(text), ST_OK);
        ck_assert_str_eq(head.path, table[i].path);
        ck_assert_uint_eq(head.path_len, strlen(table[i].path));
        ck_assert_str_eq(head.query, table[i].query);
        ck_assert_uint_eq(head.query_len, strlen(table[i].query));
    }
    ck_assert_int_eq(parse("OPTIONS *" REST "\r\n"), ST_OK);
    ck_assert_str_eq(head.path, "*");
}
END_TEST

START_TEST(bodies)
{
    ck_assert_int_eq(parse("PUT /a" REST "Content-Length: 9223372036854775807\r\n\r\n"), ST_OK);
    ck_assert(head.has_length && !head.chunked && http_head_has_body(&head));
    ck_assert_uint_eq(head.length, INT64_MAX);
    ck_assert_int_eq(parse("PUT /a" REST "content-length:\t000000000000000000000012\r\n\r\n"),
                     ST_OK);
    ck_assert_uint_eq(head.length, 12);
    ck_assert_int_eq(parse("PUT /a" REST "Content-Length: 0\r\n\r\n"), ST_OK);
    ck_assert(head.has_length && !http_head_has_body(&head));
    ck_assert_int_eq(parse("GET /a" REST "Content-Length: 0\r\n\r\n"), ST_OK);
    ck_assert_int_eq(parse("PUT /a" REST "Transfer-Encoding: Chunked\r\n\r\n"), ST_OK);
    ck_assert(head.chunked && !head.has_length && http_head_has_body(&head));
    ck_assert_int_eq(parse("DELETE /a" REST "Content-Length: 3\r\n\r\n"), ST_OK);
    ck_assert(http_head_has_body(&head));
    ck_assert_int_eq(parse("PUT /a" REST "\r\n"), ST_OK);
    ck_assert(!head.has_length && !http_head_has_body(&head));
}
END_TEST

START_TEST(keep_alive)
{
    static const struct {
        const char *text;
        bool keep;
    } table[] = {{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
                 {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false},
                 {"GET / HTTP/1.1\r\nHost: h\r\nConnection: TE, Close\r\n\r\n", false},
                 {"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", true},
                 {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close, keep-alive\r\n\r\n", false},
                 {"GET / HTTP/1.0\r\n\r\n", false},
                 {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ck_assert_int_eq(parse(table[i].text), ST_OK);
        ck_assert_msg(head.keep_alive == table[i].keep, "%s", table[i].text);
    }
}
END_TEST

START_TEST(expectations)
{
    ck_assert_int_eq(parse("PUT /" REST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
                     ST_OK);
    ck_assert(head.expects_continue);
    ck_assert_int_eq(parse("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), ST_OK);
    ck_assert(!head.expects_continue);
    ck_assert_int_eq(parse("PUT /" REST "Expect: 200-ok\r\n\r\n"), ST_EXPECTATION);
    ck_assert_int_eq(parse("PUT /" REST "Expect:\r\n\r\n"), ST_EXPECTATION);
}
END_TEST

START_TEST(empty_lines_before)
{
    ck_assert_int_eq(parse("\r\n\r\n\r\n\r\nGET /" REST "\r\n"), ST_OK);
    ck_assert_str_eq(head.path, "/");
    ck_assert_int_eq(parse("\r\n\r\n\r\n\r\n\r\nGET /" REST "\r\n"), ST_BAD_REQUEST);
    ck_assert_int_eq(parse("\nGET /" REST "\r\n"), ST_BAD_REQUEST);
    ck_assert_int_eq(parse("\r\n"), ST_TIMEOUT);
    ck_assert_int_eq(parse("\r"), ST_TIMEOUT);
    ck_assert_int_eq(parse("\rG"), ST_BAD_REQUEST);
}
END_TEST

/* A pipelined request is none of this head's business, whatever is in it. */
START_TEST(what_follows_is_not_looked_at)
{
    static const char text[] = "GET /a" REST "\r\n\0\n\n garbage";
    enum status refusal;
    size_t len = http_head_find(text, sizeof text, NULL, &refusal);
    ck_assert_int_eq(refusal, ST_OK);
    ck_assert_uint_eq(len, strlen(text));
}
END_TEST

/* --- what is refused --- */

START_TEST(bad_request_lines)
{
    static const struct refused table[] = {
        {"GET  /" REST "\r\n", ST_BAD_REQUEST},
        {"GET /a b" REST "\r\n", ST_BAD_REQUEST},
        {"GET /\t" REST "\r\n", ST_BAD_REQUEST},
        {"GET /\x7f" REST "\r\n", ST_BAD_REQUEST},
        {"GET /a#b" REST "\r\n", ST_BAD_REQUEST},
        {"GET a" REST "\r\n", ST_BAD_REQUEST},
        {"GET *" REST "\r\n", ST_BAD_REQUEST},
        {"GET http:///a" REST "\r\n", ST_BAD_REQUEST},
        {"GET ftp://h/a" REST "\r\n", ST_BAD_REQUEST},
        {"GET " REST "\r\n", ST_BAD_REQUEST},
        {" GET /" REST "\r\n", ST_BAD_REQUEST},
        {"GET /\r\n", ST_BAD_REQUEST},
        {"GET\r\n", ST_BAD_REQUEST},
        {"GET / \r\n", ST_BAD_REQUEST},
        {"G\"T /" REST "\r\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", ST_BAD_REQUEST},
        {"GET / http/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.1x\r\nHost: h\r\n\r\n", ST_BAD_REQUEST},
        {"GET / HTTPS/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST},
        {"\x16\x03\x01\x02", ST_BAD_REQUEST}, /* TLS */
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ST_BAD_REQUEST},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", ST_HTTP_VERSION},
        {"PRI * HTTP/2.0\r\n\r\n", ST_HTTP_VERSION},
        {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", ST_HTTP_VERSION},
        {"GET / HTTP/0.9\r\nHost: h\r\n\r\n", ST_HTTP_VERSION},
        {"CONNECT h:80" REST "\r\n", ST_METHOD},
    };
    CHECK_REFUSED(table);
}
END_TEST

START_TEST(bad_fields)
{
    static const struct refused table[] = {
        {"GET /" REST "X : y\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X\t: y\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST " X: y\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X: y\r\n folded\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X: y\r\n\tfolded\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST ": y\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X(: y\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X\xe4: y\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X: \x01\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X: \x7f\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X: a\rb\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X: a\nY: b\r\n\r\n", ST_BAD_REQUEST},
        {"GET /" REST "X: a\r\n\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.1\nHost: h\n\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.1\r\n\r\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", ST_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: \r\n\r\n", ST_OK},
        {"GET / HTTP/1.0\r\n\r\n", ST_OK},
        {"GET /" REST "X: \xe4\t y\r\n\r\n", ST_OK},
        {"GET /" REST "X:\r\n\r\n", ST_OK},
    };
    CHECK_REFUSED(table);
    static const char in_target[] = "GET /\0" REST "\r\n";
    static const char in_value[] = "GET /" REST "X: \0y\r\n\r\n";
    ck_assert_int_eq(parse_bytes(in_target, sizeof in_target - 1), ST_BAD_REQUEST);
    ck_assert_int_eq(parse_bytes(in_value, sizeof in_value - 1), ST_BAD_REQUEST);
}
END_TEST

START_TEST(bad_framing)
{
    static const struct refused table[] = {
        {"PUT /" REST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: 1, 1\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: -1\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: +2\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: 0x10\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: 1 0\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length:\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: 9223372036854775808\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: 18446744073709551617\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: 99999999999999999999\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         ST_BAD_REQUEST},
        {"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ST_BAD_REQUEST},
        {"PUT /" REST "Transfer-Encoding: gzip, chunked\r\n\r\n", ST_NOT_IMPLEMENTED},
        {"PUT /" REST "Transfer-Encoding: identity\r\n\r\n", ST_NOT_IMPLEMENTED},
        {"PUT /" REST "Transfer-Encoding: chunked;q=1\r\n\r\n", ST_NOT_IMPLEMENTED},
        {"PUT /" REST "Transfer-Encoding: xchunked\r\n\r\n", ST_NOT_IMPLEMENTED},
        {"PUT /" REST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
         ST_NOT_IMPLEMENTED},
        {"GET /" REST "Content-Length: 1\r\n\r\n", ST_BAD_REQUEST},
        {"HEAD /" REST "Transfer-Encoding: chunked\r\n\r\n", ST_BAD_REQUEST},
    };
    CHECK_REFUSED(table);
}
END_TEST

/* --- limits --- */

/* The text without its NUL, into the middle of other bytes. */
static void put(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
}

/* "GET /aaa… HTTP/1.1…" with a target of `len` bytes. */
static size_t long_target(char *to, size_t len)
{
    put(to, "GET /");
    memset(to + 5, 'a', len - 1);
    put(to + 4 + len, REST "\r\n");
    return 4 + len + sizeof REST + 1;
}

START_TEST(long_targets)
{
    static char text[BYTES_MAX];
    size_t len = long_target(text, HTTP_URI_MAX);
    ck_assert_int_eq(parse_bytes(text, len), ST_OK);
    ck_assert_uint_eq(head.path_len, HTTP_URI_MAX);
    len = long_target(text, HTTP_URI_MAX + 1);
    ck_assert_int_eq(parse_bytes(text, len), ST_URI_TOO_LONG);
    /* Also where its end is not in sight. */
    ck_assert_int_eq(parse_bytes(text, 4 + HTTP_URI_MAX), ST_TIMEOUT);
    ck_assert_int_eq(parse_bytes(text, 4 + HTTP_URI_MAX + 1), ST_URI_TOO_LONG);
    len = long_target(text, 40000);
    ck_assert_int_eq(parse_bytes(text, len), ST_URI_TOO_LONG);
}
END_TEST

START_TEST(long_heads)
{
    static char text[BYTES_MAX];
    memset(text, 'x', sizeof text);
    put(text, "GET /" REST "X: ");
    put(text + HTTP_HEAD_MAX - 4, "\r\n\r\n");
    ck_assert_int_eq(parse_bytes(text, HTTP_HEAD_MAX), ST_OK);
    ck_assert_int_eq(parse_bytes(text, sizeof text), ST_OK);
    memset(text + HTTP_HEAD_MAX - 4, 'x', 4);
    ck_assert_int_eq(parse_bytes(text, HTTP_HEAD_MAX - 1), ST_TIMEOUT);
    ck_assert_int_eq(parse_bytes(text, HTTP_HEAD_MAX), ST_HEAD_TOO_LARGE);
    put(text + HTTP_HEAD_MAX - 3, "\r\n\r\n");
    ck_assert_int_eq(parse_bytes(text, HTTP_HEAD_MAX + 1), ST_HEAD_TOO_LARGE);
}
END_TEST

START_TEST(many_fields)
{
    char text[2048] = "GET /" REST;
    for (int i = 1; i < HTTP_FIELDS_MAX; i++)
        put(text + strlen(text), "X: y\r\n");
    size_t len = strlen(text);
    put(text + len, "\r\n");
    ck_assert_int_eq(parse(text), ST_OK);
    ck_assert_uint_eq(head.field_count, HTTP_FIELDS_MAX);
    (void)snprintf(text + len, sizeof text - len, "X: y\r\n\r\n");
    ck_assert_int_eq(parse(text), ST_HEAD_TOO_LARGE);
}
END_TEST

/* --- pieces --- */

/* Byte by byte gives what the whole gives: the length, or a refusal. */
START_TEST(byte_by_byte)
{
    static const char *const texts[] = {
        "GET /a" REST "X: y\r\n\r\nGET /b",
        "\r\n\r\nPUT /a" REST "Content-Length: 1\r\n\r\nx",
        "GET /a\n",
        "GET /a" REST "X: y\n\r\n",
        "GET /\r\n",
        "\r\n\r\n\r\n\r\n\r\nGET",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        enum status whole_refusal;
        size_t whole = http_head_find(texts[i], strlen(texts[i]), NULL, &whole_refusal);
        enum status refusal = ST_OK;
        size_t scanned = 0;
        size_t found = 0;
        for (size_t len = 0; len <= strlen(texts[i]) && !found && !refusal; len++)
            found = http_head_find(texts[i], len, &scanned, &refusal);
        ck_assert_msg(found == whole && refusal == whole_refusal, "%s: %zu %d, not %zu %d",
                      texts[i], found, refusal, whole, whole_refusal);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("common_http_head");
    suite_case(suite, "accepted",
               (const TTest *const[]){plain_get, methods, targets, bodies, keep_alive, expectations,
                                      empty_lines_before, what_follows_is_not_looked_at, NULL});
    suite_case(suite, "refused",
               (const TTest *const[]){bad_request_lines, bad_fields, bad_framing, NULL});
    suite_case(suite, "limits",
               (const TTest *const[]){long_targets, long_heads, many_fields, byte_by_byte, NULL});
    return suite_run(suite);
}
