/*
 * PUT, over fakes: every step fails once, and what the index holds then is what recovery needs.
 */
#include "common/md5.h"
#include "master/flows.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_keylock.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_replicate.h"
#include "tests/flow/fake_volumes.h"

#define OLD_MD5   "00000000000000000000000000000001"
#define OLD_VALUE "HASH" OLD_MD5 "v1:1,v2:1,v3:1"
/* What a PUT of a new key may leave behind. */
#define INTENT                                                                                     \
    "W1;garbage 0 larder v1:1;garbage 0 larder v2:1;garbage 0 larder v3:1;"                        \
    "garbage 0 larder v4:1;garbage 0 larder v5:1;"
/* The same for a key that has a record: the generation is the time. */
#define NEW_INTENT                                                                                 \
    "W1;garbage 1700000000 larder v1:1;garbage 1700000000 larder v2:1;"                            \
    "garbage 1700000000 larder v3:1;garbage 1700000000 larder v4:1;"                               \
    "garbage 1700000000 larder v5:1;"

static void setup(void)
{
    master_is_new();
    volumes_are(6);
    index_holds("", "");
    fake_now = 1000;
    uploads.cannot_start = false;
    client.path = "/k";
    client.query = NULL;
    client.length = 5;
    client.md5 = client.type = NULL;
    fake_lock.taken = fake_lock.held = false;
}

static void teardown(void)
{
    ck_assert_ptr_null(uploads.rep);
    ck_assert_ptr_null(fake_index.pending);
    ck_assert(!fake_lock.held);
    client_free();
}

static void start(void)
{
    put_start(&fake_worker, client_asks(), &fake_key);
}

/* Up to the body. */
static void start_body(void)
{
    start();
    index_commits();
    ck_trace("lock commit upload:5 read ");
}

static void send_value(void)
{
    ck_assert_uint_eq(client_sends("value", 5), 5);
    client_ends(ST_OK);
    ck_trace("upload-end ");
}

/* --- the happy path, and what is in the index at each point of it --- */

START_TEST(stores_a_new_key)
{
    start();
    ck_trace("lock commit "); /* no volume before the intent is durable */
    ck_assert_str_eq(fake_index.event, "");
    index_commits();
    ck_index("", INTENT);
    ck_trace("upload:5 read ");
    ck_assert_uint_eq(client_sends("val", 3), 3);
    ck_assert_uint_eq(client_sends("ue", 2), 2);
    client_ends(ST_OK);
    ck_trace("upload-end ");
    ck_assert_mem_eq(uploads.rep->got, "value", 5);
    ck_assert_str_eq(uploads.rep->path, "/54/a9/L2s=");
    upload_ends(ST_OK, "SSSUU");
    ck_trace("commit ");
    ck_assert_str_eq(fake_index.event, "put:5");
    ck_index("", INTENT); /* not visible before it is durable */
    ck_assert_uint_eq(client.answers, 0);
    index_commits();
    ck_index("HASH" FAKE_MD5 "v1:1,v2:1,v3:1", "");
    ck_trace("unlock reply:201 ");
    ck_assert(answer_has("Content-Md5: " FAKE_MD5));
    ck_assert_uint_eq(client.answers, 1);
}
END_TEST

START_TEST(tells_the_replicas_what_is_wanted)
{
    client.md5 = "AAECAwQFBgcICQoLDA0ODw==";
    client.type = "image/png";
    start_body();
    const struct replicate_spec *spec = &uploads.rep->spec;
    ck_assert_str_eq(uploads.rep->expected, "000102030405060708090a0b0c0d0e0f");
    ck_assert_str_eq(uploads.rep->type, "image/png");
    ck_assert_uint_eq(spec->wanted, 3);
    ck_assert_uint_eq(spec->minimum, 2);
    ck_assert_int_eq(spec->length, 5);
    ck_assert(spec->digest);
    client_ends(ST_CLOSED);
}
END_TEST

START_TEST(keeps_no_md5_where_none_is_wanted)
{
    fake_config.md5sum = false;
    start_body();
    ck_assert(!uploads.rep->spec.digest);
    send_value();
    upload_ends(ST_OK, "SSSUU");
    index_commits();
    ck_index("v1:1,v2:1,v3:1", "");
    ck_assert_int_eq(client.status, 201);
}
END_TEST

START_TEST(a_full_window_pauses_the_client)
{
    start_body();
    uploads.room = 2;
    ck_assert_uint_eq(client_sends("value", 5), 2);
    ck_assert(client.full);
    upload_has_room(10);
    ck_trace("resume ");
    ck_assert_uint_eq(client_sends("lue", 3), 3);
    client_ends(ST_OK);
    ck_assert_mem_eq(uploads.rep->got, "value", 5);
    upload_ends(ST_OK, "SSSUU");
    index_commits();
    ck_assert_int_eq(client.status, 201);
}
END_TEST

/* --- refusals: before the body, and without a trace --- */

static void is_refused(int status)
{
    start();
    ck_assert_int_eq(client.status, status);
    ck_assert_uint_eq(client.answers, 1);
    ck_assert_ptr_null(fake_index.pending);
    ck_assert_uint_eq(count_words(trace, "lock"), count_words(trace, "unlock"));
    trace[0] = 0;
}

START_TEST(refuses_by_the_head_and_the_lock)
{
    client.length = 0;
    is_refused(411);
    client.length = 5;
    fake_config.max_value = 4;
    is_refused(413);
    fake_config.max_value = 5;
    client.md5 = "nonsense";
    is_refused(400);
    client.md5 = NULL;
    fake_lock.taken = true;
    is_refused(409);
}
END_TEST

START_TEST(refuses_by_the_record)
{
    index_holds(OLD_VALUE, "");
    is_refused(403);
    ck_index(OLD_VALUE, "");
    fake_index.read_fails = ST_IO;
    is_refused(500);
    index_holds("L1 garbled", "L1 garbled");
    is_refused(500);
}
END_TEST

START_TEST(refuses_with_too_few_volumes)
{
    volumes_are(1);
    is_refused(503);
    volumes_are(0);
    is_refused(503);
    volumes_are(6);
    for (int i = 0; i < 5; i++)
        fake_volumes[i].state = i % 2 ? VOLUME_READ_ONLY : VOLUME_DOWN;
    is_refused(503);
    fake_volumes[0].state = VOLUME_FULL;
    is_refused(507);
    ck_index("", "");
}
END_TEST

/* Else a client that overwrites one key all the time makes its record grow without an end. */
START_TEST(refuses_a_key_with_too_much_garbage)
{
    struct buf work = BUF_INIT;
    buf_adds(&work, "W1;due 1700003000;");
    for (int i = 0; i <= 2000; i++)
        buf_addf(&work, "garbage %d larder v1:1;", i);
    fake_config.overwrite = true;
    index_holds(OLD_VALUE, buf_text(&work));
    is_refused(503);
    buf_truncate(&work, work.len - strlen("garbage 2000 larder v1:1;"));
    index_holds(OLD_VALUE, buf_text(&work));
    buf_free(&work);
    start();
    index_commits();
    client_ends(ST_CLOSED);
    ck_assert_int_eq(client.status, 400); /* it was let in */
}
END_TEST

START_TEST(passes_over_volumes_that_cannot_take_it)
{
    fake_volumes[0].state = VOLUME_DOWN;
    fake_volumes[1].state = VOLUME_FULL;
    fake_volumes[3].state = VOLUME_UNKNOWN; /* used as if it were up */
    start();
    index_commits();
    ck_trace("lock commit upload:4 read ");
    ck_index("", "W1;garbage 0 larder v3:1;garbage 0 larder v4:1;garbage 0 larder v5:1;"
                 "garbage 0 larder v6:1;");
    client_ends(ST_CLOSED);
}
END_TEST

/* --- steps that fail --- */

START_TEST(the_intent_cannot_be_saved)
{
    fake_index.fail_at = 1;
    fake_index.fail_with = _i ? ST_IO : ST_NO_SPACE;
    start();
    index_commits();
    ck_trace(_i ? "lock commit unlock reply:500 " : "lock commit unlock reply:507 ");
    ck_index("", "");
}
END_TEST

START_TEST(the_result_cannot_be_saved)
{
    fake_index.fail_at = 2;
    fake_index.fail_with = _i ? ST_IO : ST_NO_SPACE;
    start_body();
    send_value();
    upload_ends(ST_OK, "SSSUU");
    index_commits();
    ck_trace(_i ? "commit unlock reply:500 " : "commit unlock reply:507 ");
    ck_index("", INTENT); /* the janitor removes what the volumes have */
}
END_TEST

START_TEST(the_upload_cannot_be_started)
{
    uploads.cannot_start = true;
    start();
    index_commits();
    ck_trace("lock commit unlock reply:500 ");
    ck_index("", INTENT);
}
END_TEST

static const struct {
    enum status st;
    const char *trace;
} upload_failures[] = {
    {ST_UNAVAILABLE, "unlock reply:503 "},
    {ST_NO_SPACE, "unlock reply:507 "},
    {ST_DIGEST, "unlock reply:422 "},
};

START_TEST(the_upload_fails)
{
    start_body();
    send_value();
    upload_ends(upload_failures[_i].st, "FFFFF");
    ck_trace(upload_failures[_i].trace);
    ck_index("", INTENT);
}
END_TEST

START_TEST(the_upload_fails_before_the_body_is_over)
{
    start_body();
    if (_i)
        ck_assert_uint_eq(client_sends("val", 3), 3);
    upload_ends(ST_UNAVAILABLE, "FFFFF");
    ck_trace("unlock reply:503 ");
    ck_assert_ptr_null(client.sink);
    ck_index("", INTENT);
}
END_TEST

/* The client goes away, stands still, or sends bad chunks: before the first byte, in the middle,
 * while the window is full, behind the last byte. */
START_TEST(the_body_breaks_off)
{
    static const enum status why[] = {ST_CLOSED, ST_TIMEOUT, ST_BAD_REQUEST};
    static const char *const traces[] = {"unlock reply:400 ", "unlock reply:408 ",
                                         "unlock reply:400 "};
    start_body();
    int point = _i % 4;
    if (point == 2)
        uploads.room = 2;
    if (point)
        (void)client_sends("value", point == 1 ? 3 : 5);
    client_ends(why[_i / 4]);
    ck_trace(traces[_i / 4]);
    ck_assert_uint_eq(client.answers, 1);
    ck_index("", INTENT);
}
END_TEST

START_TEST(a_chunked_body_is_empty_or_too_long)
{
    client.length = -1;
    start_body();
    client_ends(ST_OK);
    ck_trace("unlock reply:411 ");
    setup();
    client.length = -1;
    fake_config.max_value = 4;
    start_body();
    ck_assert_uint_eq(client_sends("valu", 4), 4); /* just what is allowed */
    ck_assert_uint_eq(client.answers, 0);
    (void)client_sends("e", 1);
    ck_trace("unlock reply:413 ");
    ck_index("", INTENT);
}
END_TEST

/* --- replicas that fail --- */

START_TEST(failed_replicas_stay_garbage)
{
    start_body();
    send_value();
    upload_ends(ST_OK, "SFSSU");
    index_commits();
    ck_index("HASH" FAKE_MD5 "v1:1,v3:1,v4:1", "W1;garbage 0 larder v2:1;");
    ck_assert_int_eq(client.status, 201);
}
END_TEST

START_TEST(too_few_copies_are_noted)
{
    start_body();
    send_value();
    upload_ends(ST_OK, "SFFSF");
    index_commits();
    ck_index("HASH" FAKE_MD5 "v1:1,v4:1", "W1;few 2;since 1700000000;garbage 0 larder v2:1;garbage "
                                          "0 larder v3:1;garbage 0 larder v5:1;");
    ck_assert_int_eq(client.status, 201);
}
END_TEST

/* --- keys that have a record already --- */

static void overwrite_with(const char *results)
{
    start_body();
    send_value();
    upload_ends(ST_OK, results);
    index_commits();
}

START_TEST(overwriting_leaves_the_old_value_to_its_readers)
{
    fake_config.overwrite = true;
    index_holds(OLD_VALUE, "");
    start_body();
    ck_index(OLD_VALUE, NEW_INTENT);
    send_value();
    upload_ends(ST_OK, "SSSUU");
    ck_assert_str_eq(fake_index.event, "overwrite:5");
    ck_index(OLD_VALUE, NEW_INTENT);
    index_commits();
    ck_index("L1 live 1700000000 larder " FAKE_MD5 " v1:1,v2:1,v3:1",
             "W1;due 1700003000;garbage 0 mkv v1:1;garbage 0 mkv v2:1;garbage 0 mkv v3:1;");
}
END_TEST

START_TEST(overwriting_that_fails_keeps_the_old_value)
{
    fake_config.overwrite = true;
    index_holds(OLD_VALUE, "");
    fake_index.fail_at = _i == 0 ? 1 : 2;
    fake_index.fail_with = ST_IO;
    start();
    index_commits();
    if (_i == 1) {
        (void)client_sends("value", 5);
        client_ends(ST_OK);
        upload_ends(ST_OK, "SSSUU");
        index_commits();
    } else if (_i == 2) {
        client_ends(ST_CLOSED);
    }
    ck_assert_int_eq(client.status, _i == 2 ? 400 : 500);
    ck_index(OLD_VALUE, _i == 0 ? "" : NEW_INTENT);
}
END_TEST

START_TEST(an_unlinked_key_is_written_anew)
{
    index_holds("DELETED" OLD_VALUE, ""); /* and needs no --overwrite */
    overwrite_with("SSSUU");
    ck_index("L1 live 1700000000 larder " FAKE_MD5 " v1:1,v2:1,v3:1",
             "W1;due 1700003000;garbage 0 mkv v1:1;garbage 0 mkv v2:1;garbage 0 mkv v3:1;");
}
END_TEST

START_TEST(a_deleted_key_keeps_its_tombstone)
{
    /* A volume with an old copy is away. The generation is above the tombstone's, though that is
     * in the future. */
    index_holds("", "W1;tombstone 9000000000;garbage 9000000000 larder v6:1;holder v1:1;");
    overwrite_with("SSSUU");
    ck_index("L1 live 9000000001 larder " FAKE_MD5 " v1:1,v2:1,v3:1",
             "W1;tombstone 9000000000;garbage 9000000000 larder v6:1;holder v1:1;");
}
END_TEST

START_TEST(what_an_earlier_put_left_stays_known)
{
    index_holds("", "W1;garbage 0 larder v1:1;garbage 0 larder v6:1;");
    overwrite_with("SSSUU");
    ck_index("L1 live 1700000000 larder " FAKE_MD5 " v1:1,v2:1,v3:1",
             "W1;garbage 0 larder v1:1;garbage 0 larder v6:1;");
}
END_TEST

/* --- out of memory, anywhere --- */

static void play_without_memory(unsigned k)
{
    setup();
    index_holds(OLD_VALUE, "");
    fake_config.overwrite = true;
    memory_arm(k);
    start();
    while (fake_index.pending || client.sink || uploads.rep) {
        if (fake_index.pending)
            index_commits();
        else if (client.sink && uploads.rep->len == 0)
            (void)client_sends("value", 5);
        else if (client.sink)
            client_ends(ST_OK);
        else
            upload_ends(ST_OK, "SSSUU");
    }
    memory.left = 0;
    ck_assert_uint_eq(client.answers, 1);
    ck_assert_uint_eq(count_words(trace, "lock"), count_words(trace, "unlock"));
    ck_assert_int_eq(strcmp(fake_index.value, OLD_VALUE) == 0, client.status == 500);
    ck_assert(client.status == 500 || client.status == 201);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{stores_a_new_key, 1},
                                   {tells_the_replicas_what_is_wanted, 1},
                                   {keeps_no_md5_where_none_is_wanted, 1},
                                   {a_full_window_pauses_the_client, 1},
                                   {refuses_by_the_head_and_the_lock, 1},
                                   {refuses_by_the_record, 1},
                                   {refuses_with_too_few_volumes, 1},
                                   {refuses_a_key_with_too_much_garbage, 1},
                                   {passes_over_volumes_that_cannot_take_it, 1},
                                   {failed_replicas_stay_garbage, 1},
                                   {too_few_copies_are_noted, 1},
                                   {overwriting_leaves_the_old_value_to_its_readers, 1},
                                   {overwriting_that_fails_keeps_the_old_value, 3},
                                   {an_unlinked_key_is_written_anew, 1},
                                   {a_deleted_key_keeps_its_tombstone, 1},
                                   {what_an_earlier_put_left_stays_known, 1},
                                   {the_intent_cannot_be_saved, 2},
                                   {the_result_cannot_be_saved, 2},
                                   {the_upload_cannot_be_started, 1},
                                   {the_upload_fails, 3},
                                   {the_upload_fails_before_the_body_is_over, 2},
                                   {the_body_breaks_off, 12},
                                   {a_chunked_body_is_empty_or_too_long, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_put", tests, setup, teardown);
}
