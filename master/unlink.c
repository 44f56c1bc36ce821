/*
 * UNLINK /key (also DELETE /key?unlink): the key is hidden, its value kept. The path:
 *   unlink_start      key locked, record read
 *   unlink_recorded   the index says UNLINKED
 *   unlink_flagged    the volumes have noted it in the files' attributes, for a rebuild
 *   unlink_finish
 *
 * Volumes that are away or not larder's do not note it: one note suffices for a rebuild.
 */
#include <stdlib.h>

#include "common/http_server.h"
#include "common/log.h"
#include "master/ask.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/keylock.h"
#include "master/volumes.h"
#include "master/worker.h"

enum { TIMEOUT_MS = 5000 };

struct unlinking {
    struct worker *worker;
    struct http_request *req;
    struct key key;
    struct record rec;
    struct index_change change;
};

static void unlink_recorded(void *arg, enum status st);
static void unlink_flagged(void *arg, const struct ask_answer *answers, size_t count);
static void unlink_finish(struct unlinking *un, enum status st);

void unlink_start(struct worker *worker, struct http_request *req, const struct key *key)
{
    if (!keylock_try(worker->master->locks, key)) {
        http_reply_status(req, ST_CONFLICT, NULL);
        return;
    }
    struct unlinking *un = calloc(1, sizeof *un);
    if (!un) {
        keylock_release(worker->master->locks, key);
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    un->worker = worker;
    un->req = req;
    un->key = *key;
    enum status st = index_get_all(worker->master->index, key, &un->rec);
    if (!st && un->rec.state != KEY_LIVE)
        st = ST_NOT_FOUND;
    if (st) {
        unlink_finish(un, st);
        return;
    }
    record_move(&un->rec, KEY_UNLINKED);
    index_change_begin(&un->change, worker->loop, unlink_recorded, un);
    index_change_record(&un->change, &un->key, &un->rec);
    index_change_event(&un->change, CHANGES_UNLINK, &un->key, 0, "");
    index_commit(worker->master->index, &un->change);
}

/* After the commit: the client's answer hangs on the index, and the marks are for a rebuild alone.
 */
static enum status flag_copies(struct unlinking *un)
{
    const struct record *rec = &un->rec;
    struct ask_item items[RECORD_COPIES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < rec->place_count; i++) {
        struct volumes *volumes = un->worker->master->volumes;
        if (volume_erasable(volumes_state(volumes, rec->places[i])) &&
            volumes_kind(volumes, rec->places[i]) == VOLUME_LARDER)
            items[count++] =
                (struct ask_item){rec->places[i], rec->generation, rec->naming, NULL, NULL};
    }
    return ask_start(un->worker, http_request_id(un->req), "UNLINK", &un->key, items, count,
                     TIMEOUT_MS, unlink_flagged, un);
}

static void unlink_recorded(void *arg, enum status st)
{
    struct unlinking *un = arg;
    if (!st)
        st = flag_copies(un);
    if (st)
        unlink_finish(un, st);
}

/* Not one mark is no failure of the request, but worth a line: the index is all that knows of it.
 */
static void unlink_flagged(void *arg, const struct ask_answer *answers, size_t count)
{
    struct unlinking *un = arg;
    size_t noted = 0;
    for (size_t i = 0; i < count; i++)
        noted += answers[i].st == ST_OK && answers[i].http == 204;
    if (noted == 0)
        log_event(LOG_WARN, "unlink",
                  "request=%s event=not-noted-on-volumes advice=\"a rebuild would show the key\"",
                  http_request_id(un->req));
    unlink_finish(un, ST_OK);
}

/* The one end: unlocks, answers, frees. */
static void unlink_finish(struct unlinking *un, enum status st)
{
    keylock_release(un->worker->master->locks, &un->key);
    if (st)
        http_reply_status(un->req, st, NULL);
    else
        http_reply(un->req, 204, NULL, 0);
    index_change_free(&un->change);
    record_free(&un->rec);
    free(un);
}
