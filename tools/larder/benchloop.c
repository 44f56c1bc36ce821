/*
 * One thread: which operation begins when, and with which client. What happens to it then is
 * benchclient's.
 *
 * Invariant: a client is either in an operation or in `free`, never in both. It comes into `free`
 * where nothing is due (or left) when it asks, and out of it by serve_due() alone.
 *
 * Numbers of operations are given out by one atomic counter for all threads, so keys in a row come
 * once each; the times of an open loop are divided beforehand (thread i has i, i + threads, …), so
 * that threads do not wait for one another. The order in which two threads take their numbers does
 * not matter to either. All counters are relaxed: nothing is published by them, and the tallies are
 * read after the join.
 */
#include "tools/larder/benchloop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tools/larder/benchclient.h"
#include "tools/larder/benchplan.h"
#include "tools/larder/benchtally.h"
#include "tools/larder/benchvalue.h"

/* EVENTS: of one epoll_wait(). TICK_MS: also the longest that a stop goes unseen. */
enum { EVENTS = 256, TICK_MS = 50 };
#define SECOND_NS 1000000000ULL

struct benchloop {
    struct benchrun *run;
    unsigned number; /* of this thread, from 0 */
    struct benchclient **clients;
    unsigned client_count;
    struct benchclient **free; /* those that wait for their turn; a stack with room for all */
    unsigned free_count;
    uint64_t due_count; /* open loop: operations that have come due and were begun */
    uint64_t random;    /* state of benchvalue_random(), for --order=random */
    uint64_t ticked_ns; /* when deadlines were looked at last */
    int timer;          /* open loop: when the next operation is due */
    struct benchtally *tally;
    struct benchthread thread;
};

/* --- which operation, and when --- */

/* When operation number k of this thread is due; the threads take turns. Reckoned from the start
 * each time, in whole seconds and the rest, so that no error adds up and nothing overflows. */
static uint64_t due_ns(const struct benchloop *loop, uint64_t k)
{
    const struct benchplan *plan = loop->run->plan;
    uint64_t n = k * plan->threads + loop->number;
    return loop->run->start_ns + n / plan->rate * SECOND_NS +
           n % plan->rate * SECOND_NS / plan->rate;
}

/* Takes the number of an operation; false where there is none left. */
static bool claim(struct benchloop *loop, uint64_t *number)
{
    struct benchrun *run = loop->run;
    if (loop->thread.now_ns >= run->end_ns ||
        atomic_load_explicit(&run->stop, memory_order_relaxed))
        return false;
    *number = atomic_fetch_add_explicit(&run->begun, 1, memory_order_relaxed);
    return !run->plan->count || *number < run->plan->count;
}

/* In a row the number of the operation is the key's, over all threads: so each key comes once. */
static uint64_t key_of(struct benchloop *loop, uint64_t number)
{
    const struct benchplan *plan = loop->run->plan;
    if (!plan->keys)
        return number;
    return (plan->random ? benchvalue_random(&loop->random) : number) % plan->keys;
}

/* epoll_wait() knows milliseconds only, and an operation that begins late by one would be seen as
 * slow by one. A time that has passed already fires at once. */
static void arm_timer(const struct benchloop *loop, uint64_t ns)
{
    struct itimerspec when = {.it_value = {(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)}};
    (void)timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Begins the next operation with this client, or keeps it until one is due. `due_count` counts only
 * what was begun: so after a time without a free client the next one gets the oldest that is due,
 * and its latency has the wait in it. */
static void put_to_work(struct benchloop *loop, struct benchclient *client)
{
    struct benchthread *thread = &loop->thread;
    uint64_t intended = thread->now_ns;
    uint64_t number;
    if (loop->run->plan->rate) {
        intended = due_ns(loop, loop->due_count);
        if (intended > thread->now_ns) {
            loop->free[loop->free_count++] = client;
            return;
        }
    }
    if (!claim(loop, &number)) {
        loop->free[loop->free_count++] = client;
        return;
    }
    loop->due_count++;
    benchclient_start(client, number, key_of(loop, number), intended);
}

/* Called from within benchclient: at most one operation begins here, so it never grows deep. */
static void client_idle(void *arg, struct benchclient *client)
{
    struct benchloop *loop = arg;
    atomic_fetch_add_explicit(&loop->run->ended, 1, memory_order_relaxed);
    put_to_work(loop, client);
}

/* True once nothing will begin any more. */
static bool no_more(const struct benchloop *loop)
{
    const struct benchrun *run = loop->run;
    uint64_t begun = atomic_load_explicit(&run->begun, memory_order_relaxed);
    return atomic_load_explicit(&run->stop, memory_order_relaxed) ||
           loop->thread.now_ns >= run->end_ns || (run->plan->count && begun >= run->plan->count);
}

/* Hands out what has come due, and sets the timer for what comes next. Only while a client is free:
 * where none is, the next one that ends takes what is due in put_to_work(). */
static void serve_due(struct benchloop *loop)
{
    while (loop->free_count && !no_more(loop) &&
           due_ns(loop, loop->due_count) <= loop->thread.now_ns)
        put_to_work(loop, loop->free[--loop->free_count]);
    if (loop->free_count && !no_more(loop))
        arm_timer(loop, due_ns(loop, loop->due_count));
}

/* Operations that were due before the end, and found no free client. Not where --count ended the
 * run: then nothing was due any more. Rounded down, so a run without misses says 0. */
static void count_missed(struct benchloop *loop)
{
    const struct benchplan *plan = loop->run->plan;
    uint64_t end =
        loop->run->end_ns < loop->thread.now_ns ? loop->run->end_ns : loop->thread.now_ns;
    bool counted = plan->count && atomic_load(&loop->run->begun) >= plan->count;
    if (!plan->rate || counted || end <= loop->run->start_ns)
        return;
    uint64_t span = end - loop->run->start_ns;
    uint64_t all = (uint64_t)((double)span / 1e9 * (double)plan->rate) / plan->threads;
    if (all > loop->due_count)
        loop->tally->missed = all - loop->due_count;
}

/* --- the thread --- */

/* Deadlines and pauses, which need no better precision than this. */
static void tick(struct benchloop *loop)
{
    loop->ticked_ns = loop->thread.now_ns;
    for (unsigned i = 0; i < loop->client_count; i++)
        benchclient_tick(loop->clients[i]);
}

/* All that has happened, then what has come due: a client that became free takes it in
 * put_to_work() already, so mostly nothing is left for serve_due(). */
static void turn(struct benchloop *loop, struct epoll_event *events)
{
    int count = epoll_wait(loop->thread.epoll, events, EVENTS, TICK_MS);
    uint64_t now = benchclient_now(&loop->thread);
    for (int i = 0; i < count; i++) {
        uint64_t expired;
        if (events[i].data.ptr)
            benchclient_event(events[i].data.ptr, events[i].events);
        else
            (void)!read(loop->timer, &expired, sizeof expired);
    }
    if (loop->run->plan->rate)
        serve_due(loop);
    if (now - loop->ticked_ns >= TICK_MS * 1000000ULL)
        tick(loop);
}

/* Of this thread, in the kernel as well: that is most of it. */
static uint64_t cpu_ns(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_THREAD, &used);
    return ((uint64_t)used.ru_utime.tv_sec + (uint64_t)used.ru_stime.tv_sec) * SECOND_NS +
           ((uint64_t)used.ru_utime.tv_usec + (uint64_t)used.ru_stime.tv_usec) * 1000;
}

/* Ends when every client is free and nothing will begin; a stop does not wait for them. The clients
 * begin one after the other in the first moment, not spread over time: a closed loop spreads them
 * by itself, and an open one is paced by its due times. */
void benchloop_run(struct benchloop *loop)
{
    struct epoll_event events[EVENTS];
    uint64_t cpu = cpu_ns();
    (void)benchclient_now(&loop->thread);
    for (unsigned i = 0; i < loop->client_count; i++)
        put_to_work(loop, loop->clients[i]);
    if (loop->run->plan->rate)
        serve_due(loop);
    while (!atomic_load_explicit(&loop->run->stop, memory_order_relaxed) &&
           !(no_more(loop) && loop->free_count == loop->client_count))
        turn(loop, events);
    count_missed(loop);
    loop->tally->cpu_ns = cpu_ns() - cpu;
}

/* --- made and freed --- */

/* The timer is told from connections by its NULL. It is made for closed loops, too, and never set.
 */
static bool make_epoll(struct benchloop *loop)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = NULL}};
    loop->thread.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return loop->thread.epoll >= 0 && loop->timer >= 0 &&
           epoll_ctl(loop->thread.epoll, EPOLL_CTL_ADD, loop->timer, &event) == 0;
}

static bool make_clients(struct benchloop *loop, unsigned clients)
{
    loop->clients = calloc(clients, sizeof(struct benchclient *));
    loop->free = calloc(clients, sizeof(struct benchclient *));
    if (!loop->clients || !loop->free)
        return false;
    for (; loop->client_count < clients; loop->client_count++)
        if (!(loop->clients[loop->client_count] = benchclient_new(&loop->thread)))
            return false;
    return true;
}

/* Each thread resolves the server's name for itself, so that nothing of a server is shared. */
struct benchloop *benchloop_new(struct benchrun *run, unsigned number, unsigned clients,
                                const char **why)
{
    const char *name = run->plan->authority;
    struct benchloop *loop = calloc(1, sizeof *loop);
    *why = "out of memory";
    if (!loop)
        return NULL;
    loop->run = run;
    loop->number = number;
    loop->timer = loop->thread.epoll = -1;
    loop->random = run->plan->seed + number;
    loop->tally = calloc(1, sizeof *loop->tally);
    loop->thread.plan = run->plan;
    loop->thread.values = run->values;
    loop->thread.tally = loop->tally;
    loop->thread.idle = client_idle;
    loop->thread.arg = loop;
    if (!loop->tally || !make_clients(loop, clients))
        goto fail;
    *why = "no descriptors";
    if (!make_epoll(loop) || benchservers_find(&loop->thread.servers, name, strlen(name), why) != 0)
        goto fail;
    return loop;
fail:
    benchloop_free(loop);
    return NULL;
}

/* The clients first: their connections are in the epoll set. */
void benchloop_free(struct benchloop *loop)
{
    if (!loop)
        return;
    for (unsigned i = 0; i < loop->client_count; i++)
        benchclient_free(loop->clients[i]);
    if (loop->timer >= 0)
        (void)close(loop->timer);
    if (loop->thread.epoll >= 0)
        (void)close(loop->thread.epoll);
    free(loop->clients);
    free(loop->free);
    free(loop->tally);
    free(loop);
}

const struct benchtally *benchloop_tally(const struct benchloop *loop)
{
    return loop->tally;
}
