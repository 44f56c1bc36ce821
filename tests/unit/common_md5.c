/* MD5: RFC 1321's own test vectors, pieces, texts. */
#include "common/md5.h"

#include <pthread.h>
#include <string.h>

#include "tests/unit/suite.h"

static const struct {
    const char *text;
    const char *hex;
} vectors[] = {
    {"", "d41d8cd98f00b204e9800998ecf8427e"},
    {"a", "0cc175b9c0f1b6a831c399e269772661"},
    {"abc", "900150983cd24fb0d6963f7d28e17f72"},
    {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
    {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
     "d174ab98d277d9f5a5611c2c9f419d9f"},
    {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
     "57edf4a22be3c955ac49da2e2107b67a"},
};
enum { VECTORS = sizeof vectors / sizeof vectors[0] };

static void check_digest(const unsigned char digest[MD5_SIZE], const char *expected)
{
    char hex[MD5_HEX + 1];
    md5_hex(digest, hex);
    ck_assert_str_eq(hex, expected);
}

START_TEST(vectors_in_one_go)
{
    unsigned char digest[MD5_SIZE];
    for (size_t i = 0; i < VECTORS; i++) {
        const char *text = vectors[i].text;
        ck_assert_int_eq(md5_pair(text, strlen(text), NULL, 0, digest), ST_OK);
        check_digest(digest, vectors[i].hex);
    }
}
END_TEST

START_TEST(vectors_cut_at_every_place)
{
    unsigned char digest[MD5_SIZE];
    for (size_t i = 0; i < VECTORS; i++) {
        const char *text = vectors[i].text;
        size_t len = strlen(text);
        for (size_t cut = 0; cut <= len; cut++) {
            ck_assert_int_eq(md5_pair(text, cut, text + cut, len - cut, digest), ST_OK);
            check_digest(digest, vectors[i].hex);
            struct md5 *md5 = md5_new();
            ck_assert_ptr_nonnull(md5);
            md5_update(md5, text, cut);
            md5_update(md5, text + cut, len - cut);
            ck_assert_int_eq(md5_finish(md5, digest), ST_OK);
            md5_free(md5);
            check_digest(digest, vectors[i].hex);
        }
    }
}
END_TEST

START_TEST(million_bytes)
{
    struct md5 *md5 = md5_new();
    ck_assert_ptr_nonnull(md5);
    char piece[1000];
    memset(piece, 'a', sizeof piece);
    for (int i = 0; i < 1000; i++)
        md5_update(md5, piece, sizeof piece);
    unsigned char digest[MD5_SIZE];
    ck_assert_int_eq(md5_finish(md5, digest), ST_OK);
    md5_free(md5);
    check_digest(digest, "7707d6ae4e027c70eea2a935c2296f21");
}
END_TEST

START_TEST(free_of_null_is_safe)
{
    md5_free(NULL);
    struct md5 *md5 = md5_new();
    ck_assert_ptr_nonnull(md5);
    md5_update(md5, "unfinished", 10);
    md5_free(md5);
}
END_TEST

START_TEST(running_digests_do_not_disturb_each_other)
{
    struct md5 *one = md5_new();
    struct md5 *two = md5_new();
    ck_assert_ptr_nonnull(one);
    ck_assert_ptr_nonnull(two);
    unsigned char digest[MD5_SIZE];
    md5_update(one, "a", 1);
    md5_update(two, "message ", 8);
    ck_assert_int_eq(md5_pair("x", 1, "y", 1, digest), ST_OK);
    md5_update(one, "bc", 2);
    md5_update(two, "digest", 6);
    ck_assert_int_eq(md5_finish(one, digest), ST_OK);
    check_digest(digest, "900150983cd24fb0d6963f7d28e17f72");
    ck_assert_int_eq(md5_finish(two, digest), ST_OK);
    check_digest(digest, "f96b697d7cb7938d525a2f31aaf161d0");
    md5_free(one);
    md5_free(two);
}
END_TEST

/* Returns its argument where all digests were right, NULL else. */
static void *digest_many(void *arg)
{
    unsigned char digest[MD5_SIZE];
    char hex[MD5_HEX + 1];
    for (int i = 0; i < 5000; i++) {
        if (md5_pair("ab", 2, "c", 1, digest))
            return NULL;
        md5_hex(digest, hex);
        if (strcmp(hex, "900150983cd24fb0d6963f7d28e17f72") != 0)
            return NULL;
    }
    return arg;
}

START_TEST(threads_digest_at_the_same_time)
{
    pthread_t threads[4];
    int token = 0;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, digest_many, &token), 0);
    for (int i = 0; i < 4; i++) {
        void *result = NULL;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_eq(result, &token);
    }
}
END_TEST

START_TEST(parses_hex_and_base64)
{
    char hex[MD5_HEX + 1];
    ck_assert_int_eq(md5_parse("900150983cd24fb0d6963f7d28e17f72", hex), 0);
    ck_assert_str_eq(hex, "900150983cd24fb0d6963f7d28e17f72");
    ck_assert_int_eq(md5_parse("900150983CD24FB0D6963F7D28E17F72", hex), 0);
    ck_assert_str_eq(hex, "900150983cd24fb0d6963f7d28e17f72");
    ck_assert_int_eq(md5_parse("kAFQmDzST7DWlj99KOF/cg==", hex), 0);
    ck_assert_str_eq(hex, "900150983cd24fb0d6963f7d28e17f72");
    ck_assert_int_eq(md5_parse("1B2M2Y8AsgTpgAmY7PhCfg==", hex), 0);
    ck_assert_str_eq(hex, "d41d8cd98f00b204e9800998ecf8427e");
}
END_TEST

START_TEST(refuses_what_is_no_digest)
{
    static const char *const bad[] = {
        "",
        "9",
        "900150983cd24fb0d6963f7d28e17f7",
        "900150983cd24fb0d6963f7d28e17f722",
        "g00150983cd24fb0d6963f7d28e17f72",
        "900150983cd24fb0d6963f7d28e17f7 ",
        "kAFQmDzST7DWlj99KOF/cg=",
        "kAFQmDzST7DWlj99KOF/cg",
        "kAFQmDzST7DWlj99KOF/cgA=",
        "kAFQmDzST7DWlj99KOF/c===",
        "kAFQmDzST7DWlj99KOF*cg==",
        "========================",
    };
    char hex[MD5_HEX + 1];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(md5_parse(bad[i], hex) == -1, "accepted '%s'", bad[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {vectors_in_one_go,
                                  vectors_cut_at_every_place,
                                  million_bytes,
                                  free_of_null_is_safe,
                                  running_digests_do_not_disturb_each_other,
                                  threads_digest_at_the_same_time,
                                  parses_hex_and_base64,
                                  refuses_what_is_no_digest,
                                  NULL};
    Suite *suite = suite_create("md5");
    suite_case(suite, "md5", tests);
    return suite_run(suite);
}
