/*
 * The path:
 *   member_start      the body is read; it is small
 *   member_named      a name was in it; for a removal the keys that still need the volume are
 * counted member_counted    … on the pool member_committed  the index has it, so it survives a
 * restart; now the table of volumes has it member_finish
 */
#include "master/membership.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/key.h"
#include "common/log.h"
#include "common/placement.h"
#include "common/pool.h"
#include "common/record.h"
#include "master/bell.h"
#include "master/index.h"
#include "master/volumes.h"
#include "master/worker.h"

enum wish {
    WISH_ADD,
    WISH_REPLACE,
    WISH_DRAIN,
    WISH_KEEP,
    WISH_REMOVE,
    WISH_REMOVE_LOST,
    WISH_COUNT
};

struct member {
    struct worker *worker;
    struct http_request *req;
    enum wish wish;
    char text[VOLUME_NAME_MAX + 64];
    size_t len;
    bool too_long;
    char name[VOLUME_NAME_MAX + 1];
    struct pool_job job;
    uint64_t keys; /* visible keys with a copy there */
    enum status st;
    struct index_change change;
};

static size_t member_data(void *arg, const char *data, size_t len);
static void member_named(void *arg, enum status st);
static void member_counted(void *arg);
static void member_committed(void *arg, enum status st);
static void member_finish(struct member *member, enum status st, const char *detail);

static const struct http_body_sink sink = {member_data, member_named};

static bool has_parameter(struct http_request *req, const char *name)
{
    size_t len;
    char value[8];
    const char *query = http_request_query(req, &len);
    return key_query(query, len, name, value, sizeof value) >= 0;
}

static struct member *member_new(struct worker *worker, struct http_request *req, enum wish wish)
{
    struct member *member = calloc(1, sizeof *member);
    if (!member) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return NULL;
    }
    member->worker = worker;
    member->req = req;
    member->wish = wish;
    return member;
}

static void member_start(struct worker *worker, struct http_request *req, enum wish wish)
{
    if (!http_request_has_body(req)) {
        http_reply_status(req, ST_LENGTH_REQUIRED,
                          "send the volume's base URL as the body, e.g. http://host:3001");
        return;
    }
    struct member *member = member_new(worker, req, wish);
    if (member)
        http_request_read_body(req, &sink, member);
}

void membership_add(struct worker *worker, struct http_request *req)
{
    member_start(worker, req, has_parameter(req, "replace") ? WISH_REPLACE : WISH_ADD);
}

void membership_drain(struct worker *worker, struct http_request *req)
{
    member_start(worker, req, has_parameter(req, "stop") ? WISH_KEEP : WISH_DRAIN);
}

void membership_remove(struct worker *worker, struct http_request *req)
{
    member_start(worker, req, has_parameter(req, "lost") ? WISH_REMOVE_LOST : WISH_REMOVE);
}

static size_t member_data(void *arg, const char *data, size_t len)
{
    struct member *member = arg;
    if (len > sizeof member->text - member->len) {
        member->too_long = true;
        return len;
    }
    memcpy(member->text + member->len, data, len);
    member->len += len;
    return len;
}

/* White space around the name, as `curl -d "$(cat file)"` may leave it, is no part of it. */
static enum status parse(struct member *member)
{
    const char *text = member->text;
    size_t len = member->len;
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    while (len && strchr(" \t\r\n", *text)) {
        text++;
        len--;
    }
    return member->too_long ? ST_BAD_REQUEST : placement_volume_name(text, len, member->name);
}

/* --- counting the keys of a volume, on the pool --- */

/* The volume's own places: its name, or its name and a subvolume. */
static bool is_on(const char *place, const char *volume)
{
    size_t len = strlen(volume);
    return strncmp(place, volume, len) == 0 && (place[len] == 0 || place[len] == '/');
}

static bool count_key(void *arg, const char *key UNUSED, size_t len UNUSED,
                      const struct record *rec)
{
    struct member *member = arg;
    for (size_t i = 0; i < rec->place_count; i++)
        if (is_on(rec->places[i], member->name)) {
            member->keys++;
            break;
        }
    return true;
}

static void count_keys(void *arg)
{
    struct member *member = arg;
    struct buf all = BUF_INIT;
    member->st = index_scan(member->worker->master->index, &all, &all, count_key, member);
}

static void count(struct member *member)
{
    member->job = (struct pool_job){
        .run = count_keys, .done = member_counted, .arg = member, .loop = member->worker->loop};
    if (!pool_submit(member->worker->master->pool, &member->job))
        member_finish(member, ST_BUSY, NULL);
}

void membership_count(struct worker *worker, struct http_request *req)
{
    char text[VOLUME_NAME_MAX + 64];
    size_t query_len;
    const char *query = http_request_query(req, &query_len);
    struct member *member = member_new(worker, req, WISH_COUNT);
    if (!member)
        return;
    long len = key_query(query, query_len, "volume", text, sizeof text);
    if (len <= 0 || placement_volume_name(text, (size_t)len, member->name))
        member_finish(member, ST_BAD_REQUEST, "name a volume: ?volume=host:port");
    else
        count(member);
}

/* --- changing --- */

static bool is_known(struct member *member)
{
    struct volumes *volumes = member->worker->master->volumes;
    for (size_t i = 0; i < volumes_count(volumes); i++)
        if (strcmp(volumes_name(volumes, i), member->name) == 0)
            return !volumes_is_removed(volumes, member->name);
    return false;
}

static void commit(struct member *member)
{
    struct buf value = BUF_INIT;
    bool fresh = member->wish == WISH_ADD || member->wish == WISH_REPLACE;
    bool removed = member->wish == WISH_REMOVE || member->wish == WISH_REMOVE_LOST;
    char id[IDENTITY_SIZE + 1] = "";
    if (!fresh)
        volumes_id(member->worker->master->volumes, member->name, id);
    volumes_describe(&value, id, member->wish == WISH_DRAIN, removed);
    if (!buf_ok(&value)) { /* half of it would stand in the index from now on */
        buf_free(&value);
        member_finish(member, ST_NO_MEMORY, NULL);
        return;
    }
    index_change_begin(&member->change, member->worker->loop, member_committed, member);
    index_change_volume(&member->change, member->name, buf_text(&value));
    index_commit(member->worker->master->index, &member->change);
    buf_free(&value);
}

static void member_named(void *arg, enum status st)
{
    struct member *member = arg;
    if (!st)
        st = parse(member);
    if (st) {
        member_finish(member, st,
                      st == ST_BAD_REQUEST
                          ? "that is no base URL of a volume: http://host:port[/path]"
                          : NULL);
        return;
    }
    bool known = is_known(member);
    if (member->wish == WISH_ADD && known)
        member_finish(member, ST_OK, "the volume was there already\n");
    else if (member->wish > WISH_REPLACE && !known)
        member_finish(member, ST_NOT_FOUND, NULL);
    else if (member->wish == WISH_REMOVE)
        count(member);
    else
        commit(member);
}

static void member_counted(void *arg)
{
    struct member *member = arg;
    char text[160];
    if (member->st) {
        member_finish(member, member->st, NULL);
    } else if (member->wish == WISH_COUNT) {
        (void)snprintf(text, sizeof text, "{\"keys\":%" PRIu64 "}\n", member->keys);
        member_finish(member, ST_OK, text);
    } else if (member->keys) {
        (void)snprintf(text, sizeof text,
                       "%" PRIu64 " keys still have a copy there: drain it first, or remove it "
                       "with ?lost",
                       member->keys);
        member_finish(member, ST_CONFLICT, text);
    } else {
        commit(member);
    }
}

/* Now that the index has it. */
static enum status apply(struct member *member)
{
    struct volumes *volumes = member->worker->master->volumes;
    bool was_there;
    switch (member->wish) {
    case WISH_DRAIN:
    case WISH_KEEP:
        return volumes_drain(volumes, member->name, member->wish == WISH_DRAIN) ? ST_OK
                                                                                : ST_NOT_FOUND;
    case WISH_REMOVE:
    case WISH_REMOVE_LOST:
        return volumes_remove(volumes, member->name) ? ST_OK : ST_NOT_FOUND;
    case WISH_REPLACE:
        volumes_accept(volumes, member->name);
        return volumes_add(volumes, member->name, NULL, &was_there);
    default:
        return volumes_add(volumes, member->name, NULL, &was_there);
    }
}

static void member_committed(void *arg, enum status st)
{
    static const char *const events[] = {
        [WISH_ADD] = "added",      [WISH_REPLACE] = "replaced",
        [WISH_DRAIN] = "drains",   [WISH_KEEP] = "kept",
        [WISH_REMOVE] = "removed", [WISH_REMOVE_LOST] = "removed-as-lost",
        [WISH_COUNT] = "counted"};
    static const char *const texts[] = {
        [WISH_ADD] = "the volume is added\n",
        [WISH_REPLACE] = "the volume is accepted as it is now\n",
        [WISH_DRAIN] = "the volume's copies are moved to others from now on\n",
        [WISH_KEEP] = "the volume stays\n",
        [WISH_REMOVE] = "the volume is removed\n",
        [WISH_REMOVE_LOST] = "the volume is removed; what it held is copied from other volumes\n",
        [WISH_COUNT] = ""};
    struct member *member = arg;
    if (!st)
        st = apply(member);
    bell_ring(member->worker->master->bell);
    if (!st)
        log_event(LOG_INFO, "volumes", "volume=%s event=%s", member->name, events[member->wish]);
    member_finish(member, st, st ? NULL : texts[member->wish]);
}

/* `detail`: the text of the answer; with ST_OK it must not be NULL. */
static void member_finish(struct member *member, enum status st, const char *detail)
{
    if (st) {
        http_reply_status(member->req, st, detail);
    } else {
        http_reply_field(member->req, "Content-Type",
                         member->wish == WISH_COUNT ? "application/json" : "text/plain");
        http_reply(member->req, 200, detail, strlen(detail));
    }
    index_change_free(&member->change);
    free(member);
}
