/* Checkpoints, over fakes: whole streams, clients that go away and come back, snapshots that are
 * held and let go, an index that fails. The table of snapshots is the real one. */
#include "common/checkpoint.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/index_snapshot.h"
#include "master/snapshots.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_pool.h"

enum { KEYS = 5000, VALUE = 500 }; /* a few megabytes: ten blocks */

/* --- an index of so many keys --- */

struct index_snapshot {
    unsigned keys;
};

static struct {
    unsigned keys, open; /* snapshots that are held */
    enum status take_fails, scan_fails;
    unsigned fail_at; /* the key at which a scan fails */
} fake;

enum status index_snapshot_take(struct index *index UNUSED, struct index_snapshot **taken,
                                uint64_t *sequence)
{
    if (fake.take_fails)
        return fake.take_fails;
    *taken = calloc(1, sizeof **taken);
    if (!*taken)
        return ST_NO_MEMORY;
    (*taken)->keys = fake.keys;
    *sequence = 7;
    fake.open++;
    return ST_OK;
}

void index_snapshot_free(struct index_snapshot *snapshot)
{
    fake.open -= snapshot != NULL;
    free(snapshot);
}

enum status index_snapshot_scan(struct index_snapshot *snapshot, const struct buf *after,
                                bool (*fn)(void *arg, const char *key, size_t key_len,
                                           const char *value, size_t value_len),
                                void *arg)
{
    static char value[VALUE];
    unsigned i = after->len ? (unsigned)strtoul(after->data + 2, NULL, 10) + 1 : 0;
    bool more = true;
    for (; more && i < snapshot->keys; i++) {
        char key[16];
        if (fake.scan_fails && i >= fake.fail_at)
            return fake.scan_fails;
        int len = snprintf(key, sizeof key, "/k%05u", i);
        more = fn(arg, key, (size_t)len, value, sizeof value);
    }
    return ST_OK;
}

void index_id(struct index *index UNUSED, char id[IDENTITY_SIZE + 1])
{
    memcpy(id, "0123456789abcdef0123456789abcdef", IDENTITY_SIZE + 1);
}

/* --- reading what comes --- */

static struct checkpoint_reader *reader;

static enum status no_entry(void *arg UNUSED, const char *key UNUSED, size_t key_len UNUSED,
                            const char *value UNUSED, size_t value_len UNUSED)
{
    return ST_OK;
}

static const struct checkpoint_sink sink = {NULL, no_entry, NULL};

static void setup(void)
{
    master_is_new();
    memset(&fake, 0, sizeof fake);
    memset(&fake_pool, 0, sizeof fake_pool);
    fake.keys = KEYS;
    fake_master.snapshots = snapshots_new(&fake_worker);
    ck_assert_ptr_nonnull(fake_master.snapshots);
    reader = checkpoint_reader_new(&sink, NULL);
    client.path = "/admin/checkpoint";
    client.query = "";
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_pool.job);
    snapshots_free(fake_master.snapshots);
    ck_assert_uint_eq(fake.open, 0);
    checkpoint_reader_free(reader);
    client_free();
}

static void ask(const char *query)
{
    trace[0] = 0;
    client.query = query;
    checkpoint_start(&fake_worker, client_asks());
}

/* The next thing that waits to happen: a job of the pool, a pause, or a client that takes. */
static void step(bool alive)
{
    if (fake_pool.job)
        pool_runs();
    else if (client.req && client.drained)
        client_takes(alive);
    else
        time_passes(1);
}

/* Until the answer is over, and what comes after it. */
static void finish(void)
{
    while (client.req)
        step(true);
    if (fake_pool.job)
        pool_runs();
    ck_assert_uint_eq(client.answers, 1);
}

/* Takes `pieces` of them, then goes away. */
static void break_off(unsigned pieces)
{
    while (client.req) {
        bool takes = !fake_pool.job && client.drained;
        step(!takes || pieces-- > 0);
    }
    pool_runs(); /* the snapshot is held, or let go */
    ck_assert(!client.whole);
}

/* What came so far goes to the reader; as a query, what is to come. */
static const char *rest(void)
{
    static char query[256];
    char chain[MD5_HEX + 1];
    ck_assert_int_eq(checkpoint_reader_take(reader, client.body, client.body_len), ST_OK);
    const struct checkpoint_point *point = checkpoint_reader_point(reader);
    md5_hex(point->chain, chain);
    (void)snprintf(query, sizeof query, "id=%s&entries=%llu&bytes=%llu&chain=%s&after=%s",
                   checkpoint_reader_head(reader)->id, (unsigned long long)point->entries,
                   (unsigned long long)point->bytes, chain,
                   buf_text(checkpoint_reader_key(reader)));
    return query;
}

static void check_whole(void)
{
    ck_assert_int_eq(client.status, 200);
    ck_assert(client.whole);
    ck_assert_int_eq(checkpoint_reader_take(reader, client.body, client.body_len), ST_OK);
    ck_assert(checkpoint_reader_whole(reader));
    ck_assert_uint_eq(checkpoint_reader_point(reader)->entries, fake.keys);
    ck_assert_uint_eq(checkpoint_reader_head(reader)->sequence, 7);
}

START_TEST(all_of_it)
{
    fake.keys = _i == 0 ? KEYS : _i == 1 ? 1 : 0;
    ask("");
    finish();
    check_whole();
    ck_assert(answer_has("Larder-Sequence: 7"));
    ck_assert_uint_ge(count_words(trace, "piece"), _i ? 1 : 3);
    ck_assert_uint_eq(fake.open, 0);
}
END_TEST

START_TEST(it_goes_on_after_a_break)
{
    unsigned breaks = 0;
    ask("");
    break_off(1);
    while (breaks++ < 2) {
        const char *query = rest();
        ck_assert_uint_eq(fake.open, 1);
        ask(query);
        break_off(1);
    }
    ask(rest());
    finish();
    check_whole();
    ck_assert_uint_eq(fake.open, 0);
}
END_TEST

START_TEST(a_snapshot_is_held_for_a_while)
{
    ask("");
    break_off(1);
    const char *query = rest();
    time_passes(_i ? SNAPSHOTS_HELD_MS + 10000 : SNAPSHOTS_HELD_MS / 2);
    if (fake_pool.job)
        pool_runs(); /* the sweep */
    ask(query);
    finish();
    ck_assert_int_eq(client.status, _i ? 410 : 200);
    ck_assert_uint_eq(fake.open, 0);
}
END_TEST

START_TEST(bad_questions)
{
    static const char *const queries[] = {
        "id=x", "id=0123456789abcdef0123456789abcdef",
        "id=0123456789abcdef0123456789abcdef&entries=x&bytes=0&chain="
        "0123456789abcdef0123456789abcdef",
        "id=0123456789abcdef0123456789abcdef&entries=1&bytes=0&chain=0123",
        "id=0123456789abcdef0123456789abcdef&entries=1&bytes=0&chain="
        "0123456789abcdef0123456789abcdef&after=%zz"};
    ask(queries[_i]);
    ck_trace("reply:400 ");
}
END_TEST

START_TEST(one_that_is_not_held)
{
    ask("id=0123456789abcdef0123456789abcdef&entries=1&bytes=0&chain="
        "0123456789abcdef0123456789abcdef");
    finish();
    ck_trace("reply:410 ");
}
END_TEST

START_TEST(more_than_may_be)
{
    struct snapshot *taken[SNAPSHOTS_MAX];
    for (int i = 0; i < SNAPSHOTS_MAX; i++)
        ck_assert_int_eq(snapshots_take(fake_master.snapshots, &taken[i]), ST_OK);
    ask("");
    finish();
    ck_trace("reply:503 ");
    snapshots_release(fake_master.snapshots, taken[0], true); /* held: it makes room */
    ask("");
    finish();
    check_whole();
    ck_assert_uint_eq(fake.open, SNAPSHOTS_MAX - 1);
    for (int i = 1; i < SNAPSHOTS_MAX; i++)
        snapshots_release(fake_master.snapshots, taken[i], false);
}
END_TEST

START_TEST(the_pool_is_full)
{
    fake_pool.full = true;
    ask("");
    ck_trace("reply:503 ");
}
END_TEST

START_TEST(the_index_fails)
{
    if (_i == 0)
        fake.take_fails = ST_IO;
    else
        fake.scan_fails = _i == 1 ? ST_CORRUPT : ST_GONE;
    fake.fail_at = _i == 3 ? 1500 : 0;
    ask("");
    finish();
    if (_i < 3)
        ck_assert_int_eq(client.status, _i == 2 ? 410 : 500);
    ck_assert(_i < 3 || !client.whole);
    ck_assert_uint_eq(fake.open, _i == 1 ? 1 : 0); /* one of a database that is gone is no use */
}
END_TEST

START_TEST(it_ends_where_the_master_stops)
{
    ask("");
    pool_runs();
    snapshots_stop(fake_master.snapshots);
    finish();
    ck_assert(!client.whole);
    ck_assert(snapshots_idle(fake_master.snapshots));
}
END_TEST

/* With all jobs that come up meanwhile; the fake pool has room for one at a time. */
static void time_goes_by(unsigned seconds)
{
    for (unsigned ms = 1000 * seconds; ms; ms--) {
        time_passes(1);
        if (fake_pool.job)
            pool_runs();
    }
}

/* Else its snapshot would be held for as long as it drips. Loop: it takes its block just in time.
 */
START_TEST(a_reader_that_takes_next_to_nothing_is_cut_off)
{
    time_passes(3); /* not at the same moment as the look for what is due */
    ask("");
    pool_runs();
    ck_assert(client.drained && client.req);
    time_goes_by(59);
    ck_assert(client.drained && client.req);
    if (_i) {
        client_takes(true);
        time_goes_by(5);
        finish();
        check_whole();
        return;
    }
    time_goes_by(1);
    ck_assert_ptr_null(client.req);
    ck_assert(!client.whole);
    ck_assert_uint_eq(fake.open, 1); /* it may come back, for a while */
    time_goes_by(SNAPSHOTS_HELD_MS / 1000 + 10);
    ck_assert_uint_eq(fake.open, 0);
}
END_TEST

static void play_without_memory(unsigned k)
{
    checkpoint_reader_reset(reader);
    fake_pool.job = NULL;
    memory_arm(k);
    ask("");
    finish();
    memory.left = 0;
    if (client.status == 200 && client.whole)
        check_whole();
    else
        ck_assert(client.status == 500 || !client.whole);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{all_of_it, 3},
                                   {it_goes_on_after_a_break, 1},
                                   {a_snapshot_is_held_for_a_while, 2},
                                   {bad_questions, 5},
                                   {one_that_is_not_held, 1},
                                   {more_than_may_be, 1},
                                   {the_pool_is_full, 1},
                                   {the_index_fails, 4},
                                   {it_ends_where_the_master_stops, 1},
                                   {a_reader_that_takes_next_to_nothing_is_cut_off, 2},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_checkpoint", tests, setup, teardown);
}
