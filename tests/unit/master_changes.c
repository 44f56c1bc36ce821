/* The ring of recent changes: order, numbers, prefixes, what is dropped, who is woken. */
#include "master/changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

#define MD5 "0123456789abcdef0123456789abcdef"

static struct changes *changes;
static struct loop *loop;
static struct buf seen; /* what readers were told, as text */

static void setup(void)
{
    loop = loop_new();
    changes = changes_new((size_t)256 << 10);
    ck_assert(loop && changes);
    changes_begin(changes, 100);
}

static void teardown(void)
{
    changes_free(changes);
    loop_free(loop);
    buf_free(&seen);
}

static void stage(enum changes_event event, const char *key)
{
    struct buf text = BUF_INIT;
    changes_encode(&text, event, 5, strcmp(key, "/n") == 0 ? "" : MD5);
    changes_stage(changes, key, strlen(key), text.data, text.len);
    buf_free(&text);
}

static void put(const char *key, uint64_t sequence)
{
    stage(CHANGES_PUT, key);
    changes_publish(changes, sequence);
}

static bool tell(void *arg, const struct changes_item *item)
{
    const size_t *most = arg;
    buf_addf(&seen, "%llu:%s:%.*s", (unsigned long long)item->sequence,
             changes_event_text(item->event), (int)item->key_len, item->key);
    if (item->has_size)
        buf_addf(&seen, ":%llu", (unsigned long long)item->size);
    buf_addf(&seen, "%s ", *item->md5 ? ":md5" : "");
    if (*item->md5)
        ck_assert_str_eq(item->md5, MD5);
    return seen.len < *most;
}

static enum status look(struct changes_watcher *watcher, size_t most, bool *more)
{
    buf_clear(&seen);
    return changes_read(changes, watcher, tell, &most, more);
}

static struct changes_watcher watcher_of(const char *prefix, uint64_t since)
{
    return (struct changes_watcher){.prefix = prefix, .prefix_len = strlen(prefix), .seen = since};
}

#define ck_seen(watcher, text)                                                                     \
    do {                                                                                           \
        bool more_;                                                                                \
        ck_assert_int_eq(look(watcher, SIZE_MAX, &more_), ST_OK);                                  \
        ck_assert(!more_);                                                                         \
        ck_assert_str_eq(buf_text(&seen), text);                                                   \
    } while (0)

START_TEST(events_come_in_order)
{
    struct changes_watcher all = watcher_of("/", 100);
    struct changes_watcher some = watcher_of("/b", 100);
    put("/a", 101);
    stage(CHANGES_OVERWRITE, "/b/1");
    stage(CHANGES_DELETE, "/a");
    stage(CHANGES_UNLINK, "/b/2");
    changes_publish(changes, 110); /* of ten changes three are told: the last numbers are theirs */
    ck_seen(&all, "101:put:/a:5:md5 108:overwrite:/b/1:5:md5 109:delete:/a 110:unlink:/b/2 ");
    ck_assert_uint_eq(all.seen, 110);
    ck_seen(&some, "108:overwrite:/b/1:5:md5 110:unlink:/b/2 ");
    ck_seen(&all, "");
    changes_publish(changes, 115); /* changes without events move everyone on */
    ck_seen(&all, "");
    ck_assert_uint_eq(all.seen, 115);
    struct changes_watcher late = watcher_of("/", 108);
    ck_seen(&late, "109:delete:/a 110:unlink:/b/2 ");
}
END_TEST

START_TEST(md5s_may_be_unknown)
{
    struct changes_watcher all = watcher_of("", 100);
    put("/n", 101);
    ck_seen(&all, "101:put:/n:5 ");
}
END_TEST

START_TEST(a_reader_may_stop_anywhere)
{
    struct changes_watcher all = watcher_of("/", 100);
    bool more = true;
    size_t told = 0;
    for (unsigned i = 1; i <= 9; i++)
        put("/k", 100 + i);
    while (more) {
        ck_assert_int_eq(look(&all, 1, &more), ST_OK);
        told += seen.len > 0;
        ck_assert_uint_le(seen.len, sizeof "109:put:/k:5:md5 ");
    }
    ck_assert_uint_eq(told, 9);
    ck_assert_uint_eq(all.seen, 109);
}
END_TEST

/* A reader who wants few of them does not hold the ring for all. */
START_TEST(one_look_is_bounded)
{
    struct changes_watcher none = watcher_of("/other", 100);
    bool more = true;
    unsigned looks = 0;
    for (unsigned i = 1; i <= 2000; i++)
        put("/k", 100 + i);
    while (more) {
        ck_assert_int_eq(look(&none, SIZE_MAX, &more), ST_OK);
        looks++;
    }
    ck_assert_uint_ge(looks, 3);
    ck_assert_uint_eq(none.seen, 2100);
}
END_TEST

START_TEST(the_oldest_are_dropped)
{
    char key[1000];
    uint64_t oldest;
    uint64_t newest;
    bool more;
    memset(key, 'x', sizeof key);
    key[0] = '/';
    key[sizeof key - 1] = 0;
    struct changes_watcher first = watcher_of("/", 100);
    for (unsigned i = 1; i <= 1000; i++)
        put(key, 100 + i);
    changes_range(changes, &oldest, &newest);
    ck_assert_uint_eq(newest, 1100);
    ck_assert_uint_gt(oldest, 700); /* 256 KiB at most, in segments, of a kilobyte each */
    ck_assert_uint_lt(oldest, 950);
    ck_assert_int_eq(look(&first, SIZE_MAX, &more), ST_GONE);
    struct changes_watcher gone = watcher_of("/", oldest - 1);
    ck_assert_int_eq(look(&gone, SIZE_MAX, &more), ST_GONE);
    struct changes_watcher good = watcher_of("/", oldest);
    ck_assert_int_eq(look(&good, 1, &more), ST_OK);
    ck_assert_uint_eq(good.seen, oldest + 1); /* nothing is missing in between */
    struct changes_watcher future = watcher_of("/", newest + 1);
    ck_assert_int_eq(look(&future, 1, &more), ST_GONE);
}
END_TEST

START_TEST(what_is_not_known_is_not_told)
{
    bool more;
    struct changes_watcher one = watcher_of("/", 100);
    put("/a", 101);
    stage(CHANGES_PUT, "/b");
    changes_lose(changes, 102); /* it may be there, or not */
    ck_assert_int_eq(look(&one, SIZE_MAX, &more), ST_GONE);
    struct changes_watcher again = watcher_of("/", 102);
    put("/c", 103);
    ck_seen(&again, "103:put:/c:5:md5 ");
    stage(CHANGES_RESET, "");
    changes_publish(changes, 104);
    ck_assert_int_eq(look(&one, SIZE_MAX, &more), ST_GONE);
    struct changes_watcher third = watcher_of("/", 104);
    put("/d", 105);
    ck_seen(&third, "105:put:/d:5:md5 ");
}
END_TEST

/* Of a later version, or damaged: watchers begin anew instead of missing it. */
START_TEST(what_cannot_be_read_is_not_passed_over)
{
    static const char *const bad[] = {"", "putt 5", "put 5 short", "reset",
                                      "put 5 0123456789abcdef0123456789abcdefx"};
    bool more;
    struct changes_watcher one = watcher_of("/", 100);
    changes_stage(changes, "/k", 2, bad[_i], strlen(bad[_i]));
    changes_publish(changes, 101);
    ck_assert_int_eq(look(&one, SIZE_MAX, &more), ST_GONE);
}
END_TEST

/* --- waking --- */

static unsigned woken;

static void wake(void *arg)
{
    (void)arg;
    woken++;
    loop_stop(loop);
}

static struct changes_watcher waiting_for(const char *prefix, uint64_t since)
{
    struct changes_watcher watcher = watcher_of(prefix, since);
    watcher.wake = wake;
    watcher.loop = loop;
    return watcher;
}

START_TEST(who_waits_is_woken_once)
{
    struct changes_watcher one = waiting_for("/b", 100);
    struct changes_watcher two = waiting_for("/c", 100);
    woken = 0;
    ck_assert(changes_wait(changes, &one));
    ck_assert(changes_wait(changes, &two));
    put("/a", 101);
    ck_assert(one.waiting && two.waiting);
    ck_assert_uint_eq(one.seen, 101); /* or it would fall behind while nothing comes for it */
    put("/b", 102);
    put("/b", 103);
    ck_assert(!one.waiting && two.waiting);
    loop_run(loop);
    ck_assert_uint_eq(woken, 1);
    ck_assert(!changes_wait(changes, &one)); /* something is there */
    ck_seen(&one, "102:put:/b:5:md5 103:put:/b:5:md5 ");
    ck_assert(changes_cancel(changes, &two));
    ck_assert(!changes_cancel(changes, &two));
}
END_TEST

START_TEST(all_are_woken_at_the_end)
{
    struct changes_watcher one = waiting_for("/b", 100);
    struct changes_watcher two = waiting_for("/c", 100);
    woken = 0;
    ck_assert(changes_wait(changes, &one));
    ck_assert(changes_wait(changes, &two));
    if (_i)
        changes_lose(changes, 105);
    else
        changes_stop(changes);
    ck_assert(!one.waiting && !two.waiting);
    loop_run(loop);
    ck_assert_uint_eq(woken, 2);
    ck_assert_int_eq(changes_stopped(changes), !_i);
    ck_assert(!changes_wait(changes, &one));
}
END_TEST

START_TEST(watchers_are_counted)
{
    ck_assert(changes_admit(changes, 2));
    ck_assert(changes_admit(changes, 2));
    ck_assert(!changes_admit(changes, 2));
    changes_leave(changes);
    ck_assert(changes_admit(changes, 2));
    changes_leave(changes);
    changes_stop(changes);
    ck_assert(!changes_admit(changes, 2));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        events_come_in_order,    md5s_may_be_unknown,    a_reader_may_stop_anywhere,
        one_look_is_bounded,     the_oldest_are_dropped, what_is_not_known_is_not_told,
        who_waits_is_woken_once, watchers_are_counted,   NULL};
    Suite *suite = suite_create("changes");
    TCase *tcase = suite_case(suite, "changes", tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, what_cannot_be_read_is_not_passed_over, 0, 5);
    tcase_add_loop_test(tcase, all_are_woken_at_the_end, 0, 2);
    return suite_run(suite);
}
