/*
 * The janitor, flags and orphans hold a key for milliseconds, and a client that met them would get
 * a 409 for nothing that another client did. So its write looks again a few times before the flow
 * itself tries the lock. It is no queue: two clients that wait for one key are not ordered, and the
 * second still gets its 409. Nothing is held while it waits; the body of a PUT stays in the
 * connection.
 */
#include "master/patience.h"

#include <stdlib.h>

#include "common/http_server.h"
#include "common/key.h"
#include "common/loop.h"
#include "master/keylock.h"
#include "master/worker.h"

enum { LOOK_MS = 5, MOST_MS = 2000 };

/* One client's write that waits; owns itself. */
struct patience {
    struct worker *worker;
    struct http_request *req;
    struct key key;
    uint64_t until_ms; /* of loop_now_ms() */
    struct loop_timer *timer;
    void (*start)(struct worker *worker, struct http_request *req, const struct key *key);
};

/* `start` may end the request at once, so nothing of it is touched afterwards but the patience's
 * own. */
static void looked(void *arg)
{
    struct patience *patience = arg;
    struct worker *worker = patience->worker;
    if (keylock_is_quiet(worker->master->locks, &patience->key) &&
        loop_now_ms() < patience->until_ms) {
        loop_timer_set(patience->timer, LOOK_MS);
        return;
    }
    patience->start(worker, patience->req, &patience->key);
    loop_timer_free(patience->timer);
    free(patience);
}

/* Without memory the client gets what it would have got without patience. */
void patience_start(struct worker *worker, struct http_request *req, const struct key *key,
                    void (*start)(struct worker *worker, struct http_request *req,
                                  const struct key *key))
{
    struct patience *patience = NULL;
    if (keylock_is_quiet(worker->master->locks, key))
        patience = calloc(1, sizeof *patience);
    if (patience)
        patience->timer = loop_timer_new(worker->loop, looked, patience);
    if (!patience || !patience->timer) {
        free(patience);
        start(worker, req, key);
        return;
    }
    patience->worker = worker;
    patience->req = req;
    patience->key = *key;
    patience->start = start;
    patience->until_ms = loop_now_ms() + MOST_MS;
    loop_timer_set(patience->timer, LOOK_MS);
}
