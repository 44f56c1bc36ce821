/* The event loop: messages from any thread, timers, sockets. */
#include "common/loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/suite.h"

static struct loop *loop;
static char trace[256]; /* what was called, in order */

static void start(void)
{
    loop = loop_new();
    ck_assert_ptr_nonnull(loop);
    trace[0] = 0;
}

static void end(void)
{
    loop_free(loop);
}

static void note(const char *what)
{
    ck_assert_uint_lt(strlen(trace) + strlen(what), sizeof trace);
    (void)snprintf(trace + strlen(trace), sizeof trace - strlen(trace), "%s", what);
}

static void note_message(void *arg)
{
    note(arg);
}

static void stop_message(void *arg UNUSED)
{
    note("stop");
    loop_stop(loop);
}

/* So that a loop that would never end is a failure, not a hang. */
static void watchdog(void *arg UNUSED)
{
    ck_abort_msg("the loop did not stop");
}

static void run_to_stop(void)
{
    struct loop_timer *dog = loop_timer_new(loop, watchdog, NULL);
    ck_assert_ptr_nonnull(dog);
    loop_timer_set(dog, 20000);
    loop_run(loop);
    loop_timer_free(dog);
}

START_TEST(messages_come_in_order)
{
    struct loop_message a = {.fn = note_message, .arg = "a "};
    struct loop_message b = {.fn = note_message, .arg = "b "};
    struct loop_message c = {.fn = stop_message};
    loop_post(loop, &a);
    loop_post(loop, &b);
    loop_post(loop, &c);
    ck_assert_str_eq(trace, "");
    run_to_stop();
    ck_assert_str_eq(trace, "a b stop");
}
END_TEST

START_TEST(messages_before_the_stop_are_delivered)
{
    struct loop_message a = {.fn = note_message, .arg = "a"};
    loop_post(loop, &a);
    loop_stop(loop);
    run_to_stop();
    ck_assert_str_eq(trace, "a");
}
END_TEST

START_TEST(freeing_delivers_what_is_left)
{
    struct loop *other = loop_new();
    struct loop_message a = {.fn = note_message, .arg = "a"};
    loop_post(other, &a);
    loop_free(other);
    ck_assert_str_eq(trace, "a");
    loop_free(NULL);
}
END_TEST

/* A message may free its own memory, and post others. */
struct chain {
    struct loop_message message;
    int left;
};

static void chain_step(void *arg)
{
    struct chain *of = arg;
    int left = of->left;
    free(of);
    note("x");
    if (left == 0) {
        loop_stop(loop);
        return;
    }
    struct chain *next = calloc(1, sizeof *next);
    ck_assert_ptr_nonnull(next);
    next->left = left - 1;
    next->message.fn = chain_step;
    next->message.arg = next;
    loop_post(loop, &next->message);
}

START_TEST(messages_may_free_themselves_and_post_others)
{
    struct chain *first = calloc(1, sizeof *first);
    ck_assert_ptr_nonnull(first);
    first->left = 9;
    first->message.fn = chain_step;
    first->message.arg = first;
    loop_post(loop, &first->message);
    run_to_stop();
    ck_assert_str_eq(trace, "xxxxxxxxxx");
}
END_TEST

enum { THREADS = 4, EACH = 5000, ALL = THREADS * EACH };

static int received[THREADS];
static int total;

struct numbered {
    struct loop_message message;
    int thread;
    int number;
};

static void numbered_came(void *arg)
{
    struct numbered *of = arg;
    ck_assert_int_eq(of->number, received[of->thread]); /* in the order of posting */
    received[of->thread]++;
    free(of);
    if (++total == ALL)
        loop_stop(loop);
}

static void *post_many(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        struct numbered *of = calloc(1, sizeof *of);
        if (!of)
            abort();
        of->thread = *(int *)arg;
        of->number = i;
        of->message.fn = numbered_came;
        of->message.arg = of;
        loop_post(loop, &of->message);
    }
    return NULL;
}

START_TEST(threads_post_at_the_same_time)
{
    pthread_t threads[THREADS];
    int names[THREADS];
    for (int i = 0; i < THREADS; i++) {
        names[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, &names[i]), 0);
    }
    run_to_stop();
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(total, ALL);
}
END_TEST

static void note_timer(void *arg)
{
    note(arg);
}

static void stop_timer(void *arg UNUSED)
{
    note("stop");
    loop_stop(loop);
}

START_TEST(timers_fire_in_order)
{
    struct loop_timer *late = loop_timer_new(loop, stop_timer, NULL);
    struct loop_timer *early = loop_timer_new(loop, note_timer, "early ");
    struct loop_timer *now = loop_timer_new(loop, note_timer, "now ");
    uint64_t began = loop_now_ms();
    loop_timer_set(late, 60);
    loop_timer_set(early, 30);
    loop_timer_set(now, 0);
    run_to_stop();
    ck_assert_str_eq(trace, "now early stop");
    ck_assert_uint_ge(loop_now_ms() - began, 50); /* the loop's clock is a coarse one */
    loop_timer_free(late);
    loop_timer_free(early);
    loop_timer_free(now);
    loop_timer_free(NULL);
}
END_TEST

START_TEST(timers_can_be_moved_and_cleared)
{
    struct loop_timer *stop = loop_timer_new(loop, stop_timer, NULL);
    struct loop_timer *moved = loop_timer_new(loop, note_timer, "moved ");
    struct loop_timer *cleared = loop_timer_new(loop, note_timer, "cleared ");
    struct loop_timer *freed = loop_timer_new(loop, note_timer, "freed ");
    loop_timer_set(moved, 10000);
    loop_timer_set(moved, 5);
    loop_timer_set(cleared, 5);
    loop_timer_clear(cleared);
    loop_timer_set(freed, 5);
    loop_timer_free(freed);
    loop_timer_set(stop, 40);
    run_to_stop();
    ck_assert_str_eq(trace, "moved stop");
    loop_timer_free(stop);
    loop_timer_free(moved);
    loop_timer_free(cleared);
}
END_TEST

static int repeats;
static struct loop_timer *repeating;

static void repeat_timer(void *arg UNUSED)
{
    if (++repeats == 3)
        loop_stop(loop);
    else
        loop_timer_set(repeating, 1);
}

START_TEST(timers_fire_once_until_set_again)
{
    repeating = loop_timer_new(loop, repeat_timer, NULL);
    loop_timer_set(repeating, 1);
    run_to_stop();
    ck_assert_int_eq(repeats, 3);
    loop_timer_free(repeating);
}
END_TEST

static int pipe_ends[2];

static void pipe_ready(void *arg UNUSED, bool readable, bool writable)
{
    char c;
    ck_assert(readable);
    ck_assert(!writable);
    ck_assert_int_eq(read(pipe_ends[0], &c, 1), 1);
    char text[2] = {c, 0};
    note(text);
    if (c == 'z')
        loop_stop(loop);
}

static void pipe_writable(void *arg, bool readable UNUSED, bool writable)
{
    ck_assert(writable);
    struct loop_watch **watch = arg;
    note("w");
    loop_watch_free(*watch); /* from its own function */
    *watch = NULL;
    ck_assert_int_eq(write(pipe_ends[1], "xyz", 3), 3);
}

static struct loop_later later[3];
static int rounds;

static void note_later(void *arg)
{
    note(arg);
}

/* Sets itself again, until it has had its rounds. */
static void again(void *arg)
{
    note(arg);
    if (--rounds == 0)
        loop_stop(loop);
    else
        loop_later(loop, &later[1]);
}

/* In the order of setting, once each; what is set from within comes with the next turn, for which
 * nothing need happen. */
START_TEST(what_is_for_later_comes_at_the_end_of_a_turn)
{
    struct loop_message first = {.fn = note_message, .arg = "message "};
    rounds = 3;
    later[0] = (struct loop_later){.fn = note_later, .arg = "a "};
    later[1] = (struct loop_later){.fn = again, .arg = "b "};
    later[2] = (struct loop_later){.fn = note_later, .arg = "c "};
    for (int i = 0; i < 3; i++)
        loop_later(loop, &later[i]);
    loop_later(loop, &later[0]); /* is set already */
    loop_post(loop, &first);
    run_to_stop();
    ck_assert_str_eq(trace, "message a b c b b ");
}
END_TEST

static void clear_others(void *arg)
{
    note(arg);
    loop_later_clear(loop, &later[1]);
    loop_later_clear(loop, &later[2]);
    loop_stop(loop);
}

START_TEST(what_is_for_later_can_be_cleared)
{
    later[0] = (struct loop_later){.fn = clear_others, .arg = "a "};
    later[1] = (struct loop_later){.fn = note_later, .arg = "b "};
    later[2] = (struct loop_later){.fn = note_later, .arg = "c "};
    loop_later_clear(loop, &later[0]); /* is not set */
    for (int i = 0; i < 3; i++)
        loop_later(loop, &later[i]);
    run_to_stop();
    ck_assert_str_eq(trace, "a ");
    loop_later(loop, &later[2]);
    loop_stop(loop);
    run_to_stop();
    ck_assert_str_eq(trace, "a c ");
}
END_TEST

START_TEST(descriptors_are_watched)
{
    ck_assert_int_eq(pipe(pipe_ends), 0);
    struct loop_watch *in = loop_watch_new(loop, pipe_ends[0], true, false, pipe_ready, NULL);
    struct loop_watch *out = NULL;
    out = loop_watch_new(loop, pipe_ends[1], false, true, pipe_writable, &out);
    ck_assert_ptr_nonnull(in);
    ck_assert_ptr_nonnull(out);
    run_to_stop();
    ck_assert_str_eq(trace, "wxyz");
    loop_watch_free(in);
    loop_watch_free(NULL);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}
END_TEST

START_TEST(clocks_go_forward)
{
    uint64_t before = loop_now_ms();
    ck_assert_uint_ge(loop_now_ms(), before);
    ck_assert_uint_gt(loop_wall_ms(), 1700000000000); /* after November 2023 */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {messages_come_in_order,
                                  messages_before_the_stop_are_delivered,
                                  freeing_delivers_what_is_left,
                                  messages_may_free_themselves_and_post_others,
                                  threads_post_at_the_same_time,
                                  timers_fire_in_order,
                                  timers_can_be_moved_and_cleared,
                                  timers_fire_once_until_set_again,
                                  what_is_for_later_comes_at_the_end_of_a_turn,
                                  what_is_for_later_can_be_cleared,
                                  descriptors_are_watched,
                                  clocks_go_forward,
                                  NULL};
    Suite *suite = suite_create("loop");
    tcase_add_checked_fixture(suite_case(suite, "loop", tests), start, end);
    return suite_run(suite);
}
