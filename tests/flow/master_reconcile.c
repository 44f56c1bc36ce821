/* Records for a restored index, over fakes: what is taken, what is refused, begin and end. */
#include "master/flows.h"
#include "master/janitor.h"
#include "master/lease.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"

static unsigned sweeps;

void janitor_demand_sweep(struct janitor *janitor UNUSED)
{
    sweeps++;
}

void index_change_restored(struct index_change *change, bool restored)
{
    buf_add(&change->ops, "\0\0", 2); /* of no key */
    note("restored:%d", restored);
}

static void setup(void)
{
    master_is_new();
    index_holds("", "");
    fake_index.restored = true;
    sweeps = 0;
    fake_master.repairs = lease_new(60000);
    client.path = "/admin/reconcile";
    client.query = "";
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_index.pending);
    lease_free(fake_master.repairs);
    client_free();
}

static void post(const char *body)
{
    trace[0] = 0;
    client.length = (int64_t)strlen(body);
    reconcile_start(&fake_worker, client_asks());
    if (client.req && client.sink) {
        ck_assert_uint_eq(client_sends(body, strlen(body)), strlen(body));
        client_ends(ST_OK);
    }
}

#define RECORD "{\"records\":[{\"key\":\"/k\",\"value\":\"v1:1,v2:1\",\"work\":\"W1\\nfew 2\\n\"}]}"

START_TEST(a_record_is_taken)
{
    post(RECORD);
    ck_trace("read commit ");
    ck_assert_str_eq(fake_index.event, "reset:0"); /* watchers begin anew */
    ck_assert_uint_eq(client.answers, 0);
    index_commits();
    ck_trace("reply:204 ");
    ck_index("v1:1,v2:1", "W1;few 2;");
}
END_TEST

START_TEST(a_key_is_forgotten)
{
    index_holds("v1:1", "W1;few 1;");
    fake_index.restored = true;
    post("{\"records\":[{\"key\":\"/k\",\"value\":null,\"work\":null}]}");
    index_commits();
    ck_index("", "");
    ck_trace("read commit reply:204 ");
}
END_TEST

START_TEST(what_is_malformed_changes_nothing)
{
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "not json",
        "{\"records\":[{\"value\":\"v:1\"}]}",
        "{\"records\":[{\"key\":\"k\",\"value\":\"v:1\"}]}",
        "{\"records\":[{\"key\":\"/%zz\",\"value\":\"v:1\"}]}",
        "{\"records\":[{\"key\":\"/k\",\"value\":\"L1 nonsense\"}]}",
        "{\"records\":[{\"key\":\"/k\",\"work\":\"W1\\nnonsense\\n\"}]}",
        "{\"records\":[{\"key\":\"/k\",\"value\":\"v:1\"},{\"key\":\"/k\",\"work\":\"x\"}]}"};
    post(bodies[_i]);
    ck_assert_uint_eq(client.answers, 1);
    ck_assert_int_eq(client.status, _i ? 400 : 411);
    ck_assert_ptr_null(fake_index.pending);
}
END_TEST

START_TEST(a_body_that_is_too_long)
{
    char *body = malloc((size_t)5 << 20);
    memset(body, ' ', (size_t)5 << 20);
    body[((size_t)5 << 20) - 1] = 0;
    post(body);
    ck_trace("read reply:413 ");
    free(body);
}
END_TEST

START_TEST(a_client_that_goes_away)
{
    client.length = 100;
    reconcile_start(&fake_worker, client_asks());
    (void)client_sends("{\"rec", 5);
    client_ends(ST_CLOSED);
    ck_trace("read reply:400 ");
}
END_TEST

START_TEST(it_begins_and_ends)
{
    fake_index.restored = _i;
    client.query = _i ? "end" : "begin";
    post("");
    ck_assert_uint_eq(sweeps, 0);
    if (_i)
        ck_trace("restored:0 commit ");
    else
        ck_trace("restored:1 commit ");
    index_commits();
    ck_trace("reply:204 ");
    ck_assert_uint_eq(sweeps, (unsigned)_i);
}
END_TEST

START_TEST(an_index_that_was_not_restored)
{
    fake_index.restored = false;
    client.query = _i ? "end" : "";
    post(_i ? "" : RECORD);
    ck_trace("reply:409 ");
}
END_TEST

START_TEST(the_index_cannot_be_written)
{
    fake_index.fail_at = 1;
    fake_index.fail_with = ST_NO_SPACE;
    client.query = _i ? "end" : "";
    post(_i ? "" : RECORD);
    index_commits();
    ck_assert_int_eq(client.status, 507);
    ck_assert_uint_eq(sweeps, 0);
}
END_TEST

/* --- two at once --- */

/* What is asked for by one with this name (NULL: none); the status of the answer. */
static int asks(const char *name, const char *query, const char *body)
{
    client.repair = name;
    client.query = query;
    post(body);
    if (fake_index.pending)
        index_commits();
    return client.status;
}

START_TEST(only_one_at_a_time)
{
    ck_assert_int_eq(asks("a", "begin", ""), 204);
    ck_assert_int_eq(asks("b", "begin", ""), 409);
    ck_assert_int_eq(asks(NULL, "begin", ""), 409);
    ck_assert_int_eq(asks("b", "", RECORD), 409);
    ck_assert_int_eq(asks("b", "end", ""), 409);
    ck_assert_int_eq(asks("b", "leave", ""), 204); /* and it has not */
    ck_assert_int_eq(asks("b", "begin", ""), 409);
    ck_index("", "");
    ck_assert_int_eq(asks("a", "", RECORD), 204);
    ck_index("v1:1,v2:1", "W1;few 2;");
    ck_assert_int_eq(asks("a", _i ? "end" : "leave", ""), 204);
    fake_index.restored = true;
    ck_assert_int_eq(asks("b", "begin", ""), 204);
    ck_assert_int_eq(asks("a", "", RECORD), 409);
}
END_TEST

START_TEST(one_that_says_nothing_is_forgotten)
{
    ck_assert_int_eq(asks("a", "begin", ""), 204);
    time_passes(59000);
    ck_assert_int_eq(asks("a", "renew", ""), 204);
    ck_trace("reply:204 "); /* and nothing is written */
    time_passes(59000);
    ck_assert_int_eq(asks("b", "begin", ""), 409);
    time_passes(1000);
    ck_assert_int_eq(asks("b", "begin", ""), 204);
    ck_assert_int_eq(asks("a", "", RECORD), 409);
}
END_TEST

/* Whoever has no name is not held by anything but one who has. */
START_TEST(without_a_name)
{
    ck_assert_int_eq(asks(NULL, "begin", ""), 204);
    ck_assert_int_eq(asks("a", "begin", ""), 204);
    char name[66];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    ck_assert_int_eq(asks("a", "leave", ""), 204);
    ck_assert_int_eq(asks(name, "begin", ""), 409); /* too long for one */
    name[64] = 0;
    ck_assert_int_eq(asks(name, "begin", ""), 204);
}
END_TEST

static void play_without_memory(unsigned k)
{
    index_holds("", "");
    fake_index.restored = true;
    memory_arm(k);
    post(RECORD);
    if (fake_index.pending)
        index_commits();
    memory.left = 0;
    ck_assert_uint_eq(client.answers, 1);
    ck_assert(client.status == 204 || client.status == 500 || client.status == 400);
    if (client.status == 204)
        ck_index("v1:1,v2:1", "W1;few 2;");
    else
        ck_index("", "");
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{a_record_is_taken, 1},
                                   {a_key_is_forgotten, 1},
                                   {what_is_malformed_changes_nothing, 10},
                                   {a_body_that_is_too_long, 1},
                                   {a_client_that_goes_away, 1},
                                   {it_begins_and_ends, 2},
                                   {an_index_that_was_not_restored, 2},
                                   {the_index_cannot_be_written, 2},
                                   {only_one_at_a_time, 2},
                                   {one_that_says_nothing_is_forgotten, 1},
                                   {without_a_name, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_reconcile", tests, setup, teardown);
}
