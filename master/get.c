/*
 * GET and HEAD /key: one read of the index, one answer. No request to a volume is made: which are
 * up is known from the health checks. (List, record and admin requests do not come here.)
 */
#include <stdlib.h>
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
#include "master/volumes.h"
#include "master/worker.h"

enum { AVOID_MAX = 2048 };

/* True where `place`, as readers reach it, is one of the comma-separated places in `list`: they are
 * what a reader was sent to, so the name of a volume that has moved means nothing there. */
static bool is_listed(struct worker *worker, const char *list, const char *place)
{
    bool found = false;
    struct buf reached = BUF_INIT;
    if (!*list)
        return false;
    volumes_add_address(worker->master->volumes, place, &reached);
    while (*list && !found && buf_ok(&reached)) {
        size_t part = strcspn(list, ",");
        found = part == reached.len && memcmp(list, reached.data, part) == 0;
        list += part + (list[part] == ',');
    }
    buf_free(&reached);
    return found;
}

/* One of the places that are up, at random, and not to be avoided; NULL where there is none. One
 * that may be standing still just now comes last: its reader would hang, and come back to us only
 * when his patience ends. */
static const char *choose_place(struct worker *worker, const struct record *rec, const char *avoid)
{
    const char *good[RECORD_COPIES_MAX];
    const char *slow[RECORD_COPIES_MAX];
    size_t count = 0;
    size_t slow_count = 0;
    for (size_t i = 0; i < rec->place_count; i++) {
        enum volume_state state = volumes_state(worker->master->volumes, rec->places[i]);
        if (is_listed(worker, avoid, rec->places[i]) || !volume_readable(state))
            continue;
        if (state == VOLUME_SLOW || volumes_hesitates(worker->master->volumes, rec->places[i]))
            slow[slow_count++] = rec->places[i];
        else
            good[count++] = rec->places[i];
    }
    if (count)
        return good[worker_random(worker, count)];
    return slow_count ? slow[worker_random(worker, slow_count)] : NULL;
}

static bool names_copy(struct worker *worker, const struct record *rec, const char *avoid)
{
    for (size_t i = 0; avoid[0] && i < rec->place_count; i++)
        if (is_listed(worker, avoid, rec->places[i]))
            return true;
    return false;
}

/* Whether the copies stand where placement puts them now, in that order. */
static bool is_balanced(struct worker *worker, const struct key *key, const struct record *rec)
{
    struct ranked *ranked;
    size_t count;
    if (volumes_wanted(worker->master->volumes, key, worker->master->config->replicas, &ranked,
                       &count))
        return false;
    bool same = count == rec->place_count;
    for (size_t i = 0; i < count && same; i++)
        same = strcmp(ranked[i].place, rec->places[i]) == 0;
    free(ranked);
    return same;
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

static void add_facts(struct worker *worker, struct http_request *req, const struct key *key,
                      const struct record *rec)
{
    struct buf places = BUF_INIT;
    for (size_t i = 0; i < rec->place_count; i++) { /* as they are reached: clients go there */
        buf_adds(&places, i ? "," : "");
        volumes_add_address(worker->master->volumes, rec->places[i], &places);
    }
    if (rec->md5[0])
        http_reply_field(req, "Content-Md5", rec->md5);
    http_reply_field(req, "Key-Volumes", buf_text(&places));
    http_reply_field(req, "Key-Balance", is_balanced(worker, key, rec) ? "balanced" : "unbalanced");
    buf_free(&places);
}

static void reply_found(struct worker *worker, struct http_request *req, const struct key *key,
                        const struct record *rec)
{
    char avoid[AVOID_MAX];
    size_t query_len;
    const char *query = http_request_query(req, &query_len);
    if (key_query(query, query_len, "avoid", avoid, sizeof avoid) < 0)
        avoid[0] = 0;
    if (names_copy(worker, rec, avoid)) /* a volume has sent this reader back: it lacks its copy */
        (void)flag_start(worker, key, FLAG_SUSPECT, NULL, NULL);
    add_facts(worker, req, key, rec);
    const char *place = choose_place(worker, rec, avoid);
    if (!place) {
        http_reply_status(req, ST_UNAVAILABLE,
                          "no volume with a copy of it is up; try again later");
        return;
    }
    struct buf url = BUF_INIT;
    buf_adds(&url, "http://");
    volumes_add_address(worker->master->volumes, place, &url);
    enum status st = name_path(&url, key, rec->generation, rec->naming);
    if (!st && avoid[0]) {
        buf_adds(&url, "?avoid=");
        key_encode(&url, avoid, strlen(avoid));
        st = buf_ok(&url) ? ST_OK : ST_NO_MEMORY;
    }
    if (st) {
        http_reply_status(req, st, NULL);
    } else {
        http_reply_field(req, "Location", buf_text(&url));
        http_reply(req, 302, NULL, 0);
    }
    buf_free(&url);
}

void get_start(struct worker *worker, struct http_request *req, const struct key *key)
{
    struct record rec;
    enum status st = index_get(worker->master->index, key, &rec);
    if (st == ST_NOT_FOUND || (!st && rec.state != KEY_LIVE))
        reply_missing(worker, req, key);
    else if (st)
        http_reply_status(req, st, NULL);
    else
        reply_found(worker, req, key, &rec);
    record_free(&rec);
}
