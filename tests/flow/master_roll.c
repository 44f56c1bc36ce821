/* Changes of volumes: one after the other, each decided upon what the one before has left. */
#include "master/roll.h"
#include "tests/flow/fake_members.h"

/* Refusals come by a message, which arrives when the test says so. */
static struct loop_message *messages[8];
static size_t message_count;

void loop_post(struct loop *loop UNUSED, struct loop_message *message)
{
    messages[message_count++] = message;
}

uint64_t loop_now_ms(void)
{
    return 1000;
}

uint64_t loop_wall_ms(void)
{
    return 7;
}

static void messages_arrive(void)
{
    for (size_t i = 0; i < message_count; i++)
        messages[i]->fn(messages[i]->arg);
    message_count = 0;
}

enum what { DRAIN, KEEP, REMOVE, REFUSE };

struct asked {
    struct roll_change change;
    enum what what;
    unsigned answers;
    enum status st;
    char saw[8]; /* of the facts, when it was decided: known, draining, removed */
};

static enum status decide(void *arg, bool known, struct volume_facts *facts)
{
    struct asked *asked = arg;
    (void)snprintf(asked->saw, sizeof asked->saw, "%d%d%d", known, facts->draining, facts->removed);
    note("decide");
    if (asked->what == REFUSE)
        return ST_CONFLICT;
    if (asked->what == REMOVE)
        facts->removed = true;
    else
        facts->draining = asked->what == DRAIN;
    return ST_OK;
}

static void done(void *arg, enum status st)
{
    struct asked *asked = arg;
    asked->answers++;
    asked->st = st;
    note("done:%d", st == ST_OK);
}

static void ask(struct asked *asked, const char *name, enum what what)
{
    memset(asked, 0, sizeof *asked);
    asked->what = what;
    (void)snprintf(asked->change.name, sizeof asked->change.name, "%s", name);
    asked->change.decide = decide;
    asked->change.done = done;
    asked->change.arg = asked;
    roll_submit(fake_master.roll, &asked->change);
    ck_assert_uint_eq(asked->answers, 0);
}

static struct asked one, two, three;

static void setup(void)
{
    members_begin();
    member_is("v1:1", ID_A, "");
    message_count = 0;
    one = two = three = (struct asked){0};
}

static void teardown(void)
{
    roll_change_free(&one.change);
    roll_change_free(&two.change);
    roll_change_free(&three.change);
    members_end();
}

START_TEST(the_next_sees_what_the_last_has_left)
{
    ask(&one, "v1:1", DRAIN);
    ask(&two, "v1:1", REMOVE);
    ask(&three, "v1:1", KEEP);
    ck_trace("decide commit ");
    index_commits();
    ck_assert(facts_of("v1:1").draining);
    ck_trace("decide commit done:1 ");
    ck_assert_str_eq(two.saw, "110");
    index_commits();
    index_commits();
    ck_assert_str_eq(three.saw, "111");
    ck_trace("decide commit done:1 done:1 ");
    ck_index("v1:1={\"id\":\"" ID_A "\",\"added\":7,\"removed\":true}", "");
    ck_assert(facts_of("v1:1").removed && !facts_of("v1:1").draining);
}
END_TEST

/* Another one's failure is nobody else's, and the table has what the index has. */
START_TEST(one_that_fails_is_passed_over)
{
    fake_index.fail_at = 1;
    fake_index.fail_with = ST_NO_SPACE;
    ask(&one, "v1:1", DRAIN);
    ask(&two, "v1:1", REMOVE);
    index_commits();
    ck_assert_int_eq(one.st, ST_NO_SPACE);
    ck_assert(!facts_of("v1:1").draining);
    ck_assert_str_eq(two.saw, "100");
    index_commits();
    ck_assert_int_eq(two.st, ST_OK);
    ck_index("v1:1={\"id\":\"" ID_A "\",\"added\":7,\"removed\":true}", "");
}
END_TEST

START_TEST(one_that_is_refused_is_passed_over)
{
    ask(&one, "v1:1", REFUSE);
    ck_trace("decide ");
    ask(&two, "v1:1", DRAIN);
    ask(&three, "v1:1", REFUSE);
    ck_trace("decide commit ");
    messages_arrive();
    ck_assert_uint_eq(one.answers, 1);
    ck_assert_int_eq(one.st, ST_CONFLICT);
    index_commits();
    ck_assert_str_eq(three.saw, "110");
    messages_arrive();
    ck_assert_int_eq(three.st, ST_CONFLICT);
    ck_trace("done:0 decide done:1 done:0 ");
    ask(&one, "v1:1", KEEP); /* it goes on afterwards */
    ck_trace("decide commit ");
    index_commits();
}
END_TEST

/* An identity that was seen while another change was on its way is not taken back by it. */
START_TEST(an_identity_that_is_seen_meanwhile_stays)
{
    member_is("v2:1", "", "");
    ask(&one, "v2:1", DRAIN);
    member_answers(1, ID_B);
    index_commits();
    ck_assert_str_eq(facts_of("v2:1").id, ID_B);
    ck_assert(facts_of("v2:1").draining);
}
END_TEST

START_TEST(a_new_one_is_made)
{
    ask(&one, "v5:1", DRAIN);
    ck_assert_str_eq(one.saw, "000");
    ck_assert_uint_eq(volumes_count(members), 1);
    index_commits();
    ck_assert_uint_eq(volumes_count(members), 2);
    ck_index("v5:1={\"id\":\"\",\"added\":7,\"draining\":true}", "");
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    memory_arm(k);
    ask(&one, "v5:1", DRAIN);
    ask(&two, "v1:1", DRAIN);
    while (fake_index.pending)
        index_commits();
    messages_arrive();
    memory.left = 0;
    ck_assert_uint_eq(one.answers, 1);
    ck_assert_uint_eq(two.answers, 1);
    ck_assert_int_eq(facts_of("v5:1").draining, one.st == ST_OK);
    ck_assert_int_eq(facts_of("v1:1").draining, two.st == ST_OK);
    ck_assert_int_eq(one.st || two.st, memory.failed);
    teardown();
}

START_TEST(memory_may_run_out_anywhere)
{
    teardown();
    memory_sweep(play_without_memory);
    setup();
}
END_TEST

int main(void)
{
    const struct played tests[] = {{the_next_sees_what_the_last_has_left, 1},
                                   {one_that_fails_is_passed_over, 1},
                                   {one_that_is_refused_is_passed_over, 1},
                                   {an_identity_that_is_seen_meanwhile_stays, 1},
                                   {a_new_one_is_made, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_roll", tests, setup, teardown);
}
