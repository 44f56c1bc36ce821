/*
 * UNLINK /path: marks a value as unlinked, durably. What that means is the master's to say; the
 * mark lets a lost index be rebuilt.
 *
 * unlink_mark (on the pool) → unlink_finish: 204 or 404.
 */
#include <stdlib.h>

#include "common/http_server.h"
#include "volume/flow.h"
#include "volume/service.h"

/* Made by unlink_start(), freed by unlink_finish(); the pool's in between. */
struct unlink {
    struct flow flow;
    enum status result;
};

static void unlink_mark(void *arg); /* on the pool */
static void unlink_finish(void *arg);

void unlink_start(struct service *service, struct http_request *req, struct path *path)
{
    struct unlink *un = calloc(1, sizeof *un);
    if (!un) {
        free(path);
        flow_refuse(req, ST_NO_MEMORY);
        return;
    }
    flow_init(&un->flow, service, req, path);
    atomic_fetch_add(&service->counters.unlinks, 1);
    un->result = path->directory ? ST_NOT_FOUND : flow_admit(&un->flow, SUBVOLUME_DELETE, 0);
    /* Once it has begun it belongs to the pool: not even its result may be looked at. */
    if (!un->result && flow_begin(&un->flow, unlink_mark, unlink_finish, un))
        return;
    if (!un->result)
        un->result = ST_BUSY;
    unlink_finish(un);
}

static void unlink_mark(void *arg)
{
    struct unlink *un = arg;
    un->result = store_unlink(&un->flow.at);
}

static void unlink_finish(void *arg)
{
    struct unlink *un = arg;
    if (un->result == ST_NOT_IMPLEMENTED)
        http_reply_status(un->flow.req, un->result, "this file system keeps no attributes");
    else if (un->result)
        flow_refuse(un->flow.req, un->result);
    else
        http_reply(un->flow.req, 204, NULL, 0);
    flow_release(&un->flow);
    free(un);
}
