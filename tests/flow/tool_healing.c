/* larder drain, remove-volume, add-volume --replace, repair, scrub: what they make of the answers,
 * and when they stop waiting. */
#include "tests/flow/tool_fixture.h"
#include "tools/larder/commands.h"
#include "tools/larder/watch.h"

#define VOLUME_KEYS "http://m:1/admin/volume-keys?volume=a%3A1"

/* What the master of the tests is like. It goes once through its work a look. */
static struct {
    unsigned rounds;
    unsigned queue; /* from the third round on; the first two know nothing yet */
    unsigned queue_shrinks;
    unsigned keys; /* on the volume that is drained */
    unsigned keys_shrink;
    unsigned sweeps_left, audits_left; /* looks at which one is still running */
    unsigned suspects;
    unsigned volume_left; /* looks at which a volume still scrubs */
    bool sweep_helps;     /* keys can only be moved after POST /admin/repair */
} master;

static unsigned less(unsigned *number, unsigned by)
{
    unsigned before = *number;
    *number -= by < *number ? by : *number;
    return before;
}

static void show_status(void)
{
    char text[400];
    unsigned queue = master.rounds > 2 ? less(&master.queue, master.queue_shrinks) : 0;
    (void)snprintf(text, sizeof text,
                   "{\"work\":%u,\"settled\":0,\"replicas\":2,"
                   "\"repair\":{\"queue\":%u,\"oldest_seconds\":0,\"rounds\":%u},"
                   "\"sweep\":{\"running\":%s,\"keys\":9,\"flagged\":%u,\"finished\":1},"
                   "\"audit\":{\"running\":%s,\"keys\":9,\"suspects\":%u,\"files\":18,"
                   "\"orphans\":0,\"rounds\":1,\"finished\":1}}",
                   queue, queue, master.rounds++, less(&master.sweeps_left, 1) ? "true" : "false",
                   queue, less(&master.audits_left, 1) ? "true" : "false", master.suspects);
    (void)fake_answer("http://m:1/admin/status", 200, text);
}

static void show_keys(void)
{
    char text[40];
    bool moves = !master.sweep_helps || fake_find("POST", "http://m:1/admin/repair")->requests;
    unsigned keys = moves ? less(&master.keys, master.keys_shrink) : master.keys;
    (void)snprintf(text, sizeof text, "{\"keys\":%u}", keys);
    (void)fake_answer(VOLUME_KEYS, 200, text);
}

/* The entry of a method with an answer of its own. */
static void answer(const char *method, const char *url, int status, const char *body)
{
    struct fake_entry *entry = fake_method(method, url, status, NULL);
    free(entry->body);
    entry->body = strdup(body);
}

static void show_scrub(void)
{
    answer("GET", "http://a:1/admin/scrub", 200,
           less(&master.volume_left, 1)
               ? "{\"running\":true,\"forced\":true,\"values\":1,\"bytes\":10,\"damaged\":0,"
                 "\"total_bytes_estimate\":20,\"untold\":0}"
               : "{\"running\":false,\"forced\":false,\"values\":2,\"bytes\":20,\"damaged\":1,"
                 "\"total_bytes_estimate\":20,\"untold\":1}");
}

static void before(const char *method, const char *url)
{
    if (strcmp(method, "GET") != 0)
        return;
    if (strcmp(url, "http://m:1/admin/status") == 0)
        show_status();
    else if (strcmp(url, VOLUME_KEYS) == 0)
        show_keys();
    else if (strcmp(url, "http://a:1/admin/scrub") == 0)
        show_scrub();
}

static void setup(void)
{
    memset(&master, 0, sizeof master);
    fake_server("m:1");
    fake_server("a:1");
    fake_before = before;
    answer("POST", "http://m:1/admin/repair", 204, "");
    answer("POST", "http://m:1/admin/scrub", 204, "");
    answer("POST", "http://m:1/admin/drain", 200, "it begins\n");
    answer("POST", "http://m:1/admin/drain?stop", 200, "it stays\n");
    answer("POST", "http://a:1/admin/scrub", 200, "{\"running\":true}");
    (void)fake_answer("http://m:1/admin/volumes", 200,
                      "{\"volumes\":[{\"name\":\"a:1\",\"state\":\"draining\",\"kind\":\"larder\"},"
                      "{\"name\":\"b:1\",\"state\":\"up\",\"kind\":\"plain\"},"
                      "{\"name\":\"c:1\",\"state\":\"down\",\"kind\":\"larder\"}]}");
}

static void teardown(void)
{
    fake_clear();
}

static unsigned posts(const char *url)
{
    return fake_find("POST", url)->requests;
}

/* --- drain --- */

START_TEST(drain_waits_until_it_is_empty)
{
    master.keys = 5;
    master.keys_shrink = 2;
    ck_assert_int_eq(fake_run(drain_run, "-m m:1 --wait a:1"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://m:1/admin/drain"), 1);
    ck_assert_uint_eq(master.keys, 0);
}
END_TEST

START_TEST(drain_does_not_wait)
{
    master.keys = 5;
    ck_assert_int_eq(fake_run(drain_run, "-m m:1 --no-wait http://a:1/"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://m:1/admin/drain"), 1);
    ck_assert_int_eq(fake_run(drain_run, "-m m:1 --wait --stop a:1"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://m:1/admin/drain?stop"), 1);
    ck_assert_uint_eq(posts("http://m:1/admin/drain"), 1);
}
END_TEST

START_TEST(drain_tells_of_keys_that_cannot_be_moved)
{
    master.keys = 5;
    master.queue = 5;
    ck_assert_int_eq(fake_run(drain_run, "-m m:1 --wait --patience 500ms a:1"), EXIT_FAILED);
}
END_TEST

/* A key that was being written when the master looked is passed over by it. */
START_TEST(drain_has_the_master_look_again)
{
    master.keys = 5;
    master.keys_shrink = 5;
    master.sweep_helps = true;
    ck_assert_int_eq(fake_run(drain_run, "-m m:1 --wait a:1"), EXIT_WELL);
    ck_assert_uint_ge(posts("http://m:1/admin/repair"), 1);
}
END_TEST

START_TEST(drain_of_nothing)
{
    answer("POST", "http://m:1/admin/drain", 404, "");
    ck_assert_int_eq(fake_run(drain_run, "-m m:1 --wait a:1"), EXIT_FAILED);
    ck_assert_int_eq(fake_run(drain_run, "-m m:1 a"), EXIT_TROUBLE);
    ck_assert_int_eq(fake_run(drain_run, "-m m:1"), EXIT_TROUBLE);
    ck_assert_int_eq(fake_run(drain_run, "-m n:1 a:1"), EXIT_FAILED);
}
END_TEST

/* --- membership --- */

START_TEST(a_volume_with_keys_is_not_removed)
{
    answer("POST", "http://m:1/admin/remove-volume", 409, "5 keys still have a copy there\n");
    answer("POST", "http://m:1/admin/remove-volume?lost", 200, "removed\n");
    ck_assert_int_eq(fake_run(removevolume_run, "-m m:1 a:1"), EXIT_FAILED);
    ck_assert_uint_eq(posts("http://m:1/admin/remove-volume?lost"), 0);
    ck_assert_int_eq(fake_run(removevolume_run, "-m m:1 --lost a:1"), EXIT_WELL);
}
END_TEST

START_TEST(a_replaced_volume_is_accepted)
{
    answer("POST", "http://m:1/admin/add-volume", 200, "it was there\n");
    answer("POST", "http://m:1/admin/add-volume?replace", 200, "accepted\n");
    ck_assert_int_eq(fake_run(addvolume_run, "-m m:1 a:1"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://m:1/admin/add-volume?replace"), 0);
    ck_assert_int_eq(fake_run(addvolume_run, "-m m:1 --replace a:1"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://m:1/admin/add-volume"), 1);
}
END_TEST

/* --- repair --- */

START_TEST(repair_waits_for_sweep_and_queue)
{
    master.sweeps_left = 2;
    master.queue = 3;
    master.queue_shrinks = 1;
    ck_assert_int_eq(fake_run(repair_run, "-m m:1 --wait"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://m:1/admin/repair"), 1);
    ck_assert_uint_eq(master.queue, 0); /* the zero of the first rounds was not believed */
}
END_TEST

/* A master that does not write knows nothing of what is queued: the one that does is asked. */
START_TEST(repair_waits_for_the_master_that_writes)
{
    fake_server("n:1");
    (void)fake_answer("http://n:1/admin/status", 200,
                      "{\"work\":0,\"repair\":{\"queue\":0,\"rounds\":0},"
                      "\"cluster\":{\"role\":\"follower\",\"writer\":\"m:1\"}}");
    answer("POST", "http://n:1/admin/repair", 204, "");
    master.queue = 3;
    master.queue_shrinks = 1;
    ck_assert_int_eq(fake_run(repair_run, "-m n:1 --wait"), EXIT_WELL);
    ck_assert_uint_eq(master.queue, 0);
}
END_TEST

START_TEST(repair_gives_up)
{
    master.queue = 3;
    ck_assert_int_eq(fake_run(repair_run, "-m m:1 --wait --patience 500ms"), EXIT_FAILED);
    ck_assert_int_eq(fake_run(repair_run, "-m m:1 --no-wait"), EXIT_WELL);
    answer("POST", "http://m:1/admin/repair", 404, "");
    ck_assert_int_eq(fake_run(repair_run, "-m m:1 --wait"), EXIT_FAILED);
}
END_TEST

/* --- scrub --- */

START_TEST(scrub_of_all)
{
    master.volume_left = 2;
    master.audits_left = 2;
    ck_assert_int_eq(fake_run(scrub_run, "-m m:1 --wait"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://a:1/admin/scrub"), 1);
    ck_assert_uint_eq(posts("http://m:1/admin/scrub"), 1);
    ck_assert_uint_eq(master.volume_left, 0);
    ck_assert_uint_eq(master.audits_left, 0);
}
END_TEST

START_TEST(scrub_of_one_part)
{
    ck_assert_int_eq(fake_run(scrub_run, "-m m:1 --no-wait --master-only"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://a:1/admin/scrub"), 0);
    ck_assert_uint_eq(posts("http://m:1/admin/scrub"), 1);
    ck_assert_int_eq(fake_run(scrub_run, "-m m:1 --no-wait --volumes-only"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://a:1/admin/scrub"), 1);
    ck_assert_uint_eq(posts("http://m:1/admin/scrub"), 1);
    ck_assert_int_eq(fake_run(scrub_run, "-m m:1 --volumes-only --master-only"), EXIT_TROUBLE);
    ck_assert_int_eq(fake_run(scrub_run, "-m n:1 --wait"), EXIT_TROUBLE);
}
END_TEST

/* The volume found one, and no master knows of it. */
START_TEST(damage_that_nobody_repairs_is_told)
{
    ck_assert_int_eq(fake_run(scrub_run, "-m m:1 --wait --volumes-only"), EXIT_FAILED);
    master.suspects = 1;
    master.queue = 1;
    ck_assert_int_eq(fake_run(scrub_run, "-m m:1 --wait --patience 500ms"), EXIT_FAILED);
}
END_TEST

START_TEST(an_older_volume_is_passed_over)
{
    answer("POST", "http://a:1/admin/scrub", 404, "");
    ck_assert_int_eq(fake_run(scrub_run, "-m m:1 --wait"), EXIT_WELL);
    ck_assert_uint_eq(posts("http://m:1/admin/scrub"), 1);
}
END_TEST

/* --- pace --- */

START_TEST(only_what_does_not_shrink_for_some_rounds_stalls)
{
    struct watch_pace pace;
    watch_pace_begin(&pace);
    pace.since_ms -= 5000;
    ck_assert_uint_eq(watch_pace_stall(&pace, 10, 7), 0);
    pace.since_ms -= 5000;
    ck_assert_uint_eq(watch_pace_stall(&pace, 10, 9), 0); /* the master is still at it */
    ck_assert_uint_ge(watch_pace_stall(&pace, 10, 10), 5000);
    ck_assert_uint_ge(watch_pace_stall(&pace, 12, 11), 5000);
    ck_assert_uint_eq(watch_pace_stall(&pace, 9, 12), 0);
    pace.since_ms -= 5000;
    ck_assert_uint_eq(watch_pace_stall(&pace, 9, 1), 0); /* the master was started again */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {drain_waits_until_it_is_empty,
                                  drain_does_not_wait,
                                  drain_tells_of_keys_that_cannot_be_moved,
                                  drain_has_the_master_look_again,
                                  drain_of_nothing,
                                  a_volume_with_keys_is_not_removed,
                                  a_replaced_volume_is_accepted,
                                  repair_waits_for_sweep_and_queue,
                                  repair_waits_for_the_master_that_writes,
                                  repair_gives_up,
                                  scrub_of_all,
                                  scrub_of_one_part,
                                  damage_that_nobody_repairs_is_told,
                                  an_older_volume_is_passed_over,
                                  only_what_does_not_shrink_for_some_rounds_stalls,
                                  NULL};
    Suite *suite = suite_create("tool/healing");
    TCase *tcase = suite_case(suite, "healing", tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    return suite_run(suite);
}
