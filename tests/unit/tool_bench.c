/* larder bench: its histogram, sizes, values and URLs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "tests/unit/suite.h"
#include "tools/larder/benchhist.h"
#include "tools/larder/benchplan.h"
#include "tools/larder/benchsize.h"
#include "tools/larder/benchtally.h"
#include "tools/larder/benchvalue.h"

/* --- the histogram --- */

START_TEST(an_empty_histogram_says_nothing)
{
    static const struct benchhist hist;
    ck_assert_uint_eq(benchhist_quantile(&hist, 0.5), 0);
    ck_assert_uint_eq(benchhist_mean(&hist), 0);
}
END_TEST

START_TEST(every_duration_is_told_within_its_precision)
{
    for (uint64_t ns = 1; ns < (uint64_t)1 << 42; ns += ns / 100 + 1) {
        static struct benchhist hist;
        memset(&hist, 0, sizeof hist);
        benchhist_add(&hist, ns);
        benchhist_add(&hist, UINT64_MAX / 4); /* so that the largest does not cut it off */
        uint64_t told = benchhist_quantile(&hist, 0.5);
        ck_assert_uint_ge(told, ns);
        ck_assert_uint_le(told, ns + ns / 128);
        if (ns < 256)
            ck_assert_uint_eq(told, ns);
    }
}
END_TEST

START_TEST(quantiles_of_a_thousand)
{
    static struct benchhist hist;
    memset(&hist, 0, sizeof hist);
    for (uint64_t i = 1; i <= 1000; i++)
        benchhist_add(&hist, i * 1000);
    ck_assert_uint_le(benchhist_quantile(&hist, 0.5) - 500000, 500000 / 128);
    ck_assert_uint_le(benchhist_quantile(&hist, 0.999) - 999000, 999000 / 128);
    ck_assert_uint_eq(benchhist_quantile(&hist, 1), 1000000);
    ck_assert_uint_eq(hist.max_ns, 1000000);
    ck_assert_uint_eq(benchhist_mean(&hist), 500500);
}
END_TEST

START_TEST(merged_is_as_if_counted_together)
{
    static struct benchhist one, two, both;
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    memset(&both, 0, sizeof both);
    for (uint64_t i = 0; i < 1000; i++) {
        benchhist_add(i % 3 ? &one : &two, i * i * i);
        benchhist_add(&both, i * i * i);
    }
    benchhist_merge(&one, &two);
    ck_assert_mem_eq(&one, &both, sizeof one);
}
END_TEST

START_TEST(what_lasts_for_ever_is_counted_too)
{
    static struct benchhist hist;
    memset(&hist, 0, sizeof hist);
    benchhist_add(&hist, UINT64_MAX);
    ck_assert_uint_eq(benchhist_quantile(&hist, 0.5), UINT64_MAX);
}
END_TEST

/* --- sizes --- */

START_TEST(one_size)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"1", 1},        {"1000", 1000},   {"1k", 1024},       {"64KiB", 65536},
                 {"1M", 1 << 20}, {"2MB", 2 << 20}, {"1G", 1ULL << 30}, {"1T:5", 1ULL << 40}};
    struct benchsize size;
    const char *why;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert(benchsize_parse(&size, cases[i].text, &why));
        ck_assert_uint_eq(benchsize_of(&size, 12345), cases[i].bytes);
    }
}
END_TEST

START_TEST(what_is_no_size)
{
    static const char *const bad[] = {"",         "0",        "k",          "-1",
                                      "1K-",      "2K-1K",    "1X",         "1K:",
                                      "1K:0",     "1K:1001x", "1K,",        ",1K",
                                      "1K 2K",    "2T",       "1K:9999999", "99999999999999999999",
                                      "1K-1M-1G", "1K::1"};
    struct benchsize size;
    const char *why = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!benchsize_parse(&size, bad[i], &why), "%s", bad[i]);
        ck_assert_ptr_nonnull(why);
    }
}
END_TEST

START_TEST(there_are_sixteen_parts_at_most)
{
    struct buf text = BUF_INIT;
    struct benchsize size;
    const char *why;
    for (int i = 0; i < BENCHSIZE_PARTS; i++)
        buf_adds(&text, i ? ",1K" : "1K");
    ck_assert(benchsize_parse(&size, buf_text(&text), &why));
    buf_adds(&text, ",1K");
    ck_assert(!benchsize_parse(&size, buf_text(&text), &why));
    buf_free(&text);
}
END_TEST

START_TEST(a_mixture_has_its_weights)
{
    enum { DRAWN = 100000 };
    struct benchsize size;
    const char *why;
    unsigned small = 0, middle = 0, large = 0;
    uint64_t state = 1;
    ck_assert(benchsize_parse(&size, "1K:70,64K:25,1M:5", &why));
    for (int i = 0; i < DRAWN; i++) {
        uint64_t bytes = benchsize_of(&size, benchvalue_random(&state));
        small += bytes == 1 << 10;
        middle += bytes == 1 << 16;
        large += bytes == 1 << 20;
    }
    ck_assert_uint_eq(small + middle + large, DRAWN);
    ck_assert(small > DRAWN * 69 / 100 && small < DRAWN * 71 / 100);
    ck_assert(middle > DRAWN * 24 / 100 && middle < DRAWN * 26 / 100);
}
END_TEST

START_TEST(a_range_is_log_uniform)
{
    enum { DRAWN = 100000 };
    struct benchsize size;
    const char *why;
    unsigned below = 0; /* the middle of the range, in factors of two */
    uint64_t state = 1;
    ck_assert(benchsize_parse(&size, "1K-1M", &why));
    for (int i = 0; i < DRAWN; i++) {
        uint64_t bytes = benchsize_of(&size, benchvalue_random(&state));
        ck_assert_uint_ge(bytes, 1 << 10);
        ck_assert_uint_le(bytes, 1 << 20);
        below += bytes < 1 << 15;
    }
    ck_assert(below > DRAWN * 49 / 100 && below < DRAWN * 51 / 100);
    ck_assert_uint_eq(benchsize_of(&size, 0), 1 << 10);
    ck_assert_uint_eq(benchsize_of(&size, UINT64_MAX), 1 << 20);
}
END_TEST

/* --- values --- */

/* The first `size` bytes of a value, gathered from its pieces. */
static char *whole_value(const struct benchvalues *values, const struct benchvalue *value,
                         uint64_t size)
{
    struct iovec pieces[8];
    char *bytes = malloc((size_t)size);
    ck_assert_ptr_nonnull(bytes);
    uint64_t have = 0;
    while (have < size) {
        int count = benchvalue_pieces(values, value, have, size, pieces, 8);
        ck_assert_int_gt(count, 0);
        for (int i = 0; i < count; i++) {
            memcpy(bytes + have, pieces[i].iov_base, pieces[i].iov_len);
            have += pieces[i].iov_len;
        }
    }
    ck_assert_uint_eq(have, size);
    return bytes;
}

START_TEST(a_value_matches_itself_in_any_pieces)
{
    enum { SIZE = 3 * 1024 * 1024 + 77 };
    struct benchvalues *values = benchvalues_new(1);
    struct benchvalue value;
    benchvalue_of(values, "/a", 2, &value);
    char *bytes = whole_value(values, &value, SIZE);
    for (size_t at = 0, len = 1; at < SIZE; at += len, len = len * 3 % 70001 + 1) {
        size_t piece = len < SIZE - at ? len : SIZE - at;
        ck_assert(benchvalue_matches(values, &value, at, bytes + at, piece));
    }
    free(bytes);
    benchvalues_free(values);
}
END_TEST

START_TEST(every_wrong_byte_is_seen)
{
    enum { SIZE = 3000 };
    struct benchvalues *values = benchvalues_new(1);
    struct benchvalue value;
    benchvalue_of(values, "/a", 2, &value);
    char *bytes = whole_value(values, &value, SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] ^= 1;
        ck_assert(!benchvalue_matches(values, &value, 0, bytes, SIZE));
        bytes[i] ^= 1;
    }
    free(bytes);
    benchvalues_free(values);
}
END_TEST

START_TEST(other_keys_seeds_and_places_have_other_bytes)
{
    enum { SIZE = 2 * 1024 * 1024 };
    struct benchvalues *values = benchvalues_new(1);
    struct benchvalues *others = benchvalues_new(2);
    struct benchvalue value, other;
    benchvalue_of(values, "/a", 2, &value);
    char *bytes = whole_value(values, &value, SIZE);
    benchvalue_of(values, "/b", 2, &other);
    ck_assert(!benchvalue_matches(values, &other, 0, bytes, BENCHVALUE_FRONT));
    ck_assert(!benchvalue_matches(values, &other, 8, bytes + 8, 64));
    benchvalue_of(others, "/a", 2, &other);
    ck_assert(!benchvalue_matches(others, &other, 0, bytes, 64));
    /* A block that was put where another belongs. */
    for (size_t block = 4096; block <= (size_t)1 << 20; block *= 2)
        ck_assert(!benchvalue_matches(values, &value, 65536, bytes + 65536 + block, 4096));
    free(bytes);
    benchvalues_free(others);
    benchvalues_free(values);
}
END_TEST

START_TEST(the_md5_is_that_of_the_bytes)
{
    static const uint64_t sizes[] = {1, 8, 9, 1000, 1048583, 2500000};
    struct benchvalues *values = benchvalues_new(7);
    struct benchvalue value;
    benchvalue_of(values, "/a", 2, &value);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char told[MD5_HEX + 1];
        char own[MD5_HEX + 1];
        unsigned char digest[MD5_SIZE];
        char *bytes = whole_value(values, &value, sizes[i]);
        ck_assert_int_eq(benchvalue_md5(values, &value, sizes[i], told), ST_OK);
        ck_assert_int_eq(md5_pair(bytes, (size_t)sizes[i], NULL, 0, digest), ST_OK);
        md5_hex(digest, own);
        ck_assert_str_eq(told, own);
        free(bytes);
    }
    benchvalues_free(values);
}
END_TEST

/* --- URLs and keys --- */

static void check_url(const char *url, const char *authority, const char *base)
{
    struct benchplan plan = {0};
    const char *why;
    ck_assert_msg(benchplan_url(&plan, url, &why), "%s", url);
    ck_assert_str_eq(plan.authority, authority);
    ck_assert_str_eq(plan.base, base);
    benchplan_clear(&plan);
}

START_TEST(urls)
{
    static const char *const bad[] = {"",           "http://", "https://a:1", "http://a:1?x",
                                      "http://u@a", "/path",   ":80",         "http://a b/"};
    check_url("http://a:1", "a:1", "");
    check_url("a:1", "a:1", "");
    check_url("http://a:1/", "a:1", "");
    check_url("http://[::1]:80/x/y//", "[::1]:80", "/x/y");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct benchplan plan = {0};
        const char *why = NULL;
        ck_assert_msg(!benchplan_url(&plan, bad[i], &why), "%s", bad[i]);
        ck_assert_ptr_nonnull(why);
        benchplan_clear(&plan);
    }
}
END_TEST

START_TEST(keys_sort_as_their_numbers)
{
    char prefix[] = "/p/";
    struct benchplan plan = {.op = BENCHPLAN_GET, .prefix = prefix};
    struct buf key = BUF_INIT;
    benchplan_key(&plan, 42, &key);
    ck_assert_str_eq(buf_text(&key), "/p/0000000042");
    plan.op = BENCHPLAN_MISSING;
    buf_clear(&key);
    benchplan_key(&plan, 42, &key);
    ck_assert_str_eq(buf_text(&key), "/p/0000000042-missing");
    buf_free(&key);
}
END_TEST

/* --- the tally --- */

START_TEST(tallies_add_up)
{
    struct benchtally *one = calloc(1, sizeof *one);
    struct benchtally *two = calloc(1, sizeof *two);
    ck_assert(one && two);
    benchtally_fail(one, BENCHTALLY_STATUS, 503, "first");
    benchtally_fail(one, BENCHTALLY_STATUS, 503, "second");
    benchtally_fail(two, BENCHTALLY_STATUS, 404, "third");
    benchtally_fail(two, BENCHTALLY_BYTES, 200, "fourth");
    one->operations = two->operations = 5;
    one->last_ns = 7;
    benchtally_merge(one, two);
    ck_assert_uint_eq(one->operations, 10);
    ck_assert_uint_eq(one->errors, 4);
    ck_assert_uint_eq(one->last_ns, 7);
    ck_assert_uint_eq(one->faults[BENCHTALLY_STATUS], 3);
    ck_assert_uint_eq(one->statuses[503], 2);
    ck_assert_uint_eq(one->statuses[404], 1);
    ck_assert_uint_eq(one->statuses[200], 0);
    ck_assert_str_eq(one->examples[BENCHTALLY_STATUS], "first");
    ck_assert_str_eq(one->examples[BENCHTALLY_BYTES], "fourth");
    free(one);
    free(two);
}
END_TEST

int main(void)
{
    const TTest *const counted[] = {an_empty_histogram_says_nothing,
                                    every_duration_is_told_within_its_precision,
                                    quantiles_of_a_thousand,
                                    merged_is_as_if_counted_together,
                                    what_lasts_for_ever_is_counted_too,
                                    tallies_add_up,
                                    NULL};
    const TTest *const asked[] = {one_size,
                                  what_is_no_size,
                                  there_are_sixteen_parts_at_most,
                                  a_mixture_has_its_weights,
                                  a_range_is_log_uniform,
                                  urls,
                                  keys_sort_as_their_numbers,
                                  NULL};
    const TTest *const values[] = {a_value_matches_itself_in_any_pieces, every_wrong_byte_is_seen,
                                   other_keys_seeds_and_places_have_other_bytes,
                                   the_md5_is_that_of_the_bytes, NULL};
    Suite *suite = suite_create("tool/bench");
    (void)suite_case(suite, "counted", counted);
    (void)suite_case(suite, "asked", asked);
    (void)suite_case(suite, "values", values);
    return suite_run(suite);
}
