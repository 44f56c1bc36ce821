/*
 * GET, listings, DELETE, UNLINK and tombstones on a disk that fails: every call fails once. Nothing
 * is acknowledged that a power loss would undo, and a value never goes before its tombstone is
 * there.
 */
#include "common/key.h"
#include "common/name.h"
#include "tests/flow/volume_fixture.h"

enum { MANY_CALLS = 200 };

static const char value[] = "a value";
static char path[256];      /* "/sv00/aa/bb/NAME" of the key */
static char tombstone[256]; /* its tombstone's file, below volume_dir */

static void make_names(void)
{
    static const char text[] = "/a key";
    struct key key;
    struct buf name = BUF_INIT;
    ck_assert_int_eq(key_from_bytes(&key, text, sizeof text - 1), ST_OK);
    ck_assert_int_eq(name_path(&name, &key, 0, NAMING_LARDER), ST_OK);
    (void)snprintf(path, sizeof path, "/sv00%s", buf_text(&name));
    (void)snprintf(tombstone, sizeof tombstone, "/sv00/.larder/tombstones%s", buf_text(&name));
    buf_free(&name);
}

static void begin(void)
{
    make_names();
    volume_make_dir();
    faults_reset();
    volume_start(&twin);
    ck_assert_int_eq(ask("PUT", path, value, sizeof value, NULL), 201);
}

static void end(void)
{
    volume_stop();
    volume_remove_dir();
}

static bool is_on_disk(const char *file)
{
    char full[400];
    (void)snprintf(full, sizeof full, "%s%s", volume_dir, file);
    return access(full, F_OK) == 0;
}

static bool unlinked_is_listed(void)
{
    char directory[256];
    (void)snprintf(directory, sizeof directory, "%.*s/?meta", (int)(strrchr(path, '/') - path),
                   path);
    ck_assert_int_eq(ask_plain("GET", directory), 200);
    return body_has("\"unlinked\":true");
}

/* A request of which every call fails once. */
struct scenario {
    const char *method;
    const char *field;
    bool reads; /* answered 200 where it works, else 204 */
};

static void check_delete(int status)
{
    if (status == 204) {
        ck_assert(!is_on_disk(path));
        ck_assert_msg(faults.dirty_count == 0, "acknowledged, and not durable (%s)", faults.failed);
    }
}

static void check_tombstone(int status)
{
    if (status == 204)
        ck_assert(is_on_disk(tombstone));
    ck_assert_msg(is_on_disk(path) || is_on_disk(tombstone), "gone without a tombstone");
    ck_assert_msg(files_in("sv00/.larder/tmp") == 0 || !strcmp(faults.failed, "unlink"),
                  "%s: a temp file is left", faults.failed);
    check_delete(status);
}

static void check_unlink(int status)
{
    if (status == 204) {
        ck_assert(unlinked_is_listed());
        ck_assert_uint_eq(faults.dirty_count, 0);
    }
    ck_assert(value_is(path, value, sizeof value));
}

static void check_get(int status)
{
    if (status == 200) {
        ck_assert(body_is(value, sizeof value));
        return;
    }
    ck_assert(value_is(path, value, sizeof value)); /* the next time */
}

static bool try_fault(const struct scenario *scenario, void (*check)(int status), int err,
                      unsigned k)
{
    begin();
    faults_arm(FAULT_ERROR, err, k);
    int status = ask(scenario->method, path, NULL, 0, scenario->field);
    faults_disarm();
    bool fired = faults.failed[0] != 0;
    int good = scenario->reads ? 200 : 204;
    ck_assert_msg(status == good || status == 500 || status == 507, "status %d", status);
    ck_assert_msg(fired || status == good, "status %d, and nothing failed", status);
    ck_assert_msg(status == good || fired, "%d", status);
    /* What fails on the short way of a GET is tried once more on the long one; only that counts. */
    bool again = scenario->reads && !strcmp(faults.failed, "stat");
    ck_assert_msg(!fired || status != good || !strcmp(faults.failed, "close") || again,
                  "acknowledged though %s failed", faults.failed);
    check(status);
    if (fired && err == EIO && status != good)
        ck_assert_msg(state_is("read-only"), "%s: the subvolume goes on", faults.failed);
    end();
    return fired;
}

static void try_all(const struct scenario *scenario, void (*check)(int status), int err)
{
    unsigned k = 1;
    while (k < MANY_CALLS && try_fault(scenario, check, err, k))
        k++;
    ck_assert_msg(k > 5 && k < MANY_CALLS, "%u calls", k);
}

static const int errors[] = {EIO, ENOSPC};

START_TEST(test_delete)
{
    struct scenario scenario = {.method = "DELETE"};
    try_all(&scenario, check_delete, errors[_i]);
}
END_TEST

START_TEST(test_tombstone)
{
    struct scenario scenario = {.method = "DELETE", .field = "Larder-Tombstone: 7"};
    try_all(&scenario, check_tombstone, errors[_i]);
}
END_TEST

START_TEST(test_unlink)
{
    struct scenario scenario = {.method = "UNLINK"};
    try_all(&scenario, check_unlink, errors[_i]);
}
END_TEST

START_TEST(test_get)
{
    struct scenario scenario = {.method = "GET", .reads = true};
    try_all(&scenario, check_get, EIO);
}
END_TEST

/* A value is in the listing, or its directory is left to be asked for itself, or there is none. */
START_TEST(test_list)
{
    unsigned left_out = 0, refused = 0;
    bool fired = true;
    for (unsigned k = 1; fired; k++) {
        char directory[256];
        begin();
        (void)snprintf(directory, sizeof directory, "%.9s?meta&below", path); /* "/sv00/aa/" */
        faults_arm(FAULT_ERROR, EIO, k);
        int status = ask_plain("GET", directory);
        faults_disarm();
        fired = faults.failed[0] != 0;
        ck_assert_msg(status == 200 || (fired && status == 500), "status %d", status);
        if (status == 200 && !body_has("\"below\"")) {
            ck_assert(fired);
            left_out++;
        } else if (status == 200) {
            ck_assert(body_has("\"md5\":\"") && body_has("\"expected\":8"));
        } else {
            ck_assert(state_is("read-only"));
            refused++;
        }
        end();
        ck_assert_uint_lt(k, MANY_CALLS);
    }
    ck_assert_uint_eq(left_out, 1);
    ck_assert_uint_gt(refused, 5);
}
END_TEST

static void make_link(const char *name, const char *target)
{
    char full[128];
    (void)snprintf(full, sizeof full, "%s/sv00/%s", volume_dir, name);
    ck_assert_int_eq(symlink(target, full), 0);
}

/* A directory behind a link that cannot be followed is not left out, which would look as if there
 * were none; that of one which leads nowhere is none. */
START_TEST(test_list_of_links)
{
    begin();
    make_link("linked", volume_dir);
    make_link("nowhere", "nothing");
    ck_assert_int_eq(ask_plain("GET", "/sv00/?meta"), 200);
    ck_assert(body_has("\"linked\", \"type\":\"directory\""));
    ck_assert(body_has("\"nowhere\", \"type\":\"other\""));
    (void)pthread_mutex_lock(&faults.lock);
    faults.locked = "linked";
    (void)pthread_mutex_unlock(&faults.lock);
    ck_assert_int_eq(ask_plain("GET", "/sv00/?meta"), 500);
    ck_assert(state_is("up")); /* the other disk is none of this volume's */
    end();
}
END_TEST

START_TEST(test_dropped_tombstone)
{
    for (unsigned k = 1;; k++) {
        begin();
        ck_assert_int_eq(ask("DELETE", path, NULL, 0, "Larder-Tombstone: 7"), 204);
        faults_arm(FAULT_ERROR, EIO, k);
        int status = ask("DELETE", path, NULL, 0, "Larder-Tombstone: drop");
        faults_disarm();
        bool fired = faults.failed[0] != 0;
        if (status == 204) {
            ck_assert(!is_on_disk(tombstone));
            ck_assert_uint_eq(faults.dirty_count, 0);
        } else {
            ck_assert(fired);
            ck_assert_int_eq(status, 500);
        }
        end();
        if (!fired)
            break;
        ck_assert_uint_lt(k, MANY_CALLS);
    }
}
END_TEST

/* A 404 says that the value is gone, so that must be durable too. */
START_TEST(test_not_found_is_durable)
{
    begin();
    ck_assert_int_eq(ask_plain("DELETE", path), 204);
    faults_reset();
    ck_assert_int_eq(ask_plain("DELETE", path), 404);
    ck_assert_uint_eq(faults.syncs, 1);
    end();
}
END_TEST

int main(void)
{
    if (!http_client_global_init())
        return 1;
    Suite *suite = suite_create("volume delete faults");
    TCase *tcase = tcase_create("delete");
    tcase_set_timeout(tcase, 110);
    tcase_add_loop_test(tcase, test_delete, 0, 2);
    tcase_add_loop_test(tcase, test_tombstone, 0, 2);
    tcase_add_loop_test(tcase, test_unlink, 0, 2);
    tcase_add_test(tcase, test_get);
    tcase_add_test(tcase, test_list);
    tcase_add_test(tcase, test_list_of_links);
    tcase_add_test(tcase, test_dropped_tombstone);
    tcase_add_test(tcase, test_not_found_is_durable);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
