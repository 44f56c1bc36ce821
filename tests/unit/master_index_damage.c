/* Records of an index that cannot be understood. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/key.h"
#include "common/ldb.h"
#include "common/log.h"
#include "common/record.h"
#include "master/index.h"
#include "tests/unit/suite.h"

static char dir[64];
static char path[80];
static struct index *index_of_test;
static char seen[64];

static void setup(void)
{
    log_set_level((enum log_level)(LOG_ERROR + 1));
    strcpy(dir, "/tmp/larder-index.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/index", dir);
}

static void teardown(void)
{
    char command[100];
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static bool see_work(void *arg UNUSED, const char *key, size_t len, const struct record *rec UNUSED)
{
    size_t at = strlen(seen);
    (void)snprintf(seen + at, sizeof seen - at, "%.*s ", (int)len, key);
    return true;
}

/* It hides nothing behind it, is an error for who wants all, and is told to the log once. */
START_TEST(damaged_work_is_passed_over)
{
    struct buf all = BUF_INIT;
    FILE *captured = tmpfile();
    int kept_stderr = dup(STDERR_FILENO);
    struct ldb *db;
    const struct ldb_options as = {.create = true};
    struct ldb_batch *batch = ldb_batch_new();
    ck_assert_int_eq(ldb_open(&db, path, &as, NULL), ST_OK);
    ldb_batch_put(batch, "!w/a", 4, "W1\nfew\n", 7);
    ldb_batch_put(batch, "!w/c", 4, "W1\nfew\n", 7);
    ldb_batch_put(batch, "!w/b b", 6, "garbled", 7);
    ldb_batch_put(batch, "!w/d", 4, "W1\nfewer\n", 9);
    ck_assert_int_eq(ldb_write(db, batch, true, NULL), ST_OK);
    ldb_batch_free(batch);
    ldb_close(db);
    struct index_options options = {.path = path, .sync = true};
    ck_assert_int_eq(index_open(&index_of_test, &options), ST_OK);
    ck_assert_uint_eq(index_damaged(index_of_test), 0);
    ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
    log_set_level(LOG_ERROR);
    for (int i = 0; i < 3; i++) {
        seen[0] = 0;
        ck_assert_int_eq(index_scan_work(index_of_test, &all, see_work, NULL), ST_CORRUPT);
        ck_assert_str_eq(seen, "/a /c ");
    }
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, "/d", 2), ST_OK);
    struct record rec;
    ck_assert_int_eq(index_get_all(index_of_test, &key, &rec), ST_CORRUPT);
    ck_assert_int_ge(dup2(kept_stderr, STDERR_FILENO), 0);
    (void)close(kept_stderr);
    ck_assert_uint_eq(index_damaged(index_of_test), 2);
    char line[1024];
    unsigned told[2] = {0};
    rewind(captured);
    while (fgets(line, sizeof line, captured)) {
        told[0] += strstr(line, "key=\"/b%20b\"") != NULL;
        told[1] += strstr(line, "key=\"/d\"") != NULL;
    }
    ck_assert(told[0] == 1 && told[1] == 1);
    (void)fclose(captured);
    index_close(index_of_test);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {damaged_work_is_passed_over, NULL};
    Suite *suite = suite_create("master_index_damage");
    tcase_add_checked_fixture(suite_case(suite, "damage", tests), setup, teardown);
    return suite_run(suite);
}
