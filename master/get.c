/*
 * GET and HEAD /key: one read of the index, one answer. No request to a volume is made: which are
 * up is known from the health checks. (List, record and admin requests do not come here.)
 */
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/name.h"
#include "common/record.h"
#include "master/config.h"
#include "master/flag.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/recall.h"
#include "master/volumes.h"
#include "master/worker.h"

enum { AVOID_MAX = 2048 };

/* A key that is there, as of one moment. */
struct found {
    struct record_view view;
    struct volume_copy copies[RECORD_COPIES_MAX];
    struct recall_ticket ticket;
    const struct buf *places; /* as they are reached, with commas: clients go there */
    bool balanced;            /* they stand where placement puts them now, in that order */
    char avoid[AVOID_MAX];    /* places that the reader has found wanting, as he reached them */
};

/* True where the copy is at one of the comma-separated places in `avoid`: they are what the reader
 * was sent to, so the name of a volume that has moved means nothing there. */
static bool is_avoided(const struct found *found, const struct volume_copy *copy)
{
    const char *list = found->avoid;
    while (*list) {
        size_t part = strcspn(list, ",");
        if (part == copy->len && memcmp(list, found->places->data + copy->at, part) == 0)
            return true;
        list += part + (list[part] == ',');
    }
    return false;
}

/* One of the copies that are up, at random, and not to be avoided; NULL where there is none. One
 * that may be standing still just now comes last: its reader would hang, and come back to us only
 * when his patience ends. */
static const struct volume_copy *choose_copy(struct worker *worker, const struct found *found)
{
    const struct volume_copy *good[RECORD_COPIES_MAX];
    const struct volume_copy *slow[RECORD_COPIES_MAX];
    size_t count = 0;
    size_t slow_count = 0;
    for (size_t i = 0; i < found->view.place_count; i++) {
        const struct volume_copy *copy = &found->copies[i];
        if (is_avoided(found, copy) || !volume_readable(copy->state))
            continue;
        if (copy->state == VOLUME_SLOW || copy->hesitates)
            slow[slow_count++] = copy;
        else
            good[count++] = copy;
    }
    if (count)
        return good[worker_random(worker, count)];
    return slow_count ? slow[worker_random(worker, slow_count)] : NULL;
}

static bool avoids_copy(const struct found *found)
{
    for (size_t i = 0; found->avoid[0] && i < found->view.place_count; i++)
        if (is_avoided(found, &found->copies[i]))
            return true;
    return false;
}

static void reply_missing(struct worker *worker, struct http_request *req, const struct key *key)
{
    const char *fallback = worker->master->config->fallback;
    if (!fallback) {
        http_reply_status(req, ST_NOT_FOUND, NULL);
        return;
    }
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s", fallback);
    key_encode(&url, key->bytes, key->len);
    if (buf_ok(&url)) {
        http_reply_field(req, "Location", buf_text(&url));
        http_reply(req, 302, NULL, 0);
    } else {
        http_reply_status(req, ST_NO_MEMORY, NULL);
    }
    buf_free(&url);
}

/* Appends where the reader is sent; `text` is emptied before. */
static enum status write_location(struct buf *text, const struct found *found,
                                  const struct volume_copy *copy, const struct key *key)
{
    buf_clear(text);
    buf_adds(text, "http://");
    buf_add(text, found->places->data + copy->at, copy->len);
    const struct record_view *view = &found->view;
    enum status st = view->has_dirs
                         ? name_path_in(text, view->dirs, key, view->generation, view->naming)
                         : name_path(text, key, view->generation, view->naming);
    if (found->avoid[0]) {
        buf_adds(text, "?avoid=");
        key_encode(text, found->avoid, strlen(found->avoid));
    }
    return st || buf_ok(text) ? st : ST_NO_MEMORY;
}

static void reply_found(struct worker *worker, struct http_request *req, const struct key *key,
                        const struct found *found)
{
    const struct volume_copy *copy = choose_copy(worker, found);
    if (found->view.md5[0])
        http_reply_field(req, "Content-Md5", found->view.md5);
    http_reply_field(req, "Key-Volumes", buf_text(found->places));
    http_reply_field(req, "Key-Balance", found->balanced ? "balanced" : "unbalanced");
    if (!copy) {
        http_reply_status(req, ST_UNAVAILABLE,
                          "no volume with a copy of it is up; try again later");
        return;
    }
    /* The view is not looked at any more, so the text beneath it may go. */
    struct buf *url = &worker->texts[0];
    enum status st = write_location(url, found, copy, key);
    if (st) {
        http_reply_status(req, st, NULL);
        return;
    }
    http_reply_field(req, "Location", buf_text(url));
    http_reply(req, 302, NULL, 0);
}

/* Two texts are enough for all of it, and they stay with the worker: a GET allocates nothing that
 * LevelDB does not. */
static void look_up(struct worker *worker, struct http_request *req, const struct key *key,
                    struct found *found)
{
    struct buf *places = &worker->texts[1];
    size_t query_len;
    const char *query = http_request_query(req, &query_len);
    found->avoid[0] = 0;
    if (query_len && key_query(query, query_len, "avoid", found->avoid, AVOID_MAX) < 0)
        found->avoid[0] = 0;
    buf_clear(places);
    uint64_t stamp = found->ticket.stamp;
    found->balanced = volumes_look(worker->master->volumes, key, worker->master->config->replicas,
                                   found->view.places, found->view.place_count, places,
                                   found->copies, &found->ticket.stamp);
    found->places = places;
    if (!found->view.has_dirs) /* once for all who come later */
        found->view.has_dirs = name_dirs(key, found->view.dirs) == ST_OK;
    if (!found->ticket.known || found->ticket.stamp != stamp)
        index_keep(worker->master->index, key, &found->view, &found->ticket);
}

void get_start(struct worker *worker, struct http_request *req, const struct key *key)
{
    struct found found;
    struct index *index = worker->master->index;
    enum status st = index_look(index, key, &worker->texts[0], &found.view, &found.ticket);
    if (st == ST_NOT_FOUND || (!st && found.view.state != KEY_LIVE)) {
        reply_missing(worker, req, key);
        return;
    }
    if (!st) {
        look_up(worker, req, key, &found);
        st = buf_ok(found.places) ? ST_OK : ST_NO_MEMORY;
    }
    if (st) {
        http_reply_status(req, st, NULL);
        return;
    }
    if (avoids_copy(&found)) /* a volume has sent this reader back: it lacks its copy */
        (void)flag_start(worker, key, FLAG_SUSPECT, NULL, NULL);
    reply_found(worker, req, key, &found);
}
