/* GET /admin/keys and ?record, over fakes. */
#include "common/json.h"
#include "master/flows.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_pool.h"
#include "tests/flow/fake_scan.h"
#include "tests/flow/fake_volumes.h"

static void setup(void)
{
    master_is_new();
    volumes_are(6);
    scan_is(10);
    memset(&fake_pool, 0, sizeof fake_pool);
}

static void teardown(void)
{
    ck_assert_ptr_null(fake_pool.job);
    scan_is(0);
    client_free();
}

static void ask_keys(const char *query)
{
    trace[0] = 0;
    client.path = "/admin/keys";
    client.query = query;
    keys_start(&fake_worker, client_asks());
    if (fake_pool.job)
        pool_runs();
    ck_assert_uint_eq(client.answers, 1);
}

/* The keys of the page, in order, and `next`. */
static void check_page(const char *keys, const char *next)
{
    char found[256] = "";
    struct json *page = json_parse(client.body, client.body_len, NULL);
    ck_assert_ptr_nonnull(page);
    ck_assert_str_eq(json_text(json_member(page, "next")), next);
    const struct json *records = json_member(page, "records");
    for (size_t i = 0; i < json_count(records); i++) {
        const struct json *record = json_item(records, i);
        size_t len = strlen(found);
        (void)snprintf(found + len, sizeof found - len, "%s ",
                       json_text(json_member(record, "key")));
        ck_assert_uint_eq(json_count(json_member(record, "wanted")), 3);
    }
    ck_assert_str_eq(found, keys);
    json_free(page);
}

START_TEST(gives_records_in_pages)
{
    ask_keys("limit=2&start=/k00001");
    ck_trace("reply:200 ");
    check_page("/k00001 /k00002 ", "/k00003");
    ask_keys("start=/k00008");
    check_page("/k00008 /k00009 ", "");
}
END_TEST

START_TEST(gives_keys_with_work)
{
    ask_keys("work&limit=2");
    check_page("/k00000 /k00004 ", "/k00008");
    ask_keys("work&start=/k00008");
    check_page("/k00008 ", "");
}
END_TEST

START_TEST(keys_that_go_meanwhile_are_left_out)
{
    fake_scan.gone = 0;
    ask_keys("limit=3");
    check_page("/k00001 /k00002 ", "/k00003");
}
END_TEST

START_TEST(bad_questions_are_refused)
{
    static const char *const queries[] = {"limit=0", "limit=10001", "limit=x", "start=%z"};
    ask_keys(queries[_i]);
    ck_trace("reply:400 ");
}
END_TEST

START_TEST(failures_are_told)
{
    fake_scan.read_fails = ST_IO;
    ask_keys("");
    ck_trace("reply:500 ");
    fake_scan.read_fails = ST_OK;
    fake_scan.scan_fails = ST_CORRUPT;
    fake_scan.fail_at = 5;
    ask_keys("");
    ck_trace("reply:500 ");
    fake_pool.full = true;
    ask_keys("");
    ck_trace("reply:503 ");
}
END_TEST

START_TEST(gives_one_record)
{
    ck_assert_int_eq(key_from_bytes(&fake_key, "/k00005", 7), ST_OK);
    keys_record(&fake_worker, client_asks(), &fake_key);
    ck_assert_int_eq(client.status, 200);
    ck_assert_str_eq(client.body, "{\"key\":\"/k00005\",\"state\":\"unlinked\",\"generation\":5,"
                                  "\"naming\":\"larder\",\"md5\":\"\",\"volumes\":[],"
                                  "\"wanted\":[\"v1:1\",\"v2:1\",\"v3:1\"]}\n");
    ck_assert_int_eq(key_from_bytes(&fake_key, "/k00010", 7), ST_OK);
    keys_record(&fake_worker, client_asks(), &fake_key);
    ck_assert_int_eq(client.status, 404);
    fake_scan.read_fails = ST_CORRUPT;
    keys_record(&fake_worker, client_asks(), &fake_key);
    ck_assert_int_eq(client.status, 500);
}
END_TEST

static void play_without_memory(unsigned k)
{
    memory_arm(k);
    ask_keys("start=/k00002&limit=7");
    memory.left = 0;
    if (client.status == 200)
        check_page("/k00002 /k00003 /k00004 /k00005 /k00006 /k00007 /k00008 ", "/k00009");
    else
        ck_assert_int_eq(client.status, 500);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{gives_records_in_pages, 1},
                                   {gives_keys_with_work, 1},
                                   {keys_that_go_meanwhile_are_left_out, 1},
                                   {bad_questions_are_refused, 4},
                                   {failures_are_told, 1},
                                   {gives_one_record, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_keys", tests, setup, teardown);
}
