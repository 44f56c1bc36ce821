/* The path: settle_start → settle_visit (on each loop in turn) → settle_committed. */
#include "master/settle.h"

#include "master/worker.h"

static void settle_visit(void *arg);
static void settle_committed(void *arg, enum status st);

void settle_start(struct settle *settle, struct master *master, struct loop *home,
                  void (*settled)(void *arg, enum status st), void *arg)
{
    settle->master = master;
    settle->home = home;
    settle->visited = 0;
    settle->under_way = true;
    settle->settled = settled;
    settle->arg = arg;
    settle->message.fn = settle_visit;
    settle->message.arg = settle;
    loop_post(master->workers[0].loop, &settle->message);
}

/* A turn of a loop is over when the message comes: what it has handed to the index stands in the
 * queue before the empty change. */
static void settle_visit(void *arg)
{
    struct settle *settle = arg;
    struct master *master = settle->master;
    if (++settle->visited < master->worker_count) {
        loop_post(master->workers[settle->visited].loop, &settle->message);
        return;
    }
    index_change_begin(&settle->change, settle->home, settle_committed, settle);
    settle->change.lazy = true; /* nothing in it that could be lost */
    index_commit(master->index, &settle->change);
}

static void settle_committed(void *arg, enum status st)
{
    struct settle *settle = arg;
    settle->under_way = false;
    settle->settled(settle->arg, st);
}

void settle_free(struct settle *settle)
{
    index_change_free(&settle->change);
}
