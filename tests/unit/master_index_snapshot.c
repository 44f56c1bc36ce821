/* The index over a real LevelDB: snapshots, numbers of changes, what watchers are told, the mark of
 * a restored one. */
#include "master/index_snapshot.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/ldb.h"
#include "common/log.h"
#include "master/index.h"
#include "tests/unit/suite.h"

static char dir[64];
static char path[80];
static struct loop *loop;
static struct changes *changes;
static struct index *index_of_test;

static void open_index(void)
{
    const struct index_options as = {.path = path, .sync = true, .changes = changes};
    ck_assert_int_eq(index_open(&index_of_test, &as), ST_OK);
}

static void setup(void)
{
    log_set_level((enum log_level)(LOG_ERROR + 1));
    strcpy(dir, "/tmp/larder-snapshot.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/db", dir);
    loop = loop_new();
    changes = changes_new((size_t)1 << 20);
    ck_assert(loop && changes);
    open_index();
}

static void teardown(void)
{
    index_close(index_of_test);
    changes_free(changes);
    loop_free(loop);
    (void)!ldb_destroy(path);
    (void)rmdir(path);
    (void)rmdir(dir);
}

/* --- committing --- */

static enum status last;

static void has_committed(void *arg, enum status st)
{
    (void)arg;
    last = st;
    loop_stop(loop);
}

static enum status commit(struct index_change *change)
{
    last = ST_INTERNAL;
    index_commit(index_of_test, change);
    loop_run(loop);
    loop_free(loop); /* one that was stopped ends at once when it runs again */
    loop = loop_new();
    ck_assert_ptr_nonnull(loop);
    index_change_free(change);
    return last;
}

/* With an event, where `event` is one. */
static enum status save(const char *name, const char *value, int event)
{
    struct index_change change = {0};
    struct record rec;
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, name, strlen(name)), ST_OK);
    record_init(&rec);
    ck_assert_int_eq(record_decode(&rec, *value ? value : NULL, strlen(value), NULL, 0), ST_OK);
    index_change_begin(&change, loop, has_committed, NULL);
    index_change_record(&change, &key, &rec);
    if (event >= 0)
        index_change_event(&change, (enum changes_event)event, &key, 9, "");
    record_free(&rec);
    return commit(&change);
}

/* --- snapshots --- */

static struct buf seen;

static bool see(void *arg, const char *key, size_t key_len, const char *value, size_t value_len)
{
    unsigned *left = arg;
    if (key[0] == '/')
        buf_addf(&seen, "%.*s=%.*s ", (int)key_len, key, (int)value_len, value);
    return *left == 0 || --*left > 0;
}

static const char *scan(struct index_snapshot *snapshot, const char *after, unsigned most)
{
    struct buf from = BUF_INIT;
    buf_adds(&from, after);
    buf_clear(&seen);
    ck_assert_int_eq(index_snapshot_scan(snapshot, &from, see, &most), ST_OK);
    buf_free(&from);
    return buf_text(&seen);
}

START_TEST(a_snapshot_does_not_change)
{
    struct index_snapshot *first;
    struct index_snapshot *second;
    uint64_t sequence;
    ck_assert_int_eq(save("/a", "v:1", -1), ST_OK);
    ck_assert_int_eq(save("/b", "v:1", -1), ST_OK);
    ck_assert_int_eq(index_snapshot_take(index_of_test, &first, &sequence), ST_OK);
    ck_assert_uint_eq(sequence, 2);
    ck_assert_int_eq(save("/a", "v:2", -1), ST_OK);
    ck_assert_int_eq(save("/b", "", -1), ST_OK);
    ck_assert_int_eq(save("/c", "v:3", -1), ST_OK);
    ck_assert_int_eq(index_snapshot_take(index_of_test, &second, &sequence), ST_OK);
    ck_assert_uint_eq(sequence, 5);
    ck_assert_str_eq(scan(first, "", 0), "/a=v:1 /b=v:1 ");
    ck_assert_str_eq(scan(second, "", 0), "/a=v:2 /c=v:3 ");
    ck_assert_str_eq(scan(first, "/a", 0), "/b=v:1 ");
    ck_assert_str_eq(scan(first, "/aa", 0), "/b=v:1 ");
    ck_assert_str_eq(scan(first, "/b", 0), "");
    ck_assert_str_eq(scan(second, "/", 1), "/a=v:2 ");
    index_snapshot_free(first);
    index_snapshot_free(second);
    buf_free(&seen);
}
END_TEST

/* The bytes that a file may have are limited, so the log cannot be written. */
static void limit_files(bool limited)
{
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = limited ? 1 : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(it_ends_when_the_database_is_opened_anew)
{
    struct index_snapshot *snapshot;
    struct buf after = BUF_INIT;
    uint64_t sequence;
    unsigned all = 0;
    ck_assert_int_eq(save("/a", "v:1", -1), ST_OK);
    ck_assert_int_eq(index_snapshot_take(index_of_test, &snapshot, &sequence), ST_OK);
    limit_files(true);
    ck_assert_int_ne(save("/b", "v:1", -1), ST_OK);
    limit_files(false);
    ck_assert_int_eq(save("/c", "v:1", -1), ST_OK);
    ck_assert_int_eq(index_snapshot_scan(snapshot, &after, see, &all), ST_GONE);
    index_snapshot_free(snapshot);
    ck_assert_int_eq(index_snapshot_take(index_of_test, &snapshot, &sequence), ST_OK);
    ck_assert_ptr_nonnull(strstr(scan(snapshot, "", 0), "/c=v:1"));
    index_snapshot_free(snapshot);
    buf_free(&seen);
}
END_TEST

/* --- numbers --- */

/* After a power loss the last numbers may be those of changes that are gone: who has heard of them
 * would take others that have the same for known. A process that ends without closing leaves the
 * same. */
START_TEST(numbers_are_not_given_twice)
{
    char command[320];
    ck_assert_int_eq(save("/a", "v:1", -1), ST_OK);
    uint64_t sequence = index_sequence(index_of_test);
    /* What a process that is killed now leaves. */
    (void)snprintf(command, sizeof command, "cp -r %s %s.killed", path, path);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own making */
    index_close(index_of_test);
    (void)snprintf(command, sizeof command, "rm -r %s && mv %s.killed %s", path, path, path);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c) */
    open_index();
    ck_assert_uint_eq(index_sequence(index_of_test), sequence + (1 << 20));
    index_close(index_of_test); /* and that is on the disk; once is enough */
    open_index();
    ck_assert_uint_eq(index_sequence(index_of_test), sequence + (1 << 20));
    ck_assert_int_eq(save("/a", "v:2", -1), ST_OK);
    ck_assert_uint_eq(index_sequence(index_of_test), sequence + (1 << 20) + 1);
}
END_TEST

/* --- watchers --- */

static bool note(void *arg, const struct changes_item *item)
{
    (void)arg;
    buf_addf(&seen, "%llu:%s:%.*s ", (unsigned long long)item->sequence,
             changes_event_text(item->event), (int)item->key_len, item->key);
    return true;
}

START_TEST(watchers_are_told_what_was_written)
{
    struct changes_watcher watcher = {.prefix = "/", .prefix_len = 1};
    bool more;
    ck_assert_int_eq(save("/a", "v:1", CHANGES_PUT), ST_OK);
    ck_assert_int_eq(save("/a", "v:2", -1), ST_OK); /* copies that moved */
    ck_assert_int_eq(save("/a", "", CHANGES_DELETE), ST_OK);
    buf_clear(&seen);
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_OK);
    ck_assert_str_eq(buf_text(&seen), "1:put:/a 3:delete:/a ");
    /* An event is not stored. */
    struct index_snapshot *snapshot;
    uint64_t sequence;
    struct buf after = BUF_INIT;
    buf_adds(&after, "!e");
    unsigned all = 0;
    ck_assert_int_eq(index_snapshot_take(index_of_test, &snapshot, &sequence), ST_OK);
    buf_clear(&seen);
    ck_assert_int_eq(index_snapshot_scan(snapshot, &after, see, &all), ST_OK);
    ck_assert_str_eq(buf_text(&seen), "");
    index_snapshot_free(snapshot);
    buf_free(&after);
    buf_free(&seen);
}
END_TEST

START_TEST(a_write_that_failed_is_not_told)
{
    struct changes_watcher watcher = {.prefix = "/", .prefix_len = 1};
    uint64_t oldest;
    bool more;
    ck_assert_int_eq(save("/a", "v:1", CHANGES_PUT), ST_OK);
    limit_files(true);
    ck_assert_int_ne(save("/b", "v:1", CHANGES_PUT), ST_OK);
    limit_files(false);
    /* It may be there after all: who watches has to look. */
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_GONE);
    /* With the next write the database is opened anew, and may show it: again, who has looked
     * before. */
    changes_range(changes, &oldest, &watcher.seen);
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_OK);
    ck_assert_int_eq(save("/c", "v:1", CHANGES_PUT), ST_OK);
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_GONE);
    changes_range(changes, &oldest, &watcher.seen);
    ck_assert_int_eq(save("/d", "v:1", CHANGES_PUT), ST_OK);
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_OK);
    ck_assert_ptr_nonnull(strstr(buf_text(&seen), ":put:/d "));
    buf_free(&seen);
}
END_TEST

START_TEST(the_ring_begins_where_the_index_is)
{
    uint64_t oldest;
    uint64_t newest;
    ck_assert_int_eq(save("/a", "v:1", CHANGES_PUT), ST_OK);
    ck_assert_int_eq(save("/b", "v:1", CHANGES_PUT), ST_OK);
    index_close(index_of_test);
    open_index();
    changes_range(changes, &oldest, &newest);
    ck_assert_uint_eq(oldest, 2);
    ck_assert_uint_eq(newest, 2);
}
END_TEST

/* --- restored --- */

static enum status mark(bool restored)
{
    struct index_change change = {0};
    index_change_begin(&change, loop, has_committed, NULL);
    index_change_restored(&change, restored);
    return commit(&change);
}

START_TEST(the_mark_is_kept)
{
    ck_assert(!index_restored(index_of_test));
    ck_assert_int_eq(mark(true), ST_OK);
    ck_assert(index_restored(index_of_test));
    index_close(index_of_test);
    open_index();
    ck_assert(index_restored(index_of_test));
    limit_files(true);
    ck_assert_int_ne(mark(false), ST_OK);
    ck_assert(index_restored(index_of_test)); /* not before it is written */
    limit_files(false);
    ck_assert_int_eq(mark(false), ST_OK);
    ck_assert(!index_restored(index_of_test));
    index_close(index_of_test);
    open_index();
    ck_assert(!index_restored(index_of_test));
}
END_TEST

/* What it says of its backup outlives another beginning, but not the end. */
START_TEST(the_time_of_the_backup_is_kept)
{
    const char value[] = "{\"made\":1700000000000,\"sequence\":7}";
    struct ldb_options options = {0};
    struct ldb *db;
    struct ldb_batch *batch = ldb_batch_new();
    ck_assert_ptr_nonnull(batch);
    index_close(index_of_test);
    ck_assert_int_eq(ldb_open(&db, path, &options, NULL), ST_OK);
    ldb_batch_put(batch, "!mrestored", 10, value, sizeof value - 1);
    ck_assert_int_eq(ldb_write(db, batch, true, NULL), ST_OK);
    ldb_batch_free(batch);
    ldb_close(db);
    for (int i = 0; i < 2; i++) {
        open_index();
        ck_assert_uint_eq(index_restored_made_ms(index_of_test), 1700000000000);
        ck_assert_int_eq(mark(true), ST_OK);
        ck_assert_uint_eq(index_restored_made_ms(index_of_test), 1700000000000);
        index_close(index_of_test);
    }
    open_index();
    ck_assert_int_eq(mark(false), ST_OK);
    ck_assert_int_eq(mark(true), ST_OK);
    ck_assert_uint_eq(index_restored_made_ms(index_of_test), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_snapshot_does_not_change,
                                  it_ends_when_the_database_is_opened_anew,
                                  numbers_are_not_given_twice,
                                  watchers_are_told_what_was_written,
                                  a_write_that_failed_is_not_told,
                                  the_ring_begins_where_the_index_is,
                                  the_mark_is_kept,
                                  the_time_of_the_backup_is_kept,
                                  NULL};
    Suite *suite = suite_create("master_index_snapshot");
    tcase_add_checked_fixture(suite_case(suite, "index", tests), setup, teardown);
    return suite_run(suite);
}
