/*
 * A ring of items under one lock. Both sides wait on the same condition, whoever gives for room and
 * the members for items, so every change is broadcast: a signal could wake the wrong side.
 *
 * Who may touch what: an item is the giver's until crew_give() returns, then the crew's. A member's
 * state is made and ended by the thread that makes the crew, before and after the member's own
 * thread runs: so neither begin() nor end() need locks.
 */
#include "tools/larder/crew.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

enum { QUEUE = 64 }; /* items; enough that no thread waits for the giver's next page */

struct member {
    struct crew *crew;
    pthread_t thread;
    void *state; /* what begin() made */
};

struct crew {
    struct crew_work work;
    struct member *members;
    unsigned begun;       /* members that have a state */
    unsigned started;     /* and a thread */
    pthread_mutex_t lock; /* over all below */
    pthread_cond_t changed;
    void *queue[QUEUE];
    size_t first, count;
    bool closed; /* there will be no more items */
};

/* Waits for an item. NULL at the end: closed, and nothing left; items that were given are always
 * worked off, since nobody else would free them. */
static void *next_item(struct crew *crew)
{
    void *item = NULL;
    (void)pthread_mutex_lock(&crew->lock);
    while (crew->count == 0 && !crew->closed)
        (void)pthread_cond_wait(&crew->changed, &crew->lock);
    if (crew->count) {
        item = crew->queue[crew->first];
        crew->first = (crew->first + 1) % QUEUE;
        crew->count--;
        (void)pthread_cond_broadcast(&crew->changed);
    }
    (void)pthread_mutex_unlock(&crew->lock);
    return item;
}

static void *member_run(void *arg)
{
    struct member *member = arg;
    void *item;
    while ((item = next_item(member->crew)))
        member->crew->work.work(member->state, item);
    return NULL;
}

/* Fewer threads than wanted are no failure, none at all is; but all must have their state, since
 * what one cannot get (memory, a connection) is the operator's business. */
struct crew *crew_new(unsigned threads, const struct crew_work *work)
{
    struct crew *crew = calloc(1, sizeof *crew);
    if (!crew)
        return NULL;
    crew->work = *work;
    (void)pthread_mutex_init(&crew->lock, NULL);
    (void)pthread_cond_init(&crew->changed, NULL);
    crew->members = calloc(threads, sizeof *crew->members);
    while (crew->members && crew->begun < threads) {
        struct member *member = &crew->members[crew->begun];
        member->crew = crew;
        member->state = work->begin(work->arg);
        if (!member->state)
            break;
        crew->begun++;
    }
    while (crew->members && crew->begun == threads && crew->started < threads) {
        struct member *member = &crew->members[crew->started];
        if (pthread_create(&member->thread, NULL, member_run, member))
            break;
        crew->started++;
    }
    if (crew->started)
        return crew;
    crew_finish(crew);
    return NULL;
}

void crew_give(struct crew *crew, void *item)
{
    (void)pthread_mutex_lock(&crew->lock);
    while (crew->count == QUEUE)
        (void)pthread_cond_wait(&crew->changed, &crew->lock);
    crew->queue[(crew->first + crew->count++) % QUEUE] = item;
    (void)pthread_cond_broadcast(&crew->changed);
    (void)pthread_mutex_unlock(&crew->lock);
}

/* Also what undoes a crew of which not all could be made: then there are no threads, and states
 * only. */
void crew_finish(struct crew *crew)
{
    if (!crew)
        return;
    (void)pthread_mutex_lock(&crew->lock);
    crew->closed = true;
    (void)pthread_cond_broadcast(&crew->changed);
    (void)pthread_mutex_unlock(&crew->lock);
    for (unsigned i = 0; i < crew->started; i++)
        (void)pthread_join(crew->members[i].thread, NULL);
    for (unsigned i = 0; i < crew->begun; i++)
        crew->work.end(crew->members[i].state);
    (void)pthread_cond_destroy(&crew->changed);
    (void)pthread_mutex_destroy(&crew->lock);
    free(crew->members);
    free(crew);
}
