/* Volumes are drained and removed, over fakes; what is added goes on in join.c. */
#include "master/join.h"
#include "master/membership.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_members.h"
#include "tests/flow/fake_pool.h"

/* --- the keys that the index has --- */

static struct {
    const char *places; /* of the only key; "": there is none */
    const char *work;   /* the lines of the only key with work; "": there is none */
    enum status fails;
} scanned;

static struct record *record_of(const char *value, const char *work)
{
    static struct record rec;
    unsigned left = memory.left;
    memory.left = 0;
    record_init(&rec);
    ck_assert_int_eq(
        record_decode(&rec, value, value ? strlen(value) : 0, work, work ? strlen(work) : 0),
        ST_OK);
    memory.left = left;
    return &rec;
}

enum status index_scan_naming(struct index *index UNUSED, const char *text,
                              bool (*fn)(void *arg, const char *key, size_t len,
                                         const struct record *rec),
                              void *arg)
{
    char places[256];
    note("scan");
    if (!strstr(scanned.places, text))
        return scanned.fails;
    (void)snprintf(places, sizeof places, "HASH00000000000000000000000000000001%s", scanned.places);
    struct record *rec = record_of(places, NULL);
    ck_assert(fn(arg, "/k", 2, rec));
    record_free(rec);
    return scanned.fails;
}

enum status index_scan_work(struct index *index UNUSED, const struct buf *start,
                            bool (*fn)(void *arg, const char *key, size_t len,
                                       const struct record *rec),
                            void *arg)
{
    ck_assert(start->len == 0);
    note("scan-work");
    if (!scanned.work[0])
        return scanned.fails;
    struct record *rec = record_of(NULL, scanned.work);
    ck_assert(fn(arg, "/k", 2, rec));
    record_free(rec);
    return scanned.fails;
}

void join_start(struct worker *worker UNUSED, struct http_request *req, const char *address)
{
    note("join:%s", address);
    http_reply(req, 200, NULL, 0);
}

/* --- requests --- */

typedef void handler(struct worker *worker, struct http_request *req);

static void setup(void)
{
    members_begin();
    member_is("v1:1", ID_A, "");
    member_is("v2:1", "", "");
    member_is("v3:1", ID_B, "v9:1"); /* it has moved */
    memset(&fake_pool, 0, sizeof fake_pool);
    scanned.places = scanned.work = "";
    scanned.fails = ST_OK;
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_pool.job);
    ck_assert_ptr_null(fake_index.pending);
    client_free();
    members_end();
}

/* The facts of a volume as an operator has made them. */
static void drained(const char *name, bool draining)
{
    struct volume_facts facts = facts_of(name);
    facts.draining = draining;
    ck_assert_int_eq(volumes_set(members, name, &facts), ST_OK);
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

#define V1 "v1:1={\"id\":\"" ID_A "\",\"added\":7"
#define V3 "v3:1={\"id\":\"" ID_B "\",\"added\":7"

static const struct {
    handler *handler;
    const char *query, *body, *value;
    bool draining, removed;
} changes[] = {{membership_drain, "", "v1:1", V1 ",\"draining\":true}", true, false},
               {membership_drain, "", " http://v9:1/\r\n",
                V3 ",\"address\":\"v9:1\",\"draining\":true}", true, false},
               {membership_drain, "stop", "http://v1:1\n", V1 "}", false, false},
               {membership_remove, "lost", "http://v3:1", V3 ",\"removed\":true}", false, true},
               {membership_remove, "", "http://v1:1", V1 ",\"removed\":true}", false, true}};

enum { CHANGES = sizeof changes / sizeof changes[0], REMOVAL = CHANGES - 1 };

static const char *name_of(int i)
{
    return strncmp(changes[i].value, "v1", 2) == 0 ? "v1:1" : "v3:1";
}

/* The change comes as far as the index. What a write that was under way has handed in is there
 * before the keys are counted. */
static void play_to_commit(int i)
{
    if (i == REMOVAL)
        drained("v1:1", true);
    operator_asks(changes[i].handler, changes[i].query, changes[i].body);
    if (i == REMOVAL) {
        ck_trace("read commit ");
        index_commits();
        pool_runs();
    }
    ck_trace(i == REMOVAL ? "scan-work scan commit " : "read commit ");
}

START_TEST(the_index_has_it_before_the_table)
{
    if (_i == REMOVAL) /* what others have does not matter */
        scanned.places = "v2:1,v11:1", scanned.work = "W1\ngarbage 1 larder v11:1\nholder v2:1\n";
    play_to_commit(_i);
    ck_assert_int_eq(facts_of(name_of(_i)).draining, _i == REMOVAL);
    ck_assert(!facts_of(name_of(_i)).removed);
    index_commits();
    ck_trace("reply:200 ");
    ck_index(changes[_i].value, "");
    ck_assert_int_eq(facts_of(name_of(_i)).draining, changes[_i].draining);
    ck_assert_int_eq(facts_of(name_of(_i)).removed, changes[_i].removed);
}
END_TEST

START_TEST(the_index_cannot_be_written)
{
    fake_index.fail_at = _i == REMOVAL ? 2 : 1;
    fake_index.fail_with = _i % 2 ? ST_NO_SPACE : ST_IO;
    play_to_commit(_i);
    index_commits();
    ck_assert_int_ge(client.status, 500);
    ck_trace(_i % 2 ? "reply:507 " : "reply:500 ");
    ck_assert_str_ne(fake_index.value, changes[_i].value);
    ck_assert_int_eq(facts_of(name_of(_i)).draining, _i == REMOVAL);
    ck_assert(!facts_of(name_of(_i)).removed);
}
END_TEST

START_TEST(a_volume_that_keys_need_is_not_removed)
{
    static const char *const places[] = {"v1:1", "v3:1,v1:1", "v3:1,v1:1/sv07", "v1:1/sv00,v2:1"};
    scanned.places = places[_i];
    drained("v1:1", true);
    operator_asks(membership_remove, "", "http://v1:1");
    index_commits();
    pool_runs();
    ck_trace("read commit scan-work scan reply:409 ");
}
END_TEST

/* A value that is being written may come there although it is drained. */
START_TEST(a_volume_with_work_is_not_removed)
{
    static const char *const work[] = {
        "W1\ngarbage 5 larder v1:1/sv00\n", "W1\ngarbage 5 larder v2:1\ngarbage 5 larder v1:1\n",
        "W1\ntombstone 3\nholder v1:1\n", "W1\ntombstone 3\nmaybe v1:1/sv01\n"};
    scanned.work = work[_i];
    drained("v1:1", true);
    operator_asks(membership_remove, "", "http://v1:1");
    index_commits();
    pool_runs();
    ck_trace("read commit scan-work scan reply:409 ");
    ck_assert(!facts_of("v1:1").removed);
}
END_TEST

START_TEST(a_volume_is_drained_before_it_is_removed)
{
    operator_asks(membership_remove, "", "http://v1:1");
    index_commits();
    pool_runs();
    ck_trace("read commit scan-work scan reply:409 ");
    /* Nor where the draining was ended, and begun again, in the meantime. */
    drained("v1:1", true);
    operator_asks(membership_remove, "", "http://v1:1");
    index_commits();
    drained("v1:1", false);
    drained("v1:1", _i);
    pool_runs();
    ck_trace("read commit scan-work scan reply:409 ");
    ck_assert(!facts_of("v1:1").removed);
}
END_TEST

START_TEST(keys_cannot_be_counted)
{
    scanned.fails = ST_IO;
    fake_pool.full = _i;
    drained("v1:1", true);
    operator_asks(membership_remove, "", "http://v1:1");
    index_commits();
    if (_i == 0)
        pool_runs();
    ck_trace(_i ? "read commit reply:503 " : "read commit scan-work reply:500 ");
}
END_TEST

START_TEST(a_volume_that_is_not_there)
{
    static handler *const handlers[] = {membership_drain, membership_remove};
    operator_asks(handlers[_i % 2], "", "http://v8:1");
    ck_trace("read reply:404 ");
    struct volume_facts facts = facts_of("v2:1");
    facts.removed = true;
    ck_assert_int_eq(volumes_set(members, "v2:1", &facts), ST_OK);
    operator_asks(handlers[_i % 2], _i / 2 ? "lost" : "", "http://v2:1");
    ck_trace("read reply:404 ");
}
END_TEST

START_TEST(what_is_added_is_asked_who_it_is)
{
    operator_asks(membership_add, "", " http://v7:1/ \n");
    ck_trace("read join:v7:1 reply:200 ");
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
    static const char *const queries[] = {"volume=v2:1", "volume=v3:1", "volume=v9:1",
                                          "volume=v11:1", "volume=v1:1"};
    scanned.places = "v3:1,v2:1/sv01,v11:1";
    client.query = queries[_i];
    membership_count(&fake_worker, client_asks());
    pool_runs();
    ck_trace("scan reply:200 ");
    ck_assert_str_eq(client.body, _i < 4 ? "{\"keys\":1}\n" : "{\"keys\":0}\n");
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
    if (change_played == REMOVAL)
        drained("v1:1", true);
    client.query = changes[change_played].query;
    client.length = 1;
    struct http_request *req = client_asks();
    memory_arm(k);
    changes[change_played].handler(&fake_worker, req);
    if (client.sink) {
        (void)client_sends(changes[change_played].body, strlen(changes[change_played].body));
        client_ends(ST_OK);
    }
    for (int i = 0; i < 2; i++) {
        if (fake_index.pending)
            index_commits();
        if (fake_pool.job)
            pool_runs();
    }
    memory.left = 0;
    ck_assert_uint_eq(client.answers, 1);
    /* The index has all of it or nothing, and the table what the index has. */
    bool good = client.status == 200;
    const char *name = name_of(change_played);
    ck_assert_int_eq(strcmp(fake_index.value, changes[change_played].value) == 0, good);
    if (good || change_played != REMOVAL)
        ck_assert_int_eq(facts_of(name).draining, good && changes[change_played].draining);
    ck_assert_int_eq(facts_of(name).removed, good && changes[change_played].removed);
    members_end();
}

START_TEST(memory_may_run_out_anywhere)
{
    change_played = _i;
    members_end();
    memory_sweep(play_without_memory);
    members_begin();
}
END_TEST

int main(void)
{
    const struct played tests[] = {{the_index_has_it_before_the_table, CHANGES},
                                   {the_index_cannot_be_written, CHANGES},
                                   {a_volume_that_keys_need_is_not_removed, 4},
                                   {a_volume_with_work_is_not_removed, 4},
                                   {a_volume_is_drained_before_it_is_removed, 2},
                                   {keys_cannot_be_counted, 2},
                                   {a_volume_that_is_not_there, 4},
                                   {what_is_added_is_asked_who_it_is, 1},
                                   {no_name, 7},
                                   {the_client_goes_away, 1},
                                   {keys_of_a_volume_are_counted, 5},
                                   {of_no_volume, 5},
                                   {memory_may_run_out_anywhere, CHANGES},
                                   {NULL, 0}};
    return play_all("master_membership", tests, setup, teardown);
}
