/*
 * PUT on a disk that fails: every call that a PUT makes fails once, with EIO and with ENOSPC, and a
 * write may take only a part. Whatever happens: no acknowledgement without durability, no temp
 * file is left, what was there before is there still, and a disk that erred takes no more.
 */
#include "tests/flow/volume_fixture.h"

/* DIRECT is for the way past the page cache: two chunks and an end that is no whole block. Not
 * longer, since each of those writes waits for a real disk. */
enum { BIG = 9 * 1024 * 1024, MIB = 1024 * 1024, DIRECT = MIB + MIB / 4 + 77, MANY_CALLS = 400 };

static const char path[] = "/sv00/aa/bb/NAME";
static const char old_value[] = "the value that was there before";

/* What is put, and over what. */
struct scenario {
    const char *value;
    size_t len;
    bool old;          /* a value is there already */
    const char *field; /* a header of the PUT */
};

static void begin(const struct scenario *scenario)
{
    volume_make_dir();
    faults_reset();
    volume_start(&twin);
    if (scenario->old)
        ck_assert_int_eq(ask("PUT", path, old_value, sizeof old_value, NULL), 201);
}

static void end(void)
{
    volume_stop();
    volume_remove_dir();
}

/* What must be true after a PUT of which a call failed, or none did. */
static void check_acknowledged(const struct scenario *scenario)
{
    ck_assert_msg(faults.dirty_count == 0, "acknowledged, and not durable (%s failed)",
                  faults.failed);
    ck_assert_msg(!faults.failed[0] || !strcmp(faults.failed, "close"),
                  "acknowledged though %s failed", faults.failed);
    ck_assert(value_is(path, scenario->value, scenario->len));
}

/* What failed has left nothing behind that harms the next PUT. */
static void check_next(const struct scenario *scenario)
{
    ck_assert(state_is("up")); /* health looks at the disk */
    int status = ask("PUT", path, scenario->value, scenario->len, NULL);
    ck_assert_int_eq(status, scenario->old ? 204 : 201);
    ck_assert(value_is(path, scenario->value, scenario->len));
}

static void check_refused(const struct scenario *scenario, int status, int err)
{
    const char *failed = faults.failed;
    /* After the rename a directory is opened only to be synced. */
    bool sync_failed = !strcmp(failed, "sync") || (faults.renamed && !strcmp(failed, "open"));
    ck_assert_msg(status == (err == ENOSPC ? 507 : 500), "%s: status %d", failed, status);
    /* Only a failed sync of a directory may leave the new value, and that whole. */
    if (faults.renamed)
        ck_assert_msg(sync_failed && value_is(path, scenario->value, scenario->len),
                      "%s: renamed, and not whole", failed);
    else if (scenario->old)
        ck_assert_msg(value_is(path, old_value, sizeof old_value), "%s: the old value is lost",
                      failed);
    else
        ck_assert_int_eq(ask_plain("GET", path), 404);
    if (err == ENOSPC && !strcmp(failed, "write"))
        check_next(scenario);
    if (err == EIO || sync_failed) {
        ck_assert_msg(state_is("read-only"), "%s: the subvolume goes on", failed);
        ck_assert_int_eq(ask("PUT", "/sv00/other", "x", 1, NULL), 503);
        ck_assert_int_eq(ask_plain("DELETE", path), 503);
    }
}

/* Fails the k-th call. False where a PUT makes no such call. */
static bool try_fault(const struct scenario *scenario, int err, unsigned k)
{
    begin(scenario);
    faults_arm(FAULT_ERROR, err, k);
    int status = ask("PUT", path, scenario->value, scenario->len, scenario->field);
    faults_disarm();
    bool fired = faults.failed[0] != 0;
    ck_assert_msg(faults.open_files == 0, "%s: %d descriptors are left", faults.failed,
                  faults.open_files);
    if (status == 201 || status == 204)
        check_acknowledged(scenario);
    else
        check_refused(scenario, status, err);
    ck_assert_msg(fired || status == (scenario->old ? 204 : 201), "status %d", status);
    ck_assert_msg(files_in("sv00/.larder/tmp") == 0, "%s: a temp file is left", faults.failed);
    end();
    return fired;
}

static void try_all(const struct scenario *scenario, int err)
{
    unsigned k = 1;
    while (k < MANY_CALLS && try_fault(scenario, err, k))
        k++;
    ck_assert_msg(k > 12 && k < MANY_CALLS, "%u calls", k); /* it did go through all of them */
}

static char *make_big(void)
{
    char *big = malloc(BIG);
    ck_assert_ptr_nonnull(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 7 + (i >> 13));
    return big;
}

static const int errors[] = {EIO, ENOSPC};

START_TEST(test_new_value)
{
    struct scenario scenario = {.value = "new", .len = 3, .field = "Content-Type: text/plain"};
    try_all(&scenario, errors[_i]);
}
END_TEST

START_TEST(test_replaced_value)
{
    struct scenario scenario = {.value = "new", .len = 3, .old = true};
    try_all(&scenario, errors[_i]);
}
END_TEST

/* Many chunks and a sync_file_range; or past the page cache, where the length is known before. */
START_TEST(test_big_value)
{
    char *big = make_big();
    in_chunks = _i / 2;
    struct scenario scenario = {.value = big, .len = in_chunks ? BIG : DIRECT};
    try_all(&scenario, errors[_i % 2]);
    in_chunks = false;
    free(big);
}
END_TEST

/* From 1 MiB on, where that is known beforehand. */
START_TEST(test_past_the_page_cache)
{
    static const struct {
        size_t len;
        bool in_chunks;
        unsigned bypasses;
    } puts[] = {{MIB - 1, false, 0}, {MIB, false, 1}, {MIB, true, 0}};
    char *big = make_big();
    volume_make_dir();
    faults_reset();
    volume_start(&twin);
    in_chunks = puts[_i].in_chunks;
    ck_assert_int_eq(ask("PUT", path, big, puts[_i].len, NULL), 201);
    in_chunks = false;
    ck_assert_uint_eq(faults.bypasses, puts[_i].bypasses);
    ck_assert_uint_eq(faults.dirty_count, 0);
    ck_assert(value_is(path, big, puts[_i].len));
    end();
    free(big);
}
END_TEST

START_TEST(test_short_and_interrupted_writes)
{
    char *big = make_big();
    in_chunks = _i / 2;
    struct scenario scenario = {.value = big, .len = in_chunks ? BIG : DIRECT};
    for (unsigned k = 1; k < 12; k++) {
        begin(&scenario);
        faults_arm(_i % 2 ? FAULT_ERROR : FAULT_SHORT, EINTR, k);
        int status = ask("PUT", path, big, scenario.len, NULL);
        faults_disarm();
        /* EINTR is for writes only; no other call here may say so. */
        if (!strcmp(faults.failed, "write") || !faults.failed[0]) {
            ck_assert_int_eq(status, 201);
            ck_assert(value_is(path, big, scenario.len));
            ck_assert_uint_eq(faults.dirty_count, 0);
        }
        end();
    }
    in_chunks = false;
    free(big);
}
END_TEST

/* A disk without attributes keeps values without them. */
START_TEST(test_no_attributes)
{
    struct scenario scenario = {.value = "new", .len = 3};
    bool tried = false;
    for (unsigned k = 1; !tried && k < 40; k++) {
        begin(&scenario);
        faults_arm(FAULT_ERROR, EOPNOTSUPP, k);
        int status = ask("PUT", path, "new", 3, NULL);
        faults_disarm();
        tried = !strcmp(faults.failed, "set_attribute");
        if (tried) {
            ck_assert_int_eq(status, 201);
            ck_assert_uint_eq(faults.dirty_count, 0);
            ck_assert(value_is(path, "new", 3));
            ck_assert(state_is("up"));
        }
        end();
    }
    ck_assert(tried);
}
END_TEST

/* A temp file that could not be removed goes with the next start. */
START_TEST(test_temp_file_that_stays)
{
    struct scenario scenario = {.value = "new", .len = 3};
    bool tried = false;
    for (unsigned k = 1; !tried && k < 40; k++) {
        begin(&scenario);
        ck_assert_int_eq(ask("PUT", "/sv00/first", "x", 1, NULL), 201);
        faults_arm(FAULT_ERROR, EIO, k);
        int status = ask("PUT", path, "new", 3, "Content-MD5: 00000000000000000000000000000000");
        faults_disarm();
        tried = !strcmp(faults.failed, "unlink");
        if (tried) {
            ck_assert_int_eq(status, 422);
            ck_assert_uint_eq(files_in("sv00/.larder/tmp"), 1);
            volume_stop();
            volume_start(&twin);
            ck_assert_uint_eq(files_in("sv00/.larder/tmp"), 0);
            ck_assert(state_is("up"));
        }
        end();
    }
    ck_assert(tried);
}
END_TEST

/* After ENOSPC the next check finds room again, and the subvolume goes on. */
START_TEST(test_full_is_not_for_ever)
{
    struct scenario scenario = {.value = "new", .len = 3};
    begin(&scenario);
    faults_arm(FAULT_ERROR, ENOSPC, 5);
    ck_assert_int_eq(ask("PUT", path, "new", 3, NULL), 507);
    faults_disarm();
    ck_assert(state_is("up")); /* health looks at the disk */
    ck_assert_int_eq(ask("PUT", path, "new", 3, NULL), 201);
    end();
}
END_TEST

int main(void)
{
    if (!http_client_global_init())
        return 1;
    Suite *suite = suite_create("volume put faults");
    TCase *tcase = tcase_create("put");
    tcase_set_timeout(tcase, 110);
    tcase_add_loop_test(tcase, test_new_value, 0, 2);
    tcase_add_loop_test(tcase, test_replaced_value, 0, 2);
    tcase_add_loop_test(tcase, test_big_value, 0, 4);
    tcase_add_loop_test(tcase, test_past_the_page_cache, 0, 3);
    tcase_add_loop_test(tcase, test_short_and_interrupted_writes, 0, 4);
    tcase_add_test(tcase, test_no_attributes);
    tcase_add_test(tcase, test_temp_file_that_stays);
    tcase_add_test(tcase, test_full_is_not_for_ever);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
