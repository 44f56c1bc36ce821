/* Values on the disk. */
#include "volume/store.h"

#include <fcntl.h>
#include <sys/xattr.h>

#include "common/loop.h"
#include "tests/unit/volume_dir.h"
#include "volume/fence.h"

static char *disk_path(const char *file)
{
    static char full[512];
    (void)snprintf(full, sizeof full, "%s/sv00/%s", dir, file);
    return full;
}

static enum status open_value(const char *file, struct store_value *value)
{
    struct store_at where = at(file);
    return store_open(&where, value);
}

/* The status of opening it, closed again. */
static enum status look(const char *file)
{
    struct store_value value;
    enum status st = open_value(file, &value);
    if (!st)
        (void)close(value.fd);
    return st;
}

START_TEST(test_put_and_open)
{
    struct store_value value;
    struct store_at where = at("aa/bb/x");
    char text[16];
    ck_assert_int_eq(put_at(&where, "hello", "text/plain"), ST_OK);
    ck_assert_int_eq(open_value("aa/bb/x", &value), ST_OK);
    ck_assert_uint_eq(value.size, 5);
    ck_assert_str_eq(value.attributes.md5, "5d41402abc4b2a76b9719d911017c592");
    ck_assert_str_eq(value.attributes.type, "text/plain");
    ck_assert(value.attributes.has_size);
    ck_assert_uint_eq(value.attributes.size, 5);
    ck_assert_uint_gt(value.attributes.created, 1000000000000);
    ck_assert(!value.attributes.unlinked);
    ck_assert_int_eq(read(value.fd, text, sizeof text), 5);
    ck_assert_mem_eq(text, "hello", 5);
    (void)close(value.fd);
    struct stat st;
    ck_assert_int_eq(stat(disk_path("aa/bb/x"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0644);
}
END_TEST

START_TEST(test_digest_and_replacing)
{
    struct store_at where = at("x");
    struct writing *writing;
    struct writing_end end = {.expected = "00000000000000000000000000000000"};
    ck_assert_int_eq(put("x", "old"), ST_OK);
    ck_assert_int_eq(writing_begin(&writing, &where), ST_OK);
    ck_assert_int_eq(writing_add(writing, "new", 3), ST_OK);
    ck_assert_int_eq(writing_finish(writing, &end), ST_DIGEST);
    struct store_value value;
    ck_assert_int_eq(open_value("x", &value), ST_OK);
    ck_assert_str_eq(value.attributes.md5, "149603e6c03516362a8da23f624db945"); /* of "old" */
    (void)close(value.fd);

    end = (struct writing_end){.expected = "22af645d1859cb5ca6da0c484f1f37ea"};
    ck_assert_int_eq(writing_begin(&writing, &where), ST_OK);
    ck_assert_int_eq(writing_add(writing, "new", 3), ST_OK);
    ck_assert_int_eq(writing_finish(writing, &end), ST_OK);
    ck_assert(end.replaced);
    ck_assert_str_eq(end.md5, "22af645d1859cb5ca6da0c484f1f37ea");
}
END_TEST

START_TEST(test_abort_leaves_nothing)
{
    struct store_at where = at("aa/bb/x");
    struct writing *writing;
    ck_assert_int_eq(writing_begin(&writing, &where), ST_OK);
    ck_assert_int_eq(writing_add(writing, "new", 3), ST_OK);
    writing_abort(writing);
    writing_abort(NULL);
    ck_assert(!exists("sv00/aa"));
    ck_assert_int_eq(rmdir(disk_path(".larder/tmp")), 0); /* is empty */
    /* And comes again where somebody removed it. */
    ck_assert_int_eq(put("aa/bb/x", "x"), ST_OK);
}
END_TEST

START_TEST(test_empty_value)
{
    struct store_value value;
    ck_assert_int_eq(put("x", ""), ST_OK);
    ck_assert_int_eq(open_value("x", &value), ST_OK);
    ck_assert_uint_eq(value.size, 0);
    (void)close(value.fd);
}
END_TEST

START_TEST(test_directories_in_the_way)
{
    ck_assert_int_eq(put("aa/bb/x", "x"), ST_OK);
    ck_assert_int_eq(put("aa/bb", "x"), ST_CONFLICT);
    ck_assert_int_eq(put("aa/bb/x/y", "x"), ST_CONFLICT);
    ck_assert_int_eq(look("aa/bb"), ST_CONFLICT);
    ck_assert_int_eq(look("aa/bb/x/y"), ST_NOT_FOUND);
    ck_assert_int_eq(look(""), ST_CONFLICT);
    struct store_at where = at("aa/bb");
    ck_assert_int_eq(store_delete(&where), ST_CONFLICT);
    ck_assert_int_eq(look("aa/bb/x"), ST_OK);
}
END_TEST

START_TEST(test_delete)
{
    struct store_at where = at("aa/bb/x");
    struct store_at nowhere = at("cc/dd/x");
    struct store_at no_subvolume = at("x");
    no_subvolume.subvolume = 9;
    ck_assert_int_eq(put("aa/bb/x", "x"), ST_OK);
    ck_assert_int_eq(store_delete(&where), ST_OK);
    ck_assert_int_eq(store_delete(&where), ST_NOT_FOUND);
    ck_assert_int_eq(store_delete(&nowhere), ST_NOT_FOUND);
    ck_assert_int_eq(store_delete(&no_subvolume), ST_NOT_FOUND);
    ck_assert(!exists("sv08")); /* looking makes nothing */
}
END_TEST

START_TEST(test_unlink)
{
    struct store_at where = at("x");
    struct store_value value;
    ck_assert_int_eq(store_unlink(&where), ST_NOT_FOUND);
    ck_assert_int_eq(put("x", "x"), ST_OK);
    ck_assert_int_eq(store_unlink(&where), ST_OK);
    ck_assert_int_eq(open_value("x", &value), ST_OK);
    ck_assert(value.attributes.unlinked);
    (void)close(value.fd);
}
END_TEST

/* The writer of term 5 has asked, and by the time that a thread comes to it, that of 6 was heard.
 */
START_TEST(test_a_term_that_is_over)
{
    struct fence fence = {0};
    struct store_at late = at("x");
    struct store_value value;
    ck_assert_int_eq(put("x", "old"), ST_OK);
    late.fence = &fence;
    late.term = 5;
    ck_assert(fence_hear(&fence, 6, loop_now_ms()));
    ck_assert_int_eq(put_at(&late, "new", NULL), ST_NOT_WRITER);
    ck_assert_int_eq(store_unlink(&late), ST_NOT_WRITER);
    ck_assert_int_eq(store_delete(&late), ST_NOT_WRITER);
    ck_assert_int_eq(open_value("x", &value), ST_OK);
    ck_assert_uint_eq(value.size, 3);
    ck_assert_str_eq(value.attributes.md5, "149603e6c03516362a8da23f624db945"); /* of "old" */
    ck_assert(!value.attributes.unlinked);
    (void)close(value.fd);
    late.term = 6;
    ck_assert_int_eq(store_unlink(&late), ST_OK);
    ck_assert_int_eq(store_delete(&late), ST_OK);
}
END_TEST

START_TEST(test_damaged_value)
{
    ck_assert_int_eq(put("x", "12345"), ST_OK);
    ck_assert_int_eq(truncate(disk_path("x"), 4), 0);
    ck_assert_int_eq(look("x"), ST_NOT_FOUND);
    ck_assert_int_eq(truncate(disk_path("x"), 6), 0);
    ck_assert_int_eq(look("x"), ST_NOT_FOUND);
    ck_assert_int_eq(truncate(disk_path("x"), 5), 0);
    ck_assert_int_eq(look("x"), ST_OK);
}
END_TEST

/* Values that nginx stored, or somebody copied. */
START_TEST(test_attributes_that_are_none)
{
    struct store_value value;
    write_file("sv00/plain", "by hand");
    ck_assert_int_eq(open_value("plain", &value), ST_OK);
    ck_assert_str_eq(value.attributes.md5, "");
    ck_assert(!value.attributes.has_size);
    (void)close(value.fd);
    const char *file = disk_path("plain");
    ck_assert_int_eq(setxattr(file, "user.larder.md5", "nonsense", 8, 0), 0);
    ck_assert_int_eq(setxattr(file, "user.larder.size", "-7", 2, 0), 0);
    ck_assert_int_eq(setxattr(file, "user.larder.type", "a\r\nEvil: b", 10, 0), 0);
    ck_assert_int_eq(setxattr(file, "user.larder.created", "99999999999999999999999", 23, 0), 0);
    ck_assert_int_eq(open_value("plain", &value), ST_OK);
    ck_assert_str_eq(value.attributes.md5, "");
    ck_assert_str_eq(value.attributes.type, "");
    ck_assert(!value.attributes.has_size);
    ck_assert_uint_eq(value.attributes.created, 0);
    (void)close(value.fd);
}
END_TEST

START_TEST(test_only_files_are_served)
{
    write_file("secret", "secret");
    write_file("sv00/x", "x");
    ck_assert_int_eq(symlink("../secret", disk_path("link")), 0);
    ck_assert_int_eq(mkfifo(disk_path("pipe"), 0644), 0);
    ck_assert_int_eq(look("link"), ST_NOT_FOUND);
    ck_assert_int_eq(look("pipe"), ST_NOT_FOUND); /* and does not wait for a writer */
    /* A PUT replaces the link, not what it shows to. */
    ck_assert_int_eq(put("link", "new"), ST_OK);
    ck_assert_int_eq(look("link"), ST_OK);
    struct stat st;
    char full[128];
    (void)snprintf(full, sizeof full, "%s/secret", dir);
    ck_assert_int_eq(stat(full, &st), 0);
    ck_assert_int_eq(st.st_size, 6);
}
END_TEST

START_TEST(test_long_type_is_left_out)
{
    char type[400];
    struct store_value value;
    struct store_at where = at("x");
    memset(type, 't', sizeof type - 1);
    type[sizeof type - 1] = 0;
    ck_assert_int_eq(put_at(&where, "x", type), ST_OK);
    ck_assert_int_eq(open_value("x", &value), ST_OK);
    ck_assert_str_eq(value.attributes.type, "");
    (void)close(value.fd);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_put_and_open,
                                  test_digest_and_replacing,
                                  test_abort_leaves_nothing,
                                  test_empty_value,
                                  test_directories_in_the_way,
                                  test_delete,
                                  test_unlink,
                                  test_a_term_that_is_over,
                                  test_damaged_value,
                                  test_attributes_that_are_none,
                                  test_only_files_are_served,
                                  test_long_type_is_left_out,
                                  NULL};
    Suite *suite = suite_create("volume store");
    (void)dir_case(suite, "store", tests);
    return suite_run(suite);
}
