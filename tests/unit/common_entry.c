/* Entries of the log of several masters, base64, and what etcd answers. */
#include "common/entry.h"

#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/buf.h"
#include "common/etcd_answer.h"
#include "tests/unit/suite.h"

static void encode(struct buf *out, struct buf *ops)
{
    entry_add_op(ops, "", "/a", 2, "value", 5);
    entry_add_op(ops, "!w", "/a", 2, NULL, 0);
    entry_add_op(ops, "", "/empty", 6, "", 0);
    struct entry entry = {.first = 7, .count = 2, .term = 1ULL << 40, .token = "0123456789abcde"};
    entry.ops = buf_text(ops);
    entry.ops_len = ops->len;
    ck_assert_int_eq(entry_encode(out, &entry), ST_OK);
}

START_TEST(an_entry_comes_back)
{
    struct buf out = BUF_INIT;
    struct buf ops = BUF_INIT;
    struct entry entry;
    struct entry_op op;
    encode(&out, &ops);
    ck_assert_int_eq(entry_decode(&entry, out.data, out.len), ST_OK);
    ck_assert_uint_eq(entry.first, 7);
    ck_assert_uint_eq(entry_last(&entry), 8);
    ck_assert_uint_eq(entry.term, 1ULL << 40);
    ck_assert_str_eq((const char *)entry.token, "0123456789abcde");
    const char *at = entry.ops;
    const char *end = at + entry.ops_len;
    ck_assert(entry_next_op(&at, end, &op));
    ck_assert(op.key_len == 2 && memcmp(op.key, "/a", 2) == 0);
    ck_assert(op.value_len == 5 && memcmp(op.value, "value", 5) == 0);
    ck_assert(entry_next_op(&at, end, &op));
    ck_assert(op.key_len == 4 && memcmp(op.key, "!w/a", 4) == 0 && !op.value);
    ck_assert(entry_next_op(&at, end, &op));
    ck_assert(op.key_len == 6 && op.value && op.value_len == 0);
    ck_assert(!entry_next_op(&at, end, &op) && at == end);
    buf_free(&out);
    buf_free(&ops);
}
END_TEST

START_TEST(every_flipped_bit_is_noticed)
{
    struct buf out = BUF_INIT;
    struct buf ops = BUF_INIT;
    struct entry entry;
    encode(&out, &ops);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        out.data[bit / 8] = (char)(out.data[bit / 8] ^ 1 << bit % 8);
        ck_assert_msg(entry_decode(&entry, out.data, out.len) == ST_CORRUPT, "bit %zu", bit);
        out.data[bit / 8] = (char)(out.data[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < out.len; len++)
        ck_assert_int_eq(entry_decode(&entry, out.data, len), ST_CORRUPT);
    ck_assert_int_eq(entry_decode(&entry, out.data, out.len), ST_OK);
    buf_free(&out);
    buf_free(&ops);
}
END_TEST

/* With a good digest over it, too. */
START_TEST(operations_must_be_whole)
{
    struct buf ops = BUF_INIT;
    entry_add_op(&ops, "", "/key", 4, "value", 5);
    for (size_t len = 1; len <= ops.len; len++) {
        struct buf out = BUF_INIT;
        struct entry entry = {.first = 1, .count = 1, .ops = ops.data, .ops_len = len};
        ck_assert_int_eq(entry_encode(&out, &entry), ST_OK);
        ck_assert_int_eq(entry_decode(&entry, out.data, out.len),
                         len == ops.len ? ST_OK : ST_CORRUPT);
        buf_free(&out);
    }
    buf_free(&ops);
}
END_TEST

START_TEST(numbers_that_make_no_sense)
{
    static const struct {
        uint64_t first;
        uint32_t count;
    } bad[] = {{0, 1}, {1, 0}, {UINT64_MAX, 1}, {UINT64_MAX - 1, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf out = BUF_INIT;
        struct entry entry = {.first = bad[i].first, .count = bad[i].count, .ops = ""};
        ck_assert_int_eq(entry_encode(&out, &entry), ST_OK);
        ck_assert_int_eq(entry_decode(&entry, out.data, out.len), ST_CORRUPT);
        buf_free(&out);
    }
}
END_TEST

START_TEST(an_entry_has_a_limit)
{
    struct buf out = BUF_INIT;
    char *ops = calloc(1, ENTRY_OPS_MAX + 1);
    ck_assert_ptr_nonnull(ops);
    struct entry entry = {.first = 1, .count = 1, .ops = ops, .ops_len = ENTRY_OPS_MAX + 1};
    ck_assert_int_eq(entry_encode(&out, &entry), ST_TOO_LARGE);
    buf_free(&out);
    free(ops);
}
END_TEST

START_TEST(base64_is_strict)
{
    static const char *const bad[] = {
        "", "A", "AA", "AAA", "AB==", "A===", "AA=A", "A\nAA", "AAB=", "AAAA=", "AA*A"};
    char to[8];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(base64_decode(to, sizeof to, bad[i], strlen(bad[i])) == -1, "%s", bad[i]);
    ck_assert_int_eq(base64_decode(to, sizeof to, "AA==", 4), 1);
    ck_assert_int_eq(base64_decode(to, 2, "AAAA", 4), -1);
    struct buf text = BUF_INIT;
    char bytes[10000];
    char back[10000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    for (size_t len = 3000; len < sizeof bytes; len += 1021) {
        buf_clear(&text);
        base64_add(&text, bytes, len);
        ck_assert_int_eq(base64_decode(back, sizeof back, text.data, text.len), (long)len);
        ck_assert(memcmp(back, bytes, len) == 0);
    }
    buf_free(&text);
}
END_TEST

/* --- etcd --- */

static enum status parse(struct etcd_answer *answer, const char *text)
{
    return etcd_answer_parse(answer, text, strlen(text));
}

START_TEST(answers_of_etcd)
{
    struct etcd_answer answer;
    ck_assert_int_eq(
        parse(
            &answer,
            "{\"header\":{\"revision\":\"9223372036854775807\"},\"kvs\":[{\"key\":\"L3QvaGVhZA==\","
            "\"create_revision\":\"2\",\"mod_revision\":\"3\",\"version\":\"1\",\"value\":\"MA==\","
            "\"lease\":\"7758191425771470087\"},{\"key\":\"YQ==\",\"create_revision\":\"5\","
            "\"mod_revision\":\"5\"}],\"more\":true,\"count\":\"9\"}"),
        ST_OK);
    ck_assert_int_eq(answer.revision, INT64_MAX);
    ck_assert_uint_eq(answer.count, 2);
    ck_assert(answer.more);
    const struct etcd_kv *kv = etcd_answer_find(&answer, "/t/head");
    ck_assert_ptr_nonnull(kv);
    ck_assert_str_eq(kv->value, "0");
    ck_assert_int_eq(kv->create_revision, 2);
    ck_assert_int_eq(kv->lease, 7758191425771470087);
    ck_assert_uint_eq(etcd_answer_find(&answer, "a")->value_len, 0);
    ck_assert_ptr_null(etcd_answer_find(&answer, "/t/hea"));
    etcd_answer_free(&answer);

    ck_assert_int_eq(
        parse(&answer,
              "{\"header\":{\"revision\":\"2\"},\"responses\":[{\"response_put\":{}},"
              "{\"response_range\":{\"kvs\":[{\"key\":\"YQ==\"}]}},{\"response_range\":{}},"
              "{\"response_range\":{\"kvs\":[{\"key\":\"Yg==\"}]}}]}"),
        ST_OK);
    ck_assert(!answer.succeeded);
    ck_assert_uint_eq(answer.count, 2);
    etcd_answer_free(&answer);

    ck_assert_int_eq(parse(&answer, "{\"result\":{\"header\":{\"revision\":\"2\"},\"ID\":\"12\"}}"),
                     ST_OK);
    ck_assert_int_eq(answer.lease, 12);
    ck_assert_int_eq(answer.ttl, 0);
    etcd_answer_free(&answer);
}
END_TEST

START_TEST(refusals_of_etcd)
{
    struct etcd_answer answer;
    ck_assert_int_eq(parse(&answer, "{\"error\":\"etcdserver: mvcc: database space exceeded\","
                                    "\"message\":\"…\",\"code\":8}"),
                     ST_OK);
    ck_assert_int_eq(answer.code, ETCD_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(answer.message, "space"));
    ck_assert_int_eq(parse(&answer, "{\"error\":{\"grpc_code\":14,\"message\":\"gone\"}}"), ST_OK);
    ck_assert_int_ne(answer.code, 0);
    ck_assert_str_eq(answer.message, "gone");
    ck_assert_int_eq(parse(&answer, "{\"error\":1,\"code\":0}"), ST_OK);
    ck_assert_int_ne(answer.code, 0);
}
END_TEST

START_TEST(what_etcd_never_answers)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"header\":{\"revision\":\"x\"}}",
        "{\"header\":{\"revision\":\"99999999999999999999\"}}",
        "{\"header\":{\"revision\":\"2\"},\"kvs\":[{}]}",
        "{\"header\":{\"revision\":\"2\"},\"kvs\":[{\"key\":\"*\"}]}",
        "{\"header\":{\"revision\":\"2\"},\"kvs\":[{\"key\":\"YQ==\",\"value\":3}]}",
        "{\"header\":{\"revision\":\"2\"},\"kvs\":[{\"key\":\"YQ==\",\"lease\":\"\"}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct etcd_answer answer;
        ck_assert_msg(parse(&answer, bad[i]) == ST_PEER, "%s", bad[i]);
        etcd_answer_free(&answer);
    }
}
END_TEST

int main(void)
{
    const TTest *const entries[] = {an_entry_comes_back,
                                    every_flipped_bit_is_noticed,
                                    operations_must_be_whole,
                                    numbers_that_make_no_sense,
                                    an_entry_has_a_limit,
                                    base64_is_strict,
                                    NULL};
    const TTest *const answers[] = {answers_of_etcd, refusals_of_etcd, what_etcd_never_answers,
                                    NULL};
    Suite *suite = suite_create("common_entry");
    suite_case(suite, "entries", entries);
    suite_case(suite, "answers", answers);
    return suite_run(suite);
}
