/* The index of one of several masters: a real LevelDB and committer over a log that the test plays.
 */
#include "tests/unit/index_fixture.h"

#include "common/entry.h"
#include "master/index_state.h"
#include "master/recall.h"

/* --- the log --- */

static struct {
    enum status answer;
    unsigned appends;
    uint64_t first;    /* of the last append */
    uint64_t next;     /* a term that begins while it is under way, or 0 */
    uint64_t applied;  /* as it was told */
    char volumes[256]; /* names and values that it was told, each with a blank behind it */
} fake;

static enum status fake_append(void *arg UNUSED, uint64_t term, uint64_t first,
                               uint32_t count UNUSED, const struct buf *ops UNUSED)
{
    fake.appends++;
    fake.first = first;
    if (fake.next) {
        index_end_term(tested, term);
        index_begin_term(tested, fake.next);
    }
    return fake.answer;
}

static void fake_applied(void *arg UNUSED, uint64_t sequence)
{
    fake.applied = sequence;
}

static void fake_volume(void *arg UNUSED, const char *name, const char *value)
{
    size_t len = strlen(fake.volumes);
    (void)snprintf(fake.volumes + len, sizeof fake.volumes - len, "%s %s ", name, value);
}

static const struct index_log fake_log = {fake_append, fake_applied, fake_volume, NULL};

/* --- the index --- */

static void open_index(const struct index_log *log)
{
    const struct index_options options = {
        .path = path, .sync = true, .log = log, .recall_bytes = 2 << 20, .roster_bytes = 1 << 16};
    index_is_opened(&options);
}

static void reopen(const struct index_log *log)
{
    close_index();
    open_index(log);
}

static void setup(void)
{
    memset(&fake, 0, sizeof fake);
    place_is_made();
    open_index(&fake_log);
}

/* What a flow does: the record is read, and later committed with another place. */
static void read_record(const char *name, struct record *rec)
{
    struct key key = key_of(name);
    ck_assert_int_eq(index_get_all(tested, &key, rec), ST_OK);
}

static enum status commit_record(const char *name, struct record *rec, const char *place)
{
    struct key key = key_of(name);
    struct commit commit;
    if (rec->state == KEY_ABSENT) {
        record_move(rec, KEY_PENDING);
        record_move(rec, KEY_LIVE);
    }
    ck_assert_int_eq(record_set_places(rec, &place, 1), ST_OK);
    begin_change(&commit);
    index_change_record(&commit.change, &key, rec);
    return commit_alone(&commit);
}

static enum status put(const char *name, const char *place)
{
    struct record rec;
    read_record(name, &rec);
    enum status st = commit_record(name, &rec, place);
    record_free(&rec);
    return st;
}

/* The place of a key; "" where there is none. */
static const char *place_of(const char *name)
{
    static char place[64];
    struct key key = key_of(name);
    struct record rec;
    enum status st = index_get(tested, &key, &rec);
    (void)snprintf(place, sizeof place, "%s", st || !rec.place_count ? "" : rec.places[0]);
    record_free(&rec);
    return place;
}

/* An entry of another master, with one operation. */
static enum status apply(uint64_t first, uint32_t count, const char *key, const char *value)
{
    struct buf ops = BUF_INIT;
    entry_add_op(&ops, "", key, strlen(key), value, value ? strlen(value) : 0);
    const struct entry entry = {
        .first = first, .count = count, .ops = buf_text(&ops), .ops_len = ops.len};
    enum status st = index_apply(tested, &entry);
    buf_free(&ops);
    return st;
}

START_TEST(a_change_is_applied_when_the_log_has_it)
{
    index_begin_term(tested, 5);
    ck_assert_int_eq(put("/a", "v1:1"), ST_OK);
    ck_assert_uint_eq(fake.first, 1);
    ck_assert_uint_eq(fake.applied, 1);
    ck_assert_uint_eq(index_sequence(tested), 1);
    ck_assert_str_eq(place_of("/a"), "v1:1");
}
END_TEST

START_TEST(nothing_is_taken_outside_of_a_term)
{
    ck_assert_int_eq(put("/a", "v1:1"), ST_NOT_WRITER);
    ck_assert_uint_eq(fake.appends, 0);
    ck_assert_str_eq(place_of("/a"), "");
}
END_TEST

/* Between its reading and its commit another master may have changed the key. */
START_TEST(a_record_of_another_term_is_refused)
{
    struct record rec;
    for (unsigned before = 0; before < 2; before++) { /* read in no term; in an earlier one */
        if (before)
            index_begin_term(tested, 5);
        read_record("/a", &rec);
        index_end_term(tested, 5);
        index_begin_term(tested, 6);
        ck_assert_int_eq(commit_record("/a", &rec, "v1:1"), ST_NOT_WRITER);
        ck_assert_uint_eq(fake.appends, 0);
        index_end_term(tested, 6);
        record_free(&rec);
    }
}
END_TEST

START_TEST(what_is_unknown_ends_the_term)
{
    static const enum status ends[] = {ST_UNKNOWN, ST_NOT_WRITER};
    for (size_t i = 0; i < 2; i++) {
        index_begin_term(tested, 5 + i);
        fake.answer = ends[i];
        ck_assert_int_eq(put("/a", "v1:1"), ends[i]);
        ck_assert_uint_eq(index_term(tested), 0);
        ck_assert_int_eq(put("/a", "v1:1"), ST_NOT_WRITER);
        ck_assert_str_eq(place_of("/a"), "");
    }
    ck_assert_uint_eq(fake.appends, 2);
}
END_TEST

/* The answer to an append of the term before comes late. */
START_TEST(the_next_term_is_not_ended_with_the_last)
{
    static const enum status ends[] = {ST_UNKNOWN, ST_NOT_WRITER};
    for (size_t i = 0; i < 2; i++) {
        index_begin_term(tested, 5 + i);
        fake.answer = ends[i];
        fake.next = 6 + i;
        ck_assert_int_eq(put("/a", "v1:1"), ends[i]);
        ck_assert_uint_eq(index_term(tested), 6 + i);
    }
    fake.answer = ST_OK;
    fake.next = 0;
    index_end_term(tested, 6);
    ck_assert_int_eq(put("/a", "v1:1"), ST_OK);
    index_end_term(tested, 7);
    ck_assert_uint_eq(index_term(tested), 0);
}
END_TEST

START_TEST(no_space_does_not_end_it)
{
    index_begin_term(tested, 5);
    fake.answer = ST_NO_SPACE;
    ck_assert_int_eq(put("/a", "v1:1"), ST_NO_SPACE);
    ck_assert_int_eq(index_health(tested), ST_NO_SPACE);
    fake.answer = ST_OK;
    ck_assert_int_eq(put("/a", "v1:1"), ST_OK);
    ck_assert_uint_eq(fake.first, 1); /* the sequence was not used up */
    ck_assert_int_eq(index_health(tested), ST_OK);
}
END_TEST

START_TEST(entries_are_applied_in_order_and_once)
{
    ck_assert_int_eq(apply(2, 1, "/a", "v2:1"), ST_CONFLICT);
    ck_assert_int_eq(apply(1, 3, "/a", "v1:1"), ST_OK);
    ck_assert_uint_eq(index_sequence(tested), 3);
    ck_assert_int_eq(apply(1, 3, "/a", "v9:1"), ST_OK); /* was there already */
    ck_assert_str_eq(place_of("/a"), "v1:1");
    ck_assert_int_eq(apply(4, 1, "!vv1:1", "{}"), ST_OK);
    ck_assert_str_eq(fake.volumes, "v1:1 {} ");
    ck_assert_int_eq(apply(5, 1, "/a", NULL), ST_OK);
    ck_assert_str_eq(place_of("/a"), "");
    ck_assert_uint_eq(fake.applied, 5);
}
END_TEST

/* After its start it goes on with what is certainly on the disk. */
START_TEST(it_goes_back_to_what_was_synced)
{
    uint64_t synced;
    ck_assert_int_eq(index_note_log(tested), ST_OK);
    ck_assert_int_eq(apply(1, 2, "/a", "v1:1"), ST_OK);
    ck_assert_int_eq(index_flush(tested, &synced), ST_OK);
    ck_assert_uint_eq(synced, 2);
    ck_assert_int_eq(apply(3, 2, "/a", "v2:1"), ST_OK);
    reopen(&fake_log);
    ck_assert(index_follows_log(tested));
    ck_assert_uint_eq(index_recorded(tested), 4);
    ck_assert_uint_eq(index_sequence(tested), 2);
    ck_assert_int_eq(apply(3, 2, "/a", "v2:1"), ST_OK);
    ck_assert_uint_eq(index_sequence(tested), 4);
    ck_assert_str_eq(place_of("/a"), "v2:1");
}
END_TEST

START_TEST(one_that_is_used_alone_has_left_the_log)
{
    ck_assert_int_eq(index_note_log(tested), ST_OK);
    ck_assert_int_eq(apply(1, 1, "/a", "v1:1"), ST_OK);
    reopen(NULL);
    uint64_t alone = index_sequence(tested);
    ck_assert_uint_gt(alone, 1); /* it does not give numbers that the log may have given */
    ck_assert_int_eq(put("/a", "v2:1"), ST_OK);
    reopen(&fake_log);
    ck_assert(!index_follows_log(tested));
    ck_assert_uint_eq(index_sequence(tested), alone + 1);
}
END_TEST

/* As it was on the disk before anything was applied: what a power loss leaves of what was not
 * synced. Nothing is written meanwhile, so the files are whole. */
static void copy_index(const char *to)
{
    char command[256];
    (void)snprintf(command, sizeof command, "cp -r %s %s", path, to);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

START_TEST(numbers_of_the_log_are_not_given_again_by_one_alone)
{
    char copy[96];
    (void)snprintf(copy, sizeof copy, "%s/copy", dir);
    reopen(NULL);
    ck_assert_int_eq(put("/a", "v1:1"), ST_OK);
    uint64_t closed = index_sequence(tested);
    reopen(&fake_log); /* it was closed in good order */
    ck_assert_int_eq(index_note_log(tested), ST_OK);
    copy_index(copy);
    for (uint64_t i = 1; i <= 9; i++)
        ck_assert_int_eq(apply(closed + i, 1, "/b", "v1:1"), ST_OK);
    close_index();
    ck_assert_int_eq(ldb_destroy(path), ST_OK);
    (void)rmdir(path);
    ck_assert_int_eq(rename(copy, path), 0);
    open_index(NULL);
    ck_assert_uint_gt(index_sequence(tested), closed + 9);
}
END_TEST

START_TEST(a_blank_one_becomes_that_of_a_store)
{
    static const char id[] = "0123456789abcdef0123456789abcdef";
    char its[IDENTITY_SIZE + 1];
    ck_assert(index_is_blank(tested));
    ck_assert_int_eq(index_adopt(tested, "too short", 1), ST_CORRUPT);
    ck_assert_int_eq(index_adopt(tested, id, 77), ST_OK);
    reopen(&fake_log);
    index_id(tested, its);
    ck_assert_str_eq(its, id);
    ck_assert_uint_eq(index_born_ms(tested), 77);
    ck_assert(index_follows_log(tested));
    ck_assert_int_eq(apply(1, 1, "/a", "v1:1"), ST_OK);
    ck_assert_int_eq(index_flush(tested, &(uint64_t){0}), ST_OK);
    reopen(&fake_log);
    ck_assert(!index_is_blank(tested));
}
END_TEST

/* As a reader does: what the index says is kept for the next. */
static enum status look(const char *name)
{
    struct key key = key_of(name);
    struct buf text = BUF_INIT;
    struct record_view view;
    struct recall_ticket ticket;
    enum status st = index_look(tested, &key, &text, &view, &ticket);
    if (!st)
        index_keep(tested, &key, &view, &ticket);
    buf_free(&text);
    return st;
}

static uint64_t known(void)
{
    uint64_t hits;
    uint64_t misses;
    uint64_t keys;
    index_recalled(tested, &hits, &misses, &keys);
    return keys;
}

static enum status put_an_empty_one(void *arg UNUSED, const char *place)
{
    return ldb_destroy(place);
}

/* What is said of a key that is not there. */
static bool is_told_by_the_roster(void)
{
    return roster_lacks(tested->roster, "/no", 3);
}

START_TEST(another_one_in_its_place_is_read)
{
    ck_assert_int_eq(apply(1, 1, "/a", "v1:1"), ST_OK);
    roster_complete(tested->roster); /* as index_warm() does */
    ck_assert(is_told_by_the_roster());
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(look("/a"), ST_OK);
    ck_assert_uint_eq(known(), 1);
    ck_assert_int_eq(index_replace(tested, put_an_empty_one, NULL), ST_OK);
    ck_assert(!is_told_by_the_roster());
    ck_assert_uint_eq(known(), 0);
    ck_assert_int_eq(look("/a"), ST_NOT_FOUND);
    ck_assert_uint_eq(index_sequence(tested), 0);
    ck_assert_int_eq(apply(1, 1, "/a", "v1:1"), ST_OK);
    ck_assert_int_eq(look("/a"), ST_OK);
    ck_assert_int_eq(apply(2, 1, "/a", NULL), ST_OK); /* an entry of the log is forgotten, too */
    ck_assert_int_eq(look("/a"), ST_NOT_FOUND);
}
END_TEST

START_TEST(digests_are_of_what_is_in_it)
{
    char one[MD5_HEX + 1];
    char two[MD5_HEX + 1];
    uint64_t sequence;
    uint64_t keys;
    ck_assert_int_eq(apply(1, 1, "/a", "v1:1"), ST_OK);
    ck_assert_int_eq(apply(2, 1, "/b", "v1:1"), ST_OK);
    ck_assert_int_eq(index_digest(tested, &sequence, &keys, one), ST_OK);
    ck_assert_uint_eq(sequence, 2);
    ck_assert_uint_eq(keys, 2);
    ck_assert_int_eq(apply(3, 1, "/b", "v1:1"),
                     ST_OK); /* the same again: only the sequence moves */
    ck_assert_int_eq(index_digest(tested, &sequence, &keys, two), ST_OK);
    ck_assert_uint_eq(sequence, 3);
    ck_assert_str_eq(one, two);
    ck_assert_int_eq(apply(4, 1, "/b", "v2:1"), ST_OK);
    ck_assert_int_eq(index_digest(tested, &sequence, &keys, two), ST_OK);
    ck_assert_str_ne(one, two);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_change_is_applied_when_the_log_has_it,
                                  nothing_is_taken_outside_of_a_term,
                                  a_record_of_another_term_is_refused,
                                  what_is_unknown_ends_the_term,
                                  the_next_term_is_not_ended_with_the_last,
                                  no_space_does_not_end_it,
                                  entries_are_applied_in_order_and_once,
                                  it_goes_back_to_what_was_synced,
                                  one_that_is_used_alone_has_left_the_log,
                                  numbers_of_the_log_are_not_given_again_by_one_alone,
                                  a_blank_one_becomes_that_of_a_store,
                                  another_one_in_its_place_is_read,
                                  digests_are_of_what_is_in_it,
                                  NULL};
    Suite *suite = suite_create("master_index_log");
    tcase_add_checked_fixture(suite_case(suite, "log", tests), setup, place_is_removed);
    return suite_run(suite);
}
