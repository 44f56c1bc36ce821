/* Two MD5s at a time: what OpenSSL says of the same bytes, however they come. */
#include "common/md5_two.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"

enum { LONGEST = 300, BYTES = 70000, ROUNDS = 500 };

static unsigned char bytes[2][BYTES];

static void setup(void)
{
    srandom(7);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i / BYTES][i % BYTES] = (unsigned char)random();
}

static size_t below(size_t most)
{
    return (size_t)random() % (most + 1);
}

static void check(struct md5_run *run, const unsigned char *data, size_t len)
{
    unsigned char digest[MD5_SIZE];
    unsigned char expected[MD5_SIZE];
    md5_run_end(run, digest);
    ck_assert_int_eq(md5_pair(data, len, NULL, 0, expected), ST_OK);
    ck_assert_mem_eq(digest, expected, MD5_SIZE);
}

START_TEST(every_length_cut_at_every_place)
{
    for (size_t len = 0; len <= LONGEST; len++)
        for (size_t cut = 0; cut <= len; cut++) {
            struct md5_run run;
            md5_run_begin(&run);
            md5_run_add(&(struct md5_more){&run, bytes[0], cut});
            md5_run_add(&(struct md5_more){&run, bytes[0] + cut, len - cut});
            check(&run, bytes[0], len);
        }
}
END_TEST

/* Both as far as the shorter one goes, then what is left. */
static void add_both(struct md5_more *a, struct md5_more *b)
{
    size_t longer = a->len < b->len ? b->len - a->len : a->len - b->len;
    md5_run_add_both(a, b);
    ck_assert_uint_eq(a->len + b->len, longer);
    md5_run_add(a);
    md5_run_add(b);
    ck_assert_uint_eq(a->len + b->len, 0);
}

START_TEST(two_of_every_two_lengths)
{
    for (size_t a = 0; a <= LONGEST; a += 3)
        for (size_t b = 0; b <= LONGEST; b++) {
            struct md5_run runs[2];
            md5_run_begin(&runs[0]);
            md5_run_begin(&runs[1]);
            add_both(&(struct md5_more){&runs[0], bytes[0], a},
                     &(struct md5_more){&runs[1], bytes[1], b});
            check(&runs[0], bytes[0], a);
            check(&runs[1], bytes[1], b);
        }
}
END_TEST

/* What is added next to each, of what is left; most pieces are long. */
static size_t piece(size_t left)
{
    size_t n = random() % 2 ? below(BYTES / 4) : below(200);
    return n < left ? n : left;
}

/* Values of all lengths, in pieces of all lengths, two or one at a time. */
START_TEST(in_pieces)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct md5_run runs[2];
        const size_t len[2] = {below(BYTES), below(BYTES)};
        size_t done[2] = {0, 0};
        md5_run_begin(&runs[0]);
        md5_run_begin(&runs[1]);
        while (done[0] < len[0] || done[1] < len[1]) {
            size_t n[2];
            struct md5_more more[2];
            for (int i = 0; i < 2; i++) {
                n[i] = piece(len[i] - done[i]);
                more[i] = (struct md5_more){&runs[i], bytes[i] + done[i], n[i]};
            }
            int alone = (int)(random() % 3); /* 2: both */
            if (alone == 2)
                add_both(&more[0], &more[1]);
            else
                md5_run_add(&more[alone]);
            for (int i = 0; i < 2; i++)
                if (alone == 2 || alone == i)
                    done[i] += n[i];
        }
        check(&runs[0], bytes[0], len[0]);
        check(&runs[1], bytes[1], len[1]);
    }
}
END_TEST

/* Beyond 2^32 bits the length has an upper half. */
START_TEST(a_long_value)
{
    enum { TIMES = 7700 }; /* 539 MB */
    struct md5_run run;
    struct md5 *expected = md5_new();
    unsigned char digest[2][MD5_SIZE];
    ck_assert_ptr_nonnull(expected);
    md5_run_begin(&run);
    for (int i = 0; i < TIMES; i++) {
        md5_run_add(&(struct md5_more){&run, bytes[0], BYTES});
        md5_update(expected, bytes[0], BYTES);
    }
    md5_run_end(&run, digest[0]);
    ck_assert_int_eq(md5_finish(expected, digest[1]), ST_OK);
    ck_assert_mem_eq(digest[0], digest[1], MD5_SIZE);
    md5_free(expected);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {every_length_cut_at_every_place, two_of_every_two_lengths,
                                  in_pieces, a_long_value, NULL};
    Suite *suite = suite_create("common md5_two");
    tcase_add_checked_fixture(suite_case(suite, "digests", tests), setup, NULL);
    return suite_run(suite);
}
