#include "master/patience.h"

#include <stdlib.h>

#include "common/http_server.h"
#include "common/key.h"
#include "common/loop.h"
#include "master/keylock.h"
#include "master/worker.h"

enum { LOOK_MS = 5, MOST_MS = 2000 };

struct patience {
    struct worker *worker;
    struct http_request *req;
    struct key key;
    uint64_t until_ms;
    struct loop_timer *timer;
    void (*start)(struct worker *worker, struct http_request *req, const struct key *key);
};

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
