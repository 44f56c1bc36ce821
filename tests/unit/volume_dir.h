/* A directory of a volume for a test, opened by its subvolumes, without a server. */
#ifndef LARDER_TESTS_UNIT_VOLUME_DIR_H
#define LARDER_TESTS_UNIT_VOLUME_DIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/attr.h"
#include "common/log.h"
#include "tests/unit/suite.h"
#include "volume/disk.h"
#include "volume/store.h"
#include "volume/subvolume.h"
#include "volume/subvolumes.h"
#include "volume/writing.h"

static char dir[64];
static struct subvolumes *all;

static inline int dir_remove_one(const char *path, const struct stat *st UNUSED, int flag UNUSED,
                                 struct FTW *ftw UNUSED)
{
    return remove(path);
}

static inline void dir_make(void)
{
    log_set_level((enum log_level)(LOG_ERROR + 1));
    (void)snprintf(dir, sizeof dir, "/tmp/larder-unit-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline void dir_remove(void)
{
    (void)nftw(dir, dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* `error` as subvolumes_open(). */
static inline enum status dir_try(char **error)
{
    struct subvolumes_options options = {.dir = dir, .disk = &disk_unsynced, .sync = false};
    return subvolumes_open(&all, &options, error);
}

static inline void dir_open(void)
{
    char *error;
    enum status st = dir_try(&error);
    ck_assert_msg(st == ST_OK, "%s", error ? error : status_text(st));
}

static inline void dir_close(void)
{
    subvolumes_free(all);
    all = NULL;
}

static inline void setup(void)
{
    dir_make();
    dir_open();
}

static inline void teardown(void)
{
    dir_close();
    dir_remove();
}

/* Something in sv00. */
static inline struct store_at at(const char *file)
{
    return (struct store_at){.all = all, .subvolume = 1, .file = file, .request = "test"};
}

static inline enum status put_at(const struct store_at *where, const char *text, const char *type)
{
    struct writing *writing;
    struct writing_end end = {.type = type};
    enum status st = writing_begin(&writing, where);
    if (st)
        return st;
    st = writing_add(writing, text, strlen(text));
    if (st) {
        writing_abort(writing);
        return st;
    }
    return writing_finish(writing, &end);
}

static inline enum status put(const char *file, const char *text)
{
    struct store_at where = at(file);
    return put_at(&where, text, NULL);
}

/* A file behind the volume's back; directories are made. */
static inline void write_file(const char *path, const char *text)
{
    char full[512];
    int len = snprintf(full, sizeof full, "%s/%s", dir, path);
    ck_assert_int_lt(len, (int)sizeof full);
    for (char *slash = full + strlen(dir) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        (void)mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static inline bool exists(const char *path)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", dir, path);
    struct stat st;
    return lstat(full, &st) == 0;
}

static inline TCase *dir_case(Suite *suite, const char *name, const TTest *const *tests)
{
    TCase *tcase = suite_case(suite, name, tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    return tcase;
}

#endif
