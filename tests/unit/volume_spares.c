/* Memory that is kept for the next who needs some. */
#include "volume/spares.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tests/unit/suite.h"

enum { BYTES = 8192, ALIGNMENT = 4096, MOST = 3, TURNS = 10000 };

static struct spares *spares;
static atomic_uint allocated; /* pieces that were made, not kept ones */

void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    atomic_fetch_add(&allocated, 1);
    return __real_aligned_alloc(alignment, bytes);
}

static void set_up(void)
{
    spares = spares_new(BYTES, ALIGNMENT, MOST);
    ck_assert_ptr_nonnull(spares);
}

static void tear_down(void)
{
    spares_free(spares);
}

static char *take(void)
{
    char *piece = spares_take(spares);
    ck_assert_ptr_nonnull(piece);
    ck_assert_uint_eq((uintptr_t)piece % ALIGNMENT, 0);
    memset(piece, 'x', BYTES); /* all of it is ours */
    return piece;
}

START_TEST(the_last_that_came_back_leaves_first)
{
    char *a = take();
    char *b = take();
    ck_assert_ptr_ne(a, b);
    spares_give(spares, a);
    spares_give(spares, b);
    spares_give(spares, NULL);
    ck_assert_ptr_eq(take(), b);
    ck_assert_ptr_eq(take(), a);
    spares_give(spares, a);
    spares_give(spares, b);
}
END_TEST

/* What is more than that is freed: the sanitizer's leak check says so. */
START_TEST(no_more_are_kept_than_asked)
{
    char *pieces[MOST + 2];
    for (int i = 0; i < MOST + 2; i++)
        pieces[i] = take();
    for (int i = 0; i < MOST + 2; i++)
        spares_give(spares, pieces[i]);
    unsigned before = allocated;
    for (int i = MOST; i-- > 0;)
        ck_assert_ptr_eq(take(), pieces[i + 2]);
    ck_assert_uint_eq(allocated, before);
    pieces[1] = take();
    ck_assert_uint_eq(allocated, before + 1);
    for (int i = 1; i < MOST + 2; i++)
        spares_give(spares, pieces[i]);
}
END_TEST

/* How many pieces of those that are kept leave before a new one is made. All come back. */
static unsigned count_kept(void)
{
    void *taken[MOST + 1];
    unsigned kept = 0;
    for (unsigned before = allocated; allocated == before; kept++)
        taken[kept] = take();
    for (unsigned i = kept; i-- > 0;) /* the new one last, and so not kept where there are MOST */
        spares_give(spares, taken[i]);
    return kept - 1;
}

/* Slow clients: what comes back is not given to the next of them. */
START_TEST(none_are_kept_while_many_are_used)
{
    char *slow[MOST];
    for (int i = 0; i < MOST; i++)
        slow[i] = take();
    unsigned before = allocated;
    spares_give(spares, take());
    spares_give(spares, take());
    ck_assert_uint_eq(allocated, before + 2);
    for (int i = 0; i < MOST; i++)
        spares_give(spares, slow[i]);
    ck_assert_uint_eq(count_kept(), MOST);
}
END_TEST

START_TEST(what_nobody_needs_is_freed)
{
    char *pieces[MOST];
    for (int i = 0; i < MOST; i++)
        pieces[i] = take();
    for (int i = 0; i < MOST; i++)
        spares_give(spares, pieces[i]);
    spares_shrink(spares); /* all were needed since the beginning */
    spares_give(spares, take());
    spares_shrink(spares); /* one was needed, the others go */
    ck_assert_ptr_eq(take(), pieces[MOST - 1]);
    unsigned before = allocated;
    char *new = take();
    ck_assert_uint_eq(allocated, before + 1);
    spares_give(spares, new);
    spares_give(spares, pieces[MOST - 1]);
    ck_assert_uint_eq(count_kept(), 2);
}
END_TEST

START_TEST(all_are_freed_in_the_end)
{
    spares_give(spares, take());
    ck_assert_uint_eq(count_kept(), 1);
    spares_shrink(spares);
    spares_shrink(spares);
    ck_assert_uint_eq(count_kept(), 0);
}
END_TEST

static void *take_and_give(void *arg)
{
    char mark = *(char *)arg;
    for (int i = 0; i < TURNS; i++) {
        char *piece = spares_take(spares);
        if (!piece)
            return "no memory";
        *piece = mark;
        (void)sched_yield();
        if (*piece != mark)
            return "somebody else has it, too";
        spares_give(spares, piece);
        if (i % 64 == 0)
            spares_shrink(spares);
    }
    return NULL;
}

START_TEST(threads_never_share_a_piece)
{
    static char marks[4] = "abcd";
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, &marks[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *complaint;
        ck_assert_int_eq(pthread_join(threads[i], &complaint), 0);
        ck_assert_ptr_null(complaint);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_last_that_came_back_leaves_first,
                                  no_more_are_kept_than_asked,
                                  none_are_kept_while_many_are_used,
                                  what_nobody_needs_is_freed,
                                  all_are_freed_in_the_end,
                                  threads_never_share_a_piece,
                                  NULL};
    Suite *suite = suite_create("volume spares");
    tcase_add_checked_fixture(suite_case(suite, "spares", tests), set_up, tear_down);
    return suite_run(suite);
}
