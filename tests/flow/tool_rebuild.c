/* larder rebuild, from the listings of volumes to the new index, without a network. */
#include <signal.h>
#include <sys/stat.h>

#include "common/ldb.h"
#include "common/record.h"
#include "tests/flow/rebuild_fixture.h"

#define MD5_A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MD5_B  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEALTH "{\"server\":\"larder-volume\",\"id\":\"%s\",\"subvolumes\":{%s}}"

static void check_has(const char *key, const char *piece)
{
    struct buf value = read_index(key);
    ck_assert_msg(strstr(buf_text(&value), piece) != NULL, "%s: %s", key, buf_text(&value));
    buf_free(&value);
}

START_TEST(files_become_records)
{
    (void)fake_copy("a:1/sv03", "/one", 0, 5, NULL, "");
    (void)fake_copy("b:1/sv0A", "/one", 0, 5, NULL, "");
    (void)fake_copy("a:1", "/plain", 0, 5, MD5_A, "");
    (void)fake_copy("b:1/sv00", "/second", 1790000000000, 5, MD5_A, "");
    (void)fake_copy("a:1/sv00", "/second", 1790000000000, 5, MD5_A, ",\"unlinked\":true");
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    struct buf value = read_index("/one");
    ck_assert(strcmp(buf_text(&value), "a:1/sv03,b:1/sv0A") == 0 ||
              strcmp(buf_text(&value), "b:1/sv0A,a:1/sv03") == 0);
    buf_free(&value);
    check_index("!w/one", "");
    check_index("/plain", "HASH" MD5_A "a:1");
    check_index("!w/plain", "W1\nfew 1\n");
    check_has("/second", "L1 unlinked 1790000000000 larder " MD5_A " ");
    check_has("!va:1", "\"added\":");
    ck_assert_uint_eq(count_files("db"), 1); /* nothing is left beside it */
}
END_TEST

#define CALLED "{\"server\":\"larder-volume\",\"id\":\"%s\",\"name\":\"%s\",\"subvolumes\":{}}"

/* The volume at b:1 was added as c:1, and has moved since. */
static void moved_volume_says(const char *name)
{
    char text[300];
    (void)snprintf(text, sizeof text, CALLED, MD5_B, name);
    (void)fake_answer("http://b:1/admin/health", 200, text);
    (void)fake_answer("http://b:1/admin/tombstones?place=/", 200, "{\"tombstones\":[]}");
    (void)fake_answer("http://b:1/admin/tombstones?place=/sv01", 200, "{\"tombstones\":[]}");
}

START_TEST(a_volume_that_has_moved_keeps_its_name)
{
    static const char *const later[] = {"", "d:1"};
    (void)fake_copy("a:1/sv00", "/one", 0, 5, MD5_A, "");
    (void)fake_copy("b:1/sv01", "/one", 0, 5, MD5_A, "");
    moved_volume_says("c:1");
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(rebuild(""), EXIT_WELL);
        check_has("/one", "c:1/sv01");
        check_index("!vb:1", "");
        check_has("!vc:1", "{\"id\":\"" MD5_B "\",");
        check_has("!vc:1", ",\"address\":\"b:1\"}");
        if (i < 2) /* the old index knows it better */
            moved_volume_says(later[i]);
    }
}
END_TEST

/* Another volume is at the address that is its name: one of the two is not what it is taken for. */
START_TEST(two_with_one_name_are_refused)
{
    char text[300];
    (void)snprintf(text, sizeof text, CALLED, MD5_B, "a:1");
    (void)fake_answer("http://b:1/admin/health", 200, text);
    (void)fake_answer("http://b:1/admin/tombstones?place=/", 200, "{\"tombstones\":[]}");
    ck_assert_int_eq(rebuild(""), EXIT_TROUBLE);
    ck_assert_uint_eq(count_files("db"), 0);
}
END_TEST

START_TEST(every_kind_of_name_is_found)
{
    char key[KEY_MAX + 1];
    memset(key, 0xfe, sizeof key);
    key[0] = '/';
    key[KEY_MAX] = 0;
    (void)fake_copy("a:1/sv00", key, 0, 5, NULL, "");
    (void)fake_copy("a:1/sv00", key, 12, 5, NULL, "");
    char *url = fake_url("a:1/sv00", "/k?k?k?", 0, NAMING_MKV);
    fake_add(url)->size = 5;
    free(url);
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    check_index(key, "L1 live 12 larder - a:1/sv00");
    check_index("/k?k?k?", "a:1/sv00"); /* minikeyvalue's form says its own naming */
}
END_TEST

START_TEST(stray_files_are_no_error)
{
    fake_add("http://a:1/readme.txt")->size = 5;
    fake_add("http://a:1/lost%2Bfound/x")->size = 5;
    fake_add("http://a:1/sv00/aa/bb/hello")->size = 5;
    fake_add("http://a:1/sv00/aa/bb/cc/dd/hello")->size = 5;
    (void)fake_copy("a:1/sv00", "/k", 0, 5, NULL, "");
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    check_index("/k", "a:1/sv00");
}
END_TEST

/* What an identity and the tombstones are asked of. */
static void larder_volume(const char *subvolumes, const char *tombstones)
{
    char health[300];
    (void)snprintf(health, sizeof health, HEALTH, MD5_B, subvolumes);
    (void)fake_answer("http://a:1/admin/health", 200, health);
    (void)fake_answer("http://a:1/admin/tombstones?place=/", 200, "{\"tombstones\":[]}");
    (void)fake_answer("http://a:1/admin/tombstones?place=/sv00", 200, tombstones);
}

/* Raw as nginx writes it, and as larder-volume does. */
START_TEST(names_that_are_not_utf8_are_stray_files)
{
    (void)fake_copy("a:1/sv00", "/k", 0, 5, NULL, "");
    (void)fake_answer("http://b:1/?meta", 200,
                      "[{ \"name\":\"\xff\", \"type\":\"file\", \"size\":1 },"
                      "{ \"name\":\"\\udcff\", \"type\":\"file\", \"size\":1 }]");
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    check_index("/k", "a:1/sv00");
}
END_TEST

/* What stands before a volume may speak JSON too: that is no empty directory. */
START_TEST(an_answer_that_is_no_array_is_no_listing)
{
    (void)fake_copy("a:1/sv00", "/k", 0, 5, NULL, "");
    (void)fake_answer("http://b:1/?meta", 200, "{\"message\":\"maintenance\"}");
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    ck_assert_uint_eq(count_files("db"), 0);
}
END_TEST

#define FILE_OF(name)      "{\"name\":\"" name "\",\"type\":\"file\",\"size\":5,\"md5\":\"" MD5_A "\"}"
#define DIRECTORY_OF(name) "{\"name\":\"" name "\",\"type\":\"directory\""
#define BELOW              ",\"below\":"

/* As larder's volumes answer: listings of directories come along with that of the one above. The
 * first has a file that tells a key, one that tells none, and a directory, whose own listing would
 * be one level too deep. Of the second it has not come along, nor, really, of the third. */
START_TEST(listings_that_came_along_are_not_asked_for)
{
    fake_add("http://a:1/sv00/54/57/deep/L2sxNTM%3D")->size = 5;
    fake_add("http://a:1/sv00/54/8f/L2s0MTI%3D")->size = 5;
    fake_add("http://a:1/sv00/54/7a/L2s0ODM%3D")->size = 5;
    static const char along[] = "[" DIRECTORY_OF("57") BELOW "[" DIRECTORY_OF("deep") BELOW
        "[" FILE_OF("x") "]}," FILE_OF("L2sxNTM=") "," FILE_OF("L2s0MTI=") "]}," DIRECTORY_OF(
            "8f") "}," DIRECTORY_OF("7a") BELOW "null}]";
    (void)fake_answer("http://a:1/sv00/54/?meta&below", 200, along);
    struct fake_entry *first = fake_answer("http://a:1/sv00/54/57/?meta", 500, "");
    struct fake_entry *deep = fake_answer("http://a:1/sv00/54/57/deep/?meta", 200, "[]");
    struct fake_entry *second =
        fake_answer("http://a:1/sv00/54/8f/?meta", 200, "[" FILE_OF("L2s0MTI=") "]");
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    check_index("/k153", "HASH" MD5_A "a:1/sv00");
    check_index("/k412", "HASH" MD5_A "a:1/sv00");
    check_index("/k483", "a:1/sv00");
    ck_assert_uint_eq(first->requests, 0);
    ck_assert_uint_eq(deep->requests, 1);
    ck_assert_uint_eq(second->requests, 1);
}
END_TEST

START_TEST(a_deleted_key_stays_deleted)
{
    struct key key;
    struct buf path = BUF_INIT;
    char tombstones[300];
    ck_assert_int_eq(key_from_bytes(&key, "/dead", 5), ST_OK);
    ck_assert_int_eq(name_path(&path, &key, 0, NAMING_LARDER), ST_OK);
    (void)snprintf(tombstones, sizeof tombstones,
                   "{\"tombstones\":[{\"path\":\"%s\",\"generation\":7}]}", buf_text(&path) + 1);
    larder_volume("", tombstones);
    (void)fake_copy("a:1/sv00", "/alive", 0, 5, MD5_A, "");
    (void)fake_copy("b:1/sv05", "/dead", 7, 5, MD5_A, "");
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    check_index("/dead", "");
    check_index("!w/dead", "W1\ntombstone 7\ngarbage 7 larder b:1/sv05\nholder a:1/sv00\n");
    check_has("!va:1", "\"id\":\"" MD5_B "\"");
    buf_free(&path);
}
END_TEST

START_TEST(a_damaged_copy_is_left_out_and_removed)
{
    (void)fake_copy("a:1/sv00", "/k", 3, 5, MD5_A, ",\"expected\":6");
    (void)fake_copy("b:1/sv00", "/k", 3, 6, MD5_A, ",\"expected\":6");
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    check_index("/k", "L1 live 3 larder " MD5_A " b:1/sv00");
    check_index("!w/k", "W1\nfew 1\ngarbage 3 larder a:1/sv00\n");
}
END_TEST

/* --- what stops it --- */

static void old_index(void)
{
    const struct ldb_options options = {.create = true};
    struct ldb *index;
    struct ldb_batch *batch = ldb_batch_new();
    ck_assert_int_eq(ldb_open(&index, db, &options, NULL), ST_OK);
    ldb_batch_put(batch, "/old", 4, "a:1", 3);
    ldb_batch_put(batch, "!va:1", 5, "{}", 2);
    ck_assert_int_eq(ldb_write(index, batch, true, NULL), ST_OK);
    ldb_batch_free(batch);
    ldb_close(index);
}

/* The old index has another volume than those on the command line. */
static void old_index_has(const char *volume)
{
    const struct ldb_options options = {0};
    struct ldb *index;
    struct ldb_batch *batch = ldb_batch_new();
    char key[100];
    old_index();
    ck_assert_int_eq(ldb_open(&index, db, &options, NULL), ST_OK);
    (void)snprintf(key, sizeof key, "!v%s", volume);
    ldb_batch_put(batch, key, strlen(key), "{}", 2);
    ck_assert_int_eq(ldb_write(index, batch, true, NULL), ST_OK);
    ldb_batch_free(batch);
    ldb_close(index);
}

START_TEST(a_volume_that_was_forgotten_stops_it)
{
    old_index_has("c:1");
    ck_assert_int_eq(rebuild(""), EXIT_TROUBLE);
    check_index("/old", "a:1");
    ck_assert_uint_eq(count_files("db"), 1);
    ck_assert_int_eq(rebuild("--without d:1"), EXIT_TROUBLE); /* misspelt */
    ck_assert_int_eq(rebuild("--without c:1"), EXIT_WELL);
    check_index("!vc:1", "");
    ck_assert_uint_eq(count_files("db"), 2); /* and the old one */
}
END_TEST

START_TEST(the_old_index_is_kept_beside_the_new_one)
{
    old_index();
    (void)fake_copy("a:1", "/new", 0, 5, NULL, "");
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    check_index("/new", "a:1");
    check_index("/old", "");
    ck_assert_uint_eq(count_files("db.old-"), 1);
    ck_assert_uint_eq(count_files("db"), 2);
}
END_TEST

START_TEST(a_volume_that_is_down_stops_it)
{
    old_index();
    fake_server_count = 1; /* b:1 does not answer */
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    check_index("/old", "a:1");
    ck_assert_uint_eq(count_files("db"), 1);
}
END_TEST

START_TEST(unless_it_is_left_out)
{
    fake_server_count = 1;
    (void)fake_copy("a:1", "/k", 0, 5, NULL, "");
    ck_assert_int_eq(rebuild("--without b:1"), EXIT_WELL);
    check_index("/k", "a:1");
    check_index("!w/k", "W1\nfew 1\n");
    check_has("!vb:1", "\"added\":"); /* placement counts it */
}
END_TEST

START_TEST(a_missing_disk_stops_it_unless_it_is_left_out)
{
    larder_volume("\"sv04\":{\"state\":\"missing\"}", "{\"tombstones\":[]}");
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    ck_assert_int_eq(rebuild("--without a:1/sv04"), EXIT_WELL);
}
END_TEST

START_TEST(a_volume_that_fails_meanwhile_stops_it)
{
    old_index();
    (void)fake_copy("a:1", "/k", 0, 5, NULL, "");
    (void)fake_copy("b:1/sv00", "/k", 0, 5, NULL, "");
    (void)fake_answer("http://b:1/sv00/?meta", 500, "");
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    check_index("/old", "a:1");
    ck_assert_uint_eq(count_files("db"), 1);
}
END_TEST

START_TEST(a_listing_that_is_none_stops_it)
{
    (void)fake_answer("http://b:1/?meta", 200, "<html>Index of /</html>");
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    ck_assert_uint_eq(count_files("db"), 0);
}
END_TEST

static void interrupt_at_sv00(const char *method UNUSED, const char *url)
{
    if (strstr(url, "/sv00/"))
        (void)raise(SIGINT);
}

START_TEST(an_interrupt_leaves_the_old_index_alone)
{
    old_index();
    fake_before = interrupt_at_sv00;
    (void)fake_copy("a:1/sv00", "/k", 0, 5, NULL, "");
    (void)fake_copy("a:1/sv01", "/l", 0, 5, NULL, "");
    ck_assert_int_eq(rebuild(""), EXIT_FAILED);
    check_index("/old", "a:1");
    ck_assert_uint_eq(count_files("db"), 1);
}
END_TEST

START_TEST(a_damaged_index_is_replaced)
{
    char file[120];
    old_index();
    (void)snprintf(file, sizeof file, "%s/CURRENT", db);
    ck_assert_int_eq(unlink(file), 0);
    (void)fake_copy("a:1", "/k", 0, 5, NULL, "");
    ck_assert_int_eq(rebuild(""), EXIT_WELL);
    check_index("/k", "a:1");
}
END_TEST

START_TEST(many_directories_by_many_threads)
{
    enum { KEYS = 1500 };
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "/many/%d", i);
        (void)fake_copy(i % 2 ? "a:1/sv00" : "b:1/sv00", key, 0, 5, NULL, "");
    }
    ck_assert_int_eq(rebuild("--threads 12"), EXIT_WELL);
    for (int i = 0; i < KEYS; i += 97) {
        (void)snprintf(key, sizeof key, "/many/%d", i);
        check_index(key, i % 2 ? "a:1/sv00" : "b:1/sv00");
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {files_become_records,
                                  a_volume_that_has_moved_keeps_its_name,
                                  two_with_one_name_are_refused,
                                  every_kind_of_name_is_found,
                                  stray_files_are_no_error,
                                  names_that_are_not_utf8_are_stray_files,
                                  an_answer_that_is_no_array_is_no_listing,
                                  listings_that_came_along_are_not_asked_for,
                                  a_deleted_key_stays_deleted,
                                  a_damaged_copy_is_left_out_and_removed,
                                  the_old_index_is_kept_beside_the_new_one,
                                  a_volume_that_was_forgotten_stops_it,
                                  a_volume_that_is_down_stops_it,
                                  unless_it_is_left_out,
                                  a_missing_disk_stops_it_unless_it_is_left_out,
                                  a_volume_that_fails_meanwhile_stops_it,
                                  a_listing_that_is_none_stops_it,
                                  an_interrupt_leaves_the_old_index_alone,
                                  a_damaged_index_is_replaced,
                                  many_directories_by_many_threads,
                                  NULL};
    Suite *suite = suite_create("tool/rebuild");
    tcase_add_checked_fixture(suite_case(suite, "rebuild", tests), setup, teardown);
    return suite_run(suite);
}
