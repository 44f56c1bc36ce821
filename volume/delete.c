/*
 * DELETE /path: removes a value, durably.
 *
 * delete_work (on the pool) → delete_finish: 204 or 404.
 *
 * With `Larder-Tombstone: GENERATION` the tombstone is on the disk before the file goes, so that
 * the deletion is never forgotten while a copy may still turn up; `drop` forgets a tombstone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_server.h"
#include "common/key.h"
#include "volume/flow.h"
#include "volume/pulls.h"
#include "volume/service.h"
#include "volume/tombstone.h"

/* Which of the three the header asks for. */
enum delete_kind { DELETE_VALUE, DELETE_WITH_TOMBSTONE, DELETE_TOMBSTONE };

/* Made by delete_start(), freed by delete_finish(). Between flow_begin() and delete_finish() it is
 * the pool's. */
struct delete
{
    struct flow flow;
    enum delete_kind kind;
    uint64_t generation; /* of the tombstone; so is the key */
    struct key key;
    enum status result; /* of the flow so far; ST_OK: 204 */
};

static enum status delete_check_head(struct delete *del);
static void delete_work(void *arg); /* on the pool */
static void delete_finish(void *arg);

void delete_start(struct service *service, struct http_request *req, struct path *path)
{
    struct delete *del = calloc(1, sizeof *del);
    if (!del) {
        free(path);
        flow_refuse(req, ST_NO_MEMORY);
        return;
    }
    flow_init(&del->flow, service, req, path);
    atomic_fetch_add(&service->counters.deletes, 1);
    del->result = delete_check_head(del);
    /* Once it has begun it belongs to the pool: not even its result may be looked at. */
    if (!del->result &&
        !pulls_give_up(service->pulls, del->flow.path->subvolume, del->flow.path->file))
        del->result = ST_BUSY;
    if (!del->result && flow_begin(&del->flow, delete_work, delete_finish, del))
        return;
    if (!del->result)
        del->result = ST_BUSY;
    delete_finish(del);
}

/* "drop", or a generation in decimal. */
static enum status read_tombstone(struct delete *del, const char *text)
{
    char *rest;
    size_t prefix;
    if (path_key(del->flow.path, &del->key, &prefix))
        return ST_BAD_REQUEST; /* the name tells no key */
    if (!strcmp(text, "drop")) {
        del->kind = DELETE_TOMBSTONE;
        return ST_OK;
    }
    del->kind = DELETE_WITH_TOMBSTONE;
    errno = 0;
    del->generation = strtoull(text, &rest, 10);
    return text[0] < '0' || text[0] > '9' || errno || *rest ? ST_BAD_REQUEST : ST_OK;
}

/* What can be refused without the disk: the path, the header, and by what is known of the disk. */
static enum status delete_check_head(struct delete *del)
{
    const char *tombstone = http_request_field(del->flow.req, "Larder-Tombstone");
    if (del->flow.path->directory || del->flow.path->file[0] == '\0')
        return ST_CONFLICT; /* nothing here removes directories */
    enum status st = tombstone ? read_tombstone(del, tombstone) : ST_OK;
    return st ? st : flow_admit(&del->flow, SUBVOLUME_DELETE, 0);
}

static void delete_work(void *arg)
{
    struct delete *del = arg;
    const struct store_at *at = &del->flow.at;
    switch (del->kind) {
    case DELETE_VALUE:
        del->result = store_delete(at);
        break;
    /* The tombstone first: a crash in between leaves a value that is known to be deleted, and not a
     * deletion that nobody knows of. That there is no file is fine, the tombstone is what was asked
     * for. */
    case DELETE_WITH_TOMBSTONE:
        del->result = tombstone_put(at, &del->key, del->generation);
        if (!del->result)
            del->result = store_delete(at);
        if (del->result == ST_NOT_FOUND)
            del->result = ST_OK;
        break;
    case DELETE_TOMBSTONE:
        del->result = tombstone_drop(at, &del->key);
        break;
    }
}

static void delete_finish(void *arg)
{
    struct delete *del = arg;
    if (del->result)
        flow_refuse(del->flow.req, del->result);
    else
        http_reply(del->flow.req, 204, NULL, 0);
    flow_release(&del->flow);
    free(del);
}
