/*
 * From a request to its flow; the one place that knows which method and which query mean what.
 * /admin/ is not a place for keys, whichever way it is written. What changes a key goes through
 * patience.c, reads do not.
 */
#include "master/routes.h"

#include <stdbool.h>
#include <string.h>

#include "common/http_server.h"
#include "common/key.h"
#include "master/flows.h"
#include "master/gate.h"
#include "master/index.h"
#include "master/patience.h"
#include "master/worker.h"

/* HEAD as GET; the server leaves the body off. */
static void route_get(struct worker *worker, struct http_request *req, const struct key *key)
{
    if (http_request_has(req, "record"))
        keys_record(worker, req, key);
    else
        get_start(worker, req, key);
}

/* Until an index that was restored has been brought together with the volumes, it does not know
 * what it would overwrite, or bring back. */
static bool refuse_restored(struct worker *worker, struct http_request *req)
{
    enum http_method method = http_request_method(req);
    if (method == HTTP_GET || method == HTTP_HEAD || !index_restored(worker->master->index))
        return false;
    http_reply_status(
        req, ST_READ_ONLY,
        "the index was restored from a backup; 'larder verify --repair' has to bring it "
        "and the volumes together first");
    return true;
}

static void route_key(struct worker *worker, struct http_request *req, const struct key *key)
{
    switch (http_request_method(req)) {
    case HTTP_GET:
    case HTTP_HEAD:
        route_get(worker, req, key);
        break;
    case HTTP_PUT:
        patience_start(worker, req, key, put_start);
        break;
    case HTTP_DELETE:
        patience_start(worker, req, key,
                       http_request_has(req, "unlink") ? unlink_start : delete_start);
        break;
    case HTTP_UNLINK:
        patience_start(worker, req, key, unlink_start);
        break;
    case HTTP_REBALANCE:
        patience_start(worker, req, key, rebalance_start);
        break;
    default:
        http_reply_field(req, "Allow", "GET, HEAD, PUT, DELETE, UNLINK, REBALANCE");
        http_reply_status(req, ST_METHOD, NULL);
    }
}

static void route(struct worker *worker, struct http_request *req)
{
    size_t len;
    const char *path = http_request_path(req, &len);
    enum http_method method = http_request_method(req);
    if (len >= 7 && memcmp(path, "/admin/", 7) == 0) {
        admin_start(worker, req);
        return;
    }
    atomic_fetch_add_explicit(&worker->requests, 1, memory_order_relaxed);
    if ((method == HTTP_GET || method == HTTP_HEAD) &&
        (http_request_has(req, "list") || http_request_has(req, "unlinked"))) {
        list_start(worker, req);
        return;
    }
    if ((method == HTTP_GET || method == HTTP_HEAD) && http_request_has(req, "watch")) {
        watch_start(worker, req);
        return;
    }
    struct key key;
    enum status st = key_from_path(&key, path, len);
    /* "/%61dmin/x" is the same key as "/admin/x", so it is reserved as well. */
    if (!st && key.len >= 7 && memcmp(key.bytes, "/admin/", 7) == 0)
        st = ST_NOT_FOUND;
    if (st == ST_BAD_REQUEST)
        http_reply_status(req, st, "a key has 2 to 1024 bytes, no NUL, and no broken escapes");
    else if (st)
        http_reply_status(req, st, NULL);
    else if (!refuse_restored(worker, req))
        route_key(worker, req, &key);
}

void routes_handle(struct http_request *req, void *arg)
{
    struct worker *worker = arg;
    if (worker->master->cluster)
        gate_start(worker, req, route);
    else
        route(worker, req);
}

/* A path that is escaped, or no key's at all, does no harm. */
void routes_expect(const char *path, size_t len, void *arg)
{
    struct worker *worker = arg;
    index_expect(worker->master->index, path, len, &worker->expected);
}
