/* Values that are sent when they are whole, and digests that are compared before their end. */
#include "tests/unit/replicate_fixture.h"

/* --- short values: sent as soon as they are complete --- */

static void start_short(void)
{
    spec.length = 5;
    start();
    ck_trace("");
    ck_assert_uint_eq(replicate_data(rep, "val", 3), 3);
    time_passes(60000); /* the client takes its time */
    ck_trace("");
    ck_assert_uint_eq(ends, 0);
    ck_assert_uint_eq(replicate_data(rep, "ue", 2), 2);
}

START_TEST(a_short_value_leaves_when_it_is_complete)
{
    char md5[] = VALUE_MD5;
    spec.expected_md5 = _i ? md5 : NULL;
    start_short();
    replicate_end(rep);
    ck_trace("PUT:v1:1 PUT:v2:1 PUT:v3:1 ");
    for (int i = 0; i < 3; i++) {
        const struct http_call_spec *call = &call_to(places[i])->spec;
        ck_assert(call->has_body && !call->read);
        ck_assert_int_eq(call->body_length, 5);
        ck_assert_mem_eq(call->body, "value", 5);
        stores(places[i], VALUE_MD5);
    }
    ck_ended(ST_OK);
    check_results("SSSUU");
    ck_assert_uint_eq(replicate_length(rep), 5);
}
END_TEST

START_TEST(another_volume_takes_a_short_value)
{
    start_short();
    replicate_end(rep);
    trace[0] = 0;
    call_ends(call_to("v2:1"), ST_UNAVAILABLE, 0);
    ck_trace("PUT:v4:1 ");
    ck_assert_uint_eq(fake_volumes[1].failures, 1);
    ck_assert_mem_eq(call_to("v4:1")->spec.body, "value", 5);
    fake_volumes[3].lost = true;
    time_passes(300);
    ck_trace("cancel:v4:1 PUT:v5:1 ");
    stores("v1:1", NULL);
    stores("v3:1", OTHER_MD5);
    stores("v5:1", VALUE_MD5);
    ck_ended(ST_OK);
    check_results("SFFFS");
}
END_TEST

START_TEST(a_wrong_short_value_reaches_nobody)
{
    spec.expected_md5 = OTHER_MD5;
    start_short();
    replicate_end(rep);
    ck_ended(ST_DIGEST);
    ck_trace("");
    check_results("UUUUU");
}
END_TEST

START_TEST(a_short_value_that_breaks_off_reaches_nobody)
{
    spec.length = 6;
    start();
    give_value();
    ck_ended(ST_PEER);
    ck_trace("");
}
END_TEST

/* Too few can have it; but one has all bytes, and what it makes of them must be known before
 * anybody is answered: else its file could turn up after the key was deleted. */
START_TEST(a_failure_waits_for_who_has_it_all)
{
    spec.length = _i ? -1 : 5;
    spec.candidate_count = 2;
    start();
    give_value();
    call_ends(call_to("v2:1"), ST_OK, 507);
    loop_turns();
    ck_assert_uint_eq(ends, 0);
    if (_i)
        (void)takes_all("v1:1");
    stores("v1:1", NULL);
    ck_ended(ST_NO_SPACE);
    check_results("SF");
}
END_TEST

START_TEST(a_short_value_needs_volumes_in_the_end)
{
    spec.length = 5;
    spec.candidate_count = 1;
    start();
    ck_assert_uint_eq(ends, 0);
    give_value();
    loop_turns();
    ck_assert_uint_eq(ends, 0);
    stores("v1:1", NULL);
    ck_ended(ST_UNAVAILABLE);
}
END_TEST

/* --- the client's digest --- */

START_TEST(the_last_byte_waits_for_the_digest)
{
    char md5[] = VALUE_MD5;
    spec.expected_md5 = md5;
    spec.digest = _i == 0; /* needed in any case */
    start();
    md5[0] = 'x'; /* it has its own */
    ck_assert_uint_eq(replicate_data(rep, "value", 5), 5);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(takes_all(places[i]), 4);
    time_passes(60000); /* nobody is to blame for that */
    replicate_end(rep);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(takes_all(places[i]), 1);
        ck_assert_mem_eq(call_to(places[i])->got, "value", 5);
        stores(places[i], NULL);
    }
    ck_ended(ST_OK);
}
END_TEST

START_TEST(a_wrong_value_is_never_complete)
{
    spec.expected_md5 = OTHER_MD5;
    start();
    give_value();
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(takes_all(places[i]), 4);
        ck_assert_uint_eq(call_reads(call_to(places[i]), 100), HTTP_READ_PAUSE);
    }
    ck_ended(ST_DIGEST);
    check_results("FFFUU");
}
END_TEST

/* Volumes that compare it themselves get all at once, and the digest beforehand. */
START_TEST(the_volumes_compare_the_digest)
{
    spec.expected_md5 = VALUE_MD5;
    spec.digest = false;
    spec.checked_there = true;
    start();
    for (int i = 0; i < 3; i++) {
        const struct http_call *call = call_to(places[i]);
        ck_assert_ptr_nonnull(call);
        ck_assert_ptr_nonnull(strstr(call->fields, "Content-MD5: " VALUE_MD5 "\n"));
    }
    ck_assert_uint_eq(replicate_data(rep, "value", 5), 5);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(takes_all(places[i]), 5);
    replicate_end(rep);
    if (_i == 0) {
        for (int i = 0; i < 3; i++)
            stores(places[i], VALUE_MD5);
        ck_ended(ST_OK);
        check_results("SSSUU");
    } else if (_i == 1) { /* one says that it has stored something else all the same */
        stores(places[0], OTHER_MD5);
        stores(places[1], VALUE_MD5);
        stores(places[2], VALUE_MD5);
        takes_and_stores(places[3]);
        ck_ended(ST_OK);
        check_results("FSSSU");
    } else { /* what the source has is damaged */
        call_ends(call_to(places[1]), ST_OK, 422);
        ck_ended(ST_DIGEST);
    }
}
END_TEST

START_TEST(breaking_off_cancels_all)
{
    start_big();
    (void)replicate_data(rep, big, WINDOW);
    replicate_free(rep);
    rep = NULL;
    ck_trace("cancel:v1:1 cancel:v2:1 cancel:v3:1 ");
    time_passes(10000);
    ck_assert_uint_eq(ends, 0);
}
END_TEST

static void play_without_memory(unsigned k, int64_t length)
{
    setup();
    spec.length = length;
    spec.expected_md5 = VALUE_MD5;
    memory_arm(k);
    rep = replicate_start(&spec);
    loop_turns();
    if (rep && !ends)
        give_value();
    while (calls.first) {
        if (calls.first->spec.read)
            (void)takes_all(calls.first->url + strlen("http://"));
        call_ends(calls.first, ST_OK, 201);
    }
    loop_turns();
    memory.left = 0;
    ck_assert_uint_eq(ends, rep != NULL);
    ck_assert(!rep || ended == ST_OK); /* the spares serve for what cannot be started */
    replicate_free(rep);
    rep = NULL;
}

static void stream_without_memory(unsigned k)
{
    play_without_memory(k, -1);
}

static void send_short_without_memory(unsigned k)
{
    play_without_memory(k, 5);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(stream_without_memory);
    memory_sweep(send_short_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{a_short_value_leaves_when_it_is_complete, 2},
                                   {another_volume_takes_a_short_value, 1},
                                   {a_wrong_short_value_reaches_nobody, 1},
                                   {a_short_value_that_breaks_off_reaches_nobody, 1},
                                   {a_short_value_needs_volumes_in_the_end, 1},
                                   {a_failure_waits_for_who_has_it_all, 2},
                                   {the_last_byte_waits_for_the_digest, 2},
                                   {a_wrong_value_is_never_complete, 1},
                                   {the_volumes_compare_the_digest, 3},
                                   {breaking_off_cancels_all, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_replicate_whole", tests, setup, teardown);
}
