/*
 * The path:
 *   member_start      the body is read; it is small
 *   member_named      a name was in it. One that is to be added goes on in join.c
 * For a removal:
 *   member_called     every loop was visited: who had chosen the volume for a write before it began
 *                     to be drained has handed that to the index
 *   member_settled    … which has it by now
 *   member_counted    on the pool; neither writes nor keys need the volume
 * For all:
 *   member_recorded   index and table have it
 *   member_finish
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
#include "common/loop.h"
#include "common/placement.h"
#include "common/pool.h"
#include "common/record.h"
#include "master/bell.h"
#include "master/index.h"
#include "master/join.h"
#include "master/roll.h"
#include "master/volumes.h"
#include "master/worker.h"

enum wish { WISH_ADD, WISH_DRAIN, WISH_KEEP, WISH_REMOVE, WISH_REMOVE_LOST, WISH_COUNT };

/* One request, on its loop, but for visits of other loops and the count on the pool; only one of
 * them has it at a time. */
struct member {
    struct worker *worker;
    struct http_request *req;
    enum wish wish;
    char text[VOLUME_NAME_MAX + 64];
    size_t len;
    bool too_long;
    char name[VOLUME_NAME_MAX + 1];
    bool draining;  /* when the removal was asked for */
    unsigned turns; /* of its facts, then */
    size_t visited; /* loops */
    struct loop_message message;
    struct pool_job job;
    uint64_t keys; /* visible keys with a copy there */
    uint64_t work; /* keys of which a write or a removal concerns it */
    enum status st;
    struct roll_change change;
    char detail[200];
};

static size_t member_data(void *arg, const char *data, size_t len);
static void member_named(void *arg, enum status st);
static void member_called(void *arg);
static void member_settled(void *arg, enum status st);
static void member_counted(void *arg);
static void member_recorded(void *arg, enum status st);
static void member_finish(struct member *member, enum status st, const char *detail);

static const struct http_body_sink sink = {member_data, member_named};

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

/* The body is a name of some hundred bytes; http_request_read_body() reads it piece by piece on
 * this loop. */
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
    member_start(worker, req, WISH_ADD);
}

void membership_drain(struct worker *worker, struct http_request *req)
{
    member_start(worker, req, http_request_has(req, "stop") ? WISH_KEEP : WISH_DRAIN);
}

void membership_remove(struct worker *worker, struct http_request *req)
{
    member_start(worker, req, http_request_has(req, "lost") ? WISH_REMOVE_LOST : WISH_REMOVE);
}

/* What is too long is read to its end, so that an answer can be given. */
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

/* Copies that are being written, or are still to be removed, and tombstones. */
static bool count_work(void *arg, const char *key UNUSED, size_t len UNUSED,
                       const struct record *rec)
{
    struct member *member = arg;
    bool concerns = false;
    for (size_t i = 0; i < rec->garbage.count; i++)
        concerns = concerns || is_on(rec->garbage.list[i].place, member->name);
    for (size_t i = 0; i < rec->holder_count; i++)
        concerns = concerns || is_on(rec->holders[i], member->name);
    for (size_t i = 0; i < rec->maybe_count; i++)
        concerns = concerns || is_on(rec->maybes[i], member->name);
    member->work += concerns;
    return true;
}

/* The work first: a write that ends meanwhile goes from there to the keys, none the other way. */
static void count_keys(void *arg)
{
    struct member *member = arg;
    struct index *index = member->worker->master->index;
    struct buf all = BUF_INIT;
    if (member->wish != WISH_COUNT)
        member->st = index_scan_work(index, &all, count_work, member);
    if (!member->st)
        member->st = index_scan_naming(index, member->name, count_key, member);
}

/* From here on the member is the pool's, until member_counted(). A scan of a large index takes
 * seconds to minutes, hence not on the loop. */
static void count(struct member *member)
{
    member->job = (struct pool_job){
        .run = count_keys, .done = member_counted, .arg = member, .loop = member->worker->loop};
    if (!pool_submit(member->worker->master->pool, &member->job))
        member_finish(member, ST_BUSY, NULL);
}

/* One that is not in the store (any more) may have keys, too. */
static void count_named(struct member *member)
{
    char name[VOLUME_NAME_MAX + 1];
    if (volumes_find(member->worker->master->volumes, member->name, name))
        memcpy(member->name, name, sizeof name);
    count(member);
}

/* For 'larder drain': also of a volume that was removed. */
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
        count_named(member);
}

/* --- changing --- */

/* The two that make `removed` true. */
static bool is_removal(const struct member *member)
{
    return member->wish == WISH_REMOVE || member->wish == WISH_REMOVE_LOST;
}

/* What is asked of the facts as they are when its turn has come. */
static enum status decide(void *arg, bool known, struct volume_facts *facts)
{
    struct member *member = arg;
    if (!known || facts->removed)
        return ST_NOT_FOUND;
    if (member->wish == WISH_REMOVE && (!facts->draining || facts->turns != member->turns))
        return ST_CONFLICT;
    facts->draining = member->wish == WISH_DRAIN;
    facts->removed = is_removal(member);
    if (facts->removed) /* what comes to that address later is no business of it */
        memcpy(facts->address, member->name, sizeof facts->address);
    return ST_OK;
}

/* Changes nothing: its place in the order of changes is what it is submitted for. */
static enum status as_it_is(void *arg UNUSED, bool known, struct volume_facts *facts)
{
    return known && !facts->removed ? ST_OK : ST_NOT_FOUND;
}

static void submit(struct member *member,
                   enum status (*decide_it)(void *arg, bool known, struct volume_facts *facts),
                   void (*done)(void *arg, enum status st))
{
    struct roll_change *change = &member->change;
    memcpy(change->name, member->name, sizeof change->name);
    change->decide = decide_it;
    change->done = done;
    change->arg = member;
    change->loop = member->worker->loop;
    roll_submit(member->worker->master->roll, change);
}

/* Adding goes on in join.c, which takes over the request; all other wishes need a volume of the
 * store. */
static void member_named(void *arg, enum status st)
{
    struct member *member = arg;
    struct volume_facts facts;
    if (!st)
        st = parse(member);
    if (st) {
        member_finish(member, st,
                      st == ST_BAD_REQUEST
                          ? "that is no base URL of a volume: http://host:port[/path]"
                          : NULL);
        return;
    }
    if (member->wish == WISH_ADD) {
        join_start(member->worker, member->req, member->name);
        free(member);
        return;
    }
    struct volumes *volumes = member->worker->master->volumes;
    char name[VOLUME_NAME_MAX + 1];
    if (!volumes_find(volumes, member->name, name)) {
        member_finish(member, ST_NOT_FOUND, "the store has no such volume");
        return;
    }
    memcpy(member->name, name, sizeof name);
    if (member->wish != WISH_REMOVE) {
        submit(member, decide, member_recorded);
        return;
    }
    (void)volumes_facts(volumes, name, &facts);
    member->draining = facts.draining;
    member->turns = facts.turns;
    member->message.fn = member_called;
    member->message.arg = member;
    loop_post(member->worker->master->workers[0].loop, &member->message);
}

/* On each loop in turn. A write chooses its volumes and hands its intent to the index without
 * leaving its loop in between. */
static void member_called(void *arg)
{
    struct member *member = arg;
    struct master *master = member->worker->master;
    if (++member->visited <= master->worker_count) {
        bool home = member->visited == master->worker_count;
        loop_post(home ? member->worker->loop : master->workers[member->visited].loop,
                  &member->message);
        return;
    }
    submit(member, as_it_is, member_settled); /* what was handed in before is visible after it */
}

static void member_settled(void *arg, enum status st)
{
    struct member *member = arg;
    if (st)
        member_finish(member, st, st == ST_NOT_FOUND ? "the store has no such volume" : NULL);
    else
        count(member);
}

/* NULL: it may go. */
static const char *objection(struct member *member)
{
    if (member->keys)
        (void)snprintf(member->detail, sizeof member->detail,
                       "%" PRIu64 " keys still have a copy there: drain it first, or remove it "
                       "with ?lost",
                       member->keys);
    else if (!member->draining)
        (void)snprintf(member->detail, sizeof member->detail,
                       "new values may come there: drain it first, or remove it with ?lost");
    else if (member->work)
        (void)snprintf(member->detail, sizeof member->detail,
                       "of %" PRIu64 " keys copies are still being written or removed there: try "
                       "again in a few seconds, or remove it with ?lost",
                       member->work);
    else
        return NULL;
    return member->detail;
}

/* The change is decided once more when its turn has come: the count is of a moment ago. */
static void member_counted(void *arg)
{
    struct member *member = arg;
    if (member->st) {
        member_finish(member, member->st, NULL);
    } else if (member->wish == WISH_COUNT) {
        (void)snprintf(member->detail, sizeof member->detail, "{\"keys\":%" PRIu64 "}\n",
                       member->keys);
        member_finish(member, ST_OK, member->detail);
    } else if (objection(member)) {
        member_finish(member, ST_CONFLICT, objection(member));
    } else {
        submit(member, decide, member_recorded);
    }
}

static void member_recorded(void *arg, enum status st)
{
    static const char *const events[] = {[WISH_DRAIN] = "drains",
                                         [WISH_KEEP] = "kept",
                                         [WISH_REMOVE] = "removed",
                                         [WISH_REMOVE_LOST] = "removed-as-lost"};
    static const char *const texts[] = {
        [WISH_DRAIN] = "the volume's copies are moved to others from now on\n",
        [WISH_KEEP] = "the volume stays\n",
        [WISH_REMOVE] = "the volume is removed\n",
        [WISH_REMOVE_LOST] = "the volume is removed; what it held is copied from other volumes\n"};
    struct member *member = arg;
    if (!st)
        bell_ring(member->worker->master->bell);
    if (!st)
        log_event(LOG_INFO, "volumes", "volume=%s event=%s", member->name, events[member->wish]);
    member_finish(member, st,
                  !st                  ? texts[member->wish]
                  : st == ST_CONFLICT  ? "it is not drained any more: drain it first"
                  : st == ST_NOT_FOUND ? "the store has no such volume"
                                       : NULL);
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
    roll_change_free(&member->change);
    free(member);
}
