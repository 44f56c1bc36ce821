/* Memory that is kept for the next who needs some. */
#include "volume/spares.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tests/unit/suite.h"

enum { BYTES = 8192, ALIGNMENT = 4096, MOST = 3, TURNS = 10000 };

static struct spares *spares;

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

/* What is more than `most` is freed: the sanitizer's leak check and the tear-down say so. */
START_TEST(no_more_are_kept_than_asked)
{
    char *pieces[MOST + 2];
    for (int i = 0; i < MOST + 2; i++)
        pieces[i] = take();
    for (int i = 0; i < MOST + 2; i++)
        spares_give(spares, pieces[i]);
    for (int i = MOST; i-- > 0;)
        ck_assert_ptr_eq(take(), pieces[i]);
    for (int i = 0; i < MOST; i++)
        spares_give(spares, pieces[i]);
}
END_TEST

/* Whether `piece` is among those that are kept. All of them come back as they were. */
static bool is_kept(const char *piece, unsigned kept)
{
    char *taken[MOST];
    bool found = false;
    for (unsigned i = 0; i < kept; i++) {
        taken[i] = take();
        found = found || taken[i] == piece;
    }
    for (unsigned i = kept; i-- > 0;)
        spares_give(spares, taken[i]);
    return found;
}

START_TEST(what_nobody_needs_is_freed)
{
    char *a = take();
    char *b = take();
    char *c = take();
    spares_give(spares, a);
    spares_give(spares, b);
    spares_give(spares, c);
    spares_shrink(spares); /* all were needed since the beginning */
    ck_assert(is_kept(a, 3));
    spares_shrink(spares); /* again: by is_kept() */
    spares_give(spares, take());
    spares_shrink(spares); /* one was needed, two go */
    char *left = take();
    ck_assert(left == a || left == b || left == c);
    spares_give(spares, left);
    spares_shrink(spares);
    spares_shrink(spares); /* and the last one */
    spares_shrink(spares);
}
END_TEST

static void *take_and_give(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        char *piece = spares_take(spares);
        if (piece)
            piece[0] = (char)i; /* two threads with the same piece: a race */
        spares_give(spares, piece);
        if (i % 64 == 0)
            spares_shrink(spares);
    }
    return NULL;
}

START_TEST(threads_never_share_a_piece)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_last_that_came_back_leaves_first, no_more_are_kept_than_asked,
                                  what_nobody_needs_is_freed, threads_never_share_a_piece, NULL};
    Suite *suite = suite_create("volume spares");
    tcase_add_checked_fixture(suite_case(suite, "spares", tests), set_up, tear_down);
    return suite_run(suite);
}
