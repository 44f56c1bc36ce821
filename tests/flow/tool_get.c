/* larder get: copies that fail are passed over, and FILE is there whole or as it was. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/flow/tool_fixture.h"
#include "tools/larder/commands.h"

/* of five times 'x', which is what the fixture serves */
#define MD5_X "fb0e22c79ac75679e9881e6ba183b354"
#define MD5_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static char dir[64];
static char file[80];
static char location_a[200];
static char location_b[200];

static void setup(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/tool-get-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(file, sizeof file, "%s/file", dir);
    fake_server("m:1");
    fake_server("a:1");
    fake_server("b:1");
    char *url = fake_url("a:1/sv00", "/k", 0, NAMING_LARDER);
    (void)snprintf(location_a, sizeof location_a, "Location: %s", url);
    free(url);
    url = fake_url("b:1/sv01", "/k", 0, NAMING_LARDER);
    (void)snprintf(location_b, sizeof location_b, "Location: %s", url);
    free(url);
    /* The master sends to a, and to b those that could not use a. */
    (void)fake_method("GET", "http://m:1/k", 302, location_a);
    (void)fake_method("GET", "http://m:1/k?avoid=a%3A1/sv00", 302, location_b);
    (void)fake_method("GET", "http://m:1/k?avoid=a%3A1/sv00,b%3A1/sv01", 503, NULL);
}

/* How many files there are. */
static unsigned count_files(void)
{
    unsigned count = 0;
    DIR *list = opendir(dir);
    ck_assert_ptr_nonnull(list);
    const struct dirent *entry;
    while ((entry = readdir(list)))
        count += entry->d_name[0] != '.';
    (void)closedir(list);
    return count;
}

static void teardown(void)
{
    (void)unlink(file);
    ck_assert_int_eq(rmdir(dir), 0); /* no temp file is left */
    fake_clear();
}

static int get(void)
{
    char arguments[200];
    (void)snprintf(arguments, sizeof arguments, "-m m:1 /k %s", file);
    return fake_run(get_run, arguments);
}

static void check_file(const char *expected)
{
    char text[32] = "";
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    ck_assert_int_eq(n, (ssize_t)strlen(expected));
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(count_files(), 1);
}

static void write_old(void)
{
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "old", 3), 3);
    (void)close(fd);
}

START_TEST(the_first_copy_will_do)
{
    (void)fake_copy("a:1/sv00", "/k", 0, 5, NULL, "");
    write_old();
    ck_assert_int_eq(get(), EXIT_WELL);
    check_file("xxxxx");
}
END_TEST

START_TEST(a_missing_copy_is_passed_over)
{
    (void)fake_copy("b:1/sv01", "/k", 0, 5, NULL, "");
    ck_assert_int_eq(get(), EXIT_WELL);
    check_file("xxxxx");
}
END_TEST

START_TEST(a_volume_that_is_down_is_passed_over)
{
    fake_servers[1] = "nobody:1";
    (void)fake_copy("b:1/sv01", "/k", 0, 5, NULL, "");
    ck_assert_int_eq(get(), EXIT_WELL);
    check_file("xxxxx");
}
END_TEST

static char md5_field[64];

/* What the master says of the value. */
static void with_md5(const char *md5)
{
    (void)snprintf(md5_field, sizeof md5_field, "Content-Md5: %s", md5);
    fake_find("GET", "http://m:1/k")->fields[1] = md5_field;
    fake_find("GET", "http://m:1/k?avoid=a%3A1/sv00")->fields[1] = md5_field;
}

START_TEST(a_damaged_copy_is_passed_over)
{
    /* The MD5 that the volume tells of is of no interest: what was read is compared. */
    with_md5(MD5_X);
    (void)fake_copy("a:1/sv00", "/k", 0, 6, NULL, "");
    (void)fake_copy("b:1/sv01", "/k", 0, 5, NULL, "");
    ck_assert_int_eq(get(), EXIT_WELL);
    check_file("xxxxx");
}
END_TEST

START_TEST(where_no_copy_will_do_the_file_stays_as_it_was)
{
    with_md5(MD5_A);
    (void)fake_copy("a:1/sv00", "/k", 0, 5, NULL, "");
    (void)fake_copy("b:1/sv01", "/k", 0, 5, NULL, "");
    write_old();
    ck_assert_int_eq(get(), EXIT_FAILED);
    check_file("old");
}
END_TEST

START_TEST(a_key_that_is_not_there)
{
    (void)fake_method("GET", "http://m:1/k", 404, NULL);
    ck_assert_int_eq(get(), EXIT_FAILED);
    ck_assert_uint_eq(count_files(), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_first_copy_will_do,
                                  a_missing_copy_is_passed_over,
                                  a_volume_that_is_down_is_passed_over,
                                  a_damaged_copy_is_passed_over,
                                  where_no_copy_will_do_the_file_stays_as_it_was,
                                  a_key_that_is_not_there,
                                  NULL};
    Suite *suite = suite_create("tool/get");
    tcase_add_checked_fixture(suite_case(suite, "get", tests), setup, teardown);
    return suite_run(suite);
}
