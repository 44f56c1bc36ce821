/* The janitor's rounds, over fakes: pages, how many keys at once, pauses, stopping. */
#include "tests/flow/janitor_fixture.h"

static struct janitor *janitor;

static void setup(void)
{
    master_is_new();
    scan_is(40); /* ten of them have work */
    memset(&tending, 0, sizeof tending);
    memset(&fake_pool, 0, sizeof fake_pool);
    memset(&fake_sweep, 0, sizeof fake_sweep);
    memset(&fake_audit, 0, sizeof fake_audit);
    fake_health = ST_OK;
    fake_probe = NULL;
    fake_worker.requests = 0;
    fake_master.worker_count = 1;
    fake_master.workers = &fake_worker;
    janitor = janitor_new(&fake_worker);
    ck_assert_ptr_nonnull(janitor);
}

static void teardown(void)
{
    janitor_free(janitor);
    janitor_free(NULL);
    ck_assert_ptr_null(fake_timers);
    scan_is(0);
}

/* Up to the page that a new round begins with. */
static void next_round(void)
{
    tending.last[0] = 0;
    tending.started = 0;
    time_passes(5000);
    pool_runs();
}

/* A round has begun, and does all that there is. */
static void a_round_ends_all(void)
{
    ck_assert_ptr_nonnull(fake_pool.job);
    tending.last[0] = 0;
    pool_runs();
    while (tending.under_way)
        one_is_tended(TEND_DONE);
}

static void check_counters(uint64_t waiting, uint64_t settled)
{
    uint64_t is_waiting;
    uint64_t is_settled;
    janitor_counters(janitor, &is_waiting, &is_settled);
    ck_assert_uint_eq(is_waiting, waiting);
    ck_assert_uint_eq(is_settled, settled);
}

START_TEST(goes_through_all_keys_with_work)
{
    ck_assert_ptr_null(fake_pool.job); /* not at once */
    time_passes(500);
    pool_runs();
    ck_assert_uint_eq(tending.started, 10);
    ck_assert(!janitor_idle(janitor));
    for (int i = 0; i < 10; i++)
        one_is_tended(i < 7 ? TEND_DONE : i < 9 ? TEND_LATER : TEND_BUSY);
    ck_assert(janitor_idle(janitor));
    check_counters(3, 7);
    ck_assert_uint_eq(fake_sweep.ticks, 1); /* once a round */
    ck_assert_uint_eq(fake_audit.pokes, 1);
    time_passes(9);
    ck_assert_ptr_null(fake_pool.job);
    time_passes(1); /* and soon again: there is more to do, and some could be done */
    ck_assert_ptr_nonnull(fake_pool.job);
    next_round();
    ck_assert_uint_eq(tending.started, 10);
    while (tending.under_way)
        one_is_tended(TEND_DONE);
    check_counters(0, 17);
}
END_TEST

START_TEST(works_on_a_few_at_once_and_reads_page_by_page)
{
    scan_is(4 * 600);
    next_round();
    unsigned pages = 1;
    while (tending.under_way || fake_pool.job) {
        ck_assert_uint_le(tending.under_way, AT_ONCE);
        if (fake_pool.job) { /* while the last ones of the page before are under way */
            ck_assert_uint_eq(tending.under_way, AT_ONCE);
            pool_runs();
            pages++;
        } else {
            one_is_tended(TEND_DONE);
        }
    }
    ck_assert_uint_eq(tending.started, 600);
    ck_assert_uint_eq(pages, 3);
    check_counters(0, 600);
}
END_TEST

/* What cannot be settled now is asked for less and less often, up to every four seconds. */
START_TEST(pauses_grow_while_nothing_can_be_settled)
{
    static const uint64_t pauses[] = {1000, 2000, 4000, 4000};
    next_round();
    for (int i = 0; i < 4; i++) {
        while (tending.under_way)
            one_is_tended(TEND_LATER);
        time_passes(pauses[i] - 1);
        ck_assert_ptr_null(fake_pool.job);
        time_passes(1);
        tending.last[0] = 0;
        pool_runs();
    }
    one_is_tended(TEND_DONE);
    while (tending.under_way)
        one_is_tended(TEND_LATER);
    time_passes(500);
    a_round_ends_all();
}
END_TEST

START_TEST(stopping_begins_no_more)
{
    scan_is(4 * 100);
    next_round();
    ck_assert_uint_eq(tending.under_way, AT_ONCE);
    fake_sweep.busy = fake_audit.busy = true;
    janitor_stop(janitor);
    ck_assert(fake_sweep.stopped && fake_audit.stopped);
    ck_assert(!janitor_idle(janitor));
    while (tending.under_way)
        one_is_tended(TEND_DONE);
    ck_assert_uint_eq(tending.started, AT_ONCE);
    ck_assert(!janitor_idle(janitor));
    fake_sweep.busy = false;
    ck_assert(!janitor_idle(janitor));
    fake_audit.busy = false;
    ck_assert(janitor_idle(janitor));
    time_passes(60000);
    ck_assert_ptr_null(fake_pool.job);
}
END_TEST

START_TEST(stopping_while_a_page_is_read)
{
    time_passes(500);
    janitor_stop(janitor);
    ck_assert(!janitor_idle(janitor)); /* the pool has it still */
    pool_runs();
    ck_assert(janitor_idle(janitor));
    ck_assert_uint_eq(tending.started, 0);
}
END_TEST

START_TEST(failures_only_delay)
{
    fake_pool.full = true;
    time_passes(600);
    fake_pool.full = false;
    tending.cannot_start = true;
    next_round();
    ck_assert(janitor_idle(janitor));
    tending.cannot_start = false;
    next_round();
    ck_assert_uint_eq(tending.started, 10);
    while (tending.under_way)
        one_is_tended(TEND_LATER);
}
END_TEST

/* --- what ends a pause --- */

START_TEST(the_bell_ends_the_pause)
{
    bell_ring(NULL);
    fake_posts.wait = true;
    if (_i == 0)
        bell_ring(fake_master.bell);
    else if (_i == 1)
        janitor_demand_sweep(janitor);
    else
        janitor_demand_audit(janitor);
    bell_ring(fake_master.bell); /* twice is once */
    time_passes(10);
    ck_assert_ptr_nonnull(fake_pool.job);
    ck_assert_uint_eq(fake_sweep.demands, _i == 1);
    ck_assert_uint_eq(fake_audit.demands, _i == 2);
    pool_runs();
    bell_ring(fake_master.bell); /* while a round is under way: then another follows */
    while (tending.under_way) {
        one_is_tended(TEND_LATER);
        loop_turns();
    }
    ck_assert_ptr_null(fake_pool.job);
    time_passes(10);
    ck_assert_ptr_nonnull(fake_pool.job);
    janitor_stop(janitor);
    bell_ring(fake_master.bell);
    pool_runs();
    time_passes(10000);
    ck_assert_ptr_null(fake_pool.job);
    fake_posts.wait = false;
}
END_TEST

/* One is lost, or comes back; then, too, when it is settled, for its garbage. */
START_TEST(so_does_a_volume)
{
    next_round();
    while (tending.under_way)
        one_is_tended(TEND_LATER);
    next_round();
    while (tending.under_way)
        one_is_tended(TEND_LATER); /* the pause is two seconds now */
    if (_i)
        epoch++;
    else
        writable++;
    time_passes(260);
    tending.last[0] = 0;
    pool_runs();
    while (tending.under_way)
        one_is_tended(TEND_LATER); /* four seconds */
    time_passes(2800);
    ck_assert_ptr_null(fake_pool.job);
    time_passes(700);
    a_round_ends_all();
}
END_TEST

START_TEST(so_does_a_sweep_that_goes_on)
{
    fake_sweep.runs = true;
    scan_is(0);
    next_round();
    time_passes(50);
    ck_assert_ptr_nonnull(fake_pool.job);
    fake_sweep.runs = false;
    pool_runs();
    time_passes(499);
    ck_assert_ptr_null(fake_pool.job);
}
END_TEST

/* Clients first: their requests wait for the same disks. The rules are in slices.c. */
START_TEST(clients_are_left_alone_for_moments)
{
    scan_is(4 * 100);
    time_passes(250);
    fake_worker.requests = 20; /* within a quarter of a second */
    time_passes(250);
    tending.last[0] = 0;
    pool_runs();
    ck_assert_uint_eq(tending.under_way, 0);
    fake_worker.requests += 10;
    time_passes(149);
    ck_assert_uint_eq(tending.under_way, 0);
    time_passes(1);
    ck_assert_uint_eq(tending.under_way, AT_ONCE);
    fake_worker.requests += 5;
    time_passes(150); /* the slice is over */
    for (unsigned i = 0; i < AT_ONCE; i++)
        one_is_tended(TEND_DONE);
    ck_assert_uint_eq(tending.under_way, 0);
    time_passes(100);
    ck_assert_uint_eq(tending.under_way, 0);
    time_passes(250); /* they have gone; that much rest for half of their rate */
    ck_assert_uint_eq(tending.under_way, AT_ONCE);
    while (tending.under_way)
        one_is_tended(TEND_DONE);
}
END_TEST

/* A key that is written all the time would have ever more of them, up to where it is refused. */
START_TEST(many_old_copies_do_not_wait_for_clients)
{
    scan_is(4 * 100);
    scan_work.hot = 4 * 50;
    time_passes(250);
    fake_worker.requests = 20;
    time_passes(250);
    tending.last[0] = 0;
    pool_runs();
    ck_assert_uint_eq(tending.under_way, 1);
    ck_assert_str_eq(tending.last, "/k00200");
    one_is_tended(TEND_MORE);
    ck_assert_uint_eq(tending.under_way, 0); /* the others do */
    tending.any_order = true;                /* it was put before them */
    tending.started = 0;
    for (unsigned i = 0; i < 10 && tending.started < 99; i++) {
        time_passes(500); /* the clients have gone */
        while (tending.under_way)
            one_is_tended(TEND_DONE);
    }
    ck_assert_uint_eq(tending.started, 99);
}
END_TEST

START_TEST(it_stops_in_a_rest)
{
    scan_is(4 * 100);
    time_passes(250);
    fake_worker.requests = 20;
    time_passes(250);
    pool_runs();
    janitor_stop(janitor);
    ck_assert(janitor_idle(janitor));
    time_passes(5000);
    ck_assert_uint_eq(tending.under_way, 0);
}
END_TEST

/* --- what is looked at in a round --- */

/* Garbage that is not due costs nothing, but a round when it is. */
START_TEST(keys_that_are_not_due_are_passed_over)
{
    scan_work.due = WALL_MS + 7000;
    time_passes(500);
    pool_runs();
    ck_assert_uint_eq(tending.started, 0);
    check_counters(10, 0); /* they wait all the same */
    while (loop_now_ms() < 8000) {
        if (fake_pool.job)
            pool_runs();
        ck_assert_uint_eq(tending.started, 0);
        time_passes(loop_now_ms() < 7750 ? 250 : 1);
    }
    time_passes(20);
    pool_runs();
    ck_assert_uint_eq(tending.started, 10);
    ck_assert_uint_eq(tending.repairs, 0);
    while (tending.under_way)
        one_is_tended(TEND_DONE);
}
END_TEST

/* Repairs that fail are tried less and less, and what else there is not less for it. */
START_TEST(repairs_have_a_pause_of_their_own)
{
    scan_work.suspect = true;
    time_passes(500);
    pool_runs();
    ck_assert_uint_eq(tending.repairs, 10);
    while (tending.under_way)
        one_is_tended(TEND_LATER);
    unsigned repairs = 0;
    unsigned rounds = 0;
    uint64_t end = loop_now_ms() + 60000;
    while (loop_now_ms() < end) {
        tending.last[0] = 0;
        tending.repairs = 0;
        if (fake_pool.job) {
            rounds++;
            pool_runs();
        }
        repairs += tending.repairs > 0;
        while (tending.under_way)
            one_is_tended(TEND_LATER);
        time_passes(10);
    }
    ck_assert_uint_ge(repairs, 5);
    ck_assert_uint_le(repairs, 8); /* after 1, 3, 7, 15, 30, 45, 60 seconds */
    ck_assert_uint_ge(rounds, 15);
}
END_TEST

/* Nobody may try to write for long while the master says that it is not ready. */
START_TEST(a_broken_index_is_tried_again)
{
    fake_health = ST_NO_SPACE;
    next_round();
    ck_assert_ptr_nonnull(fake_probe);
    ck_assert(!janitor_idle(janitor));
    while (tending.under_way)
        one_is_tended(TEND_DONE);
    next_round(); /* not a second time while the first is under way */
    while (tending.under_way)
        one_is_tended(TEND_DONE);
    ck_assert(!janitor_idle(janitor));
    struct index_change *probe = fake_probe;
    fake_probe = NULL;
    probe->committed(probe->arg, ST_NO_SPACE);
    ck_assert(janitor_idle(janitor));
    next_round();
    ck_assert_ptr_nonnull(fake_probe);
    while (tending.under_way)
        one_is_tended(TEND_DONE);
    fake_probe = NULL;
}
END_TEST

int main(void)
{
    const struct played tests[] = {{goes_through_all_keys_with_work, 1},
                                   {works_on_a_few_at_once_and_reads_page_by_page, 1},
                                   {pauses_grow_while_nothing_can_be_settled, 1},
                                   {stopping_begins_no_more, 1},
                                   {stopping_while_a_page_is_read, 1},
                                   {failures_only_delay, 1},
                                   {the_bell_ends_the_pause, 3},
                                   {so_does_a_volume, 2},
                                   {so_does_a_sweep_that_goes_on, 1},
                                   {clients_are_left_alone_for_moments, 1},
                                   {many_old_copies_do_not_wait_for_clients, 1},
                                   {it_stops_in_a_rest, 1},
                                   {keys_that_are_not_due_are_passed_over, 1},
                                   {repairs_have_a_pause_of_their_own, 1},
                                   {a_broken_index_is_tried_again, 1},
                                   {NULL, 0}};
    return play_all("master_janitor", tests, setup, teardown);
}
