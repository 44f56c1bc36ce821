/* The master's options: defaults, what belongs together, what is refused. */
#include "master/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/suite.h"

enum { ARGS_MAX = 24 };

static struct config config;
static int rest;

/* Reads a command line; its words are separated by single spaces. */
static enum options_result read_line(const char *line)
{
    static char text[512];
    char *argv[ARGS_MAX + 1] = {"larder-master"};
    int argc = 1;
    (void)snprintf(text, sizeof text, "%s", line);
    char *save = NULL;
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        ck_assert_int_lt(argc, ARGS_MAX);
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    return config_read(&config, argc, argv, &rest);
}

static void teardown(void)
{
    config_free(&config);
}

START_TEST(defaults)
{
    ck_assert_int_eq(read_line("--db /x"), OPTIONS_OK);
    ck_assert_uint_eq(config.port, 3000);
    ck_assert_str_eq(config.listen, "127.0.0.1");
    ck_assert_str_eq(config.db, "/x");
    ck_assert_uint_eq(config.volumes.count, 0);
    ck_assert_uint_eq(config.replicas, 3);
    ck_assert_uint_eq(config.min_replicas, 2);
    ck_assert_uint_eq(config.subvolumes, 10);
    ck_assert_ptr_null(config.fallback);
    ck_assert(!config.protect && !config.overwrite && config.md5sum);
    ck_assert_uint_eq(config.voltimeout_ms, 1000);
    ck_assert_uint_eq(config.sync, 0);
    ck_assert_uint_ge(config.threads, 1);
    ck_assert_uint_eq(config.grace_ms, 3000);
    ck_assert_uint_eq(config.max_value, 0);
    ck_assert_uint_eq(config.reserve_bytes, 16ULL << 20);
    ck_assert_uint_eq(config.log_level, 1);
}
END_TEST

START_TEST(minikeyvalues_options)
{
    ck_assert_int_eq(read_line("-port 4000 -volumes a:1,b:2/x -db /x -replicas 2 -subvolumes 3 "
                               "-fallback other -protect -voltimeout 2s server"),
                     OPTIONS_OK);
    ck_assert_uint_eq(config.port, 4000);
    ck_assert_uint_eq(config.volumes.count, 2);
    ck_assert_str_eq(config.volumes.items[1], "b:2/x");
    ck_assert_uint_eq(config.replicas, 2);
    ck_assert_uint_eq(config.subvolumes, 3);
    ck_assert_str_eq(config.fallback, "other");
    ck_assert(config.protect);
    ck_assert_uint_eq(config.voltimeout_ms, 2000);
    ck_assert_int_eq(rest, 16); /* the word behind them */
}
END_TEST

START_TEST(our_own_options)
{
    ck_assert_int_eq(read_line("-d /x -v a:1 -v b:1 --no-md5sum --overwrite --sync=none "
                               "--grace 500ms --max-value 5M --reserve 0 --log-level error"),
                     OPTIONS_OK);
    ck_assert_uint_eq(config.volumes.count, 2);
    ck_assert(!config.md5sum && config.overwrite);
    ck_assert_uint_eq(config.sync, 1);
    ck_assert_uint_eq(config.grace_ms, 500);
    ck_assert_uint_eq(config.max_value, 5ULL << 20);
    ck_assert_uint_eq(config.reserve_bytes, 0);
    ck_assert_uint_eq(config.log_level, 3);
}
END_TEST

START_TEST(a_majority_must_be_durable)
{
    static const unsigned majority[] = {0, 1, 2, 2, 3, 3, 4};
    char line[64];
    (void)snprintf(line, sizeof line, "--db /x --replicas %d", _i);
    ck_assert_int_eq(read_line(line), OPTIONS_OK);
    ck_assert_uint_eq(config.min_replicas, majority[_i]);
}
END_TEST

START_TEST(as_many_subvolumes_as_have_names)
{
    ck_assert_int_eq(read_line("--db /x --subvolumes 4096"), OPTIONS_OK);
    ck_assert_uint_eq(config.subvolumes, 4096);
}
END_TEST

START_TEST(bad_command_lines)
{
    static const char *const lines[] = {
        "",
        "--port 3000",
        "--db /x --replicas 2 --min-replicas 3",
        "--db /x --replicas 0",
        "--db /x --replicas 17",
        "--db /x --subvolumes 0",
        "--db /x --subvolumes 4097", /* a volume knows sv00 to svFFF */
        "--db /x --port 65536",
        "--db /x --port x",
        "--db /x --sync=some",
        "--db /x --grace 3days",
        "--db /x --no-such-option",
    };
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr)); /* it complains there */
    ck_assert_int_eq(read_line(lines[_i]), OPTIONS_BAD);
}
END_TEST

START_TEST(the_command_line_wins_over_the_file)
{
    char path[] = "/tmp/larder-config.XXXXXX";
    static const char text[] = "# the store\ndb = /from-file\nreplicas = 5\nvolumes = a:1, b:1\n"
                               "overwrite = true\n";
    char line[128];
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
    ck_assert_int_eq(close(fd), 0);
    (void)snprintf(line, sizeof line, "--replicas 2 --config %s", path);
    enum options_result result = read_line(line);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(result, OPTIONS_OK);
    ck_assert_str_eq(config.db, "/from-file");
    ck_assert_uint_eq(config.replicas, 2);
    ck_assert_uint_eq(config.min_replicas, 2);
    ck_assert_uint_eq(config.volumes.count, 2);
    ck_assert(config.overwrite);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {defaults,
                                  minikeyvalues_options,
                                  our_own_options,
                                  as_many_subvolumes_as_have_names,
                                  the_command_line_wins_over_the_file,
                                  NULL};
    Suite *suite = suite_create("master_config");
    TCase *tcase = suite_case(suite, "config", tests);
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_loop_test(tcase, a_majority_must_be_durable, 1, 7);
    tcase_add_loop_test(tcase, bad_command_lines, 0, 12);
    return suite_run(suite);
}
