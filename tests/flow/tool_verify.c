/* larder verify, from the list of keys and the volumes to its exit status, without a network. */
#include <signal.h>
#include <sys/stat.h>

#include "common/json.h"
#include "tests/flow/tool_fixture.h"
#include "tools/larder/commands.h"

#define MD5_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MD5_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
/* of five times 'x', which is what the fixture serves */
#define MD5_X "fb0e22c79ac75679e9881e6ba183b354"

static char dir[64];
static char out[80];

static void setup(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/tool-verify-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(out, sizeof out, "%s/out", dir);
    fake_server("m:1");
    fake_server("a:1");
    fake_server("b:1");
    (void)fake_answer("http://m:1/admin/volumes", 200,
                      "{\"volumes\":[{\"name\":\"a:1\"},{\"name\":\"b:1\"}]}");
}

static void teardown(void)
{
    (void)unlink(out);
    ck_assert_int_eq(rmdir(dir), 0); /* so nothing of the scratch database is left */
    fake_clear();
}

/* A record with copies at sv00 of both volumes. */
static void add_record(struct buf *out_text, const char *key, const char *md5, const char *more)
{
    buf_addf(out_text,
             "{\"key\":\"%s\",\"state\":\"live\",\"generation\":3,\"naming\":\"larder\","
             "\"md5\":\"%s\",\"volumes\":[\"a:1/sv00\",\"b:1/sv00\"],"
             "\"wanted\":[\"a:1/sv00\",\"b:1/sv00\"]%s}",
             key, md5, more);
}

/* The index has these keys, each with two copies (the list ends with NULL). */
static void index_has(const char *const *keys, const char *md5, const char *more)
{
    struct buf page = BUF_INIT;
    struct buf record = BUF_INIT;
    char url[100];
    buf_adds(&page, "{\"next\":\"\",\"records\":[");
    for (size_t i = 0; keys[i]; i++) {
        buf_adds(&page, i ? "," : "");
        add_record(&page, keys[i], md5, more);
        buf_clear(&record);
        add_record(&record, keys[i], md5, more);
        (void)snprintf(url, sizeof url, "http://m:1%s?record", keys[i]);
        (void)fake_answer(url, 200, buf_text(&record));
    }
    buf_adds(&page, "]}");
    (void)fake_answer("http://m:1/admin/keys?limit=1000&start=/", 200, buf_text(&page));
    buf_free(&record);
    buf_free(&page);
}

static void both_copies(const char *key, const char *md5)
{
    (void)fake_copy("a:1/sv00", key, 3, 5, md5, "");
    (void)fake_copy("b:1/sv00", key, 3, 5, md5, "");
}

/* Runs it with its standard output in a file. */
static int verify(const char *more)
{
    char arguments[300];
    (void)snprintf(arguments, sizeof arguments, "-m m:1 --threads 4 --settle 1ms --scratch %s %s",
                   dir, more);
    ck_assert_ptr_nonnull(freopen(out, "w+", stdout));
    return fake_run(verify_run, arguments);
}

/* What it printed. The caller frees it. */
static struct buf output(void)
{
    struct buf text = BUF_INIT;
    char piece[4096];
    size_t n;
    rewind(stdout);
    while ((n = fread(piece, 1, sizeof piece, stdout)) > 0)
        buf_add(&text, piece, n);
    return text;
}

static void check_output(const char *piece)
{
    struct buf text = output();
    ck_assert_msg(strstr(buf_text(&text), piece) != NULL, "no '%s' in: %s", piece, buf_text(&text));
    buf_free(&text);
}

static const char *const two_keys[] = {"/a", "/b", NULL};

/* Both keys, as the index has them and with both copies. */
static void two_keys_stand(const char *md5)
{
    index_has(two_keys, md5, "");
    both_copies("/a", md5);
    both_copies("/b", md5);
}

/* Verifies, and looks for the text in what it prints. */
static void verify_says(const char *more, int result, const char *text)
{
    ck_assert_int_eq(verify(more), result);
    check_output(text);
}

/* Records name b:1; it is reached at c:1. */
START_TEST(a_volume_that_has_moved)
{
    struct fake_entry *moved = NULL;
    fake_server_count--;
    fake_server("c:1");
    (void)fake_answer("http://m:1/admin/volumes", 200,
                      "{\"volumes\":[{\"name\":\"a:1\",\"address\":\"a:1\"},"
                      "{\"name\":\"b:1\",\"address\":\"c:1\"}]}");
    index_has(two_keys, MD5_X, "");
    for (size_t i = 0; i < 2; i++) {
        (void)fake_copy("a:1/sv00", two_keys[i], 3, 5, MD5_X, "");
        moved = fake_copy("c:1/sv00", two_keys[i], 3, 5, MD5_X, "");
    }
    verify_says("--deep", EXIT_WELL, "2 keys, 4 files, 20 bytes; every copy was read; all is well");
    moved->gone = true;
    verify_says("--deep", EXIT_FAILED, "missing   /b on b:1/sv00");
}
END_TEST

START_TEST(all_is_well)
{
    two_keys_stand(MD5_A);
    verify_says("", EXIT_WELL, "2 keys, 4 files, 20 bytes; all is well");
}
END_TEST

START_TEST(a_missing_copy)
{
    index_has(two_keys, MD5_A, "");
    both_copies("/a", MD5_A);
    (void)fake_copy("a:1/sv00", "/b", 3, 5, MD5_A, "");
    verify_says("", EXIT_FAILED, "missing   /b on b:1/sv00, generation 3: ");
    check_output("1 problems: 1 missing\n");
}
END_TEST

START_TEST(a_file_of_a_key_before_between_and_behind)
{
    two_keys_stand(MD5_A);
    (void)fake_copy("a:1/sv00", "/A", 0, 5, MD5_A, "");
    (void)fake_copy("a:1/sv00", "/aa", 0, 5, MD5_A, "");
    (void)fake_copy("a:1/sv00", "/c", 0, 5, MD5_A, "");
    verify_says("", EXIT_FAILED, "extra     /A on a:1/sv00: 5 bytes");
    check_output("3 problems: 3 extra\n");
}
END_TEST

START_TEST(a_volume_that_has_another_md5)
{
    index_has(two_keys, MD5_A, "");
    both_copies("/a", MD5_A);
    (void)fake_copy("a:1/sv00", "/b", 3, 5, MD5_A, "");
    (void)fake_copy("b:1/sv00", "/b", 3, 5, MD5_B, "");
    ck_assert_int_eq(verify("--json"), EXIT_FAILED);
    struct buf text = output();
    struct json *json = json_parse(buf_text(&text), text.len, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_uint_eq(json_count(json_member(json, "findings")), 1);
    const struct json *finding = json_item(json_member(json, "findings"), 0);
    ck_assert_str_eq(json_text(json_member(finding, "problem")), "md5");
    ck_assert_str_eq(json_text(json_member(finding, "volume")), "b:1/sv00");
    ck_assert_int_eq(json_int(json_member(json_member(json, "problems"), "md5"), -1), 1);
    ck_assert(!json_bool(json_member(json, "ok"), true));
    ck_assert(json_bool(json_member(json, "complete"), false));
    json_free(json);
    buf_free(&text);
}
END_TEST

START_TEST(only_a_deep_check_reads_the_values)
{
    two_keys_stand(MD5_A); /* the fixture's values have another */
    ck_assert_int_eq(verify(""), EXIT_WELL);
    verify_says("--deep", EXIT_FAILED, "4 problems: 4 md5\n");
}
END_TEST

START_TEST(a_deep_check_of_good_values)
{
    index_has(two_keys, MD5_X, "");
    both_copies("/a", MD5_X);
    both_copies("/b", NULL);
    verify_says("--deep", EXIT_WELL, "every copy was read; all is well");
}
END_TEST

START_TEST(few_copies_are_told)
{
    index_has(two_keys, MD5_A, ",\"few\":true");
    both_copies("/a", MD5_A);
    both_copies("/b", MD5_A);
    verify_says("", EXIT_FAILED, "2 problems: 2 few\n");
}
END_TEST

/* --- while clients go on --- */

START_TEST(a_value_written_after_the_scan_is_no_fault)
{
    two_keys_stand(MD5_A);
    /* The listings are older than the record. */
    (void)fake_answer("http://a:1/sv00/?meta", 200, "[]");
    ck_assert_int_eq(verify(""), EXIT_WELL);
}
END_TEST

START_TEST(a_value_deleted_after_the_scan_is_no_fault)
{
    static const char *const one_key[] = {"/a", NULL};
    struct buf list = BUF_INIT;
    index_has(one_key, MD5_A, "");
    both_copies("/a", MD5_A);
    (void)fake_copy("a:1/sv00", "/gone", 0, 5, MD5_A, "");
    /* The listing still has it; the volume does not. */
    struct fake_entry *entry = &fake_entries[fake_count - 1];
    char directory[200];
    char listing[210];
    (void)snprintf(directory, sizeof directory, "%s", entry->url);
    strrchr(directory, '/')[1] = 0;
    ck_assert(fake_list(directory, &list));
    (void)snprintf(listing, sizeof listing, "%s?meta", directory);
    (void)fake_answer(listing, 200, buf_text(&list));
    free(entry->url);
    entry->url = strdup(directory); /* so that the directory is still found */
    ck_assert_int_eq(verify(""), EXIT_WELL);
    buf_free(&list);
}
END_TEST

static unsigned record_requests;

/* The record changes with every look. */
static void change_record(const char *method UNUSED, const char *url)
{
    if (strcmp(url, "http://m:1/a?record") != 0)
        return;
    struct buf record = BUF_INIT;
    char more[100];
    (void)snprintf(more, sizeof more,
                   ",\"garbage\":[{\"generation\":%u,\"naming\":\"larder\",\"volume\":\"x:1\"}]",
                   ++record_requests);
    add_record(&record, "/a", MD5_A, more);
    (void)fake_answer(url, 200, buf_text(&record));
    buf_free(&record);
}

START_TEST(a_key_that_changes_all_the_time_is_not_checked)
{
    static const char *const one_key[] = {"/a", NULL};
    index_has(one_key, MD5_A, "");
    (void)fake_copy("a:1/sv00", "/a", 3, 5, MD5_A, "");
    fake_before = change_record;
    verify_says("--json", EXIT_TROUBLE, "\"unchecked\":1");
    check_output("\"complete\":false");
    check_output("\"findings\":[]");
}
END_TEST

/* --- what cannot be checked --- */

START_TEST(a_volume_that_is_down_cannot_be_checked)
{
    index_has(two_keys, MD5_A, "");
    fake_server_count = 2;
    ck_assert_int_eq(verify(""), EXIT_TROUBLE);
}
END_TEST

/* Loop: no JSON, no list, one without a name: going on would be to overlook a volume. */
START_TEST(a_list_of_volumes_that_is_none)
{
    static const char *const lists[] = {"volumes", "{\"list\":[]}",
                                        "{\"volumes\":[{\"name\":\"a:1\"},{\"address\":\"b:1\"}]}"};
    two_keys_stand(MD5_A);
    (void)fake_answer("http://m:1/admin/volumes", 200, lists[_i]);
    ck_assert_int_eq(verify(""), EXIT_TROUBLE);
}
END_TEST

static void interrupt_the_second_look(const char *method UNUSED, const char *url)
{
    static bool done;
    if (!done && strstr(url, "?record"))
        (void)raise(SIGINT);
    done = done || strstr(url, "?record") != NULL;
}

/* A copy that is not read any more, for a signal has come, is not one that is missing. */
START_TEST(an_interruption_makes_no_findings)
{
    static const char *const one_key[] = {"/b", NULL};
    index_has(one_key, MD5_X, "");
    (void)fake_copy("a:1/sv00", "/b", 3, 5, MD5_X, "");
    fake_before = interrupt_the_second_look;
    verify_says("--deep", EXIT_TROUBLE, "1 keys could not be looked at");
    struct buf text = output();
    ck_assert_msg(!strstr(buf_text(&text), "missing"), "%s", buf_text(&text));
    buf_free(&text);
}
END_TEST

START_TEST(unless_it_is_left_out)
{
    two_keys_stand(MD5_A);
    fake_server_count = 2;
    ck_assert_int_eq(verify("--without b:1"), EXIT_WELL);
    ck_assert_int_eq(verify("--without b:1 --deep"), EXIT_FAILED); /* a:1 is read */
}
END_TEST

START_TEST(without_a_master_nothing_can_be_checked)
{
    fake_servers[0] = "nobody:1";
    ck_assert_int_eq(verify(""), EXIT_TROUBLE);
}
END_TEST

/* --- repairing an index of a backup --- */

static struct fake_entry *begin_of_repair(void)
{
    (void)fake_answer("http://m:1/admin/status", 200, "{\"restored\":false}");
    return fake_method("POST", "http://m:1/admin/reconcile?begin", 204, NULL);
}

/* Loop: the master sees that it is another; only the tool does. */
START_TEST(a_volume_that_is_not_the_one_is_refused)
{
    const struct fake_entry *begin = begin_of_repair();
    (void)fake_answer("http://m:1/admin/volumes", 200,
                      _i ? "{\"volumes\":[{\"name\":\"a:1\"},{\"name\":\"b:1\",\"id\":\"77\"}]}"
                         : "{\"volumes\":[{\"name\":\"a:1\"},"
                           "{\"name\":\"b:1\",\"state\":\"foreign\"}]}");
    ck_assert_int_eq(verify("--repair --adopt"), EXIT_TROUBLE);
    ck_assert_uint_eq(begin->requests, 0);
    ck_assert_int_eq(verify("--repair --adopt --without b:1"), EXIT_TROUBLE); /* no list of keys */
    ck_assert_uint_eq(begin->requests, 1);
}
END_TEST

/* Loop: a volume is down; one to leave out is misspelt; there is no scratch directory. */
START_TEST(nothing_is_stopped_for_a_repair_that_cannot_begin)
{
    static const char *const more[] = {"--repair --adopt", "--repair --adopt --without b:2",
                                       "--repair --adopt --scratch /proc/none"};
    const struct fake_entry *begin = begin_of_repair();
    if (_i == 0)
        fake_server_count = 2;
    ck_assert_int_eq(verify(more[_i]), EXIT_TROUBLE);
    ck_assert_uint_eq(begin->requests, 0);
}
END_TEST

/* A repair that cannot come to its end, since there is no list of keys; what it says is in the
 * output. */
static void repair_said(void)
{
    int old = dup(STDERR_FILENO);
    ck_assert_ptr_nonnull(freopen(out, "w+", stdout));
    ck_assert_int_ge(dup2(fileno(stdout), STDERR_FILENO), 0);
    char arguments[200];
    (void)snprintf(arguments, sizeof arguments, "-m m:1 --repair --adopt --scratch %s", dir);
    ck_assert_int_eq(fake_run(verify_run, arguments), EXIT_TROUBLE); /* no list of keys */
    ck_assert_int_ge(dup2(old, STDERR_FILENO), 0);
    (void)close(old);
}

START_TEST(a_repair_that_fails_says_that_writes_are_refused)
{
    const struct fake_entry *begin = begin_of_repair();
    const struct fake_entry *leave =
        fake_method("POST", "http://m:1/admin/reconcile?leave", 204, NULL);
    repair_said();
    ck_assert_uint_eq(begin->requests, 1);
    ck_assert_uint_eq(leave->requests, 1); /* the next one need not wait */
    check_output("writes stay refused");
}
END_TEST

START_TEST(a_second_repair_is_refused)
{
    const struct fake_entry *begin = begin_of_repair();
    ck_assert_ptr_eq(fake_method("POST", "http://m:1/admin/reconcile?begin", 409, NULL), begin);
    repair_said();
    ck_assert_uint_eq(begin->requests, 1);
    check_output("could not have writes stopped: http://m:1 answered 409");
    struct buf text = output();
    ck_assert(!strstr(buf_text(&text), "writes stay refused"));
    buf_free(&text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {all_is_well,
                                  a_volume_that_has_moved,
                                  a_missing_copy,
                                  a_file_of_a_key_before_between_and_behind,
                                  a_volume_that_has_another_md5,
                                  only_a_deep_check_reads_the_values,
                                  a_deep_check_of_good_values,
                                  few_copies_are_told,
                                  a_value_written_after_the_scan_is_no_fault,
                                  a_value_deleted_after_the_scan_is_no_fault,
                                  a_key_that_changes_all_the_time_is_not_checked,
                                  a_volume_that_is_down_cannot_be_checked,
                                  an_interruption_makes_no_findings,
                                  unless_it_is_left_out,
                                  without_a_master_nothing_can_be_checked,
                                  a_repair_that_fails_says_that_writes_are_refused,
                                  a_second_repair_is_refused,
                                  NULL};
    Suite *suite = suite_create("tool/verify");
    TCase *tcase = suite_case(suite, "verify", tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_list_of_volumes_that_is_none, 0, 3);
    tcase_add_loop_test(tcase, a_volume_that_is_not_the_one_is_refused, 0, 2);
    tcase_add_loop_test(tcase, nothing_is_stopped_for_a_repair_that_cannot_begin, 0, 3);
    return suite_run(suite);
}
