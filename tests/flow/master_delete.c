/* DELETE, over fakes: the tombstone is durable before any volume is asked for anything. */
#include "master/flows.h"
#include "tests/flow/fake_bury.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_keylock.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_volumes.h"

#define VALUE     "HASH00000000000000000000000000000001v1:1,v2:1,v3:1"
#define TOMBSTONE "W1;tombstone 0;garbage 0 mkv v1:1;garbage 0 mkv v2:1;garbage 0 mkv v3:1;"

/* The copy at `left` (or none) could not be removed; `holder` (or none) keeps the tombstone. */
static void burial_ends(const char *left, const char *holder)
{
    struct record *rec = burial.rec;
    static const char *const places[] = {"v1:1", "v2:1", "v3:1"};
    ck_assert(!burial.careful); /* what was acknowledged is deleted everywhere, at once */
    for (size_t i = 0; i < 3; i++)
        if (!left || strcmp(left, places[i]) != 0)
            record_drop_garbage(rec, 0, places[i]);
    if (holder)
        ck_assert_int_eq(record_add_holder(rec, holder), ST_OK);
    if (rec->garbage.count == 0 && rec->holder_count == 0)
        rec->has_tombstone = false;
    burial_is_over();
}

static void setup(void)
{
    master_is_new();
    volumes_are(6);
    index_holds(VALUE, "");
    memset(&burial, 0, sizeof burial);
    memset(&fake_lock, 0, sizeof fake_lock);
}

static void teardown(void)
{
    ck_assert_ptr_null(burial.rec);
    ck_assert_ptr_null(fake_index.pending);
    ck_assert(!fake_lock.held);
    client_free();
}

static void start(void)
{
    delete_start(&fake_worker, client_asks(), &fake_key);
}

/* --- the happy path --- */

START_TEST(deletes_a_key)
{
    start();
    ck_trace("lock commit ");
    ck_assert_str_eq(fake_index.event, "delete:0");
    ck_index(VALUE, "");
    index_commits();
    ck_index("", TOMBSTONE);
    ck_trace("bury "); /* not before it is durable */
    burial_ends(NULL, NULL);
    ck_trace("commit-lazy ");
    ck_assert_str_eq(fake_index.event, ""); /* once is enough */
    ck_assert_uint_eq(client.answers, 0);
    index_commits();
    ck_index("", "");
    ck_trace("unlock reply:204 ");
}
END_TEST

START_TEST(deletes_an_unlinked_key)
{
    fake_config.protect = true;
    index_holds("DELETED" VALUE, "");
    start();
    index_commits();
    burial_ends(NULL, NULL);
    index_commits();
    ck_index("", "");
    ck_assert_int_eq(client.status, 204);
}
END_TEST

START_TEST(the_tombstone_covers_what_failed_puts_left)
{
    index_holds(VALUE, "W1;few;garbage 77 larder v4:1;");
    start();
    index_commits();
    ck_index("", "W1;tombstone 77;garbage 77 larder v4:1;garbage 0 mkv v1:1;garbage 0 mkv v2:1;"
                 "garbage 0 mkv v3:1;");
    burial_ends(NULL, "v1:1");
    ck_trace("lock commit bury commit "); /* the holder's name must not get lost */
    index_commits();
    ck_index("", "W1;tombstone 77;garbage 77 larder v4:1;holder v1:1;");
    ck_assert_int_eq(client.status, 204);
}
END_TEST

/* The old tombstone's files say an older generation: with an index made anew from the volumes they
 * would not cover the version that is deleted now. So they do not count as holders of the new one,
 * but are still to be told in the end.
 */
START_TEST(an_older_tombstone_is_not_taken_for_this_one)
{
    index_holds("L1 live 9 larder - v1:1",
                "W1;tombstone 5;garbage 5 larder v6:1;holder v2:1;holder v3:1;");
    start();
    index_commits();
    ck_index("",
             "W1;tombstone 9;garbage 5 larder v6:1;garbage 9 larder v1:1;maybe v2:1;maybe v3:1;");
    burial_ends("v6:1", "v2:1");
    index_commits();
}
END_TEST

/* --- refusals --- */

static void is_refused(int status)
{
    start();
    ck_assert_int_eq(client.status, status);
    ck_trace(status == 404   ? "lock unlock reply:404 "
             : status == 403 ? "lock unlock reply:403 "
                             : "lock unlock reply:500 ");
}

START_TEST(refuses_by_the_record)
{
    fake_config.protect = true;
    is_refused(403);
    ck_index(VALUE, "");
    index_holds("", "");
    is_refused(404);
    index_holds("", "W1;garbage 0 larder v1:1;"); /* pending */
    is_refused(404);
    index_holds("", TOMBSTONE);
    is_refused(404);
    ck_index("", TOMBSTONE);
    index_holds("L1 garbled", "");
    is_refused(500);
    fake_index.read_fails = ST_IO;
    is_refused(500);
}
END_TEST

START_TEST(refuses_a_key_that_another_writes)
{
    fake_lock.taken = true;
    start();
    ck_trace("reply:409 ");
    ck_index(VALUE, "");
}
END_TEST

/* --- steps that fail --- */

START_TEST(the_tombstone_cannot_be_saved)
{
    fake_index.fail_at = 1;
    fake_index.fail_with = _i ? ST_IO : ST_NO_SPACE;
    start();
    index_commits();
    ck_trace(_i ? "lock commit unlock reply:500 " : "lock commit unlock reply:507 ");
    ck_index(VALUE, "");
}
END_TEST

START_TEST(burying_cannot_be_started)
{
    burial.cannot_start = true;
    start();
    index_commits();
    ck_trace("lock commit unlock reply:500 ");
    ck_index("", TOMBSTONE); /* hidden, and the janitor goes on */
}
END_TEST

START_TEST(a_volume_is_away)
{
    start();
    index_commits();
    burial_ends("v2:1", "v1:1");
    ck_trace("lock commit bury commit ");
    index_commits();
    ck_trace("unlock reply:204 ");
    ck_index("", "W1;tombstone 0;garbage 0 mkv v2:1;holder v1:1;");
}
END_TEST

START_TEST(nobody_can_keep_the_tombstone)
{
    start();
    index_commits();
    burial_ends("v2:1", NULL);
    index_commits();
    ck_trace("lock commit bury commit-lazy unlock reply:503 ");
    ck_index("", "W1;tombstone 0;garbage 0 mkv v2:1;");
}
END_TEST

/* Such volumes cannot keep a tombstone, and minikeyvalue has none either. */
START_TEST(plain_volumes_cannot_keep_tombstones)
{
    for (int i = 0; i < FAKE_VOLUMES; i++)
        fake_volumes[i].kind = VOLUME_PLAIN;
    start();
    index_commits();
    burial_ends("v2:1", NULL);
    index_commits();
    ck_assert_int_eq(client.status, 204);
}
END_TEST

/* The deletion is durable by then: what is lost is only that its leftovers are gone. */
START_TEST(the_end_cannot_be_saved)
{
    fake_index.fail_at = 2;
    fake_index.fail_with = ST_NO_SPACE;
    start();
    index_commits();
    burial_ends(NULL, NULL);
    index_commits();
    ck_trace("lock commit bury commit-lazy unlock reply:204 ");
    ck_index("", TOMBSTONE);
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    memory_arm(k);
    start();
    if (fake_index.pending)
        index_commits();
    if (burial.rec)
        burial_ends(NULL, NULL);
    if (fake_index.pending)
        index_commits();
    memory.left = 0;
    ck_assert_uint_eq(client.answers, 1);
    ck_assert_uint_eq(count_words(trace, "lock"), count_words(trace, "unlock"));
    if (client.status == 204)
        ck_assert_str_eq(fake_index.value, "");
    else
        ck_assert_int_eq(client.status, 500);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{deletes_a_key, 1},
                                   {deletes_an_unlinked_key, 1},
                                   {the_tombstone_covers_what_failed_puts_left, 1},
                                   {an_older_tombstone_is_not_taken_for_this_one, 1},
                                   {refuses_by_the_record, 1},
                                   {refuses_a_key_that_another_writes, 1},
                                   {the_tombstone_cannot_be_saved, 2},
                                   {burying_cannot_be_started, 1},
                                   {a_volume_is_away, 1},
                                   {nobody_can_keep_the_tombstone, 1},
                                   {plain_volumes_cannot_keep_tombstones, 1},
                                   {the_end_cannot_be_saved, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_delete", tests, setup, teardown);
}
