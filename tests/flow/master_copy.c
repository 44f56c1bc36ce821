/* Copying from a volume to others, over fakes: sources that fail, lie, or stand still. */
#include "tests/flow/copy_fixture.h"

START_TEST(copies_to_all_targets)
{
    struct http_call *call = start_copy();
    ck_assert(call_brings(call, "val"));
    ck_assert_uint_gt(call->resumed, 0);
    ck_trace("upload:2 ");
    ck_assert_str_eq(uploads.rep->expected, FAKE_MD5); /* what differs never becomes a copy */
    ck_assert(uploads.rep->spec.checked_there && !uploads.rep->spec.digest);
    ck_assert_ptr_nonnull(strstr(call->fields, "Larder-Check: none\n"));
    ck_assert_str_eq(uploads.rep->path, "/54/a9/L2s=");
    ck_assert_str_eq(uploads.rep->type, "image/png");
    ck_assert_int_eq(uploads.rep->spec.length, 5);
    ck_assert(call_brings(call, "ue"));
    call_ends(call, ST_OK, 200);
    ck_trace("upload-end ");
    ck_assert_mem_eq(uploads.rep->got, "value", 5);
    upload_ends(ST_OK, "SS");
    ck_assert_int_eq(ended, ST_OK);
    ck_assert(stored[0] && stored[1]);
    ck_assert_uint_eq(copied, 5);
}
END_TEST

/* A volume that cannot compare digests must not get the last byte of what is wrong. */
START_TEST(another_kind_of_volume_has_it_checked_here)
{
    fake_volumes[4].kind = VOLUME_PLAIN;
    struct http_call *call = start_copy();
    ck_assert(call_brings(call, "value"));
    ck_assert(!uploads.rep->spec.checked_there && uploads.rep->spec.digest);
    call_ends(call, ST_OK, 200);
    upload_ends(ST_OK, "SS");
    ck_assert_int_eq(ended, ST_OK);
}
END_TEST

/* What others have taken of the loop's share is waited for. */
static unsigned grants;

static void granted(void *arg UNUSED)
{
    grants++;
}

START_TEST(it_waits_for_its_turn)
{
    struct ration_share other = {.granted = granted};
    ration_ask(fake_worker.copies, &other, 1000);
    loop_turns();
    ck_assert_uint_eq(grants, 1);
    ck_assert_int_eq(copy_from_length(2, 1), ST_OK);
    time_passes(10000); /* it stands still, and nobody takes offence */
    ck_trace("");
    ration_return(&other);
    loop_turns();
    ck_trace("GET:v1:1 ");
    call_ends(call_to("v1:1"), ST_OK, 404);
    call_ends(call_to("v2:1"), ST_OK, 404);
    ration_ask(fake_worker.copies, &other, 1000);
    loop_turns();
    ck_assert_uint_eq(grants, 2); /* it has given back what it had */
    ration_return(&other);
}
END_TEST

START_TEST(one_target_is_enough)
{
    struct http_call *call = start_copy();
    ck_assert(call_brings(call, "value"));
    call_ends(call, ST_OK, 200);
    upload_ends(ST_OK, "FS");
    ck_assert_int_eq(ended, ST_OK);
    ck_assert(!stored[0] && stored[1]);
}
END_TEST

START_TEST(targets_that_fail_end_it)
{
    struct http_call *call = start_copy();
    ck_assert(call_brings(call, "val"));
    upload_ends(ST_UNAVAILABLE, "FF");
    ck_assert_int_eq(ended, ST_UNAVAILABLE);
    ck_trace("upload:2 cancel:v1:1 ");
}
END_TEST

/* --- a slow target: the source waits --- */

START_TEST(a_full_window_pauses_the_source)
{
    struct http_call *call = start_copy();
    ck_assert(call_brings(call, ""));
    uploads.room = 2;
    ck_assert(call_brings(call, "value"));
    ck_assert_uint_eq(call->resumed, 0);
    upload_has_room(1);
    ck_assert_uint_eq(call->resumed, 0); /* some is left over still */
    time_passes(60000);                  /* the source is not to blame */
    ck_assert_uint_eq(ends, 0);
    upload_has_room(10);
    ck_assert_uint_gt(call->resumed, 0);
    ck_assert_mem_eq(uploads.rep->got, "value", 5);
    call_ends(call, ST_OK, 200);
    ck_trace("upload:2 upload-end ");
    upload_ends(ST_OK, "SS");
}
END_TEST

START_TEST(the_source_ends_while_the_window_is_full)
{
    struct http_call *call = start_copy();
    ck_assert(call_brings(call, ""));
    uploads.room = 2;
    ck_assert(call_brings(call, "value"));
    call_ends(call, ST_OK, 200);
    ck_trace("upload:2 "); /* not over: some is left */
    upload_has_room(10);
    ck_trace("upload-end ");
    upload_ends(ST_OK, "SS");
    ck_assert_uint_eq(copied, 5);
}
END_TEST

/* --- sources that fail: the next one is tried, from the beginning --- */

START_TEST(the_source_cannot_be_reached)
{
    static const enum status why[] = {ST_UNAVAILABLE, ST_PEER_TIMEOUT, ST_PEER};
    call_ends(start_copy(), why[_i], 0);
    ck_trace("GET:v2:1 ");
    ck_assert_uint_eq(fake_volumes[0].failures, _i < 2);
    second_source_is_good();
}
END_TEST

START_TEST(the_source_breaks_off)
{
    struct http_call *call = start_copy();
    ck_assert(call_brings(call, "val"));
    call_ends(call, ST_PEER, 200);
    ck_trace("upload:2 GET:v2:1 ");
    second_source_is_good();
}
END_TEST

START_TEST(the_source_has_no_copy)
{
    struct http_call *call = start_copy();
    call->status = 404;
    if (_i) { /* with a text that says so: no part of the value */
        ck_assert(!call_brings(call, "not here"));
        call_ends(call, ST_CLOSED, 404);
    } else {
        call_ends(call, ST_OK, 404);
    }
    ck_trace("GET:v2:1 ");
    second_source_is_good();
}
END_TEST

START_TEST(the_source_is_damaged)
{
    struct http_call *call = start_copy();
    ck_assert(call_brings(call, "vague"));
    call_ends(call, ST_OK, 200);
    upload_ends(ST_DIGEST, "FF");
    ck_trace("upload:2 upload-end GET:v2:1 ");
    second_source_is_good();
}
END_TEST

START_TEST(the_source_stands_still)
{
    struct http_call *call = start_copy();
    time_passes(2000);
    ck_assert(call_brings(call, "val"));
    time_passes(2500);
    ck_trace("upload:2 ");
    time_passes(2000);
    ck_trace("cancel:v1:1 GET:v2:1 ");
    second_source_is_good();
}
END_TEST

START_TEST(no_source_is_good)
{
    static const enum status results[] = {ST_UNAVAILABLE, ST_PEER, ST_PEER, ST_CORRUPT};
    (void)start_copy();
    for (int i = 0; i < 2; i++) {
        struct http_call *call = call_to(sources[i]);
        call->status = _i == 3 ? 200 : 404;
        if (_i >= 2)
            (void)call_brings(call, "text");
        call_ends(call, _i == 0 ? ST_UNAVAILABLE : _i == 2 ? ST_CLOSED : ST_OK, call->status);
        if (_i == 3)
            upload_ends(ST_DIGEST, "FF");
    }
    ck_assert_int_eq(ended, results[_i]); /* never what would be a client's fault */
    ck_assert_uint_eq(copied, 0);
}
END_TEST

START_TEST(without_a_source)
{
    ck_assert_int_eq(copy_from(0), ST_OK);
    loop_turns();
    ck_assert_int_eq(ended, ST_UNAVAILABLE);
}
END_TEST

START_TEST(calls_cannot_be_started)
{
    calls.fail_at = 1;
    ck_assert_int_eq(copy_from(2), ST_OK);
    loop_turns();
    ck_assert_int_eq(ended, ST_NO_MEMORY);
}
END_TEST

START_TEST(the_upload_cannot_be_started)
{
    struct http_call *call = start_copy();
    uploads.cannot_start = true;
    ck_assert(!call_brings(call, "value"));
    call_ends(call, ST_CLOSED, 200);
    uploads.cannot_start = false;
    ck_trace("GET:v2:1 ");
    second_source_is_good();
}
END_TEST

/* --- a value that is in memory already --- */

START_TEST(a_value_in_memory_is_sent_at_once)
{
    ck_assert_int_eq(copy_value(2, 5, "value"), ST_OK);
    ck_trace("upload:2 upload-end "); /* nobody is asked for it */
    ck_assert_str_eq(uploads.rep->got, "value");
    ck_assert_int_eq(uploads.rep->spec.length, 5);
    ck_assert_str_eq(uploads.rep->type, "image/png");
    ck_assert_str_eq(uploads.rep->expected, FAKE_MD5);
    ck_assert(uploads.rep->spec.checked_there);
    upload_ends(ST_OK, "SF");
    ck_assert_int_eq(ended, ST_OK);
    ck_assert(stored[0] && !stored[1]);
    ck_assert_uint_eq(copied, 5);
}
END_TEST

START_TEST(a_damaged_value_in_memory_is_fetched_elsewhere)
{
    ck_assert_int_eq(copy_value(2, 5, "velue"), ST_OK);
    upload_ends(ST_DIGEST, "FF");
    ck_trace("upload:2 upload-end GET:v2:1 ");
    second_source_is_good();
}
END_TEST

START_TEST(a_damaged_value_in_memory_was_the_only_one)
{
    ck_assert_int_eq(copy_value(1, 5, "velue"), ST_OK);
    upload_ends(ST_DIGEST, "FF");
    ck_assert_int_eq(ended, ST_CORRUPT);
}
END_TEST

START_TEST(an_empty_value_is_fetched)
{
    ck_assert_int_eq(copy_value(2, 0, ""), ST_OK);
    loop_turns();
    ck_trace("GET:v1:1 ");
    call_ends(call_to("v1:1"), ST_PEER, 0);
    call_ends(call_to("v2:1"), ST_PEER, 0);
}
END_TEST

START_TEST(a_value_in_memory_cannot_be_sent)
{
    uploads.cannot_start = true;
    ck_assert_int_eq(copy_value(2, 5, "value"), ST_NO_MEMORY);
    ends = 1; /* nothing was called */
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    memory_arm(k);
    enum status st = copy_from(2);
    loop_turns();
    for (int i = 0; i < 2; i++) {
        struct http_call *call = call_to(sources[i]);
        if (!call)
            continue;
        call->status = 200;
        bool good = call_brings(call, "");
        uploads.room = 2;
        good = good && call_brings(call, "value");
        call_ends(call, good ? ST_OK : ST_CLOSED, 200);
        if (good)
            upload_has_room(10);
        if (good)
            upload_ends(ST_OK, "SS");
    }
    memory.left = 0;
    ck_assert_uint_eq(ends, st == ST_OK);
    ck_assert(st != ST_OK || ended != ST_OK || copied == 5);
    ends = 1;
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{copies_to_all_targets, 1},
                                   {another_kind_of_volume_has_it_checked_here, 1},
                                   {it_waits_for_its_turn, 1},
                                   {one_target_is_enough, 1},
                                   {targets_that_fail_end_it, 1},
                                   {a_full_window_pauses_the_source, 1},
                                   {the_source_ends_while_the_window_is_full, 1},
                                   {the_source_cannot_be_reached, 3},
                                   {the_source_breaks_off, 1},
                                   {the_source_has_no_copy, 2},
                                   {the_source_is_damaged, 1},
                                   {the_source_stands_still, 1},
                                   {no_source_is_good, 4},
                                   {without_a_source, 1},
                                   {calls_cannot_be_started, 1},
                                   {the_upload_cannot_be_started, 1},
                                   {a_value_in_memory_is_sent_at_once, 1},
                                   {a_damaged_value_in_memory_is_fetched_elsewhere, 1},
                                   {a_damaged_value_in_memory_was_the_only_one, 1},
                                   {an_empty_value_is_fetched, 1},
                                   {a_value_in_memory_cannot_be_sent, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_copy", tests, setup, teardown);
}
