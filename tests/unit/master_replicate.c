/* One value to several places, with volumes whose bytes the test moves: slow, failing, silent ones.
 * Time is the test's own. */
#include "tests/unit/replicate_fixture.h"

/* --- all goes well --- */

START_TEST(stores_on_all_volumes)
{
    spec.type = "image/png";
    start();
    ck_trace("PUT:v1:1 PUT:v2:1 PUT:v3:1 ");
    struct http_call *call = call_to("v2:1");
    ck_assert_str_eq(call->url, "http://v2:1/aa/bb/NAME");
    ck_assert(strstr(call->fields, "Content-Type: image/png\n") != NULL);
    ck_assert_uint_eq(call_reads(call, 100), HTTP_READ_PAUSE);
    ck_assert_uint_eq(replicate_data(rep, "value", 5), 5);
    ck_assert_uint_gt(call->resumed, 0); /* no wake-up is lost */
    replicate_end(rep);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(takes_all(places[i]), 5);
        ck_assert_mem_eq(call_to(places[i])->got, "value", 5);
        loop_turns();
        ck_assert_uint_eq(ends, 0);
        stores(places[i], i ? VALUE_MD5 : NULL); /* a plain server says no MD5 */
    }
    ck_ended(ST_OK);
    check_results("SSSUU");
    ck_assert_str_eq(replicate_md5(rep), VALUE_MD5);
    ck_assert_uint_eq(replicate_length(rep), 5);
    time_passes(600000);
    ck_ended(ST_OK); /* once */
}
END_TEST

START_TEST(a_chunked_value_ends_with_its_last_byte)
{
    spec.length = -1;
    spec.digest = false;
    start();
    struct http_call *call = call_to("v1:1");
    ck_assert_uint_eq(replicate_data(rep, "value", 5), 5);
    ck_assert_uint_eq(call_reads(call, 100), 5);
    ck_assert_uint_eq(call_reads(call, 100), HTTP_READ_PAUSE); /* there may be more */
    replicate_end(rep);
    ck_assert_uint_eq(call_reads(call, 100), 0);
    for (int i = 0; i < 3; i++)
        takes_and_stores(places[i]);
    ck_ended(ST_OK);
    ck_assert_str_eq(replicate_md5(rep), "");
}
END_TEST

/* --- the window --- */

START_TEST(the_slowest_sets_the_pace)
{
    start_big();
    ck_assert_uint_eq(replicate_data(rep, big, BIG), WINDOW);
    ck_assert_uint_eq(takes_all("v1:1"), WINDOW);
    ck_assert_uint_eq(takes_all("v2:1"), WINDOW);
    loop_turns();
    ck_assert_uint_eq(rooms, 0); /* v3 has taken nothing yet */
    ck_assert_uint_eq(replicate_data(rep, big + WINDOW, 1), 0);
    ck_assert_uint_eq(call_reads(call_to("v3:1"), 1000), 1000);
    loop_turns();
    ck_assert_uint_eq(rooms, 1);
    ck_assert_uint_eq(replicate_data(rep, big + WINDOW, BIG - WINDOW), 1000);
}
END_TEST

START_TEST(a_long_value_arrives_whole)
{
    start_big();
    size_t given = 0;
    for (unsigned turn = 0; given < BIG; turn++) {
        given += replicate_data(rep, big + given, BIG - given < 70001 ? BIG - given : 70001);
        for (int i = 0; i < 3; i++)
            if (turn % (unsigned)(i + 1) == 0)
                (void)call_reads(call_to(places[i]), 50001);
    }
    replicate_end(rep);
    for (int i = 0; i < 3; i++) {
        (void)takes_all(places[i]);
        ck_assert_uint_eq(call_to(places[i])->got_len, BIG);
        ck_assert_int_eq(memcmp(call_to(places[i])->got, big, BIG), 0);
        stores(places[i], OTHER_MD5);
    }
    ck_ended(ST_OK);
}
END_TEST

/* --- replicas that fail --- */

START_TEST(another_takes_over_while_the_beginning_is_here)
{
    static const enum status why[] = {ST_UNAVAILABLE, ST_PEER_TIMEOUT, ST_PEER};
    start_big();
    ck_assert_uint_eq(replicate_data(rep, big, WINDOW), WINDOW);
    ck_assert_uint_eq(call_reads(call_to("v2:1"), 1000), 1000);
    call_ends(call_to("v2:1"), why[_i], 0);
    ck_trace("PUT:v4:1 ");
    ck_assert_uint_eq(fake_volumes[1].failures, _i < 2);
    ck_assert_uint_eq(takes_all("v4:1"), WINDOW);
    ck_assert_int_eq(memcmp(call_to("v4:1")->got, big, WINDOW), 0);
    call_ends(call_to("v4:1"), why[_i], 0);
    ck_trace("PUT:v5:1 ");
    call_ends(call_to("v5:1"), why[_i], 0);
    ck_trace(""); /* nobody is left */
    loop_turns();
    ck_assert_uint_eq(ends, 0); /* two suffice */
    check_results("FFFFF");     /* those under way may come to hold it, too */
}
END_TEST

START_TEST(nobody_takes_over_what_has_gone_by)
{
    start_big();
    (void)replicate_data(rep, big, WINDOW);
    for (int i = 0; i < 3; i++)
        (void)takes_all(places[i]);
    ck_assert_uint_eq(replicate_data(rep, big + WINDOW, 1), 1);
    call_ends(call_to("v2:1"), ST_PEER, 0);
    ck_trace("");
    ck_assert_uint_eq(replicate_data(rep, big + WINDOW + 1, 1), 1);
    call_ends(call_to("v1:1"), ST_PEER, 0);
    ck_ended(ST_UNAVAILABLE); /* at once: one is not enough */
}
END_TEST

START_TEST(what_the_volume_says_counts)
{
    static const struct { /* NOLINT(clang-analyzer-optin.performance.Padding): a table */
        int status;
        const char *md5;
        bool good;
    } answers[] = {
        {201, VALUE_MD5, true},  {204, NULL, true},        {200, "IGPBYI1uC6+AJJxC4r5YBA==", true},
        {201, OTHER_MD5, false}, {201, "nonsense", false}, {202, NULL, false},
        {302, NULL, false},      {403, NULL, false},       {422, NULL, false},
        {500, NULL, false},      {507, NULL, false}};
    start();
    give_value();
    (void)takes_all("v1:1");
    call_to("v1:1")->md5 = answers[_i].md5;
    call_ends(call_to("v1:1"), ST_OK, answers[_i].status);
    ck_assert_int_eq(replicate_result(rep, 0), answers[_i].good ? REPLICA_STORED : REPLICA_FAILED);
    ck_assert_int_eq(call_to("v4:1") == NULL, answers[_i].good);
    ck_assert_uint_eq(fake_volumes[0].failures, 0); /* it answers */
}
END_TEST

START_TEST(an_answer_before_the_end_is_no_success)
{
    start();
    ck_assert_uint_eq(replicate_data(rep, "val", 3), 3);
    (void)takes_all("v1:1");
    stores("v1:1", NULL);
    ck_assert_int_eq(replicate_result(rep, 0), REPLICA_FAILED);
    ck_assert_uint_eq(replicate_data(rep, "ue", 2), 2);
    replicate_end(rep);
    ck_assert_uint_eq(call_reads(call_to("v2:1"), 4), 4); /* one byte is still to come */
    stores("v2:1", NULL);
    ck_assert_int_eq(replicate_result(rep, 1), REPLICA_FAILED);
}
END_TEST

START_TEST(too_few_copies)
{
    spec.candidate_count = 3;
    start();
    give_value();
    call_ends(call_to("v1:1"), ST_OK, 500);
    takes_and_stores("v2:1");
    loop_turns();
    ck_assert_uint_eq(ends, 0);
    if (_i == 0) {
        takes_and_stores("v3:1");
        ck_ended(ST_OK); /* two of three */
        check_results("FSS");
    } else {
        call_ends(call_to("v3:1"), ST_OK, _i == 1 ? 507 : 503);
        ck_ended(_i == 1 ? ST_NO_SPACE : ST_UNAVAILABLE);
        check_results("FSF");
    }
}
END_TEST

START_TEST(too_few_candidates)
{
    spec.candidate_count = 1;
    rep = replicate_start(&spec);
    ck_assert_ptr_nonnull(rep);
    ck_assert_uint_eq(ends, 0);
    ck_ended(ST_UNAVAILABLE);
    check_results("F");
}
END_TEST

START_TEST(calls_cannot_be_started)
{
    calls.fail_at = 2;
    start();
    ck_trace("PUT:v1:1 PUT:v3:1 PUT:v4:1 ");
    check_results("FFFFU");
    calls.fail_all = true;
    call_ends(call_to("v1:1"), ST_PEER, 0);
    call_ends(call_to("v3:1"), ST_PEER, 0);
    ck_ended(ST_UNAVAILABLE);
    check_results("FFFFF");
}
END_TEST

/* --- the watch --- */

START_TEST(a_replica_that_stands_still_is_dropped)
{
    start_big();
    (void)replicate_data(rep, big, WINDOW + 1); /* one byte does not fit */
    (void)takes_all("v1:1");
    (void)takes_all("v3:1");
    time_passes(4900);
    ck_trace("");
    time_passes(600);
    ck_trace("cancel:v2:1 PUT:v4:1 "); /* the beginning is still there */
    ck_assert_uint_eq(fake_volumes[1].failures, 1);
    (void)takes_all("v4:1");
    loop_turns();
    ck_assert_uint_eq(rooms, 1); /* and the client may go on */
    ck_assert_uint_eq(ends, 0);
}
END_TEST

START_TEST(who_waits_for_the_client_is_not_to_blame)
{
    start_big();
    (void)replicate_data(rep, big, 1000);
    for (int i = 0; i < 3; i++)
        (void)takes_all(places[i]);
    time_passes(60000);
    ck_assert_uint_eq(replicate_data(rep, big + 1000, 1000), 1000);
    time_passes(4000);
    ck_trace("");
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(takes_all(places[i]), 1000);
    ck_assert_uint_eq(ends, 0);
}
END_TEST

START_TEST(a_volume_that_went_down_is_dropped_at_once)
{
    start_big();
    fake_volumes[0].lost = true;
    time_passes(300);
    ck_trace("cancel:v1:1 PUT:v4:1 ");
}
END_TEST

START_TEST(a_volume_has_time_to_make_it_durable)
{
    start();
    give_value();
    takes_and_stores("v1:1");
    takes_and_stores("v2:1");
    (void)takes_all("v3:1");
    time_passes(119000);
    ck_assert_uint_eq(ends, 0);
    trace[0] = 0;
    time_passes(2000);
    ck_trace("cancel:v3:1 PUT:v4:1 ");
    takes_and_stores("v4:1");
    ck_ended(ST_OK);
    check_results("SSFSU");
}
END_TEST

int main(void)
{
    const struct played tests[] = {{stores_on_all_volumes, 1},
                                   {a_chunked_value_ends_with_its_last_byte, 1},
                                   {the_slowest_sets_the_pace, 1},
                                   {a_long_value_arrives_whole, 1},
                                   {another_takes_over_while_the_beginning_is_here, 3},
                                   {nobody_takes_over_what_has_gone_by, 1},
                                   {what_the_volume_says_counts, 11},
                                   {an_answer_before_the_end_is_no_success, 1},
                                   {too_few_copies, 3},
                                   {too_few_candidates, 1},
                                   {calls_cannot_be_started, 1},
                                   {a_replica_that_stands_still_is_dropped, 1},
                                   {who_waits_for_the_client_is_not_to_blame, 1},
                                   {a_volume_that_went_down_is_dropped_at_once, 1},
                                   {a_volume_has_time_to_make_it_durable, 1},
                                   {NULL, 0}};
    return play_all("master_replicate", tests, setup, teardown);
}
