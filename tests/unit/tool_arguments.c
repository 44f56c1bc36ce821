/* Keys on the command line; and what goes wrong there. */
#include "tools/larder/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/key.h"
#include "tests/unit/suite.h"
#include "tools/larder/commands.h"

static void check_key(const char *text, bool raw, const char *expected)
{
    struct key key;
    ck_assert(arguments_key(text, raw, &key));
    ck_assert_uint_eq(key.len, strlen(expected));
    ck_assert_mem_eq(key.bytes, expected, key.len);
}

START_TEST(keys_are_decoded_once)
{
    check_key("/a", false, "/a");
    check_key("/a%20b", false, "/a b");
    check_key("/a b", false, "/a b");
    check_key("/a%2520", false, "/a%20");
    check_key("/%ff\xff", false, "/\xff\xff");
    check_key("/a//b/../c", false, "/a//b/../c");
}
END_TEST

START_TEST(the_leading_slash_may_be_left_off)
{
    check_key("a", false, "/a");
    check_key("a", true, "/a");
    check_key("%2Fa", false, "/a");
    check_key("%2fa", false, "/a");
    check_key("%41", false, "/A");
    check_key("//a", false, "//a");
}
END_TEST

START_TEST(raw_keys_are_taken_as_they_are)
{
    check_key("/100%", true, "/100%");
    check_key("/a%20b", true, "/a%20b");
    check_key("%2Fa", true, "/%2Fa");
}
END_TEST

START_TEST(what_is_no_key)
{
    struct key key;
    ck_assert(!arguments_key("", false, &key));
    ck_assert(!arguments_key("/", false, &key));
    ck_assert(!arguments_key("/a%", false, &key));
    ck_assert(!arguments_key("/a%zz", false, &key));
    ck_assert(!arguments_key("/a%00", false, &key));
}
END_TEST

START_TEST(the_longest_key)
{
    char text[KEY_MAX + 2];
    struct key key;
    memset(text, 'x', sizeof text);
    text[0] = '/';
    text[KEY_MAX] = 0;
    ck_assert(arguments_key(text, false, &key));
    ck_assert_uint_eq(key.len, KEY_MAX);
    text[KEY_MAX] = 'x';
    text[KEY_MAX + 1] = 0;
    ck_assert(!arguments_key(text, false, &key));
    ck_assert(!arguments_key(text + 1, false, &key)); /* the '/' is added */
}
END_TEST

START_TEST(prefixes_may_be_empty)
{
    struct buf out = BUF_INIT;
    ck_assert(arguments_prefix("", false, &out));
    ck_assert_str_eq(buf_text(&out), "/");
    buf_clear(&out);
    ck_assert(arguments_prefix("/", true, &out));
    ck_assert_str_eq(buf_text(&out), "/");
    buf_clear(&out);
    ck_assert(arguments_prefix("b%2Fc", false, &out));
    ck_assert_str_eq(buf_text(&out), "/b/c");
    buf_free(&out);
}
END_TEST

START_TEST(numbers_of_arguments)
{
    ck_assert(arguments_fit("larder put", 1, 1, 2));
    ck_assert(arguments_fit("larder put", 2, 1, 2));
    ck_assert(!arguments_fit("larder put", 0, 1, 2));
    ck_assert(!arguments_fit("larder put", 3, 1, 2));
}
END_TEST

/* Runs a command with up to three arguments; none of these may reach a server. */
static int run(int (*command)(int argc, char **argv), const char *a, const char *b, const char *c)
{
    char *argv[5] = {strdup("larder x"), a ? strdup(a) : NULL, b ? strdup(b) : NULL,
                     c ? strdup(c) : NULL, NULL};
    char *given[5];
    int argc = 1 + (a != NULL) + (b != NULL) + (c != NULL);
    memcpy(given, argv, sizeof given);
    int result = command(argc, argv);
    for (size_t i = 0; i < 4; i++)
        free(given[i]); /* getopt may have put argv into another order */
    return result;
}

START_TEST(wrong_usage_is_status_2)
{
    ck_assert_int_eq(run(put_run, NULL, NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(put_run, "a", "b", "c"), EXIT_TROUBLE);
    ck_assert_int_eq(run(put_run, "--type=a\nb", "a", NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(get_run, "/%zz", NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(rm_run, NULL, NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(unlink_run, "--nope", NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(ls_run, "a", "b", NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(stat_run, NULL, NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(status_run, "x", NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(addvolume_run, "nonsense", NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(rebuild_run, "--db=x", NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(rebuild_run, "--volumes=a:1", NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(rebuild_run, "--db=x", "--volumes=a:1,a:1", NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(rebuild_run, "--db=x", "--volumes=nonsense", NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(rebuild_run, "--db=x", "--volumes=a:1", "--without=b:1"), EXIT_TROUBLE);
    ck_assert_int_eq(run(rebuild_run, "--threads=0", NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(rebalance_run, "--jobs=x", NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(verify_run, "x", NULL, NULL), EXIT_TROUBLE);
    ck_assert_int_eq(run(verify_run, "-m", "ftp://x", NULL), EXIT_TROUBLE);
}
END_TEST

START_TEST(help_is_no_failure)
{
    ck_assert_int_eq(run(put_run, "--help", NULL, NULL), EXIT_WELL);
    ck_assert_int_eq(run(rebuild_run, "-help", NULL, NULL), EXIT_WELL);
    ck_assert_int_eq(run(verify_run, "--version", NULL, NULL), EXIT_WELL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {keys_are_decoded_once,
                                  the_leading_slash_may_be_left_off,
                                  raw_keys_are_taken_as_they_are,
                                  what_is_no_key,
                                  the_longest_key,
                                  prefixes_may_be_empty,
                                  numbers_of_arguments,
                                  wrong_usage_is_status_2,
                                  help_is_no_failure,
                                  NULL};
    Suite *suite = suite_create("tool/arguments");
    (void)suite_case(suite, "arguments", tests);
    return suite_run(suite);
}
