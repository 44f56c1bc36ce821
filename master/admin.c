/*
 * What is below /admin/, apart from the keys: a table of pages, and those of them that need no file
 * of their own. A path is exactly one of the table's; anything else there is 404, also for keys
 * (routes.c), so a page that comes later takes nobody's key away.
 *
 * Some connections are kept for these requests (ADMIN_RESERVE in server.c): a master that is full
 * can still be looked at. Nothing here blocks the loop but the lock of the volumes' table.
 */
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/http_text.h"
#include "master/cluster.h"
#include "master/config.h"
#include "master/damage.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/janitor.h"
#include "master/membership.h"
#include "master/status_page.h"
#include "master/volumes.h"
#include "master/worker.h"

static void reply_text(struct http_request *req, int status, const char *text)
{
    http_reply_field(req, "Content-Type", "text/plain");
    http_reply(req, status, text, strlen(text));
}

static void health(struct worker *worker, struct http_request *req)
{
    (void)worker; /* that the loop answers is the answer */
    reply_text(req, 200, "ok\n");
}

/* For load balancers: ready is a master that would accept a PUT. Until each volume was asked once
 * it is not: VOLUME_UNKNOWN counts as up. */
static void ready(struct worker *worker, struct http_request *req)
{
    size_t writable;
    size_t checked;
    size_t full;
    volumes_tally(worker->master->volumes, &writable, &checked, &full);
    enum status st = index_health(worker->master->index);
    enum status member = cluster_ready(worker->master->cluster);
    if (index_restored(worker->master->index)) {
        http_reply_status(req, ST_UNAVAILABLE,
                          "the index was restored from a backup; run 'larder verify --repair'");
    } else if (member) {
        http_reply_status(req, member, NULL);
    } else if (st) {
        http_reply_status(req, ST_UNAVAILABLE, "the index cannot be written; see the log");
    } else if (checked < volumes_count(worker->master->volumes) ||
               writable < worker->master->config->min_replicas) {
        http_reply_status(req, ST_UNAVAILABLE, "fewer volumes can be written than --min-replicas");
    } else {
        reply_text(req, 200, "ready\n");
    }
}

static void list_volumes(struct worker *worker, struct http_request *req)
{
    struct buf text = BUF_INIT;
    volumes_json(worker->master->volumes, &text);
    http_text_reply(req, 200, HTTP_TEXT_JSON, &text);
    buf_free(&text);
}

/* A sweep of the index now: keys with copies on volumes that no longer count are found and
 * repaired. */
static void repair(struct worker *worker, struct http_request *req)
{
    janitor_demand_sweep(worker->master->janitor);
    http_reply(req, 204, NULL, 0);
}

/* An audit now: index and volumes are compared, and what differs is repaired. */
static void scrub(struct worker *worker, struct http_request *req)
{
    janitor_demand_audit(worker->master->janitor);
    http_reply(req, 204, NULL, 0);
}

static const struct {
    const char *path;
    bool post; /* POST or PUT; else GET or HEAD */
    void (*start)(struct worker *worker, struct http_request *req);
} pages[] = {
    {"/admin/add-volume", true, membership_add},
    {"/admin/drain", true, membership_drain},
    {"/admin/remove-volume", true, membership_remove},
    {"/admin/volume-keys", false, membership_count},
    {"/admin/damaged", true, damage_start},
    {"/admin/repair", true, repair},
    {"/admin/scrub", true, scrub},
    {"/admin/volumes", false, list_volumes},
    {"/admin/status", false, status_page_start},
    {"/admin/health", false, health},
    {"/admin/ready", false, ready},
    {"/admin/metrics", false, status_page_metrics},
    {"/admin/keys", false, keys_start},
    {"/admin/digest", false, digest_start},
    {"/admin/reconcile", true, reconcile_start},
    {"/admin/checkpoint", false, checkpoint_start},
};

/* Allow is a must with 405 (RFC 9110, 15.5.6). */
static void refuse_method(struct http_request *req, bool post)
{
    http_reply_field(req, "Allow", post ? "POST, PUT" : "GET, HEAD");
    http_reply_status(req, ST_METHOD, post ? "use POST here" : "use GET here");
}

void admin_start(struct worker *worker, struct http_request *req)
{
    size_t len;
    const char *path = http_request_path(req, &len);
    enum http_method method = http_request_method(req);
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (strlen(pages[i].path) != len || memcmp(pages[i].path, path, len) != 0)
            continue;
        bool reads = method == HTTP_GET || method == HTTP_HEAD;
        bool writes = method == HTTP_POST || method == HTTP_PUT;
        if (pages[i].post ? writes : reads)
            pages[i].start(worker, req);
        else
            refuse_method(req, pages[i].post);
        return;
    }
    http_reply_status(req, ST_NOT_FOUND, NULL);
}
