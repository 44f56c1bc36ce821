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

/* True where `place` is one of the comma-separated places in `list`. */
static bool is_listed(const char *list, const char *place)
{
    size_t len = strlen(place);
    while (*list) {
        size_t part = strcspn(list, ",");
        if (part == len && memcmp(list, place, len) == 0)
            return true;
        list += part + (list[part] == ',');
    }
    return false;
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
        if (is_listed(avoid, rec->places[i]) || !volume_readable(state))
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

static bool names_copy(const struct record *rec, const char *avoid)
{
    for (size_t i = 0; avoid[0] && i < rec->place_count; i++)
        if (is_listed(avoid, rec->places[i]))
            return true;
    return false;
}

/* Whether the copies stand where placement puts them, in that order. */
static bool is_balanced(struct worker *worker, const struct key *key, const struct record *rec)
{
    struct ranked *ranked;
    size_t count;
    if (volumes_rank(worker->master->volumes, key, &ranked, &count))
        return false;
    if (count > worker->master->config->replicas)
        count = worker->master->config->replicas;
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
    for (size_t i = 0; i < rec->place_count; i++)
        buf_addf(&places, "%s%s", i ? "," : "", rec->places[i]);
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
    if (names_copy(rec, avoid)) /* a volume has sent this reader back: it lacks its copy */
        (void)flag_start(worker, key, FLAG_SUSPECT, NULL, NULL);
    add_facts(worker, req, key, rec);
    const char *place = choose_place(worker, rec, avoid);
    if (!place) {
        http_reply_status(req, ST_UNAVAILABLE,
                          "no volume with a copy of it is up; try again later");
        return;
    }
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s", place);
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
