/* A key is noted as needing repair, over fakes. */
#include "master/bell.h"
#include "master/flag.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_keylock.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"

#define VALUE "HASH00000000000000000000000000000001v1:1,v2:1"

static unsigned ends;
static enum status ended;

static void has_flagged(void *arg, enum status st)
{
    ck_assert_ptr_eq(arg, &ends);
    ck_assert(!fake_lock.held); /* the janitor may take it at once */
    ends++;
    ended = st;
}

static unsigned rings;

static void has_heard(void *arg UNUSED)
{
    rings++;
}

static void setup(void)
{
    rings = 0;
    master_is_new();
    index_holds("", "");
    memset(&fake_lock, 0, sizeof fake_lock);
    ends = 0;
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_timers);
    ck_assert_ptr_null(fake_index.pending);
    ck_assert(!fake_lock.held);
}

static void flag(enum flag_reason reason)
{
    ends = 0;
    ck_assert(flag_start(&fake_worker, &fake_key, reason, has_flagged, &ends));
}

START_TEST(a_key_is_flagged)
{
    index_holds(VALUE, "");
    flag(_i ? FLAG_SUSPECT : FLAG_FEW);
    ck_trace("lock commit ");
    ck_assert_uint_eq(ends, 0); /* not before the index has it */
    index_commits();
    ck_trace("unlock ");
    ck_assert_uint_eq(ends, 1);
    ck_assert_int_eq(ended, ST_OK);
    struct record rec;
    ck_assert_int_eq(read_index(&rec, true), ST_OK);
    ck_assert(rec.suspect == (_i == 1) && rec.few_copies == (_i == 0));
    ck_assert_uint_eq(rec.since, WALL_MS);
    ck_assert_str_eq(fake_index.value, VALUE);
    record_free(&rec);
}
END_TEST

/* What the key's record says otherwise is not touched, and not for how long it has needed repair.
 */
START_TEST(other_work_stays)
{
    struct record rec;
    index_holds(VALUE, "W1;garbage 3 larder v4:1;few;since 1234;");
    flag(FLAG_SUSPECT);
    index_commits();
    ck_assert_int_eq(read_index(&rec, true), ST_OK);
    ck_assert(rec.suspect && rec.few_copies);
    ck_assert_uint_eq(rec.since, 1234);
    ck_assert_uint_eq(rec.garbage.count, 1);
    ck_assert_uint_eq(rec.garbage.list[0].generation, 3);
    ck_assert_uint_eq(rec.place_count, 2);
    record_free(&rec);
}
END_TEST

START_TEST(an_unlinked_key_is_visible_too)
{
    index_holds("DELETED" VALUE, "");
    flag(FLAG_FEW);
    index_commits();
    ck_assert_str_eq(fake_index.value, "DELETED" VALUE);
    ck_assert_ptr_nonnull(strstr(fake_index.work, "few"));
}
END_TEST

/* Neither a key that is gone, nor one that is being written or deleted, nor one that has the flag.
 */
START_TEST(nothing_is_written)
{
    static const struct {
        const char *value, *work;
    } cases[] = {{"", ""},
                 {"", "W1;garbage 0 larder v1:1;"},
                 {"", "W1;tombstone 3;garbage 3 larder v1:1;"},
                 {VALUE, "W1;few;"}};
    index_holds(cases[_i].value, cases[_i].work);
    flag(FLAG_FEW);
    ck_trace("lock unlock ");
    ck_index(cases[_i].value, cases[_i].work);
    ck_assert_uint_eq(ends, 1);
}
END_TEST

START_TEST(it_cannot_be_read)
{
    index_holds(VALUE, "");
    fake_index.read_fails = ST_CORRUPT;
    flag(FLAG_FEW);
    ck_trace("lock unlock ");
    ck_assert_uint_eq(ends, 1);
    ck_assert_int_eq(ended, ST_CORRUPT);
}
END_TEST

/* A reader waits for it; what a sweep finds is repaired when the sweep is over. */
START_TEST(the_janitor_is_called_to_a_suspect_key)
{
    struct bell *bell = bell_new(fake_worker.loop, has_heard, NULL);
    ck_assert_ptr_nonnull(bell);
    fake_master.bell = bell;
    index_holds(VALUE, "");
    fake_index.fail_at = _i == 2;
    fake_index.fail_with = ST_IO;
    flag(_i == 1 ? FLAG_FEW : FLAG_SUSPECT);
    ck_assert_uint_eq(rings, 0);
    index_commits();
    ck_assert_uint_eq(rings, _i == 0);
    fake_master.bell = NULL;
    bell_free(bell);
}
END_TEST

START_TEST(it_cannot_be_written)
{
    index_holds(VALUE, "");
    fake_index.fail_at = 1;
    fake_index.fail_with = ST_NO_SPACE;
    flag(FLAG_FEW);
    index_commits();
    ck_trace("lock commit unlock ");
    ck_index(VALUE, "");
    ck_assert_uint_eq(ends, 1);
    ck_assert_int_eq(ended, ST_NO_SPACE); /* the sweep comes again */
}
END_TEST

START_TEST(somebody_works_on_the_key_for_a_while)
{
    index_holds(VALUE, "");
    fake_lock.taken = true;
    flag(FLAG_FEW);
    time_passes(1000);
    ck_trace("");
    ck_assert_uint_eq(ends, 0);
    fake_lock.taken = false;
    time_passes(50);
    index_commits();
    ck_trace("lock commit unlock ");
    ck_assert_uint_eq(ends, 1);
}
END_TEST

/* Two seconds, and it is left alone. */
START_TEST(somebody_works_on_the_key_for_long)
{
    index_holds(VALUE, "");
    fake_lock.taken = true;
    flag(FLAG_FEW);
    time_passes(1900);
    ck_assert_uint_eq(ends, 0);
    time_passes(200);
    ck_assert_uint_eq(ends, 1);
    time_passes(5000);
    ck_assert_uint_eq(ends, 1);
    ck_trace("");
    ck_index(VALUE, "");
    ck_assert_int_eq(ended, ST_BUSY); /* who asked for it comes again */
}
END_TEST

/* A reader's: no second try. */
START_TEST(nobody_waits_for_the_end)
{
    index_holds(VALUE, "");
    fake_lock.taken = true;
    ck_assert(flag_start(&fake_worker, &fake_key, FLAG_SUSPECT, NULL, NULL));
    ck_assert_ptr_null(fake_timers);
    fake_lock.taken = false;
    ck_assert(flag_start(&fake_worker, &fake_key, FLAG_SUSPECT, NULL, NULL));
    index_commits();
    ck_trace("lock commit unlock ");
    ck_assert_ptr_nonnull(strstr(fake_index.work, "suspect"));
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    index_holds(VALUE, "W1;garbage 3 larder v4:1;");
    fake_lock.taken = true;
    memory_arm(k);
    bool started = flag_start(&fake_worker, &fake_key, FLAG_FEW, has_flagged, &ends);
    fake_lock.taken = false;
    time_passes(50);
    if (fake_index.pending)
        index_commits();
    memory.left = 0;
    ck_assert_uint_eq(ends, started);
    ck_assert_uint_eq(count_words(trace, "lock"), count_words(trace, "unlock"));
    ck_assert_str_eq(fake_index.value, VALUE);
    ck_assert_ptr_nonnull(strstr(fake_index.work, "garbage 3 larder v4:1;"));
    ck_assert_ptr_null(fake_timers);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{a_key_is_flagged, 2},
                                   {other_work_stays, 1},
                                   {an_unlinked_key_is_visible_too, 1},
                                   {nothing_is_written, 4},
                                   {it_cannot_be_read, 1},
                                   {the_janitor_is_called_to_a_suspect_key, 3},
                                   {it_cannot_be_written, 1},
                                   {somebody_works_on_the_key_for_a_while, 1},
                                   {somebody_works_on_the_key_for_long, 1},
                                   {nobody_waits_for_the_end, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_flag", tests, setup, teardown);
}
