/* An index with a roster of its keys: what readers see of keys that are there, and of others. */
#include "tests/unit/index_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "master/index_state.h"

enum { MANY = 3000 };

static void open_index(void)
{
    struct index_options as = {.path = path, .roster_bytes = 1 << 16};
    index_is_opened(&as);
}

static void setup(void)
{
    place_is_made();
    open_index();
}

static void reopen(void)
{
    close_index();
    open_index();
}

static void save_one(const char *name, const char *value)
{
    ck_assert_int_eq(save(name, value, ""), ST_OK);
}

static const char *name_of(int i)
{
    static char name[32];
    (void)snprintf(name, sizeof name, "/key/%04d", i);
    return name;
}

static void save_many(void)
{
    struct commit commit;
    begin_change(&commit);
    for (int i = 0; i < MANY; i++)
        add_record(&commit, name_of(i), "v:1", "");
    ck_assert_int_eq(commit_alone(&commit), ST_OK);
}

/* --- looking --- */

static enum status look(const char *name)
{
    struct key key = key_of(name);
    struct buf text = BUF_INIT;
    struct record_view view;
    struct recall_ticket ticket;
    enum status st = index_look(tested, &key, &text, &view, &ticket);
    buf_free(&text);
    return st;
}

/* Of 3,000 keys in 16 KiB hardly one in a million is wrong: of these names none is at a time. */
static bool is_told_by_the_roster(const char *name)
{
    return roster_lacks(tested->roster, name, strlen(name));
}

static void wait_until_it_is_whole(void)
{
    uint64_t until = loop_now_ms() + WAIT_MS;
    while (!is_told_by_the_roster("/no/1") && !is_told_by_the_roster("/no/2")) {
        ck_assert_uint_lt(loop_now_ms(), until);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static uint64_t no_stamp(void *arg UNUSED, const struct key *key UNUSED,
                         const struct record_view *view UNUSED)
{
    return 0;
}

START_TEST(keys_that_are_not_there_are_told)
{
    save_many();
    reopen();
    ck_assert(!is_told_by_the_roster("/no/1"));
    ck_assert_int_eq(look("/no/1"), ST_NOT_FOUND);
    index_warm(tested, no_stamp, NULL);
    wait_until_it_is_whole();
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(look(name_of(i)), ST_OK);
    ck_assert_int_eq(look("/no/1"), ST_NOT_FOUND);
    save_one("/no/1", "v:1");
    ck_assert_int_eq(look("/no/1"), ST_OK);
    save_one("/no/1", "");
    ck_assert_int_eq(look("/no/1"), ST_NOT_FOUND);
    ck_assert(!is_told_by_the_roster("/no/1"));
}
END_TEST

/* A new index has nothing to read, and then grows. */
START_TEST(it_grows_with_the_index)
{
    index_warm(tested, no_stamp, NULL);
    wait_until_it_is_whole();
    save_many();
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(look(name_of(i)), ST_OK);
}
END_TEST

/* Keys are put before, behind and where it is being read. */
START_TEST(none_is_lost_that_is_put_meanwhile)
{
    char name[32];
    save_many();
    reopen();
    index_warm(tested, no_stamp, NULL);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "/key/%04d/%d", i * 7919 % MANY, i);
        save_one(name, "v:1");
        ck_assert_int_eq(look(name), ST_OK);
    }
    wait_until_it_is_whole();
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "/key/%04d/%d", i * 7919 % MANY, i);
        ck_assert_int_eq(look(name), ST_OK);
    }
}
END_TEST

/* --- what cannot be read --- */

/* Flips a bit in a block of keys: not at the beginning, where the index says what it is, and
 * not at the end, where the table does. */
static void damage(const char *file)
{
    char whole[400];
    char byte;
    struct stat is;
    (void)snprintf(whole, sizeof whole, "%s/%s", path, file);
    int fd = open(whole, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &is), 0);
    ck_assert_int_eq(pread(fd, &byte, 1, is.st_size / 3 * 2), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, is.st_size / 3 * 2), 1);
    ck_assert_int_eq(close(fd), 0);
}

static unsigned damage_tables(void)
{
    unsigned count = 0;
    DIR *all = opendir(path);
    ck_assert_ptr_nonnull(all);
    for (struct dirent *each = readdir(all); each; each = readdir(all)) {
        const char *dot = strrchr(each->d_name, '.');
        if (!dot || (strcmp(dot, ".ldb") != 0 && strcmp(dot, ".sst") != 0))
            continue;
        damage(each->d_name);
        count++;
    }
    (void)closedir(all);
    return count;
}

/* LevelDB's iterator passes over a block that it cannot read. Its keys are not gone: to read one
 * is an error. */
START_TEST(a_block_that_cannot_be_read_hides_no_keys)
{
    unsigned failed = 0;
    save_many();
    reopen(); /* its log becomes a table */
    close_index();
    ck_assert_uint_gt(damage_tables(), 0);
    open_index();
    index_warm(tested, no_stamp, NULL);
    (void)pthread_join(tested->warmer, NULL);
    tested->is_warming = false;
    for (int i = 0; i < MANY; i++) {
        enum status st = look(name_of(i));
        ck_assert_msg(st != ST_NOT_FOUND, "%s is hidden", name_of(i));
        failed += st != ST_OK;
    }
    ck_assert_uint_gt(failed, 0);
    ck_assert_uint_lt(failed, MANY);
    ck_assert(!is_told_by_the_roster("/no/1"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {keys_that_are_not_there_are_told, it_grows_with_the_index,
                                  none_is_lost_that_is_put_meanwhile,
                                  a_block_that_cannot_be_read_hides_no_keys, NULL};
    Suite *suite = suite_create("master_index_roster");
    tcase_add_checked_fixture(suite_case(suite, "roster", tests), setup, place_is_removed);
    return suite_run(suite);
}
