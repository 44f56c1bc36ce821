/* A rebuild of two volumes without a network, into a directory of its own; what came of it. */
#ifndef LARDER_TESTS_FLOW_REBUILD_FIXTURE_H
#define LARDER_TESTS_FLOW_REBUILD_FIXTURE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ldb.h"
#include "tests/flow/tool_fixture.h"
#include "tools/larder/commands.h"

static char dir[64];
static char db[80];

static inline void setup(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/tool-rebuild-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(db, sizeof db, "%s/db", dir);
    fake_server("a:1");
    fake_server("b:1");
}

static inline void remove_tree(const char *path)
{
    char command[200];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

static inline void teardown(void)
{
    remove_tree(dir);
    fake_clear();
}

/* How many entries the directory has that begin with `prefix`. */
static inline unsigned count_files(const char *prefix)
{
    unsigned count = 0;
    DIR *list = opendir(dir);
    ck_assert_ptr_nonnull(list);
    const struct dirent *entry;
    while ((entry = readdir(list)))
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    (void)closedir(list);
    return count;
}

static inline int rebuild(const char *more)
{
    char arguments[400];
    (void)snprintf(arguments, sizeof arguments, "--db %s --volumes a:1,b:1 --replicas 2 %s", db,
                   more);
    return fake_run(rebuild_run, arguments);
}

/* The text under a key of the index, "" where there is none. */
static inline struct buf read_index(const char *key)
{
    const struct ldb_options options = {0};
    struct ldb *index;
    struct buf value = BUF_INIT;
    ck_assert_int_eq(ldb_open(&index, db, &options, NULL), ST_OK);
    enum status st = ldb_get(index, key, strlen(key), &value);
    ck_assert(st == ST_OK || st == ST_NOT_FOUND);
    ldb_close(index);
    return value;
}

static inline void check_index(const char *key, const char *expected)
{
    struct buf value = read_index(key);
    ck_assert_str_eq(buf_text(&value), expected);
    buf_free(&value);
}

#endif
