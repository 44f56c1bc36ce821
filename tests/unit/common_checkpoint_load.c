/* From a checkpoint to an index: loaded, verified, put in its place; and what a crash leaves at
 * each step of that. */
#include <fcntl.h>
#include <sys/wait.h>

#include "tests/unit/checkpoint_fixture.h"

START_TEST(a_copy_is_a_copy)
{
    load_and_swap(CHECKPOINT_LOAD_COPY);
    ck_assert_str_eq(value_in(dir, "/key/a/0/000"), "host:1,host:2");
    ck_assert_str_eq(value_in(dir, "/key/a/4/049"), "host:1,host:2");
    ck_assert_str_eq(value_in(dir, "!msequence"), "77");
    ck_assert_str_eq(value_in(dir, "!mborn"), "1000");
    ck_assert_str_eq(value_in(dir, "!vhost:1"), "{}");
}
END_TEST

START_TEST(a_restored_index_is_another)
{
    uint64_t now_us = loop_wall_ms() * 1000;
    load_and_swap(CHECKPOINT_LOAD_RESTORE);
    ck_assert_str_eq(value_in(dir, "/key/a/4/049"), "host:1,host:2");
    ck_assert_str_eq(value_in(dir, "!mid"), "");
    ck_assert_str_eq(value_in(dir, "!mborn"), "");
    ck_assert_str_eq(value_in(dir, "!mrestored"), "{\"made\":1700000000000,\"sequence\":77}");
    ck_assert_uint_ge(strtoull(value_in(dir, "!msequence"), NULL, 10), now_us);
    ck_assert_str_eq(value_in(dir, "!vhost:1"), "{}");
}
END_TEST

START_TEST(it_replaces_what_is_there)
{
    if (_i)
        ck_assert_int_eq(mkdir(dir, 0755), 0); /* empty */
    else
        make_index(dir, "/before");
    load_and_swap(CHECKPOINT_LOAD_COPY);
    ck_assert_str_eq(value_in(dir, "/before"), "");
    ck_assert_str_eq(value_in(dir, "/key/a/0/000"), "host:1,host:2");
}
END_TEST

START_TEST(a_slash_at_the_end_does_not_matter)
{
    (void)snprintf(dir, sizeof dir, "%s/index/", base);
    struct checkpoint_load *load = load_all(CHECKPOINT_LOAD_COPY);
    ck_assert_int_eq(checkpoint_load_finish(load, &why), ST_OK);
    checkpoint_load_free(load);
    ck_assert_int_eq(checkpoint_load_swap(dir, &why), ST_OK);
    dir[strlen(dir) - 1] = 0;
    ck_assert_str_eq(value_in(dir, "/key/a/0/000"), "host:1,host:2");
}
END_TEST

START_TEST(what_is_begun_anew_forgets_the_first)
{
    struct checkpoint_load *load = load_all(CHECKPOINT_LOAD_COPY);
    ck_assert_int_eq(checkpoint_load_anew(load), ST_OK);
    make_stream('b');
    struct checkpoint_reader *reader = checkpoint_reader_new(&checkpoint_load_sink, load);
    ck_assert_int_eq(checkpoint_reader_take(reader, stream.data, stream.len), ST_OK);
    checkpoint_reader_free(reader);
    ck_assert_int_eq(checkpoint_load_finish(load, &why), ST_OK);
    checkpoint_load_free(load);
    ck_assert_int_eq(checkpoint_load_swap(dir, &why), ST_OK);
    ck_assert_str_eq(value_in(dir, "/key/a/0/000"), "");
    ck_assert_str_eq(value_in(dir, "/key/b/0/000"), "host:1,host:2");
}
END_TEST

START_TEST(what_is_not_finished_is_removed)
{
    make_index(dir, "/before");
    checkpoint_load_free(load_all(CHECKPOINT_LOAD_COPY));
    ck_assert(!is_there(beside(".checkpoint-new")));
    ck_assert_str_eq(value_in(dir, "/before"), "v");
}
END_TEST

START_TEST(two_do_not_write_one)
{
    struct checkpoint_load *second;
    struct checkpoint_load *first = load_all(CHECKPOINT_LOAD_COPY);
    ck_assert_int_eq(checkpoint_load_begin(&second, dir, CHECKPOINT_LOAD_COPY, &why), ST_LOCKED);
    ck_assert_ptr_null(second);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "in use"));
    ck_assert_int_eq(checkpoint_load_clean(dir, NULL), ST_LOCKED); /* a master does not start */
    checkpoint_load_free(first);
}
END_TEST

START_TEST(a_disk_that_takes_no_more)
{
    struct rlimit limit;
    struct checkpoint_load *load;
    (void)signal(SIGXFSZ, SIG_IGN);
    make_index(dir, "/before");
    ck_assert_int_eq(checkpoint_load_begin(&load, dir, CHECKPOINT_LOAD_COPY, &why), ST_OK);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 4096;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct checkpoint_reader *reader = checkpoint_reader_new(&checkpoint_load_sink, load);
    enum status st = checkpoint_reader_take(reader, stream.data, stream.len);
    if (!st) /* all of it was in one batch */
        st = checkpoint_load_finish(load, &why);
    ck_assert_int_ne(st, ST_OK);
    (void)checkpoint_load_explain(load, st, &why);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "could not write"));
    checkpoint_reader_free(reader);
    checkpoint_load_free(load);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_str_eq(value_in(dir, "/before"), "v");
}
END_TEST

START_TEST(a_place_that_cannot_be_made)
{
    struct checkpoint_load *load;
    (void)snprintf(dir, sizeof dir, "%s/no/such", base);
    ck_assert_int_ne(checkpoint_load_begin(&load, dir, CHECKPOINT_LOAD_COPY, &why), ST_OK);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "could not make"));
    ck_assert_int_ne(checkpoint_load_swap(dir, &why), ST_OK);
    ck_assert_int_eq(checkpoint_load_clean(dir, NULL), ST_OK); /* there is nothing to clean */
}
END_TEST

/* --- crashes --- */

START_TEST(nothing_to_clean)
{
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    make_index(dir, "/before");
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    ck_assert_str_eq(value_in(dir, "/before"), "v");
}
END_TEST

/* While it loaded; after the exchange, before the old one was removed. */
START_TEST(a_leftover_beside_a_whole_index)
{
    make_index(dir, "/mine");
    make_index(beside(_i ? ".checkpoint-old" : ".checkpoint-new"), "/leftover");
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    ck_assert(!is_there(beside(".checkpoint-new")) && !is_there(beside(".checkpoint-old")));
    ck_assert_str_eq(value_in(dir, "/mine"), "v");
}
END_TEST

/* Between the two renames of a file system that cannot exchange names. */
START_TEST(a_crash_between_two_renames)
{
    make_index(beside(".checkpoint-old"), "/mine");
    make_index(beside(".checkpoint-new"), "/new");
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    ck_assert(!is_there(beside(".checkpoint-new")) && !is_there(beside(".checkpoint-old")));
    ck_assert_str_eq(value_in(dir, "/mine"), "v");
}
END_TEST

START_TEST(a_crash_of_the_first_load)
{
    make_index(beside(".checkpoint-new"), "/half");
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    ck_assert(!is_there(dir) && !is_there(beside(".checkpoint-new")));
}
END_TEST

/* A process that holds the lock of DIR as LevelDB does, until its pipe is closed. */
static pid_t hold_dir(int *until)
{
    int end[2];
    int held[2];
    char c = 0;
    ck_assert_int_eq(pipe(end) | pipe(held), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(beside("/LOCK"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        (void)close(end[1]);
        if (fcntl(fd, F_SETLK, &lock) == 0)
            (void)!write(held[1], &c, 1);
        (void)!read(end[0], &c, 1);
        _exit(0);
    }
    (void)close(end[0]);
    (void)close(held[1]);
    ck_assert_int_eq(read(held[0], &c, 1), 1);
    (void)close(held[0]);
    *until = end[1];
    return pid;
}

/* What is finished is closed before it takes its place: a master that starts just then must not
 * take it for a leftover, nor a killed restore for one that is at work. */
START_TEST(what_a_restore_has_finished_is_no_leftover)
{
    int until;
    struct checkpoint_load *load = load_all(CHECKPOINT_LOAD_RESTORE);
    ck_assert_int_eq(checkpoint_load_finish(load, &why), ST_OK);
    checkpoint_load_free(load);
    ck_assert_int_eq(mkdir(dir, 0755), 0);
    pid_t pid = hold_dir(&until);
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_LOCKED);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "in use"));
    ck_assert(is_there(beside(".checkpoint-new")));
    (void)close(until);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    buf_clear(&why);
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    ck_assert(!is_there(beside(".checkpoint-new")));
}
END_TEST

/* --- fetching: a server that does what its script says, an answer a letter --- */

int main(void)
{
    const TTest *const tests[] = {a_copy_is_a_copy,
                                  a_restored_index_is_another,
                                  a_slash_at_the_end_does_not_matter,
                                  what_is_begun_anew_forgets_the_first,
                                  what_is_not_finished_is_removed,
                                  two_do_not_write_one,
                                  a_disk_that_takes_no_more,
                                  a_place_that_cannot_be_made,
                                  nothing_to_clean,
                                  a_crash_between_two_renames,
                                  a_crash_of_the_first_load,
                                  what_a_restore_has_finished_is_no_leftover,
                                  NULL};
    Suite *suite = suite_create("checkpoint_load");
    TCase *tcase = suite_case(suite, "checkpoint_load", tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, it_replaces_what_is_there, 0, 2);
    tcase_add_loop_test(tcase, a_leftover_beside_a_whole_index, 0, 2);
    return suite_run(suite);
}
