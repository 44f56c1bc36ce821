/*
 * The path:
 *   addvolume_start      the body is read; it is small
 *   addvolume_read       a name was in it
 *   addvolume_committed  the index has it, so it survives a restart; now it is used
 *   addvolume_finish
 *
 * With ?replace a volume whose directory is not the one it was is accepted as it is now.
 */
#include "master/addvolume.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/key.h"
#include "common/log.h"
#include "common/placement.h"
#include "master/index.h"
#include "master/volumes.h"
#include "master/worker.h"

struct addvolume {
    struct worker *worker;
    struct http_request *req;
    char text[VOLUME_NAME_MAX + 64];
    size_t len;
    bool too_long;
    char name[VOLUME_NAME_MAX + 1];
    struct index_change change;
};

static size_t addvolume_data(void *arg, const char *data, size_t len);
static void addvolume_read(void *arg, enum status st);
static void addvolume_committed(void *arg, enum status st);
static void addvolume_finish(struct addvolume *add, enum status st, const char *detail);

static const struct http_body_sink sink = {addvolume_data, addvolume_read};

void addvolume_start(struct worker *worker, struct http_request *req)
{
    if (!http_request_has_body(req)) {
        http_reply_status(req, ST_LENGTH_REQUIRED,
                          "send the volume's base URL as the body, e.g. http://host:3001");
        return;
    }
    struct addvolume *add = calloc(1, sizeof *add);
    if (!add) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    add->worker = worker;
    add->req = req;
    http_request_read_body(req, &sink, add);
}

static size_t addvolume_data(void *arg, const char *data, size_t len)
{
    struct addvolume *add = arg;
    if (len > sizeof add->text - add->len) {
        add->too_long = true;
        return len;
    }
    memcpy(add->text + add->len, data, len);
    add->len += len;
    return len;
}

/* White space around the name, as `curl -d "$(cat file)"` may leave it, is no part of it. */
static enum status parse(struct addvolume *add)
{
    const char *text = add->text;
    size_t len = add->len;
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    while (len && strchr(" \t\r\n", *text)) {
        text++;
        len--;
    }
    return add->too_long ? ST_BAD_REQUEST : placement_volume_name(text, len, add->name);
}

static bool wants_replacing(struct http_request *req)
{
    size_t len;
    char value[8];
    const char *query = http_request_query(req, &len);
    return key_query(query, len, "replace", value, sizeof value) >= 0;
}

static bool is_known(struct volumes *volumes, const char *name)
{
    for (size_t i = 0; i < volumes_count(volumes); i++)
        if (strcmp(volumes_name(volumes, i), name) == 0)
            return true;
    return false;
}

static void addvolume_read(void *arg, enum status st)
{
    struct addvolume *add = arg;
    if (!st)
        st = parse(add);
    if (st) {
        addvolume_finish(add, st,
                         st == ST_BAD_REQUEST
                             ? "that is no base URL of a volume: http://host:port[/path]"
                             : NULL);
        return;
    }
    bool replace = wants_replacing(add->req);
    if (is_known(add->worker->master->volumes, add->name) && !replace) {
        addvolume_finish(add, ST_OK, "the volume was there already\n");
        return;
    }
    struct buf value = BUF_INIT;
    buf_addf(&value, "{\"id\":\"\",\"added\":%" PRIu64 "}", loop_wall_ms());
    index_change_begin(&add->change, add->worker->loop, addvolume_committed, add);
    index_change_volume(&add->change, add->name, buf_text(&value));
    index_commit(add->worker->master->index, &add->change);
    buf_free(&value);
}

static void addvolume_committed(void *arg, enum status st)
{
    struct addvolume *add = arg;
    bool was_there = false;
    if (!st)
        st = volumes_add(add->worker->master->volumes, add->name, NULL, &was_there);
    if (!st && was_there && wants_replacing(add->req)) {
        volumes_accept(add->worker->master->volumes, add->name);
        log_event(LOG_INFO, "volumes", "volume=%s event=replaced", add->name);
        addvolume_finish(add, ST_OK, "the volume is accepted as it is now\n");
        return;
    }
    if (!st)
        log_event(LOG_INFO, "volumes", "volume=%s event=added", add->name);
    addvolume_finish(add, st, st ? NULL : "the volume is added\n");
}

/* `detail`: the text of the answer; with ST_OK it must not be NULL. */
static void addvolume_finish(struct addvolume *add, enum status st, const char *detail)
{
    if (st) {
        http_reply_status(add->req, st, detail);
    } else {
        http_reply_field(add->req, "Content-Type", "text/plain");
        http_reply(add->req, 200, detail, strlen(detail));
    }
    index_change_free(&add->change);
    free(add);
}
