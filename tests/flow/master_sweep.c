/* The index is looked through for keys with too few copies that count, over fakes. */
#include "master/flag.h"
#include "master/sweep.h"
#include "tests/flow/fake_base.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_pool.h"
#include "tests/flow/fake_volumes.h"
#include "tests/flow/sweep_fixture.h"

enum { AT_ONCE = 128, PAGE_LOOK = 20000 };

static uint64_t epoch;
static size_t keeping;

uint64_t volumes_epoch(struct volumes *volumes UNUSED)
{
    return epoch;
}

size_t volumes_keeping(struct volumes *volumes UNUSED)
{
    return keeping;
}

/* --- flags, as far as the sweep sees them --- */

static struct {
    unsigned started, under_way, most;
    unsigned fail_at; /* cannot be started; 0: none */
    char last[16];
    void (*flagged)(void *arg, enum status st);
    void *args[AT_ONCE]; /* of those under way */
} flags;

bool flag_start(struct worker *worker UNUSED, const struct key *key, enum flag_reason reason,
                void (*flagged)(void *arg, enum status st), void *arg)
{
    ck_assert_int_eq(reason, FLAG_FEW);
    if (++flags.started == flags.fail_at)
        return false;
    ck_assert_int_gt(strcmp(key->bytes, flags.last), 0); /* each once, in order */
    memcpy(flags.last, key->bytes, key->len + 1);
    ck_assert_uint_lt(flags.under_way, AT_ONCE);
    flags.args[flags.under_way++] = arg;
    flags.most = flags.under_way > flags.most ? flags.under_way : flags.most;
    flags.flagged = flagged;
    return true;
}

static void one_is_flagged(enum status st)
{
    ck_assert_uint_gt(flags.under_way, 0);
    flags.flagged(flags.args[--flags.under_way], st);
}

/* --- sweeps --- */

static struct sweep *sweep;
static struct worker loops[3];

static void setup(void)
{
    master_is_new();
    fake_master.workers = loops;
    fake_master.worker_count = sizeof loops / sizeof *loops;
    memset(&commits, 0, sizeof commits);
    fake_posts.wait = false;
    volumes_are(6);
    memset(&keys, 0, sizeof keys);
    memset(&flags, 0, sizeof flags);
    memset(&fake_pool, 0, sizeof fake_pool);
    epoch = 1;
    keeping = 6;
    sweep = sweep_new(&fake_worker);
    ck_assert_ptr_nonnull(sweep);
}

static void teardown(void)
{
    ck_assert(sweep_idle(sweep));
    ck_assert_ptr_null(fake_pool.job);
    sweep_free(sweep);
    sweep = NULL;
}

static struct sweep_report report(void)
{
    struct sweep_report report;
    sweep_look(sweep, &report);
    return report;
}

/* A volume is lost: its copies count no more. */
static void volume_is_lost(void)
{
    fake_volumes[0].discounted = true;
    epoch++;
    keeping--;
}

/* Everything that is under way comes to its end. */
static void runs_to_the_end(void)
{
    while (fake_pool.job || flags.under_way)
        if (fake_pool.job)
            pool_runs();
        else
            one_is_flagged(ST_OK);
    ck_assert(!report().running);
}

/* Begins another only where the last did not come to its end, and not at once. */
static bool begins_again(void)
{
    sweep_tick(sweep);
    ck_assert(!keys.fails || !fake_pool.job);
    time_passes(1000);
    sweep_tick(sweep);
    return fake_pool.job != NULL;
}

START_TEST(no_reason)
{
    keys.count = 3;
    keys.few = 1;
    sweep_tick(sweep);
    ck_assert_ptr_null(fake_pool.job);
    ck_assert(!report().running);
}
END_TEST

START_TEST(a_volume_is_lost)
{
    keys.count = 3 * PAGE + 1;
    volume_is_lost();
    sweep_tick(sweep);
    ck_assert(report().running);
    sweep_tick(sweep); /* runs already */
    runs_to_the_end();
    ck_assert_uint_eq(flags.started, keys.count);
    ck_assert_uint_eq(flags.most, AT_ONCE);
    ck_assert_uint_eq(report().looked, keys.count);
    ck_assert_uint_eq(report().flagged, keys.count);
    ck_assert_uint_eq(report().finished_ms, WALL_MS);
    ck_assert(!begins_again());
}
END_TEST

START_TEST(demanded)
{
    keys.count = 2 * PAGE_LOOK + 7;
    keys.few = 1000;
    sweep_demand(sweep);
    ck_assert(report().running); /* from then on, for who waits for its end */
    sweep_tick(sweep);
    runs_to_the_end();
    ck_assert_uint_eq(flags.started, 41);
    ck_assert_uint_eq(report().looked, keys.count);
    ck_assert_uint_eq(keys.scans, 3); /* none takes all */
    ck_assert(!begins_again());
}
END_TEST

/* With two volumes left nothing can have three copies. */
START_TEST(fewer_volumes_than_copies)
{
    keys.count = 9;
    keys.few = 1;
    keeping = 2;
    sweep_demand(sweep);
    sweep_tick(sweep);
    runs_to_the_end();
    ck_assert_uint_eq(flags.started, 0);
}
END_TEST

START_TEST(another_volume_is_lost_meanwhile)
{
    keys.count = 5;
    volume_is_lost();
    sweep_tick(sweep);
    pool_runs();
    epoch++;
    memset(flags.last, 0, sizeof flags.last);
    runs_to_the_end();
    ck_assert(begins_again());
    memset(flags.last, 0, sizeof flags.last);
    runs_to_the_end();
    ck_assert_uint_eq(flags.started, 10);
    ck_assert(!begins_again());
}
END_TEST

START_TEST(the_index_cannot_be_read)
{
    keys.count = 2 * PAGE;
    keys.fails = ST_IO;
    keys.fails_at = 1 + (unsigned)_i;
    volume_is_lost();
    sweep_tick(sweep);
    runs_to_the_end();
    ck_assert_uint_eq(flags.started, _i ? PAGE + 5 : 5);
    memset(flags.last, 0, sizeof flags.last);
    ck_assert(begins_again());
    runs_to_the_end();
    ck_assert_uint_eq(report().looked, keys.count);
    ck_assert(!begins_again());
}
END_TEST

START_TEST(the_pool_is_full)
{
    keys.count = 3;
    fake_pool.full = true;
    volume_is_lost();
    sweep_tick(sweep);
    ck_assert(sweep_idle(sweep) && !report().running);
    fake_pool.full = false;
    ck_assert(begins_again());
    runs_to_the_end();
    ck_assert_uint_eq(flags.started, 3);
}
END_TEST

/* A key that was not flagged would wait for the next volume to be lost. */
START_TEST(a_flag_fails)
{
    keys.count = PAGE + 10;
    flags.fail_at = _i == 0 ? 3 : _i == 1 ? PAGE + 10 : 0;
    volume_is_lost();
    sweep_tick(sweep);
    pool_runs();
    if (_i == 2)
        one_is_flagged(ST_NO_SPACE);
    runs_to_the_end();
    ck_assert_uint_eq(flags.started, keys.count); /* the others are */
    memset(flags.last, 0, sizeof flags.last);
    ck_assert(begins_again());
    runs_to_the_end();
    ck_assert(flags.started == 2 * keys.count);
    ck_assert(!begins_again());
}
END_TEST

/* Who has demanded one waits until one has come to its end. */
START_TEST(a_demanded_one_that_fails_is_repeated)
{
    keys.count = 10;
    keys.fails = ST_IO;
    keys.fails_at = 1;
    sweep_demand(sweep);
    sweep_tick(sweep);
    pool_runs();
    while (flags.under_way)
        one_is_flagged(ST_OK);
    ck_assert(report().running && !sweep_runs(sweep));
    ck_assert(begins_again());
    ck_assert(sweep_runs(sweep));
    runs_to_the_end();
    ck_assert(!begins_again());
}
END_TEST

/* An index that cannot be written is not read over and over. */
START_TEST(pauses_grow_while_it_fails)
{
    static const uint64_t pauses[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    keys.count = 1;
    volume_is_lost();
    for (int i = 0; i < 8; i++) {
        memset(flags.last, 0, sizeof flags.last);
        sweep_tick(sweep);
        pool_runs();
        one_is_flagged(ST_NO_SPACE);
        time_passes(pauses[i] - 1);
        sweep_tick(sweep);
        ck_assert_ptr_null(fake_pool.job);
        time_passes(1);
    }
    memset(flags.last, 0, sizeof flags.last);
    sweep_tick(sweep);
    runs_to_the_end();
    ck_assert(!begins_again());
}
END_TEST

/* It goes on without them, and comes back to them until they are flagged. */
START_TEST(keys_that_are_locked_for_long)
{
    keys.count = 3;
    volume_is_lost();
    sweep_tick(sweep);
    pool_runs();
    one_is_flagged(ST_BUSY);
    one_is_flagged(ST_BUSY);
    one_is_flagged(ST_OK);
    ck_assert(!report().running);
    for (int i = 0; i < 3; i++) { /* one is locked still at the second try */
        memset(flags.last, 0, sizeof flags.last);
        sweep_tick(sweep);
        ck_assert_ptr_null(fake_pool.job);
        ck_assert_uint_eq(flags.under_way, 1);
        ck_assert(!sweep_idle(sweep));
        one_is_flagged(i == 0 ? ST_BUSY : ST_OK);
    }
    ck_assert(!begins_again());
    ck_assert_uint_eq(flags.under_way, 0);
    ck_assert_uint_eq(flags.started, 6);
}
END_TEST

/* There are too many of them for the list, or memory is short: all is looked at again. */
START_TEST(too_many_keys_are_locked)
{
    keys.count = _i ? 1 : PAGE;
    volume_is_lost();
    sweep_tick(sweep);
    pool_runs();
    while (flags.under_way)
        one_is_flagged(ST_BUSY);
    flags.fail_at = _i ? 2 : 0;
    sweep_tick(sweep); /* tries the one on the list */
    flags.fail_at = 0;
    memset(flags.last, 0, sizeof flags.last);
    ck_assert(begins_again());
    runs_to_the_end();
    ck_assert(!begins_again());
    ck_assert_uint_eq(flags.under_way, 0);
}
END_TEST

/* A write that chose its copies before the volume was lost is in the index, or on its way there
 * from one of the loops: read before it has come, the index would not show that it needs a flag. */
START_TEST(writes_are_not_overtaken)
{
    commits.wait = fake_posts.wait = true;
    volume_is_lost();
    sweep_tick(sweep);
    for (unsigned i = 0; i < 3; i++) {
        struct loop_message *message = fake_posts.first;
        ck_assert(!sweep_idle(sweep) && report().running);
        ck_assert_ptr_null(commits.pending); /* not before each loop was visited */
        ck_assert_ptr_nonnull(message);
        fake_posts.first = NULL;
        message->fn(message->arg);
    }
    ck_assert_ptr_null(fake_posts.first);
    ck_assert_ptr_null(fake_pool.job);
    keys.count = 1; /* the write of before becomes visible, and then the empty change */
    it_is_committed();
    runs_to_the_end();
    ck_assert_uint_eq(flags.started, 1);
    commits.wait = fake_posts.wait = false;
    ck_assert(!begins_again());
}
END_TEST

START_TEST(the_index_cannot_be_written)
{
    keys.count = 1;
    commits.fails = ST_NO_SPACE;
    volume_is_lost();
    sweep_tick(sweep);
    ck_assert_ptr_null(fake_pool.job);
    ck_assert(sweep_idle(sweep) && !report().running);
    commits.fails = ST_OK;
    ck_assert(begins_again());
    runs_to_the_end();
    ck_assert(!begins_again());
}
END_TEST

START_TEST(stopped_before_it_could_begin)
{
    commits.wait = true;
    volume_is_lost();
    sweep_tick(sweep);
    sweep_stop(sweep);
    ck_assert(!sweep_idle(sweep));
    it_is_committed();
    ck_assert_ptr_null(fake_pool.job);
    ck_assert(sweep_idle(sweep) && !report().running);
}
END_TEST

START_TEST(stopped)
{
    keys.count = 2 * PAGE;
    volume_is_lost();
    sweep_tick(sweep);
    if (_i == 0)
        sweep_stop(sweep);
    ck_assert(!sweep_idle(sweep));
    pool_runs();
    ck_assert_uint_eq(flags.under_way, _i ? AT_ONCE : 0);
    sweep_stop(sweep);
    ck_assert_int_eq(sweep_idle(sweep), _i == 0);
    runs_to_the_end();
    ck_assert_uint_eq(flags.started, _i ? AT_ONCE : 0);
    ck_assert(!begins_again());
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    sweep_free(sweep);
    keys.count = PAGE + 2;
    memory_arm(k);
    sweep = sweep_new(&fake_worker);
    if (!sweep)
        return;
    volume_is_lost();
    do {
        memset(flags.last, 0, sizeof flags.last);
        sweep_tick(sweep);
        runs_to_the_end();
    } while (begins_again());
    memory.left = 0;
    /* All were flagged, the last time at least. */
    ck_assert_uint_eq(report().looked, keys.count);
    ck_assert_str_eq(flags.last, "/k000513");
    teardown();
}

START_TEST(memory_may_run_out_anywhere)
{
    sweep_free(sweep);
    memory_sweep(play_without_memory);
    setup();
}
END_TEST

int main(void)
{
    const struct played tests[] = {{no_reason, 1},
                                   {a_volume_is_lost, 1},
                                   {demanded, 1},
                                   {fewer_volumes_than_copies, 1},
                                   {another_volume_is_lost_meanwhile, 1},
                                   {the_index_cannot_be_read, 2},
                                   {the_pool_is_full, 1},
                                   {a_flag_fails, 3},
                                   {a_demanded_one_that_fails_is_repeated, 1},
                                   {pauses_grow_while_it_fails, 1},
                                   {keys_that_are_locked_for_long, 1},
                                   {too_many_keys_are_locked, 2},
                                   {writes_are_not_overtaken, 1},
                                   {the_index_cannot_be_written, 1},
                                   {stopped_before_it_could_begin, 1},
                                   {stopped, 2},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_sweep", tests, setup, teardown);
}
