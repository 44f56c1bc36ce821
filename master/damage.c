/*
 * POST /admin/damaged: a volume tells of a value that it found damaged and has laid aside. The
 * path: damage_start → damage_read (the file's name tells the key) → damage_flagged: the key is
 * suspect now, and the janitor looks at its copies.
 *
 * The volume is believed that there is something to look at, and no more: what is asked of the
 * copies afterwards decides. So a report can do no harm, whoever sends it, and need not name the
 * place. It is answered when the flag is durable; until then the volume reports it again.
 */
#include "master/damage.h"

#include <stdlib.h>
#include <string.h>

#include "common/http_server.h"
#include "common/json.h"
#include "common/log.h"
#include "common/name.h"
#include "master/flag.h"
#include "master/index.h"
#include "master/worker.h"

enum { TEXT_MAX = 4096 }; /* bytes of the JSON */

struct damage {
    struct worker *worker;
    struct http_request *req;
    char text[TEXT_MAX];
    size_t len;
    bool too_long;
};

static size_t damage_data(void *arg, const char *data, size_t len);
static void damage_read(void *arg, enum status st);
static void damage_flagged(void *arg, enum status st);

static const struct http_body_sink sink = {damage_data, damage_read};

void damage_start(struct worker *worker, struct http_request *req)
{
    if (index_restored(worker->master->index)) {
        http_reply_status(req, ST_BUSY, "nothing is repaired yet; tell it later");
        return;
    }
    struct damage *damage = http_request_has_body(req) ? calloc(1, sizeof *damage) : NULL;
    if (!damage) {
        http_reply_status(req, http_request_has_body(req) ? ST_NO_MEMORY : ST_LENGTH_REQUIRED,
                          NULL);
        return;
    }
    damage->worker = worker;
    damage->req = req;
    http_request_read_body(req, &sink, damage);
}

/* What is too long is read to its end all the same, so that the answer can be. */
static size_t damage_data(void *arg, const char *data, size_t len)
{
    struct damage *damage = arg;
    damage->too_long = damage->too_long || len > sizeof damage->text - damage->len;
    if (!damage->too_long) {
        memcpy(damage->text + damage->len, data, len);
        damage->len += len;
    }
    return len;
}

static enum status parse(const struct damage *damage, struct key *key)
{
    uint64_t generation;
    enum naming naming;
    struct json *json = json_parse(damage->text, damage->len, NULL);
    const char *path = json_text(json_member(json, "path"));
    enum status st = ST_BAD_REQUEST;
    if (path && !damage->too_long && !name_parse(path, strlen(path), key, &generation, &naming))
        st = ST_OK;
    json_free(json);
    return st;
}

static void damage_read(void *arg, enum status st)
{
    struct damage *damage = arg;
    struct key key;
    if (!st)
        st = parse(damage, &key);
    if (!st && !flag_start(damage->worker, &key, FLAG_SUSPECT, damage_flagged, damage))
        st = ST_NO_MEMORY;
    if (!st)
        return;
    http_reply_status(damage->req, st,
                      st == ST_BAD_REQUEST ? "expected {\"path\":\"aa/bb/NAME\"}" : NULL);
    free(damage);
}

static void damage_flagged(void *arg, enum status st)
{
    struct damage *damage = arg;
    log_event(LOG_WARN, "damage", "request=%s peer=%s event=reported", http_request_id(damage->req),
              http_request_peer(damage->req));
    if (st) /* the volume reports it again */
        http_reply_status(damage->req, st, NULL);
    else
        http_reply(damage->req, 204, NULL, 0);
    free(damage);
}
