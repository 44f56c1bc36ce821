/*
 * Small values that are finished together (writing_finish_many()) on a disk that fails: every call
 * fails once. Each value has a result of its own: one that is said to be stored is whole, and it
 * and the directories above it are durable; any other left what was there before, or is there
 * whole; no temp file and no descriptor is left.
 */
#include "tests/flow/volume_faults.h"
#include "tests/unit/volume_dir.h"

enum { VALUES = 6, MANY_CALLS = 200 };

static const struct {
    const char *file;
    const char *text;
    const char *expected; /* MD5 */
    enum status result;   /* where nothing fails */
} values[VALUES] = {
    {"aa/bb/one", "the first value", NULL, ST_OK},
    {"aa/bb/two", "the second value", NULL, ST_OK}, /* in a directory that the first one makes */
    {"dd/old", "the new value", NULL, ST_OK},       /* over an old one */
    {"ee/wrong", "x", "00000000000000000000000000000000", ST_DIGEST},
    {"aa/cc/three", "the third value", NULL, ST_OK},
    {"ff", "a directory is in the way", NULL, ST_CONFLICT},
};

static void begin(void)
{
    dir_make();
    faults_reset();
    write_file("sv00/dd/old", "the old value");
    write_file("sv00/ff/x", "");
    struct subvolumes_options options = {.dir = dir, .disk = &twin, .sync = true};
    char *error;
    ck_assert_int_eq(subvolumes_open(&all, &options, &error), ST_OK);
    ck_assert_int_eq(put("first", "makes what every disk needs"), ST_OK);
}

static void end(void)
{
    dir_close();
    dir_remove();
}

/* Whether the file has this text, and nothing else. */
static bool has(const char *file, const char *text)
{
    char full[512], found[128];
    (void)snprintf(full, sizeof full, "%s/sv00/%s", dir, file);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, found, sizeof found);
    (void)close(fd);
    return len == (ssize_t)strlen(text) && !memcmp(found, text, strlen(text));
}

/* Whether a power loss would take the file, or a directory above it. */
static bool is_dirty(const char *file)
{
    char full[512];
    int len = snprintf(full, sizeof full, "%s/sv00/%s", dir, file);
    while (len > (int)strlen(dir)) {
        struct stat st;
        ck_assert_int_eq(lstat(full, &st), 0);
        for (size_t i = 0; i < faults.dirty_count; i++)
            if (faults.dirty[i] == st.st_ino)
                return true;
        while (full[--len] != '/')
            ;
        full[len] = '\0';
    }
    return false;
}

/* Only an empty directory can be removed. */
static bool has_no_temp_files(void)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s/sv00/.larder/tmp", dir);
    return rmdir(full) == 0;
}

/* Finishes the first `count` of them together; what could not be begun has its result already. */
static void put_all(unsigned count, enum status results[VALUES])
{
    struct store_at where[VALUES];
    struct writing_end ends[VALUES] = {0};
    struct writing_last list[VALUES];
    unsigned whose[VALUES];
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        struct writing *value;
        where[i] = at(values[i].file);
        ends[i].expected = values[i].expected;
        results[i] = writing_begin(&value, &where[i]);
        if (results[i])
            continue;
        results[i] = writing_add(value, values[i].text, strlen(values[i].text));
        if (results[i]) {
            writing_abort(value);
            continue;
        }
        list[n] = (struct writing_last){.value = value, .end = &ends[i]};
        whose[n++] = i;
    }
    writing_finish_many(list, n);
    for (unsigned i = 0; i < n; i++)
        results[whose[i]] = list[i].result;
}

static void check(unsigned i, enum status result)
{
    const char *file = values[i].file;
    const char *old = strcmp(file, "dd/old") == 0 ? "the old value" : NULL;
    if (result == ST_OK) {
        ck_assert_int_eq(values[i].result, ST_OK);
        ck_assert_msg(has(file, values[i].text), "%s: not what was stored (%s failed)", file,
                      faults.failed);
        ck_assert_msg(!is_dirty(file), "%s: acknowledged, and not durable (%s failed)", file,
                      faults.failed);
    } else if (values[i].result == ST_OK && has(file, values[i].text)) {
        ck_assert_msg(faults.renamed, "%s: stored, and refused (%s failed)", file, faults.failed);
    } else if (old) {
        ck_assert_msg(has(file, old), "%s: the old value is lost (%s failed)", file, faults.failed);
    }
}

/* The k-th call fails. False where no call did. */
static bool try_fault(unsigned count, int err, unsigned k)
{
    enum status results[VALUES];
    unsigned stored = 0;
    begin();
    faults_arm(FAULT_ERROR, err, k);
    put_all(count, results);
    faults_disarm();
    bool fired = faults.failed[0] != 0;
    for (unsigned i = 0; i < count; i++) {
        check(i, results[i]);
        stored += results[i] == ST_OK;
        ck_assert_msg(fired || results[i] == values[i].result, "%s: %s", values[i].file,
                      status_text(results[i]));
    }
    /* An error of one file alone is no error of the others; what a sync meets fails the disk. */
    ck_assert_msg(err != EACCES || stored > 0 || !strncmp(faults.failed, "sync", 4) ||
                      faults.renamed,
                  "%s failed, and nothing was stored", faults.failed);
    ck_assert_int_eq(faults.open_files, 0);
    ck_assert_msg(has_no_temp_files() || !strcmp(faults.failed, "unlink"),
                  "%s: a temp file is left", faults.failed);
    end();
    return fired;
}

START_TEST(test_each_call_fails)
{
    static const struct {
        unsigned count; /* 3: with fsyncs of their own; 6: with one syncfs for all */
        int err;
    } tries[] = {{3, EIO},         {VALUES, EIO}, {3, ENOSPC},
                 {VALUES, ENOSPC}, {3, EACCES},   {VALUES, EACCES}};
    unsigned k = 1;
    while (k < MANY_CALLS && try_fault(tries[_i].count, tries[_i].err, k))
        k++;
    ck_assert_msg(k > 30 && k < MANY_CALLS, "%u calls", k); /* it did go through all of them */
}
END_TEST

/* Two syncs of everything, each with its leader's own, for however many values. */
START_TEST(test_shares_syncs)
{
    enum status results[VALUES];
    begin();
    faults_reset();
    put_all(VALUES, results);
    ck_assert_uint_eq(faults.syncs, 4);
    ck_assert_uint_eq(faults.dirty_count, 0);
    end();
}
END_TEST

/* The directory goes between the open and the rename, of one of them, and is made again. */
START_TEST(test_directory_that_goes)
{
    enum status results[VALUES];
    bool tried = false;
    for (unsigned k = 1; !tried && k < MANY_CALLS; k++) {
        begin();
        faults_arm(FAULT_ERROR, ENOENT, k);
        put_all(VALUES, results);
        faults_disarm();
        tried = !strcmp(faults.failed, "rename");
        for (unsigned i = 0; tried && i < VALUES; i++) {
            ck_assert_int_eq(results[i], values[i].result);
            check(i, results[i]);
        }
        end();
    }
    ck_assert(tried);
}
END_TEST

int main(void)
{
    static const TTest *tests[3];
    Suite *suite = suite_create("volume put together");
    tests[0] = test_shares_syncs;
    tests[1] = test_directory_that_goes;
    (void)suite_case(suite, "together", tests);
    TCase *tcase = tcase_create("faults");
    tcase_set_timeout(tcase, 110);
    tcase_add_loop_test(tcase, test_each_call_fails, 0, 6);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
