/* A volume joins, or comes back under another address: the table is real, the volumes are played.
 */
#include "master/join.h"
#include "tests/flow/fake_client.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_members.h"

#define ID_C "cccccccccccccccccccccccccccccccc"

#define OURS(id) "{\"server\":\"larder-volume\",\"id\":\"" id "\",\"subvolumes\":{\"sv00\":{}}}"

/* v1:1 is up, v2:1 has moved to a2:1, v3:1 has no identity. */
static void setup(void)
{
    members_begin();
    member_is("v1:1", ID_A, "");
    member_is("v2:1", ID_B, "a2:1");
    member_is("v3:1", "", "");
    member_answers(0, ID_A);
    member_answers(1, ID_B);
    member_answers(2, "");
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_index.pending);
    calls_forget();
    client_free();
    members_end();
}

static void joins(const char *address)
{
    trace[0] = 0;
    join_start(&fake_worker, client_asks(), address);
}

/* Another request, as far as the roll sees it. */
static enum status takes_the_identity(void *arg UNUSED, bool known, struct volume_facts *facts)
{
    ck_assert(!known);
    memcpy(facts->id, ID_C, sizeof facts->id);
    return ST_OK;
}

static void is_done(void *arg UNUSED, enum status st)
{
    ck_assert_int_eq(st, ST_OK);
}

/* What is at an address: NULL nobody, else the text of its health. */
static void is_there(const char *address, const char *text)
{
    struct http_call *call = call_to(address);
    ck_assert_msg(call != NULL, "%s was not asked", address);
    call->body = text;
    call_ends(call, text ? ST_OK : ST_UNAVAILABLE, 200);
}

#define ck_value(text) ck_assert_str_eq(fake_index.value, text)

/* --- new ones --- */

START_TEST(a_new_volume)
{
    static const char *const texts[] = {OURS(ID_C), "nginx", NULL};
    static const char *const ids[] = {ID_C, "", ""};
    char value[128];
    joins("v7:1");
    is_there("v7:1", texts[_i]);
    ck_trace("GET:v7:1 commit ");
    ck_assert_uint_eq(volumes_count(members), 3); /* the index first */
    index_commits();
    ck_trace("reply:200 ");
    ck_assert_uint_eq(volumes_count(members), 4);
    ck_assert_str_eq(facts_of("v7:1").id, ids[_i]);
    (void)snprintf(value, sizeof value, "v7:1={\"id\":\"%s\",\"added\":%d}", ids[_i], WALL_MS);
    ck_value(value);
}
END_TEST

START_TEST(one_that_was_there_already)
{
    static const struct {
        const char *address, *text;
    } there[] = {{"v1:1", OURS(ID_A)}, {"a2:1", OURS(ID_B)}, {"v3:1", "nginx"}, {"v3:1", NULL},
                 {"v1:1", NULL},       {"v1:1", OURS(ID_C)}, {"v1:1", "nginx"}};
    joins(there[_i].address);
    is_there(there[_i].address, there[_i].text);
    ck_assert_uint_eq(fake_index.commits, 0);
    ck_assert_int_eq(client.status, 200);
    ck_assert_int_eq(strstr(client.body, "not what it was") != NULL, _i >= 5);
}
END_TEST

START_TEST(one_that_was_taken_out_comes_back)
{
    struct volume_facts facts = facts_of("v1:1");
    facts.removed = true;
    ck_assert_int_eq(volumes_set(members, "v1:1", &facts), ST_OK);
    joins(_i ? "v9:1" : "v1:1"); /* it is nobody's second name */
    is_there(_i ? "v9:1" : "v1:1", OURS(ID_A));
    index_commits();
    ck_assert_int_eq(client.status, 200);
    ck_assert_int_eq(facts_of("v1:1").removed, _i);
    ck_assert_str_eq(facts_of(_i ? "v9:1" : "v1:1").id, ID_A);
}
END_TEST

static uint64_t term_seven(struct cluster *cluster UNUSED)
{
    return 7;
}

/* Who is asked may turn out to be of another store: it is not told that we write. */
START_TEST(nobody_is_told_a_term)
{
    char several;
    fake_master.cluster = (struct cluster *)(void *)&several;
    fake_master.term = term_seven;
    joins("v7:1");
    ck_assert_str_eq(call_to("v7:1")->fields, "Larder-Internal: 1\n");
    is_there("v7:1", OURS(ID_A));
    ck_assert_str_eq(call_to("v1:1")->fields, "Larder-Internal: 1\n"); /* is it there, too? */
    is_there("v1:1", OURS(ID_A));
    ck_trace("GET:v7:1 GET:v1:1 reply:409 ");
}
END_TEST

/* The name of a volume that has moved is not given to another: records mean the first. */
START_TEST(the_name_of_another)
{
    static const char *const texts[] = {OURS(ID_C), "nginx", NULL};
    joins("v2:1");
    is_there("v2:1", texts[_i]);
    ck_trace("GET:v2:1 reply:409 ");
    ck_assert_str_eq(facts_of("v2:1").address, "a2:1");
}
END_TEST

/* --- those that have moved --- */

START_TEST(one_that_has_moved)
{
    static const char *const before[] = {NULL, OURS(ID_C), "nginx"};
    joins("v9:1");
    is_there("v9:1", OURS(ID_A));
    ck_trace("GET:v9:1 GET:v1:1 ");
    is_there("v1:1", before[_i]);
    ck_trace("commit ");
    ck_assert_str_eq(facts_of("v1:1").address, "v1:1");
    index_commits();
    ck_trace("reply:200 ");
    ck_value("v1:1={\"id\":\"" ID_A "\",\"added\":7,\"address\":\"v9:1\"}");
    ck_assert_str_eq(facts_of("v1:1").address, "v9:1");
    ck_assert_uint_eq(volumes_count(members), 3);
    ck_assert_int_eq(volumes_state(members, "v1:1/sv00"), VOLUME_UNKNOWN); /* asked soon */
}
END_TEST

START_TEST(back_to_where_its_name_says)
{
    joins("v2:1");
    is_there("v2:1", OURS(ID_B));
    is_there("a2:1", NULL);
    index_commits();
    ck_assert_int_eq(client.status, 200);
    ck_value("v2:1={\"id\":\"" ID_B "\",\"added\":7}");
}
END_TEST

/* To where another was, which is not there any more. */
START_TEST(to_the_address_of_another)
{
    char name[VOLUME_NAME_MAX + 1];
    joins("v1:1");
    is_there("v1:1", OURS(ID_B));
    is_there("a2:1", NULL);
    index_commits();
    ck_assert_int_eq(client.status, 200);
    ck_assert_str_eq(facts_of("v2:1").address, "v1:1");
    member_answers(0, ID_B); /* the other one notices */
    ck_assert_int_eq(volumes_state(members, "v1:1"), VOLUME_FOREIGN);
    member_answers(1, ID_B);
    ck_assert_int_eq(volumes_state(members, "v2:1"), VOLUME_UP);
    ck_assert(volumes_at(members, "v1:1", name));
    ck_assert_str_eq(name, "v2:1");
    ck_assert(volumes_find(members, "v1:1", name)); /* who says a name means that one */
    ck_assert_str_eq(name, "v1:1");
}
END_TEST

START_TEST(two_at_once)
{
    joins("v9:1");
    is_there("v9:1", OURS(ID_A));
    is_there("v1:1", OURS(ID_A));
    ck_trace("GET:v9:1 GET:v1:1 reply:409 ");
    ck_assert_str_eq(facts_of("v1:1").address, "v1:1");
}
END_TEST

/* One that hangs, or that a proxy stands before, may be there still. */
START_TEST(one_that_may_be_there_still)
{
    bool down = _i / 2;
    for (int i = 0; down && i < 2; i++)
        member_answers(0, NULL);
    joins("v9:1");
    is_there("v9:1", OURS(ID_A));
    call_ends(call_to("v1:1"), _i % 2 ? ST_OK : ST_PEER_TIMEOUT, 502);
    ck_trace(down ? "GET:v9:1 GET:v1:1 commit " : "GET:v9:1 GET:v1:1 reply:503 ");
    if (down)
        index_commits();
    ck_assert_str_eq(facts_of("v1:1").address, down ? "v9:1" : "v1:1");
}
END_TEST

/* Another request was faster: what was asked is not so any more. */
START_TEST(somebody_else_was_faster)
{
    joins("v9:1");
    is_there("v9:1", OURS(ID_A));
    struct volume_facts facts = facts_of("v1:1");
    facts.removed = _i == 0;
    memcpy(facts.address, _i == 1 ? "v8:1" : "v1:1", 5);
    memcpy(facts.id, _i == 2 ? ID_C : ID_A, sizeof facts.id);
    ck_assert_int_eq(volumes_set(members, "v1:1", &facts), ST_OK);
    is_there("v1:1", NULL);
    ck_trace("GET:v9:1 GET:v1:1 reply:409 ");
    ck_assert_str_eq(facts_of("v1:1").address, facts.address);
}
END_TEST

/* The same volume under two addresses, at the same time: one of them is its name. */
START_TEST(two_requests_for_one_volume)
{
    joins("v7:1");
    member_is("v8:1", _i ? ID_C : "", _i ? "" : "v7:1");
    is_there("v7:1", OURS(ID_C));
    if (_i) /* known now, and asked whether it is there */
        is_there("v8:1", OURS(ID_C));
    ck_assert_int_eq(client.status, _i ? 409 : 200);
    ck_assert_uint_eq(volumes_count(members), 4);
}
END_TEST

START_TEST(two_requests_at_the_same_time)
{
    struct roll_change first = {.name = "v8:1"};
    first.decide = takes_the_identity;
    first.done = is_done;
    roll_submit(fake_master.roll, &first);
    joins("v7:1");
    is_there("v7:1", OURS(ID_C));
    ck_trace("GET:v7:1 "); /* it waits for its turn */
    index_commits();
    ck_assert_int_eq(client.status, 409);
    ck_assert_uint_eq(volumes_count(members), 4);
    roll_change_free(&first);
}
END_TEST

/* --- those that say who they are --- */

START_TEST(one_that_registers_must_be_found)
{
    static const struct {
        const char *text;
        int status;
    } found[] = {{NULL, 503}, {"nginx", 409}, {OURS(ID_A), 409}};
    client.identity = ID_C;
    joins("v7:1");
    is_there("v7:1", found[_i].text);
    ck_assert_int_eq(client.status, found[_i].status);
    ck_assert_uint_eq(volumes_count(members), 3);
    client.identity = ID_C;
    joins("v7:1");
    is_there("v7:1", OURS(ID_C));
    index_commits();
    ck_assert_int_eq(client.status, 200);
}
END_TEST

/* --- those that an operator accepts --- */

START_TEST(one_that_replaces)
{
    client.query = "replace";
    joins(_i == 0 ? "v1:1" : _i == 1 ? "a2:1" : "v8:1");
    ck_trace("commit ");
    index_commits();
    ck_assert_int_eq(client.status, 200);
    ck_value(_i == 0   ? "v1:1={\"id\":\"\",\"added\":7}"
             : _i == 1 ? "v2:1={\"id\":\"\",\"added\":7,\"address\":\"a2:1\"}"
                       : "v8:1={\"id\":\"\",\"added\":1700000000}");
    ck_assert_str_eq(facts_of("v1:1").id, _i == 0 ? "" : ID_A);
    ck_assert_str_eq(facts_of("v2:1").id, _i == 1 ? "" : ID_B);
}
END_TEST

START_TEST(one_that_would_replace_what_is_up_elsewhere)
{
    client.query = "replace";
    joins("v2:1");
    ck_trace("reply:409 ");
    member_answers(1, NULL);
    member_answers(1, NULL);
    joins("v2:1");
    index_commits();
    ck_assert_int_eq(client.status, 200);
    ck_assert_str_eq(facts_of("v2:1").address, "v2:1");
    ck_assert_str_eq(facts_of("v2:1").id, "");
}
END_TEST

/* --- failures --- */

START_TEST(the_index_cannot_be_written)
{
    fake_index.fail_at = 1;
    fake_index.fail_with = ST_NO_SPACE;
    joins(_i ? "v9:1" : "v7:1");
    is_there(_i ? "v9:1" : "v7:1", _i ? OURS(ID_A) : OURS(ID_C));
    if (_i)
        is_there("v1:1", NULL);
    index_commits();
    ck_assert_int_eq(client.status, 507);
    ck_assert_uint_eq(volumes_count(members), 3);
    ck_assert_str_eq(facts_of("v1:1").address, "v1:1");
}
END_TEST

static bool play_moves;

static void play_without_memory(unsigned k)
{
    setup();
    client.query = NULL;
    client.identity = NULL;
    struct http_request *req = client_asks();
    memory_arm(k);
    join_start(&fake_worker, req, "v9:1");
    if (call_to("v9:1"))
        is_there("v9:1", play_moves ? OURS(ID_A) : OURS(ID_C));
    if (call_to("v1:1"))
        is_there("v1:1", NULL);
    if (fake_index.pending)
        index_commits();
    memory.left = 0;
    ck_assert_uint_eq(client.answers, 1);
    if (client.status != 200)
        ck_assert_str_eq(facts_of("v1:1").address, "v1:1");
    calls_forget();
    members_end();
}

START_TEST(memory_may_run_out_anywhere)
{
    members_end();
    play_moves = _i;
    memory_sweep(play_without_memory);
    members_begin();
}
END_TEST

int main(void)
{
    const struct played tests[] = {{a_new_volume, 3},
                                   {one_that_was_there_already, 7},
                                   {one_that_was_taken_out_comes_back, 2},
                                   {nobody_is_told_a_term, 1},
                                   {the_name_of_another, 3},
                                   {one_that_has_moved, 3},
                                   {back_to_where_its_name_says, 1},
                                   {to_the_address_of_another, 1},
                                   {two_at_once, 1},
                                   {one_that_may_be_there_still, 4},
                                   {somebody_else_was_faster, 3},
                                   {two_requests_for_one_volume, 2},
                                   {two_requests_at_the_same_time, 1},
                                   {one_that_registers_must_be_found, 3},
                                   {one_that_replaces, 3},
                                   {one_that_would_replace_what_is_up_elsewhere, 1},
                                   {the_index_cannot_be_written, 2},
                                   {memory_may_run_out_anywhere, 2},
                                   {NULL, 0}};
    return play_all("master_join", tests, setup, teardown);
}
