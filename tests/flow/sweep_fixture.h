/* The index as a sweep sees it: many keys, and changes that are made when the test wants it. */
#ifndef LARDER_TESTS_FLOW_SWEEP_FIXTURE_H
#define LARDER_TESTS_FLOW_SWEEP_FIXTURE_H

#include "common/buf.h"
#include "common/record.h"
#include "master/index.h"
#include "tests/flow/fake_base.h"

enum { PAGE = 512 };

/* --- an index whose keys "/k000000" … have copies at the first two or three volumes --- */

static struct {
    unsigned count;
    unsigned few; /* every so manieth key has two copies only; 0: none has */
    enum status fails;
    unsigned fails_at; /* the scan that fails, from 1 */
    unsigned scans;
} keys;

enum status index_scan(struct index *index UNUSED, const struct buf *prefix,
                       const struct buf *start,
                       bool (*fn)(void *arg, const char *key, size_t len, const struct record *rec),
                       void *arg)
{
    static char places[3][8] = {"v1:1", "v2:1", "v3:1"};
    char *list[] = {places[0], places[1], places[2]};
    char name[16];
    ck_assert_uint_eq(prefix->len, 0);
    unsigned i = start->len ? (unsigned)strtoul(buf_text(start) + 2, NULL, 10) : 0;
    bool more = true;
    for (keys.scans++; i < keys.count && more; i++) {
        bool few = keys.few && i % keys.few == 0;
        struct record rec = {.state = KEY_LIVE, .places = list, .place_count = few ? 2 : 3};
        int len = snprintf(name, sizeof name, "/k%06u", i);
        if (keys.fails && keys.scans == keys.fails_at && i % PAGE == 5)
            return keys.fails;
        more = fn(arg, name, (size_t)len, &rec);
    }
    return ST_OK;
}

/* --- changes, which are made at once but where the test has them wait --- */

static struct {
    bool wait;
    struct index_change *pending;
    enum status fails;
} commits;

void index_change_begin(struct index_change *change, struct loop *loop UNUSED,
                        void (*committed)(void *arg, enum status st), void *arg)
{
    change->committed = committed;
    change->arg = arg;
}

void index_change_free(struct index_change *change)
{
    ck_assert_ptr_ne(change, commits.pending);
}

void index_commit(struct index *index UNUSED, struct index_change *change)
{
    ck_assert_ptr_null(commits.pending);
    ck_assert_uint_eq(change->ops.len, 0);
    if (commits.wait)
        commits.pending = change;
    else
        change->committed(change->arg, commits.fails);
}

static inline void it_is_committed(void)
{
    struct index_change *change = commits.pending;
    ck_assert_ptr_nonnull(change);
    commits.pending = NULL;
    change->committed(change->arg, commits.fails);
}

#endif
