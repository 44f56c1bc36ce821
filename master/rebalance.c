/*
 * REBALANCE /key: its copies go where placement wants them. The path:
 *   rebalance_start      key locked, record read
 *   rebalance_spread     the copies are where they should be; the record says what is left over
 *   rebalance_committed  the index says so; the janitor removes the old copies after the grace time
 *   rebalance_finish
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/http_server.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/keylock.h"
#include "master/spread.h"
#include "master/worker.h"

struct rebalance {
    struct worker *worker;
    struct http_request *req;
    struct key key;
    struct record rec;
    struct index_change change;
    uint64_t moved;
    enum status st; /* of the spreading */
};

static void rebalance_spread(void *arg, enum status st, uint64_t moved);
static void rebalance_committed(void *arg, enum status st);
static void rebalance_finish(struct rebalance *reb, enum status st);

void rebalance_start(struct worker *worker, struct http_request *req, const struct key *key)
{
    if (!keylock_try(worker->master->locks, key)) {
        http_reply_status(req, ST_CONFLICT, NULL);
        return;
    }
    struct rebalance *reb = calloc(1, sizeof *reb);
    if (!reb) {
        keylock_release(worker->master->locks, key);
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    reb->worker = worker;
    reb->req = req;
    reb->key = *key;
    enum status st = index_get_all(worker->master->index, key, &reb->rec);
    if (!st && reb->rec.state != KEY_LIVE && reb->rec.state != KEY_UNLINKED)
        st = ST_NOT_FOUND;
    if (!st)
        st =
            spread_start(worker, http_request_id(req), &reb->key, &reb->rec, rebalance_spread, reb);
    if (st)
        rebalance_finish(reb, st);
}

static void rebalance_spread(void *arg, enum status st, uint64_t moved)
{
    struct rebalance *reb = arg;
    reb->moved = moved;
    /* Every copy is away or lost: the key itself is known, so this is not a 404. */
    reb->st = st == ST_NOT_FOUND ? ST_UNAVAILABLE : st;
    if (st) {
        rebalance_finish(reb, reb->st); /* what was begun is in the intent */
        return;
    }
    index_change_begin(&reb->change, reb->worker->loop, rebalance_committed, reb);
    index_change_record(&reb->change, &reb->key, &reb->rec);
    index_commit(reb->worker->master->index, &reb->change);
}

static void rebalance_committed(void *arg, enum status st)
{
    rebalance_finish(arg, st);
}

static void rebalance_finish(struct rebalance *reb, enum status st)
{
    keylock_release(reb->worker->master->locks, &reb->key);
    if (st) {
        http_reply_status(reb->req, st, NULL);
    } else {
        http_reply_fieldf(reb->req, "Larder-Moved", "%" PRIu64, reb->moved);
        http_reply(reb->req, 204, NULL, 0);
    }
    index_change_free(&reb->change);
    record_free(&reb->rec);
    free(reb);
}
