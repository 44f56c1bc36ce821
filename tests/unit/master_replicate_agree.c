/* Long values, whose MD5 the volumes tell, and when it is computed here all the same. */
#include "tests/unit/replicate_fixture.h"

static char big_md5[MD5_HEX + 1];

static void set_up(void)
{
    unsigned char digest[MD5_SIZE];
    setup();
    ck_assert_int_eq(md5_pair(big, BIG, NULL, 0, digest), ST_OK);
    md5_hex(digest, big_md5);
    fake_worker.master->doubt_until_ms = 0;
}

/* All of the value goes through the window, to whoever takes it. */
static void give_big_from(size_t given)
{
    while (given < BIG) {
        given += replicate_data(rep, big + given, BIG - given);
        for (size_t i = 0; i < spec.candidate_count; i++)
            if (call_to(places[i]))
                (void)takes_all(places[i]);
    }
    replicate_end(rep);
    for (size_t i = 0; i < spec.candidate_count; i++)
        if (call_to(places[i]))
            (void)takes_all(places[i]);
}

START_TEST(what_the_volumes_agree_on_is_the_md5)
{
    start_big();
    give_big_from(0);
    for (int i = 0; i < 3; i++) {
        loop_turns();
        ck_assert_uint_eq(ends, 0);
        stores(places[i], OTHER_MD5); /* nobody here knows better */
    }
    ck_ended(ST_OK);
    check_results("SSSUU");
    ck_assert_str_eq(replicate_md5(rep), OTHER_MD5);
}
END_TEST

START_TEST(nothing_is_stored_where_they_differ)
{
    start_big();
    give_big_from(0);
    for (int i = 0; i < 3; i++) {
        loop_turns();
        ck_assert_uint_eq(ends, 0); /* what the others make of it must be known, too */
        stores(places[i], i == _i ? OTHER_MD5 : big_md5);
    }
    ck_ended(ST_PEER);
    for (int i = 0; i < 3; i++) /* each of them may have a file now */
        ck_assert_int_ne(replicate_result(rep, (size_t)i), REPLICA_UNUSED);
}
END_TEST

START_TEST(after_that_it_is_computed_here)
{
    start_big();
    give_big_from(0);
    for (int i = 0; i < 3; i++)
        stores(places[i], i == 2 ? OTHER_MD5 : big_md5);
    ck_ended(ST_PEER);
    replicate_free(rep);
    ends = 0;
    time_passes(_i ? 61000 : 59000);
    start_big();
    give_big_from(0);
    for (int i = 0; i < 3; i++)
        stores(places[i], i == 2 ? OTHER_MD5 : big_md5);
    ck_ended(_i ? ST_PEER : ST_OK);
    if (!_i)
        check_results("SSFUU"); /* it is known who was wrong */
}
END_TEST

/* Each wrong copy counts anew, also while it is computed here: else a volume that goes on like this
 * would make a PUT fail every minute. */
START_TEST(it_goes_on_while_a_volume_is_wrong)
{
    for (int round = 0; round < 3; round++) {
        if (round)
            replicate_free(rep);
        ends = 0;
        start_big();
        give_big_from(0);
        for (int i = 0; i < 3; i++)
            stores(places[i], i == 2 ? OTHER_MD5 : big_md5);
        ck_ended(round ? ST_OK : ST_PEER);
        time_passes(40000);
    }
}
END_TEST

START_TEST(who_tells_no_md5_does_not_count)
{
    static const char *const said[] = {NULL, "nonsense"};
    start_big();
    give_big_from(0);
    stores("v1:1", said[_i]);
    stores("v2:1", big_md5);
    stores("v3:1", big_md5);
    ck_ended(ST_OK);
    check_results("FSSUU");
    ck_assert_str_eq(replicate_md5(rep), big_md5);
}
END_TEST

/* One of them alone, of two that are wanted, is no success; so its word alone never counts. */
START_TEST(one_alone_is_too_few)
{
    start_big();
    give_big_from(0);
    stores("v1:1", big_md5);
    call_ends(call_to("v2:1"), ST_PEER, 0);
    call_ends(call_to("v3:1"), ST_OK, 507);
    ck_ended(ST_NO_SPACE);
}
END_TEST

/* Where a copy would count that nothing can be compared with, it is computed here. */
START_TEST(it_is_computed_here_where_they_cannot_tell)
{
    if (_i == 0)
        spec.minimum = 1;
    else if (_i == 1)
        fake_volumes[2].kind = VOLUME_PLAIN; /* nginx */
    else
        spec.expected_md5 = big_md5;
    start_big();
    give_big_from(0);
    stores("v1:1", OTHER_MD5);
    stores("v2:1", big_md5);
    stores("v3:1", NULL);
    ck_ended(ST_OK);
    check_results("FSSUU");
    ck_assert_str_eq(replicate_md5(rep), big_md5);
}
END_TEST

/* A plain server takes over from a volume that failed: what has come in by then is counted. */
START_TEST(a_plain_volume_takes_over)
{
    fake_volumes[3].kind = VOLUME_PLAIN;
    start_big();
    ck_assert_uint_eq(replicate_data(rep, big, WINDOW), WINDOW);
    call_ends(call_to("v2:1"), ST_PEER, 0);
    ck_trace("PUT:v4:1 ");
    for (int i = 0; i < 4; i++)
        if (i != 1)
            (void)takes_all(places[i]);
    give_big_from(WINDOW);
    stores("v1:1", big_md5);
    stores("v3:1", OTHER_MD5);
    stores("v4:1", NULL);
    ck_ended(ST_OK);
    check_results("SFFSU");
    ck_assert_str_eq(replicate_md5(rep), big_md5);
}
END_TEST

/* A candidate for which nothing can be compared any more is passed over. */
START_TEST(no_memory_to_compute_it)
{
    fake_volumes[3].kind = VOLUME_PLAIN;
    start_big();
    memory_arm(1);
    call_ends(call_to("v2:1"), ST_PEER, 0);
    memory.left = 0;
    ck_trace("PUT:v5:1 ");
    give_big_from(0);
    stores("v1:1", big_md5);
    stores("v3:1", big_md5);
    stores("v5:1", big_md5);
    ck_ended(ST_OK);
    check_results("SFSFS");
}
END_TEST

int main(void)
{
    const struct played tests[] = {{what_the_volumes_agree_on_is_the_md5, 1},
                                   {nothing_is_stored_where_they_differ, 3},
                                   {after_that_it_is_computed_here, 2},
                                   {it_goes_on_while_a_volume_is_wrong, 1},
                                   {who_tells_no_md5_does_not_count, 2},
                                   {one_alone_is_too_few, 1},
                                   {it_is_computed_here_where_they_cannot_tell, 3},
                                   {a_plain_volume_takes_over, 1},
                                   {no_memory_to_compute_it, 1},
                                   {NULL, 0}};
    return play_all("master_replicate_agree", tests, set_up, teardown);
}
