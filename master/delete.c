/*
 * DELETE /key. The happy path:
 *   delete_start      key locked, record read
 *   delete_recorded   the index says DELETED (a tombstone): nobody finds the key any more
 *   delete_buried     its files are gone; or, where a volume is away, the tombstone is on others
 *   delete_settled    the index has forgotten the key, or keeps what is still to do for the janitor
 *   delete_finish
 *
 * Possible failures: the index cannot be written (nothing has changed); no volume can take the
 * tombstone while copies remain (503: the key is hidden, and the janitor goes on).
 */
#include <stdlib.h>

#include "common/http_server.h"
#include "common/log.h"
#include "master/bury.h"
#include "master/config.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/keylock.h"
#include "master/volumes.h"
#include "master/worker.h"

struct deletion {
    struct worker *worker;
    struct http_request *req;
    struct key key;
    struct record rec;
    struct index_change change;
};

static void delete_recorded(void *arg, enum status st);
static void delete_buried(void *arg);
static void delete_settled(void *arg, enum status st);
static void delete_finish(struct deletion *del, enum status st);

/* `visible`: watchers are told. */
static void commit(struct deletion *del, void (*committed)(void *, enum status), bool lazy,
                   bool visible)
{
    index_change_begin(&del->change, del->worker->loop, committed, del);
    del->change.lazy = lazy;
    index_change_record(&del->change, &del->key, &del->rec);
    if (visible)
        index_change_event(&del->change, CHANGES_DELETE, &del->key, 0, "");
    index_commit(del->worker->master->index, &del->change);
}

/* The copies become garbage, under a tombstone that covers every version so far. What volumes keep
 * of an earlier deletion says an older generation, and would not cover this one in an index made
 * anew; so they are asked again. */
static enum status entomb(struct record *rec)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < rec->place_count && !st; i++)
        st = record_add_garbage(rec, rec->generation, rec->naming, rec->places[i]);
    for (size_t i = 0; i < rec->garbage.count && !st; i++)
        if (!rec->has_tombstone || rec->garbage.list[i].generation > rec->tombstone) {
            rec->has_tombstone = true;
            rec->tombstone = rec->garbage.list[i].generation;
            st = record_doubt_holders(rec);
        }
    if (!st)
        st = record_set_places(rec, NULL, 0);
    record_move(rec, KEY_DELETED);
    rec->generation = 0;
    rec->md5[0] = 0;
    rec->few_copies = rec->suspect = false;
    rec->since = 0;
    record_hurry_garbage(rec);
    return st;
}

static enum status prepare(struct deletion *del)
{
    enum status st = index_get_all(del->worker->master->index, &del->key, &del->rec);
    if (st)
        return st;
    if (del->rec.state != KEY_LIVE && del->rec.state != KEY_UNLINKED)
        return ST_NOT_FOUND;
    if (del->rec.state == KEY_LIVE && del->worker->master->config->protect)
        return ST_PROTECTED;
    return entomb(&del->rec);
}

void delete_start(struct worker *worker, struct http_request *req, const struct key *key)
{
    if (!keylock_try(worker->master->locks, key)) {
        http_reply_status(req, ST_CONFLICT, NULL);
        return;
    }
    struct deletion *del = calloc(1, sizeof *del);
    if (!del) {
        keylock_release(worker->master->locks, key);
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    del->worker = worker;
    del->req = req;
    del->key = *key;
    enum status st = prepare(del);
    if (st)
        delete_finish(del, st);
    else
        commit(del, delete_recorded, false, true);
}

static void delete_recorded(void *arg, enum status st)
{
    struct deletion *del = arg;
    if (!st)
        st = bury_start(del->worker, http_request_id(del->req), &del->key, &del->rec, false,
                        delete_buried, del);
    if (st)
        delete_finish(del, st);
}

/* True where the deletion would be forgotten with the index: copies remain, and no volume that
 * could keep the tombstone does. Volumes that are not larder's cannot. */
static bool at_risk(const struct deletion *del)
{
    struct volumes *volumes = del->worker->master->volumes;
    if (del->rec.garbage.count == 0 || del->rec.holder_count)
        return false;
    for (size_t i = 0; i < del->rec.garbage.count; i++)
        if (volumes_kind(volumes, del->rec.garbage.list[i].place) == VOLUME_LARDER)
            return true;
    return false;
}

static void delete_buried(void *arg)
{
    struct deletion *del = arg;
    if (!del->rec.has_tombstone)
        record_move(&del->rec, KEY_ABSENT);
    /* Getting lost is harmless: the tombstone is back then, and the janitor finds the copies gone.
     */
    bool lazy = del->rec.holder_count == 0;
    commit(del, delete_settled, lazy, false);
}

static void delete_settled(void *arg, enum status st)
{
    struct deletion *del = arg;
    if (at_risk(del)) {
        log_event(LOG_WARN, "delete", "request=%s event=no-tombstone copies=%zu",
                  http_request_id(del->req), del->rec.garbage.count);
        st = ST_UNAVAILABLE;
    } else if (st) {
        st = ST_OK; /* the deletion itself is durable since delete_recorded */
    }
    delete_finish(del, st);
}

static void delete_finish(struct deletion *del, enum status st)
{
    keylock_release(del->worker->master->locks, &del->key);
    if (st)
        http_reply_status(del->req, st, NULL);
    else
        http_reply(del->req, 204, NULL, 0);
    index_change_free(&del->change);
    record_free(&del->rec);
    free(del);
}
