/* larder rebalance: which keys it moves, what it makes of the answers, its exit status. */
#include "tests/flow/tool_fixture.h"
#include "tools/larder/commands.h"

static struct buf page = BUF_INIT;
static size_t records;

static void setup(void)
{
    fake_server("m:1");
    buf_clear(&page);
    records = 0;
}

static void teardown(void)
{
    fake_clear();
    buf_free(&page);
}

/* A key on `volumes` that is wanted on `wanted` (JSON lists); GET /KEY?record says the same. */
static void add_key(const char *key, const char *state, const char *volumes, const char *wanted)
{
    struct buf record = BUF_INIT;
    char url[100];
    buf_addf(&record,
             "{\"key\":\"%s\",\"state\":\"%s\",\"generation\":0,\"naming\":\"larder\",\"md5\":\"\","
             "\"volumes\":%s,\"wanted\":%s}",
             key, state, volumes, wanted);
    (void)snprintf(url, sizeof url, "http://m:1%s?record", key);
    (void)fake_answer(url, 200, buf_text(&record));
    buf_adds(&page, records++ ? "," : "");
    buf_adds(&page, buf_text(&record));
    buf_free(&record);
}

static int rebalance(const char *more)
{
    struct buf body = BUF_INIT;
    char arguments[100];
    buf_addf(&body, "{\"next\":\"\",\"records\":[%s]}", buf_text(&page));
    (void)fake_answer("http://m:1/admin/keys?limit=1000&start=/", 200, buf_text(&body));
    buf_free(&body);
    (void)snprintf(arguments, sizeof arguments, "-m m:1 --jobs 3 --no-wait %s", more);
    return fake_run(rebalance_run, arguments);
}

static unsigned asked(const char *url)
{
    const struct fake_entry *entry = fake_find("REBALANCE", url);
    ck_assert_ptr_nonnull(entry);
    return entry->requests;
}

START_TEST(only_what_stands_wrong_is_moved)
{
    add_key("/right", "live", "[\"a:1\",\"b:1\"]", "[\"a:1\",\"b:1\"]");
    add_key("/wrong", "live", "[\"a:1\",\"b:1\"]", "[\"a:1\",\"c:1\"]");
    add_key("/order", "unlinked", "[\"a:1\",\"b:1\"]", "[\"b:1\",\"a:1\"]");
    add_key("/dead", "deleted", "[]", "[\"a:1\"]");
    add_key("/young", "pending", "[]", "[\"a:1\"]");
    (void)fake_method("REBALANCE", "http://m:1/right", 204, "Larder-Moved: 0");
    (void)fake_method("REBALANCE", "http://m:1/wrong", 204, "Larder-Moved: 10");
    (void)fake_method("REBALANCE", "http://m:1/order", 204, "Larder-Moved: 1");
    (void)fake_method("REBALANCE", "http://m:1/dead", 500, NULL);
    (void)fake_method("REBALANCE", "http://m:1/young", 500, NULL);
    ck_assert_int_eq(rebalance(""), EXIT_WELL);
    ck_assert_uint_eq(asked("http://m:1/right"), 0);
    ck_assert_uint_eq(asked("http://m:1/wrong"), 1);
    ck_assert_uint_eq(asked("http://m:1/order"), 1);
    ck_assert_uint_eq(asked("http://m:1/dead"), 0);
    ck_assert_uint_eq(asked("http://m:1/young"), 0);
}
END_TEST

START_TEST(a_dry_run_moves_nothing)
{
    add_key("/wrong", "live", "[\"a:1\"]", "[\"c:1\"]");
    (void)fake_method("REBALANCE", "http://m:1/wrong", 204, "Larder-Moved: 10");
    ck_assert_int_eq(rebalance("--dry-run"), EXIT_WELL);
    ck_assert_uint_eq(asked("http://m:1/wrong"), 0);
}
END_TEST

START_TEST(a_key_that_is_gone_is_fine)
{
    add_key("/gone", "live", "[\"a:1\"]", "[\"c:1\"]");
    (void)fake_method("REBALANCE", "http://m:1/gone", 404, NULL);
    ck_assert_int_eq(rebalance(""), EXIT_WELL);
    ck_assert_uint_eq(asked("http://m:1/gone"), 1);
}
END_TEST

/* The index says that it stands right; the master looks whether that is so. */
START_TEST(all_hands_over_every_visible_key)
{
    add_key("/right", "live", "[\"a:1\"]", "[\"a:1\"]");
    add_key("/hidden", "unlinked", "[\"a:1\"]", "[\"a:1\"]");
    add_key("/dead", "deleted", "[]", "[\"a:1\"]");
    (void)fake_method("REBALANCE", "http://m:1/right", 204, "Larder-Moved: 10");
    (void)fake_method("REBALANCE", "http://m:1/hidden", 204, "Larder-Moved: 0");
    (void)fake_method("REBALANCE", "http://m:1/dead", 500, NULL);
    ck_assert_int_eq(rebalance("--all"), EXIT_WELL);
    ck_assert_uint_eq(asked("http://m:1/right"), 1);
    ck_assert_uint_eq(asked("http://m:1/hidden"), 1);
    ck_assert_uint_eq(asked("http://m:1/dead"), 0);
}
END_TEST

/* The master has work left for a while: old copies that are to be removed. */
static void work_shrinks(const char *method UNUSED, const char *url)
{
    static unsigned looks;
    char text[80];
    if (strcmp(url, "http://m:1/admin/status") != 0)
        return;
    (void)snprintf(text, sizeof text, "{\"work\":%d,\"repair\":{\"rounds\":%u}}", looks < 4,
                   looks / 2);
    (void)fake_answer(url, 200, text);
    looks++;
}

START_TEST(what_was_moved_is_waited_for)
{
    add_key("/right", "live", "[\"a:1\"]", "[\"a:1\"]");
    (void)fake_answer("http://m:1/admin/status", 200, "{}");
    ck_assert_int_eq(rebalance("--wait"), EXIT_WELL);
    ck_assert_uint_eq(fake_find(NULL, "http://m:1/admin/status")->requests, 0);
    add_key("/wrong", "live", "[\"a:1\"]", "[\"c:1\"]");
    (void)fake_method("REBALANCE", "http://m:1/wrong", 204, "Larder-Moved: 10");
    fake_before = work_shrinks;
    ck_assert_int_eq(rebalance("--wait"), EXIT_WELL);
    ck_assert_uint_ge(fake_find(NULL, "http://m:1/admin/status")->requests, 5);
}
END_TEST

/* The first two times a client is at work on it. */
static void free_it_later(const char *method, const char *url)
{
    static unsigned times;
    if (strcmp(method, "REBALANCE") == 0 && ++times == 3)
        (void)fake_method(method, url, 204, "Larder-Moved: 10");
}

START_TEST(a_key_in_use_is_tried_again)
{
    add_key("/busy", "live", "[\"a:1\"]", "[\"c:1\"]");
    (void)fake_method("REBALANCE", "http://m:1/busy", 409, NULL);
    fake_before = free_it_later;
    ck_assert_int_eq(rebalance(""), EXIT_WELL);
    ck_assert_uint_eq(asked("http://m:1/busy"), 3);
}
END_TEST

START_TEST(what_fails_is_told_and_the_others_are_moved)
{
    add_key("/bad", "live", "[\"a:1\"]", "[\"c:1\"]");
    add_key("/good", "live", "[\"a:1\"]", "[\"c:1\"]");
    (void)fake_method("REBALANCE", "http://m:1/bad", 503, NULL);
    (void)fake_method("REBALANCE", "http://m:1/good", 204, "Larder-Moved: 10");
    ck_assert_int_eq(rebalance(""), EXIT_FAILED);
    ck_assert_uint_eq(asked("http://m:1/good"), 1);
}
END_TEST

/* 204 without a move, and the record is as it was: where it belongs is down. */
START_TEST(what_cannot_be_moved_now_is_told)
{
    add_key("/wrong", "live", "[\"a:1\"]", "[\"c:1\"]");
    (void)fake_method("REBALANCE", "http://m:1/wrong", 204, "Larder-Moved: 0");
    ck_assert_int_eq(rebalance(""), EXIT_FAILED);
}
END_TEST

START_TEST(many_keys)
{
    char key[32];
    char url[64];
    for (int i = 0; i < 500; i++) {
        (void)snprintf(key, sizeof key, "/k%d", i);
        (void)snprintf(url, sizeof url, "http://m:1/k%d", i);
        add_key(key, "live", "[\"a:1\"]", "[\"c:1\"]");
        (void)fake_method("REBALANCE", url, 204, "Larder-Moved: 10");
    }
    ck_assert_int_eq(rebalance("--rate 1M"), EXIT_WELL);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(url, sizeof url, "http://m:1/k%d", i);
        ck_assert_uint_eq(asked(url), 1);
    }
}
END_TEST

static void master_dies(const char *method, const char *url UNUSED)
{
    if (strcmp(method, "REBALANCE") == 0)
        fake_server_count = 0;
}

START_TEST(a_master_that_goes_away_ends_it)
{
    add_key("/a", "live", "[\"a:1\"]", "[\"c:1\"]");
    (void)fake_method("REBALANCE", "http://m:1/a", 204, "Larder-Moved: 10");
    fake_before = master_dies;
    ck_assert_int_eq(rebalance(""), EXIT_TROUBLE);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {only_what_stands_wrong_is_moved,
                                  a_dry_run_moves_nothing,
                                  all_hands_over_every_visible_key,
                                  what_was_moved_is_waited_for,
                                  a_key_that_is_gone_is_fine,
                                  a_key_in_use_is_tried_again,
                                  what_fails_is_told_and_the_others_are_moved,
                                  what_cannot_be_moved_now_is_told,
                                  many_keys,
                                  a_master_that_goes_away_ends_it,
                                  NULL};
    Suite *suite = suite_create("tool/rebalance");
    tcase_add_checked_fixture(suite_case(suite, "rebalance", tests), setup, teardown);
    return suite_run(suite);
}
