/*
 * POST /admin/reconcile: what `larder verify --repair` has found out about keys of an index that
 * was restored. The path:
 *
 *   reconcile_start
 *   reconcile_taken      nobody else is at it; ?begin and ?end change the state of the index, else
 *                        the body is read
 *   reconcile_data
 *   reconcile_arrived    every record in it is good, or nothing is done
 *   reconcile_committed  they are in the index
 *   reconcile_finish
 *
 * Whoever names himself (Larder-Repair) with ?begin is the one who does this, until ?end or ?leave,
 * or until he has not been heard of for a minute: of two at once each would take the other's
 * records, or the writes that come after the first one's end, for faults.
 *
 * While an index counts as restored nobody else writes it: key locks are not given out.
 */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/key.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/record.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/janitor.h"
#include "master/lease.h"
#include "master/worker.h"

enum { BODY_MAX = 4 * 1024 * 1024 };

struct reconcile {
    struct worker *worker;
    struct http_request *req;
    struct buf text;
    bool too_long;
    bool ends; /* the index is whole again */
    struct index_change change;
};

static void reconcile_taken(struct reconcile *reconcile, bool begins);
static size_t reconcile_data(void *arg, const char *data, size_t len);
static void reconcile_arrived(void *arg, enum status st);
static void reconcile_committed(void *arg, enum status st);
static void reconcile_finish(struct reconcile *reconcile, enum status st, const char *detail);

static const struct http_body_sink sink = {reconcile_data, reconcile_arrived};

static void begin_change(struct reconcile *reconcile)
{
    index_change_begin(&reconcile->change, reconcile->worker->loop, reconcile_committed, reconcile);
    /* Watchers cannot be told what became of each key since the backup. */
    index_change_event(&reconcile->change, CHANGES_RESET, NULL, 0, "");
}

/* ?begin, ?end */
static void change_state(struct reconcile *reconcile, bool restored)
{
    reconcile->ends = !restored;
    begin_change(reconcile);
    index_change_restored(&reconcile->change, restored);
    log_event(LOG_WARN, "reconcile", "event=%s", restored ? "begun" : "ended");
    index_commit(reconcile->worker->master->index, &reconcile->change);
}

static const char *who(const struct reconcile *reconcile)
{
    return http_request_field(reconcile->req, "Larder-Repair");
}

/* False where another has it: the request was answered. */
static bool take_lease(struct reconcile *reconcile)
{
    if (lease_take(reconcile->worker->master->repairs, who(reconcile), loop_now_ms()))
        return true;
    reconcile_finish(reconcile, ST_CONFLICT,
                     "another 'larder verify --repair' is at work on this index: wait for its end "
                     "(one that was killed is forgotten after a minute)");
    return false;
}

void reconcile_start(struct worker *worker, struct http_request *req)
{
    struct reconcile *reconcile = calloc(1, sizeof *reconcile);
    if (!reconcile) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    reconcile->worker = worker;
    reconcile->req = req;
    bool begins = http_request_has(req, "begin");
    if (http_request_has(req, "leave")) {
        lease_give_back(worker->master->repairs, who(reconcile));
        reconcile_finish(reconcile, ST_OK, NULL);
    } else if (!begins && !index_restored(worker->master->index)) {
        reconcile_finish(reconcile, ST_CONFLICT, "this index does not count as restored");
    } else if (take_lease(reconcile)) {
        reconcile_taken(reconcile, begins);
    }
}

/* It is the one who may. */
static void reconcile_taken(struct reconcile *reconcile, bool begins)
{
    if (begins)
        change_state(reconcile, true);
    else if (http_request_has(reconcile->req, "renew"))
        reconcile_finish(reconcile, ST_OK, NULL);
    else if (http_request_has(reconcile->req, "end"))
        change_state(reconcile, false);
    else if (!http_request_has_body(reconcile->req))
        reconcile_finish(reconcile, ST_LENGTH_REQUIRED, "send {\"records\":[...]}");
    else
        http_request_read_body(reconcile->req, &sink, reconcile);
}

static size_t reconcile_data(void *arg, const char *data, size_t len)
{
    struct reconcile *reconcile = arg;
    reconcile->too_long = reconcile->too_long || reconcile->text.len + len > BODY_MAX;
    if (!reconcile->too_long)
        buf_add(&reconcile->text, data, len);
    return len;
}

/* One record, as the index keeps it: two texts, either may be null. */
static enum status take_record(struct reconcile *reconcile, const struct json *json)
{
    const char *name = json_text(json_member(json, "key"));
    const char *value = json_text(json_member(json, "value"));
    const char *work = json_text(json_member(json, "work"));
    struct record rec;
    struct key key;
    if (!name || key_from_path(&key, name, strlen(name)))
        return ST_BAD_REQUEST;
    record_init(&rec);
    enum status st =
        record_decode(&rec, value, value ? strlen(value) : 0, work, work ? strlen(work) : 0);
    if (st == ST_CORRUPT)
        st = ST_BAD_REQUEST;
    if (!st)
        index_change_record(&reconcile->change, &key, &rec);
    record_free(&rec);
    return st;
}

static void reconcile_arrived(void *arg, enum status st)
{
    struct reconcile *reconcile = arg;
    if (!st && reconcile->too_long)
        st = ST_TOO_LARGE;
    if (!st && !buf_ok(&reconcile->text))
        st = ST_NO_MEMORY;
    struct json *json =
        st ? NULL : json_parse(buf_text(&reconcile->text), reconcile->text.len, NULL);
    const struct json *records = json_member(json, "records");
    if (!st && !records)
        st = ST_BAD_REQUEST;
    begin_change(reconcile);
    for (size_t i = 0; i < json_count(records) && !st; i++)
        st = take_record(reconcile, json_item(records, i));
    json_free(json);
    if (st)
        reconcile_finish(reconcile, st, NULL);
    else
        index_commit(reconcile->worker->master->index, &reconcile->change);
}

static void reconcile_committed(void *arg, enum status st)
{
    struct reconcile *reconcile = arg;
    /* What was restored may stand on volumes that are drained or lost by now. */
    if (!st && reconcile->ends) {
        janitor_demand_sweep(reconcile->worker->master->janitor);
        lease_give_back(reconcile->worker->master->repairs, who(reconcile));
    }
    reconcile_finish(reconcile, st, NULL);
}

static void reconcile_finish(struct reconcile *reconcile, enum status st, const char *detail)
{
    if (st)
        http_reply_status(reconcile->req, st, detail);
    else
        http_reply(reconcile->req, 204, NULL, 0);
    index_change_free(&reconcile->change);
    buf_free(&reconcile->text);
    free(reconcile);
}
