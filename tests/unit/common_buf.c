/* A growing byte buffer: what is added stays as it was, and a failure is remembered. */
#include "common/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"

START_TEST(empty_buffer_is_an_empty_text)
{
    struct buf b = BUF_INIT;
    ck_assert(buf_ok(&b));
    ck_assert_str_eq(buf_text(&b), "");
    ck_assert_uint_eq(b.len, 0);
    buf_free(&b);
    buf_free(&b); /* twice does no harm */
}
END_TEST

START_TEST(additions_follow_each_other)
{
    struct buf b = BUF_INIT;
    buf_adds(&b, "one");
    buf_addc(&b, ' ');
    buf_add(&b, "two!!", 3);
    buf_addf(&b, " %d%s", 3, "!");
    ck_assert(buf_ok(&b));
    ck_assert_str_eq(buf_text(&b), "one two 3!");
    ck_assert_uint_eq(b.len, strlen("one two 3!"));
    buf_free(&b);
}
END_TEST

START_TEST(any_byte_is_kept_and_a_nul_follows)
{
    struct buf b = BUF_INIT;
    for (int i = 0; i < 256; i++)
        buf_addc(&b, (char)i);
    ck_assert_uint_eq(b.len, 256);
    for (int i = 0; i < 256; i++)
        ck_assert_int_eq((unsigned char)b.data[i], i);
    ck_assert_int_eq(b.data[256], 0);
    buf_free(&b);
}
END_TEST

START_TEST(grows_to_megabytes)
{
    struct buf b = BUF_INIT;
    for (int i = 0; i < 300000; i++)
        buf_addf(&b, "%07d,", i);
    ck_assert(buf_ok(&b));
    ck_assert_uint_eq(b.len, (size_t)8 * 300000);
    ck_assert_int_eq(memcmp(b.data + (size_t)8 * 299999, "0299999,", 9), 0);
    buf_free(&b);
}
END_TEST

START_TEST(one_long_format_fits)
{
    char *text = malloc(100001);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', 100000);
    text[100000] = 0;
    struct buf b = BUF_INIT;
    buf_addf(&b, "<%s>", text);
    ck_assert_uint_eq(b.len, 100002);
    ck_assert_int_eq(b.data[0], '<');
    ck_assert_int_eq(b.data[100001], '>');
    buf_free(&b);
    free(text);
}
END_TEST

START_TEST(truncate_shortens_only)
{
    struct buf b = BUF_INIT;
    buf_truncate(&b, 0); /* of one that never grew */
    buf_adds(&b, "abcdef");
    buf_truncate(&b, 10);
    ck_assert_str_eq(buf_text(&b), "abcdef");
    buf_truncate(&b, 2);
    ck_assert_str_eq(buf_text(&b), "ab");
    buf_adds(&b, "X");
    ck_assert_str_eq(buf_text(&b), "abX");
    buf_free(&b);
}
END_TEST

START_TEST(clear_keeps_the_memory)
{
    struct buf b = BUF_INIT;
    buf_adds(&b, "something");
    size_t cap = b.cap;
    buf_clear(&b);
    ck_assert_uint_eq(b.len, 0);
    ck_assert_str_eq(buf_text(&b), "");
    ck_assert_uint_eq(b.cap, cap);
    buf_free(&b);
}
END_TEST

START_TEST(take_hands_the_memory_over)
{
    struct buf b = BUF_INIT;
    buf_adds(&b, "mine");
    char *text = buf_take(&b);
    ck_assert_str_eq(text, "mine");
    ck_assert_uint_eq(b.len, 0);
    ck_assert_str_eq(buf_text(&b), "");
    buf_adds(&b, "new");
    ck_assert_str_eq(buf_text(&b), "new");
    ck_assert_str_eq(text, "mine");
    free(text);
    buf_free(&b);
}
END_TEST

/* More than any memory has: the addition fails, is remembered, and nothing is added afterwards. */
START_TEST(failure_is_remembered)
{
    struct buf b = BUF_INIT;
    buf_adds(&b, "kept");
    volatile size_t far_too_much = SIZE_MAX - 2;
    buf_add(&b, "x", far_too_much);
    ck_assert(!buf_ok(&b));
    buf_adds(&b, "dropped");
    ck_assert(!buf_ok(&b));
    ck_assert_str_eq(buf_text(&b), "kept");
    ck_assert_ptr_null(buf_take(&b));
    buf_free(&b);
}
END_TEST

START_TEST(clear_forgets_the_failure)
{
    struct buf b = BUF_INIT;
    volatile size_t far_too_much = SIZE_MAX - 2;
    buf_add(&b, "x", far_too_much);
    ck_assert(!buf_ok(&b));
    buf_clear(&b);
    ck_assert(buf_ok(&b));
    buf_adds(&b, "again");
    ck_assert_str_eq(buf_text(&b), "again");
    buf_free(&b);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {empty_buffer_is_an_empty_text,
                                  additions_follow_each_other,
                                  any_byte_is_kept_and_a_nul_follows,
                                  grows_to_megabytes,
                                  one_long_format_fits,
                                  truncate_shortens_only,
                                  clear_keeps_the_memory,
                                  take_hands_the_memory_over,
                                  failure_is_remembered,
                                  clear_forgets_the_failure,
                                  NULL};
    Suite *suite = suite_create("buf");
    suite_case(suite, "buf", tests);
    return suite_run(suite);
}
