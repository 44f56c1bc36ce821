/*
 * GET /dir/: the directory as JSON, in pieces. With `?meta` the attributes of each file, too, and
 * with `?meta&below` what is in its directories.
 *
 * list_fill (on the pool) → list_filled: the first piece begins the answer → list_drained: the
 * client has taken it → list_fill → … → list_finish.
 *
 * GET /admin/tombstones and GET /admin/quarantine go the same way, over what a subvolume has of
 * those instead.
 *
 * Failures: before the first piece an error is answered; later the connection is cut, so that no
 * client takes a part for the whole.
 */
#include <stdlib.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/key.h"
#include "volume/flow.h"
#include "volume/listing.h"
#include "volume/quarantine_walk.h"
#include "volume/service.h"
#include "volume/tombstone_walk.h"

enum list_kind { LIST_DIRECTORY, LIST_TOMBSTONES, LIST_QUARANTINE };

/* Made by list_begin(), freed by list_finish(). The loop and the pool have it by turns, never both:
 * a piece is filled while none leaves. */
struct list {
    struct flow flow;
    enum list_kind kind;
    enum listing_form form;  /* of LIST_DIRECTORY */
    bool started;            /* the head of the answer is out */
    struct listing *listing; /* the one of these that `kind` says; NULL before the first piece */
    struct tombstone_walk *walk;
    struct quarantine_walk *quarantine;
    struct buf piece;
    bool more; /* comes after this piece */
    enum status result;
};

static void list_begin(struct service *service, struct http_request *req, struct path *path,
                       enum list_kind kind);
static void list_fill(void *arg); /* on the pool */
static void list_filled(void *arg);
static void list_drained(void *arg, bool alive);
static void list_close(void *arg); /* on the pool */
static void list_finish(void *arg);

void list_start(struct service *service, struct http_request *req, struct path *path)
{
    list_begin(service, req, path, LIST_DIRECTORY);
}

/* `place` is a path of a volume, as "/svXX"; without one, DIR itself. */
static void list_place(struct service *service, struct http_request *req, enum list_kind kind)
{
    char place[PATH_LIMIT] = "";
    size_t len;
    const char *query = http_request_query(req, &len);
    long place_len = key_query(query, len, "place", place, sizeof place);
    struct path *path = place_len < -1 ? NULL : malloc(sizeof *path);
    enum status st = place_len < -1 ? ST_BAD_REQUEST : path ? ST_OK : ST_NO_MEMORY;
    if (!st)
        st = place_len > 0 ? path_parse(path, place, (size_t)place_len) : path_parse(path, "/", 1);
    if (st) {
        free(path);
        flow_refuse(req, st);
        return;
    }
    list_begin(service, req, path, kind);
}

void list_tombstones_start(struct service *service, struct http_request *req)
{
    list_place(service, req, LIST_TOMBSTONES);
}

void list_quarantine_start(struct service *service, struct http_request *req)
{
    list_place(service, req, LIST_QUARANTINE);
}

/* Without `meta` it is nginx's to the byte, whatever else is asked for. */
static enum listing_form list_form(struct http_request *req)
{
    if (!http_request_has(req, "meta"))
        return LISTING_PLAIN;
    return http_request_has(req, "below") ? LISTING_BELOW : LISTING_META;
}

/* All kinds begin the same way, and differ in what fills the pieces. */
static void list_begin(struct service *service, struct http_request *req, struct path *path,
                       enum list_kind kind)
{
    struct list *list = calloc(1, sizeof *list);
    if (!list) {
        free(path);
        flow_refuse(req, ST_NO_MEMORY);
        return;
    }
    flow_init(&list->flow, service, req, path);
    list->kind = kind;
    atomic_fetch_add(&service->counters.lists, 1);
    list->form = list_form(req);
    list->result = flow_admit(&list->flow, SUBVOLUME_READ, 0);
    /* Once it has begun, the list belongs to the pool: not even its result may be looked at. */
    if (!list->result && flow_begin(&list->flow, list_fill, list_filled, list))
        return;
    if (!list->result)
        list->result = ST_BUSY;
    list_filled(list);
}

/* The directory stays open between two pieces, until list_close(): a client that takes its time
 * holds one descriptor for as long. */
static void list_fill(void *arg)
{
    struct list *list = arg;
    const struct store_at *at = &list->flow.at;
    enum status st = ST_OK;
    buf_clear(&list->piece);
    if (list->kind == LIST_DIRECTORY) {
        if (!list->listing)
            st = listing_begin(&list->listing, at, list->form);
        if (!st)
            st = listing_next(list->listing, &list->piece, &list->more);
    } else if (list->kind == LIST_QUARANTINE) {
        if (!list->quarantine)
            st = quarantine_walk_begin(&list->quarantine, at);
        if (!st)
            st = quarantine_walk_next(list->quarantine, &list->piece, &list->more);
    } else {
        if (!list->walk)
            st = tombstone_walk_begin(&list->walk, at);
        if (!st)
            st = tombstone_walk_next(list->walk, &list->piece, &list->more);
    }
    list->result = st;
}

/* The head of the answer waits for the first piece: until then an error can still have a status of
 * its own. */
static void list_filled(void *arg)
{
    struct list *list = arg;
    struct http_request *req = list->flow.req;
    if (list->result) {
        list_finish(list);
        return;
    }
    if (!list->started) {
        http_reply_field(req, "Content-Type", "application/json");
        http_reply_start(req, 200);
        list->started = true;
        if (http_request_method(req) == HTTP_HEAD)
            list->more = false;
    }
    http_reply_piece(req, list->piece.data, list->piece.len, list_drained, list);
}

/* Also where the client is gone the directory is closed on the pool: closedir() may block. */
static void list_drained(void *arg, bool alive)
{
    struct list *list = arg;
    if (alive && list->more)
        flow_continue(&list->flow, list_fill, list_filled, list);
    else
        flow_continue(&list->flow, list_close, list_finish, list);
}

static void list_close(void *arg)
{
    struct list *list = arg;
    listing_free(list->listing);
    list->listing = NULL;
    tombstone_walk_free(list->walk);
    list->walk = NULL;
    quarantine_walk_free(list->quarantine);
    list->quarantine = NULL;
}

static void list_finish(void *arg)
{
    struct list *list = arg;
    if (list->started)
        http_reply_end(list->flow.req, list->result == ST_OK);
    else
        flow_refuse(list->flow.req, list->result);
    list_close(list);
    buf_free(&list->piece);
    flow_release(&list->flow);
    free(list);
}
