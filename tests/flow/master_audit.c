/* The index is compared with what the volumes hold, over fakes. */
#include "common/buf.h"
#include "common/record.h"
#include "master/audit.h"
#include "master/flag.h"
#include "master/index.h"
#include "master/orphans.h"
#include "tests/flow/fake_heads.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_pool.h"
#include "tests/flow/fake_volumes.h"

#define OTHER "fedcba9876543210fedcba9876543210"

enum { FIRST_MS = 60000, PACE_MS = 200, ROUND_MS = 3600000, PAGE = 256, AT_ONCE = QUESTIONS_MAX };

/* --- an index whose keys "/k0000" … have copies at v1:1, v2:1 and v3:1 --- */

static struct {
    unsigned count, scans;
    unsigned scan_fails; /* this one, from 1; 0: none */
    enum status get_fails;
    bool vanish; /* all but the first, once they were listed */
} keys;

enum status index_scan(struct index *index UNUSED, const struct buf *prefix UNUSED,
                       const struct buf *start,
                       bool (*fn)(void *arg, const char *key, size_t len, const struct record *rec),
                       void *arg)
{
    char name[16];
    struct record rec;
    unsigned i = start->len ? (unsigned)strtoul(buf_text(start) + 2, NULL, 10) : 0;
    record_init(&rec);
    if (++keys.scans == keys.scan_fails)
        return ST_IO;
    for (; i < keys.count; i++)
        if (!fn(arg, name, (size_t)snprintf(name, sizeof name, "/k%04u", i), &rec))
            break;
    return ST_OK;
}

enum status index_get(struct index *index UNUSED, const struct key *key, struct record *rec)
{
    static const char text[] = "HASH" MD5 "v1:1,v2:1,v3:1";
    record_init(rec);
    if (keys.get_fails || (keys.vanish && strcmp(key->bytes, "/k0000") != 0))
        return keys.get_fails ? keys.get_fails : ST_NOT_FOUND;
    enum status st = record_decode(rec, text, sizeof text - 1, NULL, 0);
    if (st)
        record_free(rec);
    return st;
}

/* --- flags and orphans, as far as the audit sees them --- */

static struct {
    unsigned started;
    bool cannot_start;
    void (*flagged)(void *arg, enum status st);
    void *arg;
} flags;

bool flag_start(struct worker *worker UNUSED, const struct key *key UNUSED, enum flag_reason reason,
                void (*flagged)(void *arg, enum status st), void *arg)
{
    ck_assert_int_eq(reason, FLAG_SUSPECT);
    if (flags.cannot_start || memory_is_short())
        return false;
    flags.started++;
    flags.flagged = flagged;
    flags.arg = arg;
    return true;
}

static void flag_is_set(void)
{
    void (*flagged)(void *arg, enum status st) = flags.flagged;
    flags.flagged = NULL;
    flagged(flags.arg, ST_OK);
}

static struct {
    bool under_way, cannot_start, stopped;
    const uint64_t *pause_ms;
    void (*ended)(void *arg, const struct orphans_counts *counts);
    void *arg;
} walk;

struct orphans *orphans_start(struct worker *worker UNUSED, const uint64_t *pause_ms,
                              void (*ended)(void *arg, const struct orphans_counts *counts),
                              void *arg)
{
    if (walk.cannot_start || memory_is_short())
        return NULL;
    walk.under_way = true;
    walk.pause_ms = pause_ms;
    walk.ended = ended;
    walk.arg = arg;
    return (struct orphans *)(void *)&walk;
}

void orphans_stop(struct orphans *orphans UNUSED)
{
    walk.stopped = true;
}

static void walk_ends(void)
{
    const struct orphans_counts counts = {9, 4, true};
    ck_assert(walk.under_way);
    walk.under_way = false;
    walk.ended(walk.arg, &counts);
}

/* --- rounds --- */

static struct audit *audit;

static void setup(void)
{
    master_is_new();
    volumes_are(3);
    memset(&keys, 0, sizeof keys);
    memset(&asks, 0, sizeof asks);
    memset(&flags, 0, sizeof flags);
    memset(&walk, 0, sizeof walk);
    memset(&fake_pool, 0, sizeof fake_pool);
    keys.count = 2;
    audit = audit_new(&fake_worker);
    ck_assert_ptr_nonnull(audit);
}

static void teardown(void)
{
    audit_free(audit);
    ck_assert_ptr_null(fake_timers);
}

static struct audit_report report(void)
{
    struct audit_report report;
    audit_look(audit, &report);
    return report;
}

/* A round has begun, and the first key is asked for. */
static void first_key_is_asked(void)
{
    time_passes(FIRST_MS - 1);
    ck_assert_ptr_null(fake_pool.job);
    time_passes(1);
    pool_runs();
    ck_assert_uint_eq(asks.count, 1);
}

static void is_demanded(void)
{
    audit_demand(audit);
    ck_assert(report().running); /* from then on, for who waits for its end */
    audit_poke(audit);
    time_passes(0);
}

/* A demanded round goes on until orphans are looked for, or it is over. */
static void runs_to_the_walk(struct ask_answer answer)
{
    while (report().running && !walk.under_way)
        if (fake_pool.job)
            pool_runs();
        else if (flags.flagged)
            flag_is_set();
        else
            copies_are(answer);
}

START_TEST(a_round)
{
    first_key_is_asked();
    ck_trace("v1:1 v2:1 v3:1 ");
    copies_are(well);
    time_passes(PACE_MS - 1);
    ck_assert_uint_eq(asks.count, 0);
    time_passes(1);
    copies_are(well);
    time_passes(PACE_MS);
    ck_assert(walk.under_way);
    ck_assert_uint_eq(*walk.pause_ms, PACE_MS);
    ck_assert(report().running && !report().forced);
    walk_ends();
    struct audit_report found = report();
    ck_assert(!found.running && audit_idle(audit));
    ck_assert(found.keys == 2 && found.suspects == 0 && found.files == 9 && found.orphans == 4);
    ck_assert_uint_eq(found.rounds, 1);
    ck_assert_uint_eq(flags.started, 0);
    time_passes(ROUND_MS);
    ck_assert_ptr_nonnull(fake_pool.job);
    pool_runs();
    copies_are(well);
}
END_TEST

START_TEST(what_is_suspect)
{
    static const struct {
        struct ask_answer answer;
        bool suspect;
    } cases[] = {{{.http = 404}, true},
                 {{.http = 200, .md5 = OTHER}, true},
                 {{.http = 200}, false}, /* a plain volume */
                 {{.http = 500}, false},
                 {{.http = 503, .md5 = OTHER}, false},
                 {{.st = ST_PEER_TIMEOUT}, false},
                 {{.st = ST_PEER_TIMEOUT, .http = 404}, false}};
    first_key_is_asked();
    copies_are(cases[_i].answer);
    ck_assert_uint_eq(flags.started, cases[_i].suspect);
    ck_assert_uint_eq(report().suspects, cases[_i].suspect);
    ck_assert_int_eq(audit_idle(audit), !cases[_i].suspect);
    if (cases[_i].suspect)
        flag_is_set();
    time_passes(PACE_MS);
    ck_assert_uint_eq(asks.count, 1); /* the next */
}
END_TEST

START_TEST(only_volumes_that_can_tell)
{
    static const enum volume_state states[] = {VOLUME_UNKNOWN, VOLUME_DOWN, VOLUME_FOREIGN};
    fake_volumes[1].state = states[_i];
    first_key_is_asked();
    ck_trace("v1:1 v3:1 ");
}
END_TEST

START_TEST(keys_that_are_gone_or_cannot_be_read)
{
    keys.get_fails = _i ? ST_CORRUPT : ST_NOT_FOUND;
    time_passes(FIRST_MS);
    pool_runs();
    ck_assert(walk.under_way);
    walk_ends();
    ck_assert(asks.asked == 0 && report().keys == 0 && report().rounds == 1);
}
END_TEST

START_TEST(demanded)
{
    keys.count = PAGE + 20;
    is_demanded();
    pool_runs();
    ck_assert_uint_eq(asks.count, AT_ONCE);
    runs_to_the_walk(well);
    ck_assert_uint_eq(*walk.pause_ms, 0);
    ck_assert(report().forced && keys.scans == 2 && asks.asked == keys.count);
    walk_ends();
    ck_assert(!report().running && !report().forced && report().rounds == 1);
}
END_TEST

/* That which is under way hurries up, and another one follows. */
START_TEST(demanded_meanwhile)
{
    first_key_is_asked();
    is_demanded();
    copies_are(well);
    copies_are(well);
    walk_ends();
    ck_assert(report().running && report().rounds == 1);
    time_passes(0);
    pool_runs();
    copies_are(missing);
    flags.cannot_start = true;
    flag_is_set();
    copies_are(missing);
    walk_ends();
    ck_assert(!report().running && report().rounds == 2 && report().suspects == 2);
}
END_TEST

START_TEST(the_pool_is_full)
{
    fake_pool.full = true;
    time_passes(FIRST_MS + 1000);
    ck_assert(report().running && audit_idle(audit));
    fake_pool.full = false;
    time_passes(PACE_MS);
    pool_runs();
    copies_are(well);
}
END_TEST

/* What of the index was read is compared, but that was no whole round. */
START_TEST(a_round_breaks_off)
{
    keys.count = PAGE + 1;
    keys.scan_fails = _i ? 0 : 2;
    walk.cannot_start = _i;
    is_demanded();
    runs_to_the_walk(well);
    if (walk.under_way)
        walk_ends();
    ck_assert(report().rounds == 0 && report().keys == PAGE + (unsigned)_i);
    time_passes(ROUND_MS);
    ck_assert_ptr_nonnull(fake_pool.job);
    pool_runs();
}
END_TEST

/* While it waits, reads the index, asks, pauses, sets a flag, walks: nothing else is begun. */
START_TEST(stopped)
{
    keys.count = _i == 5 ? 0 : 2;
    time_passes(_i == 0 ? 0 : FIRST_MS);
    if (_i >= 2)
        pool_runs();
    if (_i == 3 || _i == 4)
        copies_are(_i == 3 ? well : missing);
    audit_stop(audit);
    ck_assert_int_eq(audit_idle(audit), _i == 0 || _i == 3);
    if (_i == 1)
        pool_runs();
    if (_i == 2)
        copies_are(well);
    if (_i == 4)
        flag_is_set();
    ck_assert(walk.stopped == (_i == 5) && walk.under_way == (_i == 5));
    if (_i == 5)
        walk_ends();
    is_demanded();
    time_passes(ROUND_MS + FIRST_MS);
    ck_assert(audit_idle(audit) && !fake_pool.job && !asks.count && report().rounds == 0);
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    audit_free(audit);
    keys.count = PAGE + 1;
    keys.vanish = true;
    memory_arm(k);
    audit = audit_new(&fake_worker);
    if (audit) {
        is_demanded();
        runs_to_the_walk(missing);
        if (walk.under_way)
            walk_ends();
        ck_assert(audit_idle(audit) && !report().running);
        /* A round that counts has read the whole index. */
        ck_assert(report().rounds == 0 || keys.scans == 2);
    }
    memory.left = 0;
    audit_free(audit);
    audit = NULL;
}

START_TEST(memory_may_run_out_anywhere)
{
    audit_free(audit);
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{a_round, 1},
                                   {what_is_suspect, 7},
                                   {only_volumes_that_can_tell, 3},
                                   {keys_that_are_gone_or_cannot_be_read, 2},
                                   {demanded, 1},
                                   {demanded_meanwhile, 1},
                                   {the_pool_is_full, 1},
                                   {a_round_breaks_off, 2},
                                   {stopped, 6},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_audit", tests, setup, teardown);
}
