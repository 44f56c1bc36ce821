/* The name that a volume has in the store: kept over restarts, and never half of one. */
#include "volume/called.h"

#include <fcntl.h>

#include "tests/unit/volume_dir.h"

static int fd;
static struct called *called;
static char name[VOLUME_NAME_MAX + 1];

static void open_called(void)
{
    called = called_new(fd);
    ck_assert_ptr_nonnull(called);
    called_get(called, name);
}

static void called_begins(void)
{
    dir_make();
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    open_called();
}

static void called_ends(void)
{
    called_free(called);
    called_free(NULL);
    (void)close(fd);
    dir_remove();
}

static void holds(const char *text)
{
    int file = openat(fd, "name", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(file);
}

START_TEST(it_is_kept)
{
    ck_assert_str_eq(name, "");
    ck_assert_int_eq(called_set(called, "a:1/b"), ST_OK);
    ck_assert_int_eq(called_set(called, "host:3001"), ST_OK);
    called_get(called, name);
    ck_assert_str_eq(name, "host:3001");
    called_free(called);
    open_called();
    ck_assert_str_eq(name, "host:3001");
}
END_TEST

START_TEST(what_is_no_name_is_none)
{
    static const char *const texts[] = {"",          "\n",         "no-port\n",
                                        "a:1,b:1\n", "a:1\nb:1\n", "a:1/..\n"};
    called_free(called);
    holds(texts[_i]);
    open_called();
    ck_assert_str_eq(name, "");
    ck_assert_int_eq(called_set(called, "a:1"), ST_OK);
    called_free(called);
    open_called();
    ck_assert_str_eq(name, "a:1");
}
END_TEST

/* A directory stands where the file would. */
START_TEST(it_cannot_be_written)
{
    ck_assert_int_eq(called_set(called, "a:1"), ST_OK);
    (void)unlinkat(fd, "name", 0);
    ck_assert_int_eq(mkdirat(fd, "name", 0755), 0);
    ck_assert_int_ne(called_set(called, "b:1"), ST_OK);
    called_get(called, name);
    ck_assert_str_eq(name, "a:1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("volume_called");
    TCase *tcase = tcase_create("called");
    tcase_add_checked_fixture(tcase, called_begins, called_ends);
    tcase_add_test(tcase, it_is_kept);
    tcase_add_loop_test(tcase, what_is_no_name_is_none, 0, 6);
    tcase_add_test(tcase, it_cannot_be_written);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
