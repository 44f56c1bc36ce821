/*
 * GET /admin/name: the name under which the store knows this volume. POST /admin/name?name=NAME:
 * the master tells it. The path: admin_name_start → name_kept (on the pool) → name_answered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/http_text.h"
#include "common/json.h"
#include "common/key.h"
#include "common/log.h"
#include "common/pool.h"
#include "volume/admin.h"
#include "volume/called.h"
#include "volume/masters.h"
#include "volume/service.h"

/* A POST: the file is written on the pool, as all that may block on a disk. */
struct naming_call {
    struct service *service;
    struct http_request *req;
    struct pool_job job;
    char name[VOLUME_NAME_MAX + 1];
    char peer[80];
    enum status st;
};

static void name_kept(void *arg);
static void name_answered(void *arg);

static void reply_name(struct service *service, struct http_request *req)
{
    char name[VOLUME_NAME_MAX + 1];
    struct buf text = BUF_INIT;
    called_get(service->called, name);
    buf_adds(&text, "{\"name\":");
    json_add_string(&text, name, strlen(name));
    buf_adds(&text, "}\n");
    http_text_reply(req, 200, HTTP_TEXT_JSON, &text);
    buf_free(&text);
}

static enum status read_name(const struct http_request *req, char name[VOLUME_NAME_MAX + 1])
{
    char text[VOLUME_NAME_MAX + 64];
    size_t len;
    const char *query = http_request_query(req, &len);
    long size = key_query(query, len, "name", text, sizeof text);
    return size < 1 ? ST_BAD_REQUEST : placement_volume_name(text, (size_t)size, name);
}

void admin_name_start(struct service *service, struct http_request *req)
{
    char name[VOLUME_NAME_MAX + 1];
    if (http_request_method(req) != HTTP_POST) {
        reply_name(service, req);
        return;
    }
    if (read_name(req, name)) {
        http_reply_status(req, ST_BAD_REQUEST, "expected ?name=host:port[/path], percent-encoded");
        return;
    }
    struct naming_call *call = calloc(1, sizeof *call);
    if (!call) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    call->service = service;
    call->req = req;
    memcpy(call->name, name, sizeof call->name);
    (void)snprintf(call->peer, sizeof call->peer, "%s", http_request_peer(req));
    call->job = (struct pool_job){
        .run = name_kept, .done = name_answered, .arg = call, .loop = http_request_loop(req)};
    if (!pool_submit(service->pool, &call->job)) {
        http_reply_status(req, ST_BUSY, NULL);
        free(call);
    }
}

/* On the pool: names of masters may be resolved, and files written. Who tells the name is a master,
 * or pretends to be one; masters.c has what comes of either. */
static void name_kept(void *arg)
{
    struct naming_call *call = arg;
    masters_named(call->service->masters, call->peer);
    call->st = called_set(call->service->called, call->name);
}

static void name_answered(void *arg)
{
    struct naming_call *call = arg;
    if (call->st) {
        log_event(LOG_WARN, "called", "name=%s doing=\"write .larder/name\" error=\"%s\"",
                  call->name, status_text(call->st));
        http_reply_status(call->req, call->st, NULL);
    } else {
        reply_name(call->service, call->req);
    }
    free(call);
}
