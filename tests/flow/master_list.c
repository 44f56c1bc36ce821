/* Lists, over fakes: pages, pieces, readers that go away, an index that fails in the middle. */
#include "master/flows.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_pool.h"
#include "tests/flow/fake_scan.h"

static void setup(void)
{
    master_is_new();
    scan_is(10);
    memset(&fake_pool, 0, sizeof fake_pool);
    client.path = "/k";
    client.query = "list";
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_pool.job);
    scan_is(0);
    client_free();
}

/* Asks, and plays it to the end. */
static void list(const char *path, const char *query)
{
    trace[0] = 0;
    client.path = path;
    client.query = query;
    list_start(&fake_worker, client_asks());
    while (client.req) {
        if (fake_pool.job)
            pool_runs();
        else
            client_takes(true);
    }
    ck_assert_uint_eq(client.answers, 1);
}

START_TEST(lists_live_keys)
{
    list("/k", "list");
    ck_assert_int_eq(client.status, 200);
    ck_assert(client.whole);
    ck_assert(answer_has("Content-Type: application/json"));
    ck_assert_str_eq(client.body, "{\"next\":\"\",\"keys\":[\"/k00000\",\"/k00001\",\"/k00003\","
                                  "\"/k00004\",\"/k00006\",\"/k00007\",\"/k00009\"]}");
}
END_TEST

START_TEST(lists_unlinked_keys)
{
    list("/k", "unlinked");
    ck_assert_str_eq(client.body, "{\"next\":\"\",\"keys\":[\"/k00002\",\"/k00005\",\"/k00008\"]}");
}
END_TEST

START_TEST(pages_follow_each_other)
{
    list("/k", "list&limit=3");
    ck_trace("reply:200 ");
    ck_assert_str_eq(client.body, "{\"next\":\"/k00004\",\"keys\":[\"/k00000\",\"/k00001\","
                                  "\"/k00003\"]}");
    list("/k", "list&limit=3&start=/k00004");
    ck_assert_str_eq(client.body, "{\"next\":\"/k00009\",\"keys\":[\"/k00004\",\"/k00006\","
                                  "\"/k00007\"]}");
    list("/k", "list&limit=3&start=%2fk00009");
    ck_assert_str_eq(client.body, "{\"next\":\"\",\"keys\":[\"/k00009\"]}");
    list("/k", "list&limit=1&start=/k00009");
    ck_assert_str_eq(client.body, "{\"next\":\"\",\"keys\":[\"/k00009\"]}");
    list("/k0000", "list&limit=0"); /* no limit */
    ck_assert(strstr(client.body, "\"/k00009\"]}") != NULL);
}
END_TEST

START_TEST(prefixes_are_decoded)
{
    list("/k0000%31", "list");
    ck_assert_str_eq(buf_text(&fake_scan.prefix_asked), "/k00001");
    ck_assert_str_eq(client.body, "{\"next\":\"\",\"keys\":[\"/k00001\"]}");
    list("/nothing", "list");
    ck_assert_str_eq(client.body, "{\"next\":\"\",\"keys\":[]}");
}
END_TEST

START_TEST(bad_questions_are_refused)
{
    static const char *const paths[] = {"/%zz", "/a%00", "/k", "/k", "/k", "/k", "/k"};
    static const char *const queries[] = {"list",          "list",          "list&limit=x",
                                          "list&limit=-1", "list&start=%z", "list&limit=%z",
                                          "list&limit=9 "};
    list(paths[_i], queries[_i]);
    ck_trace("reply:400 ");
}
END_TEST

START_TEST(a_limit_has_a_limit)
{
    list("/k", "list&limit=1000000");
    ck_trace("reply:200 ");
    list("/k", "list&limit=1000001");
    ck_trace("reply:413 ");
}
END_TEST

START_TEST(the_pool_is_full)
{
    fake_pool.full = true;
    list("/k", "list");
    ck_trace("reply:503 ");
}
END_TEST

/* --- long answers go in pieces --- */

/* Every key is there once, in order, and nothing else. */
static void check_long_list(unsigned count)
{
    const char *at = strstr(client.body, "[");
    char name[KEY_MAX + 1];
    for (unsigned i = 0; i < count; i++) {
        if (i % 3 == 2)
            continue;
        size_t len = key_name(i, name);
        ck_assert_msg(strncmp(at + 2, name, len) == 0, "%s is not where it should be", name);
        at += len + 3; /* the separator, and two quotes */
    }
    ck_assert_str_eq(at, "]}");
}

START_TEST(long_lists_go_in_pieces)
{
    scan_is(20000);
    list("/k", "list");
    ck_assert_uint_ge(count_words(trace, "piece"), 2);
    ck_assert(client.whole);
    check_long_list(20000);
}
END_TEST

START_TEST(long_pages_end_early)
{
    scan_is(16000);
    fake_scan.name_len = 1000;
    list("/k", "list&limit=1000000");
    ck_assert_uint_lt(client.body_len, (size_t)9 << 20);
    char next[64];
    ck_assert_int_eq(memcmp(client.body, "{\"next\":\"/k", 11), 0);
    (void)snprintf(next, sizeof next, "list&limit=1000000&start=%.7s",
                   client.body + strlen("{\"next\":\""));
    unsigned first = (unsigned)strtoul(client.body + 11, NULL, 10);
    list("/k", next); /* and go on just there */
    char name[KEY_MAX + 1];
    char begin[KEY_MAX + 64];
    (void)key_name(first, name);
    (void)snprintf(begin, sizeof begin, "{\"next\":\"\",\"keys\":[\"%s\"", name);
    ck_assert_int_eq(strncmp(client.body, begin, strlen(begin)), 0);
}
END_TEST

START_TEST(the_reader_goes_away)
{
    scan_is(20000);
    list_start(&fake_worker, client_asks());
    pool_runs();
    ck_trace("piece ");
    client_takes(false);
    ck_trace("reply:200 ");
    ck_assert(!client.whole);
    ck_assert_ptr_null(fake_pool.job); /* no more is read for nobody */
}
END_TEST

/* --- the index fails --- */

START_TEST(the_index_fails_at_once)
{
    fake_scan.scan_fails = _i ? ST_CORRUPT : ST_IO;
    list("/k", _i ? "list&limit=5" : "list");
    ck_trace("reply:500 ");
}
END_TEST

START_TEST(the_index_fails_in_the_middle)
{
    scan_is(20000);
    fake_scan.scan_fails = ST_IO;
    fake_scan.fail_at = 15000;
    list("/k", "list");
    ck_assert_int_eq(client.status, 200); /* has left already */
    ck_assert(!client.whole);             /* but the reader notices */
}
END_TEST

static const char *question;

static void play_without_memory(unsigned k)
{
    scan_is(12000);
    fake_pool.job = NULL;
    memory_arm(k);
    list("/k", question);
    memory.left = 0;
    if (client.status == 200 && client.whole && strcmp(question, "list") == 0)
        check_long_list(12000);
    else if (client.status == 200 && client.whole)
        ck_assert_int_eq(memcmp(client.body, "{\"next\":\"/k05001\"", 17), 0);
    else
        ck_assert(client.status == 500 || !client.whole);
}

START_TEST(memory_may_run_out_anywhere)
{
    question = _i ? "list&limit=3334" : "list";
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{lists_live_keys, 1},
                                   {lists_unlinked_keys, 1},
                                   {pages_follow_each_other, 1},
                                   {prefixes_are_decoded, 1},
                                   {bad_questions_are_refused, 7},
                                   {a_limit_has_a_limit, 1},
                                   {the_pool_is_full, 1},
                                   {long_lists_go_in_pieces, 1},
                                   {long_pages_end_early, 1},
                                   {the_reader_goes_away, 1},
                                   {the_index_fails_at_once, 2},
                                   {the_index_fails_in_the_middle, 1},
                                   {memory_may_run_out_anywhere, 2},
                                   {NULL, 0}};
    return play_all("master_list", tests, setup, teardown);
}
