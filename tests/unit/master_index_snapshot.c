/* The index over a real LevelDB: snapshots, numbers of changes, what watchers are told, the mark of
 * a restored one. */
#include "master/index_snapshot.h"

#include "tests/unit/index_fixture.h"

static struct changes *changes;

static void open_index(void)
{
    const struct index_options as = {.path = path, .sync = true, .changes = changes};
    index_is_opened(&as);
}

static void setup(void)
{
    place_is_made();
    changes = changes_new((size_t)1 << 20);
    ck_assert_ptr_nonnull(changes);
    open_index();
}

static void teardown(void)
{
    close_index(); /* it tells of changes as long as it is open */
    changes_free(changes);
    place_is_removed();
}

/* As save(), with an event of the key. */
static enum status save_and_tell(const char *name, const char *value, enum changes_event event)
{
    struct commit commit;
    struct key key = key_of(name);
    begin_change(&commit);
    add_record(&commit, name, value, "");
    index_change_event(&commit.change, event, &key, 9, "");
    return commit_alone(&commit);
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
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    ck_assert_int_eq(save("/b", "v:1", ""), ST_OK);
    ck_assert_int_eq(index_snapshot_take(tested, &first, &sequence), ST_OK);
    ck_assert_uint_eq(sequence, 2);
    ck_assert_int_eq(save("/a", "v:2", ""), ST_OK);
    ck_assert_int_eq(save("/b", "", ""), ST_OK);
    ck_assert_int_eq(save("/c", "v:3", ""), ST_OK);
    ck_assert_int_eq(index_snapshot_take(tested, &second, &sequence), ST_OK);
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

START_TEST(it_ends_when_the_database_is_opened_anew)
{
    struct index_snapshot *snapshot;
    struct buf after = BUF_INIT;
    uint64_t sequence;
    unsigned all = 0;
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    ck_assert_int_eq(index_snapshot_take(tested, &snapshot, &sequence), ST_OK);
    limit_files(1);
    ck_assert_int_ne(save("/b", "v:1", ""), ST_OK);
    limit_files(0);
    ck_assert_int_eq(save("/c", "v:1", ""), ST_OK);
    ck_assert_int_eq(index_snapshot_scan(snapshot, &after, see, &all), ST_GONE);
    index_snapshot_free(snapshot);
    ck_assert_int_eq(index_snapshot_take(tested, &snapshot, &sequence), ST_OK);
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
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    uint64_t sequence = index_sequence(tested);
    /* What a process that is killed now leaves. */
    (void)snprintf(command, sizeof command, "cp -r %s %s.killed", path, path);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own making */
    close_index();
    (void)snprintf(command, sizeof command, "rm -r %s && mv %s.killed %s", path, path, path);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c) */
    open_index();
    ck_assert_uint_eq(index_sequence(tested), sequence + (1 << 20));
    close_index(); /* and that is on the disk; once is enough */
    open_index();
    ck_assert_uint_eq(index_sequence(tested), sequence + (1 << 20));
    ck_assert_int_eq(save("/a", "v:2", ""), ST_OK);
    ck_assert_uint_eq(index_sequence(tested), sequence + (1 << 20) + 1);
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
    ck_assert_int_eq(save_and_tell("/a", "v:1", CHANGES_PUT), ST_OK);
    ck_assert_int_eq(save("/a", "v:2", ""), ST_OK); /* copies that moved */
    ck_assert_int_eq(save_and_tell("/a", "", CHANGES_DELETE), ST_OK);
    buf_clear(&seen);
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_OK);
    ck_assert_str_eq(buf_text(&seen), "1:put:/a 3:delete:/a ");
    /* An event is not stored. */
    struct index_snapshot *snapshot;
    uint64_t sequence;
    struct buf after = BUF_INIT;
    buf_adds(&after, "!e");
    unsigned all = 0;
    ck_assert_int_eq(index_snapshot_take(tested, &snapshot, &sequence), ST_OK);
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
    ck_assert_int_eq(save_and_tell("/a", "v:1", CHANGES_PUT), ST_OK);
    limit_files(1);
    ck_assert_int_ne(save_and_tell("/b", "v:1", CHANGES_PUT), ST_OK);
    limit_files(0);
    /* It may be there after all: who watches has to look. */
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_GONE);
    /* With the next write the database is opened anew, and may show it: again, who has looked
     * before. */
    changes_range(changes, &oldest, &watcher.seen);
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_OK);
    ck_assert_int_eq(save_and_tell("/c", "v:1", CHANGES_PUT), ST_OK);
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_GONE);
    changes_range(changes, &oldest, &watcher.seen);
    ck_assert_int_eq(save_and_tell("/d", "v:1", CHANGES_PUT), ST_OK);
    ck_assert_int_eq(changes_read(changes, &watcher, note, NULL, &more), ST_OK);
    ck_assert_ptr_nonnull(strstr(buf_text(&seen), ":put:/d "));
    buf_free(&seen);
}
END_TEST

START_TEST(the_ring_begins_where_the_index_is)
{
    uint64_t oldest;
    uint64_t newest;
    ck_assert_int_eq(save_and_tell("/a", "v:1", CHANGES_PUT), ST_OK);
    ck_assert_int_eq(save_and_tell("/b", "v:1", CHANGES_PUT), ST_OK);
    close_index();
    open_index();
    changes_range(changes, &oldest, &newest);
    ck_assert_uint_eq(oldest, 2);
    ck_assert_uint_eq(newest, 2);
}
END_TEST

/* --- restored --- */

static enum status mark(bool restored)
{
    struct commit commit;
    begin_change(&commit);
    index_change_restored(&commit.change, restored);
    return commit_alone(&commit);
}

START_TEST(the_mark_is_kept)
{
    ck_assert(!index_restored(tested));
    ck_assert_int_eq(mark(true), ST_OK);
    ck_assert(index_restored(tested));
    close_index();
    open_index();
    ck_assert(index_restored(tested));
    limit_files(1);
    ck_assert_int_ne(mark(false), ST_OK);
    ck_assert(index_restored(tested)); /* not before it is written */
    limit_files(0);
    ck_assert_int_eq(mark(false), ST_OK);
    ck_assert(!index_restored(tested));
    close_index();
    open_index();
    ck_assert(!index_restored(tested));
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
    close_index();
    ck_assert_int_eq(ldb_open(&db, path, &options, NULL), ST_OK);
    ldb_batch_put(batch, "!mrestored", 10, value, sizeof value - 1);
    ck_assert_int_eq(ldb_write(db, batch, true, NULL), ST_OK);
    ldb_batch_free(batch);
    ldb_close(db);
    for (int i = 0; i < 2; i++) {
        open_index();
        ck_assert_uint_eq(index_restored_made_ms(tested), 1700000000000);
        ck_assert_int_eq(mark(true), ST_OK);
        ck_assert_uint_eq(index_restored_made_ms(tested), 1700000000000);
        close_index();
    }
    open_index();
    ck_assert_int_eq(mark(false), ST_OK);
    ck_assert_int_eq(mark(true), ST_OK);
    ck_assert_uint_eq(index_restored_made_ms(tested), 0);
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
