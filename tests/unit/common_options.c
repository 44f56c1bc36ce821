/* Options: the same table for command line, config file and help. */
#include "common/options.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/suite.h"

static char *dir;
static struct option_list volumes;
static unsigned port;
static unsigned timeout_ms;
static unsigned long long max_value;
static bool protect;
static bool md5sum;
static unsigned sync_mode;

static const struct option_spec specs[] = {
    {"dir", 'd', OPTION_TEXT, &dir, 0, 0, NULL, "DIR", "where values live"},
    {"volumes", 'v', OPTION_LIST, &volumes, 0, 0, NULL, "LIST", "volumes"},
    {"port", 'p', OPTION_UNSIGNED, &port, 0, 65535, NULL, "PORT", "where it listens"},
    {"voltimeout", 0, OPTION_DURATION, &timeout_ms, 0, 0, NULL, "TIME", "how long"},
    {"max-value", 0, OPTION_SIZE, &max_value, 0, 0, NULL, "SIZE", "largest value"},
    {"protect", 0, OPTION_FLAG, &protect, 0, 0, NULL, NULL, "unlink before delete"},
    {"md5sum", 0, OPTION_FLAG, &md5sum, 0, 0, NULL, NULL, "digests"},
    {"sync", 0, OPTION_CHOICE, &sync_mode, 0, 0, "full|none", "MODE", "fsync or not"},
};

static const struct option_program program = {
    .name = "larder-test",
    .synopsis = "--dir DIR [OPTION]...",
    .summary = "A program of this test.",
    .options = specs,
    .count = sizeof specs / sizeof specs[0],
};

static FILE *messages;
static int kept[2];

/* Defaults, and what is printed goes into a file. */
static void start(void)
{
    dir = NULL;
    volumes = (struct option_list){NULL, 0};
    port = 3000;
    timeout_ms = 1000;
    max_value = 0;
    protect = false;
    md5sum = true;
    sync_mode = 0;
    messages = tmpfile();
    ck_assert_ptr_nonnull(messages);
    (void)fflush(stdout);
    for (int fd = 1; fd <= 2; fd++) {
        kept[fd - 1] = dup(fd);
        ck_assert_int_ge(dup2(fileno(messages), fd), 0);
    }
}

static void end(void)
{
    (void)fflush(stdout);
    for (int fd = 1; fd <= 2; fd++) {
        (void)dup2(kept[fd - 1], fd);
        close(kept[fd - 1]);
    }
    (void)fclose(messages);
    options_free(&program);
}

static const char *printed(void)
{
    static char text[20000];
    (void)fflush(stdout);
    ssize_t len = pread(fileno(messages), text, sizeof text - 1, 0);
    text[len > 0 ? len : 0] = 0;
    return text;
}

static void forget_printed(void)
{
    ck_assert_int_eq(ftruncate(fileno(messages), 0), 0);
    ck_assert_int_eq(lseek(fileno(messages), 0, SEEK_SET), 0);
}

static int rest;

/* Parses a command line, given as one text with single spaces. */
static enum options_result parse(const char *line)
{
    char copy[400];
    char *argv[32] = {"larder-test"};
    int argc = 1;
    char *save = NULL;
    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    rest = -1;
    return options_parse(&program, argc, argv, &rest);
}

START_TEST(nothing_keeps_the_defaults)
{
    ck_assert_int_eq(parse(""), OPTIONS_OK);
    ck_assert_uint_eq(port, 3000);
    ck_assert_uint_eq(timeout_ms, 1000);
    ck_assert(md5sum);
    ck_assert(!protect);
    ck_assert_ptr_null(dir);
    ck_assert_int_eq(rest, 1);
}
END_TEST

START_TEST(one_dash_two_dashes_and_letters)
{
    static const char *const lines[] = {"--port 3001 --dir /x", "-port 3001 -dir /x",
                                        "-p 3001 -d /x", "--port=3001 --dir=/x",
                                        "-port=3001 -dir=/x"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        port = 0;
        ck_assert_int_eq(parse(lines[i]), OPTIONS_OK);
        ck_assert_uint_eq(port, 3001);
        ck_assert_str_eq(dir, "/x");
    }
}
END_TEST

START_TEST(lists_are_split_and_added)
{
    ck_assert_int_eq(parse("-v a:1,b:2 --volumes c:3 -volumes=d:4"), OPTIONS_OK);
    ck_assert_uint_eq(volumes.count, 4);
    ck_assert_str_eq(volumes.items[0], "a:1");
    ck_assert_str_eq(volumes.items[1], "b:2");
    ck_assert_str_eq(volumes.items[2], "c:3");
    ck_assert_str_eq(volumes.items[3], "d:4");
}
END_TEST

START_TEST(flags)
{
    ck_assert_int_eq(parse("--protect --no-md5sum"), OPTIONS_OK);
    ck_assert(protect);
    ck_assert(!md5sum);
    ck_assert_int_eq(parse("-protect=false -md5sum"), OPTIONS_OK);
    ck_assert(!protect);
    ck_assert(md5sum);
    ck_assert_int_eq(parse("-protect=perhaps"), OPTIONS_BAD);
}
END_TEST

START_TEST(durations)
{
    static const struct {
        const char *line;
        unsigned ms;
    } rows[] = {{"--voltimeout 500ms", 500},      {"--voltimeout 1s", 1000},
                {"--voltimeout 10m", 600000},     {"--voltimeout 2h", 7200000},
                {"--voltimeout 30d", 2592000000}, {"--voltimeout 3", 3000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_int_eq(parse(rows[i].line), OPTIONS_OK);
        ck_assert_uint_eq(timeout_ms, rows[i].ms);
    }
    static const char *const bad[] = {"--voltimeout x",   "--voltimeout 1y",
                                      "--voltimeout -1s", "--voltimeout 1.5s",
                                      "--voltimeout s",   "--voltimeout 99999d"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(parse(bad[i]) == OPTIONS_BAD, "accepted '%s'", bad[i]);
}
END_TEST

START_TEST(sizes)
{
    static const struct {
        const char *line;
        unsigned long long bytes;
    } rows[] = {{"--max-value 4096", 4096},       {"--max-value 4k", 4096},
                {"--max-value 64M", 64ULL << 20}, {"--max-value 1GiB", 1ULL << 30},
                {"--max-value 1T", 1ULL << 40},   {"--max-value 5MB", 5ULL << 20}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_int_eq(parse(rows[i].line), OPTIONS_OK);
        ck_assert_uint_eq(max_value, rows[i].bytes);
    }
    static const char *const bad[] = {"--max-value x",
                                      "--max-value -1",
                                      "--max-value 1X",
                                      "--max-value 1Gx",
                                      "--max-value 99999999999999999999",
                                      "--max-value 18446744073709551615k"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(parse(bad[i]) == OPTIONS_BAD, "accepted '%s'", bad[i]);
}
END_TEST

START_TEST(choices)
{
    ck_assert_int_eq(parse("--sync=none"), OPTIONS_OK);
    ck_assert_uint_eq(sync_mode, 1);
    ck_assert_int_eq(parse("--sync full"), OPTIONS_OK);
    ck_assert_uint_eq(sync_mode, 0);
    ck_assert_int_eq(parse("--sync some"), OPTIONS_BAD);
    ck_assert_int_eq(parse("--sync full|none"), OPTIONS_BAD);
}
END_TEST

START_TEST(wrong_ones_are_named)
{
    static const struct {
        const char *line;
        const char *said;
    } rows[] = {{"--port 65536", "port"},
                {"--port x", "port"},
                {"--port 30x", "port"},
                {"--port -1", "port"},
                {"--nonsense", "nonsense"},
                {"--dir", "dir"},
                {"-x", "x"},
                {"--config /no/such", "/no/such"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        forget_printed();
        ck_assert_msg(parse(rows[i].line) == OPTIONS_BAD, "accepted '%s'", rows[i].line);
        ck_assert_msg(strstr(printed(), rows[i].said) != NULL, "'%s' said: %s", rows[i].line,
                      printed());
        ck_assert_ptr_nonnull(strstr(printed(), "larder-test"));
    }
}
END_TEST

START_TEST(other_arguments_stay)
{
    char *argv[] = {"larder-test", "one", "--port", "5", "two", "--", "--three", NULL};
    ck_assert_int_eq(options_parse(&program, 7, argv, &rest), OPTIONS_OK);
    ck_assert_uint_eq(port, 5);
    ck_assert_int_eq(7 - rest, 3);
    ck_assert_str_eq(argv[rest], "one");
    ck_assert_str_eq(argv[rest + 1], "two");
    ck_assert_str_eq(argv[rest + 2], "--three");
}
END_TEST

START_TEST(help_and_version)
{
    ck_assert_int_eq(parse("--help"), OPTIONS_EXIT);
    const char *text = printed();
    ck_assert_ptr_nonnull(strstr(text, "Usage: larder-test --dir DIR"));
    for (size_t i = 0; i < program.count; i++) {
        ck_assert_ptr_nonnull(strstr(text, specs[i].name));
        ck_assert_ptr_nonnull(strstr(text, specs[i].help));
    }
    ck_assert_ptr_nonnull(strstr(text, "--config"));
    ck_assert_int_eq(parse("-version"), OPTIONS_EXIT);
    ck_assert_ptr_nonnull(strstr(printed(), "larder-test "));
}
END_TEST

static bool config(const char *text)
{
    return options_config(&program, text, strlen(text), "test.conf");
}

START_TEST(config_file)
{
    ck_assert(config("# a comment\n\n  port = 3005  \nvolumes=a:1, b:2\r\nvolumes = c:3\n"
                     "dir = /with space/x\nprotect = true\nno-md5sum\nsync=none\nmax-value = 1k"));
    ck_assert_uint_eq(port, 3005);
    ck_assert_str_eq(dir, "/with space/x");
    ck_assert(protect);
    ck_assert(!md5sum);
    ck_assert_uint_eq(sync_mode, 1);
    ck_assert_uint_eq(max_value, 1024);
    ck_assert_uint_eq(volumes.count, 3);
    ck_assert_str_eq(volumes.items[2], "c:3");
}
END_TEST

/* "a:1, b:2": the space after a comma is not part of a volume's name. */
START_TEST(config_lists_may_have_spaces)
{
    ck_assert(config("volumes = a:1, b:2"));
    ck_assert_uint_eq(volumes.count, 2);
    ck_assert_str_eq(volumes.items[1], "b:2");
}
END_TEST

START_TEST(config_errors_name_the_line)
{
    static const char *const bad[] = {
        "port = x",  "port",          "port =",           "nonsense = 1",
        "= 1",       "protect=maybe", "no-port",          "sync = some",
        "port 3000", "por t = 1",     "no-protect = true"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[100];
        (void)snprintf(text, sizeof text, "# one\nport = 1\n%s\n", bad[i]);
        forget_printed();
        ck_assert_msg(!config(text), "accepted '%s'", bad[i]);
        ck_assert_msg(strstr(printed(), "test.conf:3") != NULL, "'%s' said: %s", bad[i], printed());
    }
    ck_assert(!options_config(&program, "port\0 = 1", 9, "test.conf"));
}
END_TEST

START_TEST(command_line_wins)
{
    char path[] = "/tmp/larder-options.XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "port = 3005\nvolumes = a:1,b:2\nprotect = true\n";
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    char line[100];
    /* "-voltimeout" begins as "-v" does, and is another option all the same. */
    (void)snprintf(line, sizeof line, "-voltimeout 1s --port 3006 %s --config %s",
                   _i == 0 ? "-v c:3" : "", path);
    enum options_result result = parse(line);
    unlink(path);
    ck_assert_int_eq(result, OPTIONS_OK);
    ck_assert_uint_eq(port, 3006);
    ck_assert(protect);
    ck_assert_uint_eq(volumes.count, _i == 0 ? 1 : 2);
    ck_assert_str_eq(volumes.items[0], _i == 0 ? "c:3" : "a:1");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {nothing_keeps_the_defaults,
                                  one_dash_two_dashes_and_letters,
                                  lists_are_split_and_added,
                                  flags,
                                  durations,
                                  sizes,
                                  choices,
                                  wrong_ones_are_named,
                                  other_arguments_stay,
                                  help_and_version,
                                  config_file,
                                  config_lists_may_have_spaces,
                                  config_errors_name_the_line,
                                  NULL};
    Suite *suite = suite_create("options");
    TCase *tcase = suite_case(suite, "options", tests);
    tcase_add_checked_fixture(tcase, start, end);
    tcase_add_loop_test(tcase, command_line_wins, 0, 2);
    return suite_run(suite);
}
