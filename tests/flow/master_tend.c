/* What the janitor does for one key, over fakes. */
#include "master/spread.h"
#include "master/tend.h"
#include "tests/flow/fake_bury.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_keylock.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"

#define VALUE "HASH00000000000000000000000000000001v1:1,v2:1"

/* --- spreading, as far as the flow sees it --- */

static struct {
    bool cannot_start, would_not_help;
    struct record *rec;
    void (*spread)(void *arg, enum status st, uint64_t moved);
    void *arg;
} spreading;

static void burial_ends(void)
{
    ck_assert(burial.careful);
    burial_is_over();
}

enum status spread_start(struct worker *worker UNUSED, const char *request UNUSED,
                         const struct key *key UNUSED, struct record *rec,
                         void (*done)(void *arg, enum status st, uint64_t moved), void *arg)
{
    if (spreading.cannot_start || memory_is_short())
        return ST_NO_MEMORY;
    spreading.rec = rec;
    spreading.spread = done;
    spreading.arg = arg;
    note("spread");
    return ST_OK;
}

bool spread_would_help(struct worker *worker UNUSED, const struct key *key UNUSED,
                       const struct record *rec UNUSED)
{
    return !spreading.would_not_help;
}

static void spreading_ends(enum status st, uint64_t moved)
{
    spreading.rec = NULL;
    spreading.spread(spreading.arg, st, moved);
}

/* --- one key --- */

static enum tend_scope scope;
static unsigned ends;
static enum tend_end ended;

static void has_tended(void *arg, enum tend_end end)
{
    ck_assert_ptr_eq(arg, &ends);
    ck_assert(!fake_lock.held);
    ends++;
    ended = end;
}

static void setup(void)
{
    master_is_new();
    index_holds("", "");
    memset(&burial, 0, sizeof burial);
    memset(&spreading, 0, sizeof spreading);
    memset(&fake_lock, 0, sizeof fake_lock);
    fake_posts.wait = true;
    scope = TEND_REPAIR;
    ends = 0;
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_timers);
    ck_assert_ptr_null(fake_index.pending);
    ck_assert(!fake_lock.held);
}

static void tend(void)
{
    ends = 0;
    ck_assert(tend_start(&fake_worker, fake_worker.loop, &fake_key, scope, has_tended, &ends));
    ck_assert_uint_eq(ends, 0); /* never before it has returned */
    loop_turns();
}

#define ck_ended(end)                                                                              \
    do {                                                                                           \
        loop_turns();                                                                              \
        ck_assert_uint_eq(ends, 1);                                                                \
        ck_assert_int_eq(ended, end);                                                              \
    } while (0)

START_TEST(a_put_that_failed_is_cleared_away)
{
    index_holds("", "W1;garbage 0 larder v1:1;garbage 0 larder v2:1;");
    tend();
    ck_trace("lock bury ");
    record_drop_garbage(burial.rec, 0, "v1:1");
    record_drop_garbage(burial.rec, 0, "v2:1");
    burial_ends();
    ck_trace("commit-lazy ");
    index_commits();
    ck_index("", "");
    ck_ended(TEND_DONE);
    ck_trace("unlock ");
}
END_TEST

/* What the index says of the key may be another thing as soon as it is opened anew. */
START_TEST(nothing_is_erased_while_the_index_is_broken)
{
    index_holds("", "W1;garbage 0 larder v1:1;garbage 0 larder v2:1;");
    fake_index.health = ST_NO_SPACE;
    tend();
    ck_ended(TEND_LATER);
    ck_trace("lock unlock ");
}
END_TEST

START_TEST(a_volume_is_away)
{
    index_holds("", "W1;garbage 0 larder v1:1;garbage 0 larder v2:1;");
    tend();
    burial_ends(); /* nothing was removed: nothing is written */
    ck_ended(TEND_LATER);
    ck_trace("lock bury unlock ");
    tend();
    record_drop_garbage(burial.rec, 0, "v1:1");
    burial_ends();
    index_commits();
    ck_ended(TEND_MORE);
    ck_index("", "W1;garbage 0 larder v2:1;");
}
END_TEST

START_TEST(a_tombstone_is_settled)
{
    index_holds("", "W1;tombstone 3;garbage 3 larder v1:1;holder v2:1;");
    tend();
    record_drop_garbage(burial.rec, 3, "v1:1");
    record_drop_holder(burial.rec, "v2:1");
    burial.rec->has_tombstone = false;
    burial_ends();
    index_commits();
    ck_index("", "");
    ck_ended(TEND_DONE);
}
END_TEST

START_TEST(what_is_not_due_is_left_alone)
{
    index_holds(VALUE, "W1;due 1700005000;garbage 0 larder v3:1;");
    tend();
    ck_trace("lock unlock ");
    ck_ended(TEND_LATER);
    time_passes(5000);
    tend();
    ck_trace("lock bury ");
    record_drop_garbage(burial.rec, 0, "v3:1");
    burial_ends();
    index_commits();
    ck_index(VALUE, ""); /* the value itself stays */
    ck_ended(TEND_DONE);
}
END_TEST

START_TEST(nothing_is_left_to_do)
{
    index_holds(VALUE, "");
    tend();
    ck_trace("lock unlock ");
    ck_ended(TEND_DONE);
}
END_TEST

START_TEST(somebody_else_works_on_it)
{
    fake_lock.taken = true;
    index_holds("", "W1;garbage 0 larder v1:1;");
    tend();
    ck_trace("");
    ck_ended(TEND_BUSY);
}
END_TEST

START_TEST(it_cannot_be_read)
{
    fake_index.read_fails = ST_CORRUPT;
    tend();
    ck_trace("lock unlock ");
    ck_ended(TEND_LATER);
}
END_TEST

START_TEST(too_few_copies_are_filled_up)
{
    index_holds(VALUE, "W1;few;");
    tend();
    ck_trace("lock spread "); /* there is no garbage */
    ck_assert_int_eq(record_add_place(spreading.rec, "v3:1"), ST_OK);
    spreading.rec->few_copies = false;
    spreading_ends(ST_OK, 100);
    ck_trace("commit "); /* synced: copies elsewhere may be deleted on the strength of it */
    index_commits();
    ck_index(VALUE ",v3:1", "");
    ck_ended(TEND_DONE);
}
END_TEST

START_TEST(they_cannot_be_filled_up)
{
    index_holds(VALUE, "W1;few;");
    spreading.cannot_start = _i == 1;
    spreading.would_not_help = _i == 2;
    tend();
    if (_i == 0)
        spreading_ends(ST_UNAVAILABLE, 0);
    ck_index(VALUE, "W1;few;");
    ck_ended(TEND_LATER);
    ck_assert_uint_eq(fake_index.commits, 0); /* when it is tried again is the janitor's affair */
}
END_TEST

/* The copies suffice after all (fewer are wanted than at the last start), and one more is garbage
 * now: as much work as before, but not the same. */
START_TEST(other_work_than_before_is_written)
{
    index_holds(VALUE, "W1;few;");
    tend();
    spreading.rec->few_copies = false;
    record_drop_place(spreading.rec, "v2:1");
    ck_assert_int_eq(record_add_garbage(spreading.rec, 0, NAMING_MKV, "v2:1"), ST_OK);
    spreading_ends(ST_OK, 0);
    index_commits();
    ck_index("HASH00000000000000000000000000000001v1:1", "W1;garbage 0 mkv v2:1;");
    ck_ended(TEND_MORE);
}
END_TEST

START_TEST(the_end_cannot_be_saved)
{
    index_holds("", "W1;garbage 0 larder v1:1;");
    fake_index.fail_at = 1;
    fake_index.fail_with = ST_NO_SPACE;
    tend();
    record_drop_garbage(burial.rec, 0, "v1:1");
    burial_ends();
    index_commits();
    ck_ended(TEND_LATER);
    ck_index("", "W1;garbage 0 larder v1:1;");
}
END_TEST

START_TEST(burying_cannot_be_started)
{
    index_holds("", "W1;garbage 0 larder v1:1;");
    burial.cannot_start = true;
    tend();
    ck_trace("lock unlock ");
    ck_ended(TEND_LATER);
}
END_TEST

/* The garbage has its time, the copies have theirs. */
START_TEST(copies_are_filled_up_before_garbage_is_due)
{
    index_holds(VALUE, "W1;few;due 1700005000;garbage 0 larder v4:1;");
    tend();
    ck_trace("lock spread ");
    ck_assert_int_eq(record_add_place(spreading.rec, "v3:1"), ST_OK);
    spreading.rec->few_copies = false;
    spreading_ends(ST_OK, 100);
    index_commits();
    ck_index(VALUE ",v3:1", "W1;due 1700005000;garbage 0 larder v4:1;");
    ck_ended(TEND_MORE);
}
END_TEST

/* And garbage is removed while copies cannot be repaired. */
START_TEST(garbage_is_removed_where_nothing_is_to_be_repaired_now)
{
    index_holds(VALUE, "W1;suspect;garbage 0 larder v4:1;");
    scope = _i ? TEND_REPAIR : TEND_CLEAR;
    tend();
    record_drop_garbage(burial.rec, 0, "v4:1");
    burial_ends();
    if (_i)
        spreading_ends(ST_NOT_FOUND, 0);
    ck_trace(_i ? "lock bury spread commit " : "lock bury commit-lazy ");
    index_commits();
    ck_index(VALUE, "W1;suspect;");
    ck_ended(_i ? TEND_LATER : TEND_MORE); /* else the repair would be tried at once again */
}
END_TEST

/* A key that is written all the time is waited for once it has much garbage. */
START_TEST(a_key_with_much_garbage_is_waited_for)
{
    struct buf work = BUF_INIT;
    buf_adds(&work, "W1;");
    for (int i = 0; i <= 200; i++)
        buf_addf(&work, "garbage %d larder v1:1;", i);
    index_holds(VALUE, buf_text(&work));
    buf_free(&work);
    fake_lock.taken = true;
    tend();
    time_passes(_i ? 100 : 2000);
    ck_trace("");
    ck_assert_uint_eq(ends, _i ? 0 : 1);
    if (_i == 0) {
        ck_ended(TEND_BUSY);
        return;
    }
    fake_lock.taken = false;
    time_passes(5);
    ck_trace("lock bury ");
    burial_ends();
    ck_ended(TEND_LATER);
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    index_holds(VALUE, "W1;few;garbage 0 larder v3:1;");
    memory_arm(k);
    bool started = tend_start(&fake_worker, fake_worker.loop, &fake_key, scope, has_tended, &ends);
    loop_turns();
    if (burial.rec) {
        record_drop_garbage(burial.rec, 0, "v3:1");
        burial_ends();
    }
    if (spreading.rec)
        spreading_ends(ST_UNAVAILABLE, 0);
    if (fake_index.pending)
        index_commits();
    memory.left = 0;
    loop_turns();
    ck_assert_uint_eq(ends, started);
    ck_assert_uint_eq(count_words(trace, "lock"), count_words(trace, "unlock"));
    ck_assert_str_eq(fake_index.value, VALUE);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{a_put_that_failed_is_cleared_away, 1},
                                   {nothing_is_erased_while_the_index_is_broken, 1},
                                   {a_volume_is_away, 1},
                                   {a_tombstone_is_settled, 1},
                                   {what_is_not_due_is_left_alone, 1},
                                   {nothing_is_left_to_do, 1},
                                   {somebody_else_works_on_it, 1},
                                   {it_cannot_be_read, 1},
                                   {too_few_copies_are_filled_up, 1},
                                   {they_cannot_be_filled_up, 3},
                                   {other_work_than_before_is_written, 1},
                                   {the_end_cannot_be_saved, 1},
                                   {burying_cannot_be_started, 1},
                                   {copies_are_filled_up_before_garbage_is_due, 1},
                                   {garbage_is_removed_where_nothing_is_to_be_repaired_now, 2},
                                   {a_key_with_much_garbage_is_waited_for, 2},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_tend", tests, setup, teardown);
}
