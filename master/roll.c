/*
 * The path of a change: roll_submit → take_turn (decided, handed to the index) → roll_committed
 * (the table has it; the next one's turn) → done. One that is refused goes from take_turn to
 * roll_refused.
 *
 * The trap that shaped it: read the facts, change them, commit them, for two requests at once, and
 * the second writes back what the first has changed. So there is one change in the index's hands at
 * a time (`busy`), and it is decided only when its turn has come.
 *
 * Threads: changes come from any loop, and a turn runs on whichever loop the one before ended on;
 * hence decide() may run on any thread. The lock is over the queue alone, and held for none of the
 * calls.
 */
#include "master/roll.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/buf.h"

struct roll {
    struct index *index;
    struct volumes *volumes;
    pthread_mutex_t lock;      /* for what is below */
    struct roll_change *first; /* wait for their turn; each is its owner's memory */
    struct roll_change **end;
    bool busy; /* one is in the index's hands */
};

static void roll_committed(void *arg, enum status st);
static void roll_refused(void *arg);

struct roll *roll_new(struct index *index, struct volumes *volumes)
{
    struct roll *roll = calloc(1, sizeof *roll);
    if (!roll)
        return NULL;
    roll->index = index;
    roll->volumes = volumes;
    roll->end = &roll->first;
    if (pthread_mutex_init(&roll->lock, NULL)) {
        free(roll);
        return NULL;
    }
    return roll;
}

void roll_free(struct roll *roll)
{
    if (!roll)
        return;
    (void)pthread_mutex_destroy(&roll->lock);
    free(roll);
}

void roll_change_free(struct roll_change *change)
{
    index_change_free(&change->change);
}

/* The facts that it shall have, in the hands of the index. */
static enum status take_turn(struct roll *roll, struct roll_change *change)
{
    struct buf value = BUF_INIT;
    uint64_t term = index_reading_term(roll->index); /* of the facts that it goes by */
    bool known = volumes_facts(roll->volumes, change->name, &change->facts);
    enum status st = change->decide(change->arg, known, &change->facts);
    if (st)
        return st;
    volumes_describe(&value, change->name, &change->facts);
    if (buf_ok(&value)) { /* half of it would stand in the index from now on */
        index_change_begin(&change->change, change->loop, roll_committed, change);
        change->change.term = term;
        index_change_volume(&change->change, change->name, buf_text(&value));
        index_commit(roll->index, &change->change);
    } else {
        st = ST_NO_MEMORY;
    }
    buf_free(&value);
    return st;
}

/* The first that waits; NULL: none, and the next that comes has its turn at once. */
static struct roll_change *next_change(struct roll *roll)
{
    (void)pthread_mutex_lock(&roll->lock);
    struct roll_change *change = roll->first;
    if (change) {
        roll->first = change->next;
        if (!roll->first)
            roll->end = &roll->first;
    }
    roll->busy = change != NULL;
    (void)pthread_mutex_unlock(&roll->lock);
    return change;
}

/* Until one is in the index's hands. Those that are refused are told so on their own loops. */
static void go_on(struct roll *roll)
{
    struct roll_change *change = next_change(roll);
    while (change) {
        enum status st = take_turn(roll, change);
        if (!st)
            return; /* the change may be gone already */
        change->st = st;
        change->message.fn = roll_refused;
        change->message.arg = change;
        loop_post(change->loop, &change->message);
        change = next_change(roll);
    }
}

/* Whoever finds the roll at rest takes the turn at once, on this loop. */
void roll_submit(struct roll *roll, struct roll_change *change)
{
    change->roll = roll;
    change->next = NULL;
    (void)pthread_mutex_lock(&roll->lock);
    bool waits = roll->busy;
    *roll->end = change;
    roll->end = &change->next;
    roll->busy = true;
    (void)pthread_mutex_unlock(&roll->lock);
    if (!waits)
        go_on(roll);
}

static void roll_committed(void *arg, enum status st)
{
    struct roll_change *change = arg;
    struct roll *roll = change->roll;
    if (!st) /* where memory is short, from the next start on */
        st = volumes_set(roll->volumes, change->name, &change->facts);
    go_on(roll);
    change->done(change->arg, st);
}

/* On the loop of the change, as `done` is to be. */
static void roll_refused(void *arg)
{
    struct roll_change *change = arg;
    change->done(change->arg, change->st);
}
