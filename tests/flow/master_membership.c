/* Volumes are added, drained and removed, over fakes. */
#include "master/membership.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_pool.h"
#include "tests/flow/fake_volumes.h"

/* --- the table of volumes, and the keys that the index has --- */

static struct {
    const char *places; /* of the only key; "": there is none */
    enum status fails;
} scanned;

static enum status adding_fails;

size_t volumes_count(struct volumes *volumes UNUSED)
{
    return fake_volume_count;
}

const char *volumes_name(struct volumes *volumes UNUSED, size_t i)
{
    static const char *const names[] = {"v1:1", "v2:1", "v3:1"};
    return names[i];
}

void volumes_id(struct volumes *volumes UNUSED, const char *name, char id[IDENTITY_SIZE + 1])
{
    (void)snprintf(id, IDENTITY_SIZE + 1, "id-%s", name);
}

void volumes_describe(struct buf *out, const char *id, bool draining, bool removed)
{
    buf_addf(out, "%s,%d,%d", id, draining, removed);
}

bool volumes_drain(struct volumes *volumes UNUSED, const char *name, bool drain)
{
    note("%s:%s", drain ? "drain" : "keep", name);
    return true;
}

bool volumes_remove(struct volumes *volumes UNUSED, const char *name)
{
    note("remove:%s", name);
    return true;
}

void volumes_accept(struct volumes *volumes UNUSED, const char *name)
{
    note("accept:%s", name);
}

enum status volumes_add(struct volumes *volumes UNUSED, const char *name, const char *id,
                        bool *was_there)
{
    ck_assert_ptr_null(id);
    note("add:%s", name);
    *was_there = false;
    return adding_fails;
}

void index_change_volume(struct index_change *change, const char *name, const char *value)
{
    buf_addf(&change->ops, "%s=%s", name, value);
    buf_addc(&change->ops, 0);
    buf_addc(&change->ops, 0);
}

enum status index_scan(struct index *index UNUSED, const struct buf *prefix,
                       const struct buf *start,
                       bool (*fn)(void *arg, const char *key, size_t len, const struct record *rec),
                       void *arg)
{
    char text[256];
    struct record rec;
    ck_assert(prefix->len == 0 && start->len == 0); /* all keys */
    note("scan");
    if (!scanned.places[0])
        return scanned.fails;
    unsigned left = memory.left;
    memory.left = 0;
    record_init(&rec);
    int len = snprintf(text, sizeof text, "HASH00000000000000000000000000000001%s", scanned.places);
    ck_assert_int_eq(record_decode(&rec, text, (size_t)len, NULL, 0), ST_OK);
    memory.left = left;
    ck_assert(fn(arg, "/k", 2, &rec));
    record_free(&rec);
    return scanned.fails;
}

/* --- requests --- */

typedef void handler(struct worker *worker, struct http_request *req);

static void setup(void)
{
    master_is_new();
    index_holds("", "");
    volumes_are(3);
    memset(&fake_pool, 0, sizeof fake_pool);
    scanned.places = "";
    scanned.fails = ST_OK;
    adding_fails = ST_OK;
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_pool.job);
    ck_assert_ptr_null(fake_index.pending);
    client_free();
}

/* A request with this body; what it leads to is the test's. */
static void operator_asks(handler *handle, const char *query, const char *body)
{
    trace[0] = 0;
    client.query = query;
    client.length = (int64_t)strlen(body);
    handle(&fake_worker, client_asks());
    if (!client.req)
        return;
    ck_assert_uint_eq(client_sends(body, strlen(body)), strlen(body));
    client_ends(ST_OK);
}

static const struct {
    handler *handler;
    const char *query, *body, *value, *applied;
} changes[] = {
    {membership_add, "", "http://v7:1", "v7:1=,0,0", "add:v7:1 "},
    {membership_add, "replace", " http://v2:1/\r\n", "v2:1=,0,0", "accept:v2:1 add:v2:1 "},
    {membership_drain, "", "v1:1", "v1:1=id-v1:1,1,0", "drain:v1:1 "},
    {membership_drain, "stop", "http://v1:1\n", "v1:1=id-v1:1,0,0", "keep:v1:1 "},
    {membership_remove, "lost", "http://v3:1", "v3:1=id-v3:1,0,1", "remove:v3:1 "},
    {membership_remove, "", "http://v3:1", "v3:1=id-v3:1,0,1", "remove:v3:1 "}};

enum { CHANGES = sizeof changes / sizeof changes[0], REMOVAL = CHANGES - 1 };

/* The change comes as far as the index. */
static void play_to_commit(int i)
{
    operator_asks(changes[i].handler, changes[i].query, changes[i].body);
    ck_assert_int_eq(fake_pool.job != NULL, i == REMOVAL); /* keys are counted first */
    if (fake_pool.job)
        pool_runs();
    ck_trace(i == REMOVAL ? "read scan commit " : "read commit ");
}

START_TEST(the_index_has_it_before_the_table)
{
    char expected[64];
    scanned.places = _i == REMOVAL ? "v1:1,v33:1" : "v3:1";
    play_to_commit(_i);
    index_commits();
    (void)snprintf(expected, sizeof expected, "%sreply:200 ", changes[_i].applied);
    ck_trace(expected);
    ck_index(changes[_i].value, "");
}
END_TEST

START_TEST(the_index_cannot_be_written)
{
    fake_index.fail_at = 1;
    fake_index.fail_with = _i % 2 ? ST_NO_SPACE : ST_IO;
    play_to_commit(_i);
    index_commits();
    ck_assert_int_ge(client.status, 500);
    ck_assert(strncmp(trace, "reply:", 6) == 0); /* nothing else was done */
    ck_index("", "");
}
END_TEST

START_TEST(a_volume_that_keys_need_is_not_removed)
{
    static const char *const places[] = {"v3:1", "v1:1,v3:1", "v1:1,v3:1/sv07", "v3:1/sv00,v2:1"};
    scanned.places = places[_i];
    operator_asks(membership_remove, "", "http://v3:1");
    pool_runs();
    ck_trace("read scan reply:409 ");
}
END_TEST

START_TEST(keys_cannot_be_counted)
{
    scanned.fails = ST_IO;
    fake_pool.full = _i;
    operator_asks(membership_remove, "", "http://v3:1");
    if (_i == 0)
        pool_runs();
    ck_trace(_i ? "read reply:503 " : "read scan reply:500 ");
}
END_TEST

START_TEST(a_volume_that_is_not_there)
{
    static handler *const handlers[] = {membership_drain, membership_remove};
    operator_asks(handlers[_i % 2], "", "http://v9:1");
    ck_trace("read reply:404 ");
    fake_volumes[1].removed = true;
    operator_asks(handlers[_i % 2], _i / 2 ? "lost" : "", "http://v2:1");
    ck_trace("read reply:404 ");
}
END_TEST

START_TEST(a_volume_that_is_there)
{
    operator_asks(membership_add, "", "http://v2:1");
    ck_trace("read reply:200 ");
    fake_volumes[1].removed = true; /* comes back */
    operator_asks(membership_add, "", "http://v2:1");
    ck_trace("read commit ");
    index_commits();
    ck_trace("add:v2:1 reply:200 ");
}
END_TEST

START_TEST(the_table_has_no_room)
{
    adding_fails = ST_NO_MEMORY;
    play_to_commit(0);
    index_commits();
    ck_assert_int_ge(client.status, 500);
    ck_index(changes[0].value, ""); /* from the next start on */
}
END_TEST

START_TEST(no_name)
{
    static const char *const bodies[] = {" ",         "\r\n",   "https://v1:1",    "v1",
                                         "v1:1,v2:1", "v1:1?x", "http://v1:1/../x"};
    operator_asks(membership_remove, "lost", bodies[_i]);
    ck_trace("read reply:400 ");
    char text[VOLUME_NAME_MAX + 128];
    memset(text, ' ', sizeof text); /* a name with much behind it: refused, not cut */
    memcpy(text, "v1:1", 4);
    text[sizeof text - 1] = 0;
    operator_asks(membership_remove, "lost", text);
    ck_trace("read reply:400 ");
    operator_asks(membership_remove, "lost", "");
    ck_trace("reply:411 ");
}
END_TEST

/* Half a name is not a name. */
START_TEST(the_client_goes_away)
{
    client.query = "lost";
    client.length = 20;
    membership_remove(&fake_worker, client_asks());
    ck_assert_uint_eq(client_sends("http://v1:1", 11), 11);
    client_ends(ST_CLOSED);
    ck_assert_uint_eq(client.answers, 1);
    ck_assert_uint_eq(count_words(trace, "commit"), 0);
}
END_TEST

START_TEST(keys_of_a_volume_are_counted)
{
    scanned.places = "v1:1,v2:1/sv01";
    client.query = _i ? "volume=v2:1" : "volume=v3:1";
    membership_count(&fake_worker, client_asks());
    pool_runs();
    ck_trace("scan reply:200 ");
    ck_assert_str_eq(client.body, _i ? "{\"keys\":1}\n" : "{\"keys\":0}\n");
    ck_assert(answer_has("Content-Type: application/json"));
}
END_TEST

START_TEST(of_no_volume)
{
    static const char *const queries[] = {"", "volume", "volume=", "volume=v1", "volume=%zz"};
    client.query = queries[_i];
    membership_count(&fake_worker, client_asks());
    ck_trace("reply:400 ");
}
END_TEST

static int change_played;

static void play_without_memory(unsigned k)
{
    setup();
    client.query = changes[change_played].query;
    client.length = 1;
    struct http_request *req = client_asks();
    memory_arm(k);
    changes[change_played].handler(&fake_worker, req);
    if (client.sink) {
        (void)client_sends(changes[change_played].body, strlen(changes[change_played].body));
        client_ends(ST_OK);
    }
    if (fake_pool.job)
        pool_runs();
    if (fake_index.pending)
        index_commits();
    memory.left = 0;
    ck_assert_uint_eq(client.answers, 1);
    /* The index has all of it or nothing, and the table what the index has. */
    ck_assert_str_eq(fake_index.value, client.status == 200 ? changes[change_played].value : "");
    ck_assert_int_eq(strstr(trace, changes[change_played].applied) != NULL, client.status == 200);
}

START_TEST(memory_may_run_out_anywhere)
{
    change_played = _i;
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{the_index_has_it_before_the_table, CHANGES},
                                   {the_index_cannot_be_written, CHANGES},
                                   {a_volume_that_keys_need_is_not_removed, 4},
                                   {keys_cannot_be_counted, 2},
                                   {a_volume_that_is_not_there, 4},
                                   {a_volume_that_is_there, 1},
                                   {the_table_has_no_room, 1},
                                   {no_name, 7},
                                   {the_client_goes_away, 1},
                                   {keys_of_a_volume_are_counted, 2},
                                   {of_no_volume, 5},
                                   {memory_may_run_out_anywhere, CHANGES},
                                   {NULL, 0}};
    return play_all("master_membership", tests, setup, teardown);
}
