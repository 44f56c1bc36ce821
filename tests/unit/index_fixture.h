/*
 * An index over a real LevelDB with its committer, in a directory of its own, and a loop on which
 * the test waits for commits: for the tests of the index. Each of them opens it with its own
 * options.
 */
#ifndef LARDER_TESTS_UNIT_INDEX_FIXTURE_H
#define LARDER_TESTS_UNIT_INDEX_FIXTURE_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/ldb.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/index.h"
#include "tests/unit/suite.h"

enum { WAIT_MS = 30000 }; /* for what is certain to come */

static char dir[64];
static char path[80]; /* of the index, in `dir` */
static struct loop *loop;
static struct index *tested; /* NULL while it is closed */

static inline void index_is_opened(const struct index_options *options)
{
    ck_assert_ptr_null(tested);
    ck_assert_int_eq(index_open(&tested, options), ST_OK);
}

static inline void close_index(void)
{
    index_close(tested);
    tested = NULL;
}

/* The directory and the loop; nothing is opened yet. */
static inline void place_is_made(void)
{
    log_set_level(
        (enum log_level)(LOG_ERROR + 1)); /* failures are what some of the tests are about */
    strcpy(dir, "/tmp/larder-index.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/db", dir);
    loop = loop_new();
    ck_assert_ptr_nonnull(loop);
}

/* Closes the index, too. */
static inline void place_is_removed(void)
{
    close_index();
    loop_free(loop);
    (void)!ldb_destroy(path);
    (void)rmdir(path);
    (void)rmdir(dir);
}

static inline struct key key_of(const char *bytes)
{
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, bytes, strlen(bytes)), ST_OK);
    return key;
}

/* --- committing, and waiting for it on the loop --- */

struct commit {
    struct index_change change;
    enum status st;
    unsigned answers;
};

static size_t outstanding; /* commits that were handed over and not answered */

static inline void has_committed(void *arg, enum status st)
{
    struct commit *commit = arg;
    commit->st = st;
    commit->answers++;
    if (--outstanding == 0)
        loop_stop(loop);
}

static inline void commit_is_late(void *arg)
{
    (void)arg;
    ck_abort_msg("a commit was not answered");
}

/* Until all that was handed over has been answered. */
static inline void wait_for_commits(void)
{
    struct loop_timer *dog = loop_timer_new(loop, commit_is_late, NULL);
    ck_assert_ptr_nonnull(dog);
    loop_timer_set(dog, WAIT_MS);
    loop_run(loop);
    loop_timer_free(dog);
}

/* An empty change; its owner frees it, or has it freed by commit_alone(). */
static inline void begin_change(struct commit *commit)
{
    memset(commit, 0, sizeof *commit);
    index_change_begin(&commit->change, loop, has_committed, commit);
}

/* Adds KEY as `value` says, with work as `work` says ("": without). */
static inline void add_record(struct commit *commit, const char *name, const char *value,
                              const char *work)
{
    struct key key = key_of(name);
    struct record rec;
    record_init(&rec);
    ck_assert_int_eq(record_decode(&rec, *value ? value : NULL, strlen(value), *work ? work : NULL,
                                   strlen(work)),
                     ST_OK);
    index_change_record(&commit->change, &key, &rec);
    record_free(&rec);
}

/* Hands it over, waits for its one answer, and frees the change. */
static inline enum status commit_alone(struct commit *commit)
{
    outstanding = 1;
    index_commit(tested, &commit->change);
    wait_for_commits();
    ck_assert_uint_eq(commit->answers, 1);
    index_change_free(&commit->change);
    return commit->st;
}

static inline enum status save(const char *name, const char *value, const char *work)
{
    struct commit commit;
    begin_change(&commit);
    add_record(&commit, name, value, work);
    return commit_alone(&commit);
}

/* --- writes that fail --- */

/* The longest that a file of this process may become; 0: as long as it likes. A write beyond fails
 * with EFBIG, without the signal. */
static inline void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_ptr_ne((void *)signal(SIGXFSZ, SIG_IGN), (void *)SIG_ERR);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

#endif
