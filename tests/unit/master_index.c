/* The index over a real LevelDB, with a real loop and committer. */
#include "tests/unit/index_fixture.h"

static struct index_options options(void)
{
    return (struct index_options){.path = path, .sync = true};
}

static void open_index(void)
{
    struct index_options as = options();
    index_is_opened(&as);
}

static void setup(void)
{
    place_is_made();
    open_index();
}

/* Fills a change that is committed later, with others. */
static void fill(struct commit *commit, const char *name, const char *value)
{
    begin_change(commit);
    add_record(commit, name, value, "");
}

/* True where the key is there with just these places. */
static bool is_at(const char *name, const char *place)
{
    struct key key = key_of(name);
    struct record rec;
    enum status st = index_get(tested, &key, &rec);
    bool same = st == ST_OK && rec.place_count == 1 && strcmp(rec.places[0], place) == 0;
    record_free(&rec);
    return same;
}

START_TEST(what_was_committed_is_read)
{
    struct key key = key_of("/a");
    struct record rec;
    ck_assert_int_eq(index_get(tested, &key, &rec), ST_NOT_FOUND);
    ck_assert_int_eq(index_get_all(tested, &key, &rec), ST_OK);
    ck_assert_int_eq(rec.state, KEY_ABSENT);
    ck_assert_int_eq(save("/a", "", "W1\ngarbage 5 larder v:1\n"), ST_OK);
    ck_assert_int_eq(index_get(tested, &key, &rec), ST_NOT_FOUND); /* not visible */
    ck_assert_int_eq(index_get_all(tested, &key, &rec), ST_OK);
    ck_assert_int_eq(rec.state, KEY_PENDING);
    ck_assert_uint_eq(rec.garbage.count, 1);
    record_free(&rec);
    ck_assert_int_eq(save("/a", "L1 live 5 larder - v:1", ""), ST_OK);
    ck_assert_int_eq(index_get_all(tested, &key, &rec), ST_OK);
    ck_assert_int_eq(rec.state, KEY_LIVE);
    ck_assert_uint_eq(rec.garbage.count, 0); /* both parts were replaced */
    record_free(&rec);
    ck_assert_int_eq(save("/a", "", ""), ST_OK);
    ck_assert_int_eq(index_get(tested, &key, &rec), ST_NOT_FOUND);
}
END_TEST

START_TEST(it_is_there_after_a_restart)
{
    char id[IDENTITY_SIZE + 1];
    char again[IDENTITY_SIZE + 1];
    index_id(tested, id);
    ck_assert_uint_eq(strlen(id), 32);
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    ck_assert_int_eq(save("/b", "", "W1\ntombstone 3\n"), ST_OK);
    uint64_t sequence = index_sequence(tested);
    close_index();
    open_index();
    ck_assert(is_at("/a", "v:1"));
    index_id(tested, again);
    ck_assert_str_eq(again, id);
    ck_assert_uint_eq(index_sequence(tested), sequence);
    ck_assert_int_eq(save("/c", "v:2", ""), ST_OK);
    ck_assert_uint_eq(index_sequence(tested), sequence + 1);
}
END_TEST

START_TEST(commits_share_their_syncs)
{
    enum { MANY = 2000 };
    struct commit *commits = calloc(MANY, sizeof *commits);
    char name[32];
    uint64_t changes;
    uint64_t writes;
    ck_assert_ptr_nonnull(commits);
    outstanding = MANY;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "/key/%04d", i);
        fill(&commits[i], name, "v:1");
        index_commit(tested, &commits[i].change);
        ck_assert_uint_eq(commits[i].answers, 0);
    }
    wait_for_commits();
    for (int i = 0; i < MANY; i++) {
        ck_assert_uint_eq(commits[i].answers, 1);
        ck_assert_int_eq(commits[i].st, ST_OK);
        (void)snprintf(name, sizeof name, "/key/%04d", i);
        ck_assert(is_at(name, "v:1"));
        index_change_free(&commits[i].change);
    }
    index_counters(tested, &changes, &writes);
    ck_assert_uint_eq(changes, MANY);
    ck_assert_uint_lt(writes, MANY);
    ck_assert_uint_eq(index_sequence(tested), MANY);
    ck_assert_uint_eq(index_queued(tested), 0);
    free(commits);
}
END_TEST

/* Closing writes what is queued; who asked for it hears of it when the loop delivers. */
START_TEST(closing_commits_what_is_queued)
{
    struct commit commit;
    fill(&commit, "/a", "v:1");
    commit.change.lazy = true;
    outstanding = 1;
    index_commit(tested, &commit.change);
    close_index();
    wait_for_commits();
    ck_assert_int_eq(commit.st, ST_OK);
    index_change_free(&commit.change);
    open_index();
    ck_assert(is_at("/a", "v:1"));
}
END_TEST

START_TEST(a_change_without_memory_fails_alone)
{
    struct commit bad;
    struct commit good;
    fill(&bad, "/a", "v:1");
    bad.change.ops.failed = true;
    fill(&good, "/b", "v:1");
    outstanding = 2;
    index_commit(tested, &bad.change);
    index_commit(tested, &good.change);
    wait_for_commits();
    ck_assert_int_eq(bad.st, ST_NO_MEMORY);
    ck_assert_int_eq(good.st, ST_OK);
    ck_assert(!is_at("/a", "v:1"));
    index_change_free(&bad.change);
    index_change_free(&good.change);
}
END_TEST

START_TEST(below_the_reserve_nothing_is_written)
{
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    close_index();
    struct index_options as = options();
    as.reserve_bytes = UINT64_MAX;
    index_is_opened(&as);
    ck_assert_int_eq(save("/a", "v:2", ""), ST_NO_SPACE);
    ck_assert_int_eq(index_health(tested), ST_NO_SPACE);
    ck_assert(is_at("/a", "v:1")); /* reads go on */
    close_index();
    open_index(); /* there is room again */
    ck_assert(is_at("/a", "v:1"));
    ck_assert_int_eq(save("/a", "v:2", ""), ST_OK);
    ck_assert_int_eq(index_health(tested), ST_OK);
    ck_assert(is_at("/a", "v:2"));
}
END_TEST

START_TEST(a_second_one_is_refused)
{
    struct index *second = NULL;
    struct index_options as = options();
    ck_assert_int_eq(index_open(&second, &as), ST_LOCKED);
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK); /* the first does not mind */
    as.path = "/proc/no-such-place/db";
    ck_assert_int_ne(index_open(&second, &as), ST_OK);
}
END_TEST

START_TEST(damage_is_no_absence)
{
    struct ldb *db;
    struct ldb_options as = {0};
    struct ldb_batch *batch = ldb_batch_new();
    close_index();
    ck_assert_int_eq(ldb_open(&db, path, &as, NULL), ST_OK);
    ldb_batch_put(batch, "/a", 2, "L1 garbled", 10);
    ldb_batch_put(batch, "/b", 2, "v:1", 3);
    ldb_batch_put(batch, "!w/b", 4, "garbled", 7);
    ck_assert_int_eq(ldb_write(db, batch, true, NULL), ST_OK);
    ldb_batch_free(batch);
    ldb_close(db);
    open_index();
    struct key key = key_of("/a");
    struct record rec;
    ck_assert_int_eq(index_get(tested, &key, &rec), ST_CORRUPT);
    key = key_of("/b");
    ck_assert_int_eq(index_get(tested, &key, &rec), ST_OK);
    record_free(&rec);
    ck_assert_int_eq(index_get_all(tested, &key, &rec), ST_CORRUPT);
}
END_TEST

/* --- scans --- */

static char seen[256];
static int stop_after;

static bool see(const char *key, size_t len)
{
    size_t at = strlen(seen);
    (void)snprintf(seen + at, sizeof seen - at, "%.*s ", (int)len, key);
    return --stop_after != 0;
}

static bool see_key(void *arg UNUSED, const char *key, size_t len, const struct record *rec)
{
    ck_assert_uint_eq(rec->place_count, 1);
    return see(key, len);
}

static bool see_work(void *arg UNUSED, const char *key, size_t len, const struct record *rec UNUSED)
{
    return see(key, len);
}

static bool see_volume(void *arg UNUSED, const char *name, const char *value)
{
    size_t at = strlen(seen);
    (void)snprintf(seen + at, sizeof seen - at, "%s=%s ", name, value);
    return true;
}

static bool see_state(void *arg UNUSED, const char *key, size_t len, enum key_state state)
{
    ck_assert_int_eq(state, KEY_LIVE);
    return see(key, len);
}

/* What a scan sees, of at most `most` keys (0: all). */
static const char *scan(const char *prefix, const char *start, int most)
{
    struct buf as = BUF_INIT;
    struct buf from = BUF_INIT;
    buf_adds(&as, prefix);
    buf_adds(&from, start);
    seen[0] = 0;
    stop_after = most;
    ck_assert_int_eq(index_scan(tested, &as, &from, see_key, NULL), ST_OK);
    char first[sizeof seen];
    memcpy(first, seen, sizeof seen);
    seen[0] = 0;
    stop_after = most;
    ck_assert_int_eq(index_scan_states(tested, &as, &from, see_state, NULL), ST_OK);
    ck_assert_str_eq(seen, first);
    buf_free(&as);
    buf_free(&from);
    return seen;
}

static const char *scan_naming(const char *text)
{
    seen[0] = 0;
    stop_after = 0;
    ck_assert_int_eq(index_scan_naming(tested, text, see_key, NULL), ST_OK);
    return seen;
}

static const char *scan_work(const char *start, int most)
{
    struct buf from = BUF_INIT;
    buf_adds(&from, start);
    seen[0] = 0;
    stop_after = most;
    ck_assert_int_eq(index_scan_work(tested, &from, see_work, NULL), ST_OK);
    buf_free(&from);
    return seen;
}

START_TEST(scans_begin_and_end_where_they_should)
{
    static const char *const names[] = {"/a", "/b/1", "/b/2", "/b/21", "/b/3", "/b0", "/c"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        ck_assert_int_eq(save(names[i], "v:1", ""), ST_OK);
    ck_assert_int_eq(save("/b/0", "", "W1\ngarbage 1 larder v:1\n"), ST_OK);
    ck_assert_str_eq(scan("", "", 0), "/a /b/1 /b/2 /b/21 /b/3 /b0 /c ");
    ck_assert_str_eq(scan("/", "", 0), "/a /b/1 /b/2 /b/21 /b/3 /b0 /c ");
    ck_assert_str_eq(scan("/b/", "", 0), "/b/1 /b/2 /b/21 /b/3 ");
    ck_assert_str_eq(scan("/b/2", "", 0), "/b/2 /b/21 ");
    ck_assert_str_eq(scan("/b/", "/b/2", 0), "/b/2 /b/21 /b/3 ");
    ck_assert_str_eq(scan("/b/", "/b/20", 0), "/b/21 /b/3 ");
    ck_assert_str_eq(scan("/b/", "/b/3x", 0), "");
    ck_assert_str_eq(scan("/b/", "/c", 0), "");
    ck_assert_str_eq(scan("/b/", "/a", 0), "/b/1 /b/2 /b/21 /b/3 ");
    ck_assert_str_eq(scan("/b/", "/azzz", 0), "/b/1 /b/2 /b/21 /b/3 "); /* longer, but before */
    ck_assert_str_eq(scan("/b/", "/b", 0), "/b/1 /b/2 /b/21 /b/3 ");
    ck_assert_str_eq(scan("", "/b/2", 2), "/b/2 /b/21 ");
    ck_assert_str_eq(scan("/none", "", 0), "");
}
END_TEST

/* Whether a place is the one that is meant is the caller's to find out. */
START_TEST(keys_that_name_a_volume_are_found)
{
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    ck_assert_int_eq(save("/b", "v:10/sv00", ""), ST_OK);
    ck_assert_int_eq(save("/v:1", "w:1", "W1\ngarbage 1 larder v:1\n"), ST_OK);
    ck_assert_str_eq(scan_naming("v:1"), "/a /b ");
    ck_assert_str_eq(scan_naming("v:10"), "/b ");
    ck_assert_str_eq(scan_naming("w:1"), "/v:1 ");
    ck_assert_str_eq(scan_naming("x:1"), "");
}
END_TEST

START_TEST(work_is_found)
{
    ck_assert_int_eq(save("/a", "v:1", "W1\nfew\n"), ST_OK);
    ck_assert_int_eq(save("/b", "v:1", ""), ST_OK);
    ck_assert_int_eq(save("/c", "", "W1\ntombstone 4\n"), ST_OK);
    ck_assert_int_eq(save("/d", "", "W1\ngarbage 1 larder v:1\n"), ST_OK);
    ck_assert_str_eq(scan_work("", 0), "/a /c /d ");
    ck_assert_str_eq(scan_work("/b", 0), "/c /d ");
    ck_assert_str_eq(scan_work("/c", 1), "/c ");
    ck_assert_int_eq(save("/c", "", ""), ST_OK);
    close_index();
    open_index();
    ck_assert_str_eq(scan_work("", 0), "/a /d ");
}
END_TEST

static enum status save_volume(const char *name, const char *value)
{
    struct commit commit;
    begin_change(&commit);
    index_change_volume(&commit.change, name, value);
    return commit_alone(&commit);
}

START_TEST(volumes_are_kept)
{
    ck_assert_int_eq(save_volume("b:1/x", "{}"), ST_OK);
    ck_assert_int_eq(save_volume("a:1", "{\"id\":\"1\"}"), ST_OK);
    ck_assert_int_eq(save_volume("a:1", "{\"id\":\"2\"}"), ST_OK);
    ck_assert_int_eq(save("/a", "v:1", "W1\nfew\n"), ST_OK);
    close_index();
    open_index();
    seen[0] = 0;
    ck_assert_int_eq(index_scan_volumes(tested, see_volume, NULL), ST_OK);
    ck_assert_str_eq(seen, "a:1={\"id\":\"2\"} b:1/x={} ");
    ck_assert_str_eq(scan("", "", 0), "/a "); /* they are no keys */
}
END_TEST

/* --- a write that fails half-way --- */

START_TEST(after_a_failed_write_the_database_is_opened_anew)
{
    static char big[256 * 1024];
    memset(big, 'x', sizeof big - 1);
    ck_assert_int_eq(save("/a", "v:1", ""), ST_OK);
    limit_files(128UL * 1024);
    ck_assert_int_ne(save_volume("big:1", big), ST_OK);
    ck_assert_int_ne(index_health(tested), ST_OK);
    ck_assert(is_at("/a", "v:1")); /* reads go on */
    ck_assert_int_eq(save("/a", "v:2", ""), ST_OK);
    ck_assert_int_eq(index_health(tested), ST_OK);
    limit_files(0);
    ck_assert_int_eq(save("/b", "v:1", ""), ST_OK);
    close_index();
    open_index(); /* what stands behind the torn entry would be lost by now */
    ck_assert(is_at("/a", "v:2") && is_at("/b", "v:1"));
    seen[0] = 0;
    ck_assert_int_eq(index_scan_volumes(tested, see_volume, NULL), ST_OK);
    ck_assert_str_eq(seen, "");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {what_was_committed_is_read,
                                  it_is_there_after_a_restart,
                                  commits_share_their_syncs,
                                  closing_commits_what_is_queued,
                                  a_change_without_memory_fails_alone,
                                  below_the_reserve_nothing_is_written,
                                  a_second_one_is_refused,
                                  damage_is_no_absence,
                                  scans_begin_and_end_where_they_should,
                                  work_is_found,
                                  keys_that_name_a_volume_are_found,
                                  volumes_are_kept,
                                  after_a_failed_write_the_database_is_opened_anew,
                                  NULL};
    Suite *suite = suite_create("master_index");
    tcase_add_checked_fixture(suite_case(suite, "index", tests), setup, place_is_removed);
    return suite_run(suite);
}
