/*
 * The path:
 *   join_start      the one at the address is asked who it is
 *   join_met        … it is new, or there already, or a volume that was elsewhere until now
 *   join_compared   in that case the old address was asked: is it still there, too?
 *   join_recorded   index and table have it
 *   join_finish
 */
#include "master/join.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_client.h"
#include "common/http_server.h"
#include "common/log.h"
#include "master/probe.h"
#include "master/roll.h"
#include "master/volumes.h"
#include "master/worker.h"

/* Lives on one loop, from join_start() to join_finish(), which answers the request. */
struct join {
    struct worker *worker;
    struct http_request *req;
    char address[VOLUME_NAME_MAX + 1];
    bool replaces;
    char claim[IDENTITY_SIZE + 1]; /* the identity that it told of itself; "": none */
    char id[IDENTITY_SIZE + 1];    /* of who answers at the address; "": nobody, or has none */
    bool answers;
    char name[VOLUME_NAME_MAX + 1]; /* of the volume that is changed */
    char was[VOLUME_NAME_MAX + 1];  /* where that was reached before */
    struct roll_change change;
    const char *event;                    /* for the log, when it is done */
    char text[VOLUME_NAME_MAX * 3 + 256]; /* of the answer */
};

static void join_met(void *arg, struct http_call *call, enum status st);
static void join_compared(void *arg, struct http_call *call, enum status st);
static void join_recorded(void *arg, enum status st);
static void join_finish(struct join *join, enum status st, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The answer comes later, and join_finish() is the end of the join in any case. */
static void ask(struct join *join, const char *address,
                void (*answered)(void *arg, struct http_call *call, enum status st))
{
    if (!probe_start(join->worker, address, NULL, answered, join))
        join_finish(join, ST_NO_MEMORY, NULL);
}

/* --- what is done to the facts --- */

/* A new one, or one that was taken out and comes back. */
static enum status decide_new(void *arg, bool known, struct volume_facts *facts)
{
    const struct join *join = arg;
    struct volumes *volumes = join->worker->master->volumes;
    char name[VOLUME_NAME_MAX + 1];
    if ((known && !facts->removed) || volumes_at(volumes, join->address, name) ||
        (join->id[0] && volumes_with_id(volumes, join->id, name)))
        return ST_CONFLICT; /* another request was faster */
    facts->removed = facts->draining = false;
    memcpy(facts->address, join->address, sizeof facts->address);
    memcpy(facts->id, join->id, sizeof facts->id);
    facts->forgets_id = true;
    return ST_OK;
}

/* An operator's word: nothing is asked, and nothing can be in conflict with it. */
static enum status decide_replaced(void *arg, bool known UNUSED, struct volume_facts *facts)
{
    const struct join *join = arg;
    facts->removed = false;
    memcpy(facts->address, join->address, sizeof facts->address);
    facts->id[0] = 0; /* the next health check takes the new one */
    facts->forgets_id = true;
    return ST_OK;
}

/* Between the questions and this turn another request may have moved, replaced or removed it. */
static enum status decide_moved(void *arg, bool known, struct volume_facts *facts)
{
    const struct join *join = arg;
    if (!known || facts->removed || strcmp(facts->id, join->id) != 0 ||
        strcmp(facts->address, join->was) != 0)
        return ST_CONFLICT; /* it is not what it was when it was asked */
    memcpy(facts->address, join->address, sizeof facts->address);
    return ST_OK;
}

/* The roll calls decide() when it is this change's turn, then join_recorded() on this loop. */
static void submit(struct join *join, const char *name, const char *event,
                   enum status (*decide)(void *arg, bool known, struct volume_facts *facts))
{
    struct roll_change *change = &join->change;
    join->event = event;
    memcpy(change->name, name, strlen(name) + 1);
    change->decide = decide;
    change->done = join_recorded;
    change->arg = join;
    change->loop = join->worker->loop;
    roll_submit(join->worker->master->roll, change);
}

/* --- the beginning --- */

/* The name of a volume that is up elsewhere is not given to another. */
static void replace(struct join *join)
{
    struct volumes *volumes = join->worker->master->volumes;
    struct volume_facts facts;
    if (!volumes_at(volumes, join->address, join->name))
        memcpy(join->name, join->address, sizeof join->name);
    bool known = volumes_facts(volumes, join->name, &facts) && !facts.removed;
    enum volume_state state = volumes_state(volumes, join->name);
    if (known && strcmp(facts.address, join->address) != 0 && state < VOLUME_DOWN)
        join_finish(join, ST_CONFLICT,
                    "the volume %s is up at %s: remove that one first, or use another address",
                    join->name, facts.address);
    else
        submit(join, join->name, "replaced", decide_replaced);
}

void join_start(struct worker *worker, struct http_request *req, const char *address)
{
    struct join *join = calloc(1, sizeof *join);
    if (!join) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    join->worker = worker;
    join->req = req;
    memcpy(join->address, address, strlen(address) + 1);
    join->replaces = http_request_has(req, "replace");
    const char *claim = http_request_field(req, "Larder-Identity");
    if (claim && strlen(claim) == IDENTITY_SIZE)
        memcpy(join->claim, claim, sizeof join->claim);
    if (join->replaces)
        replace(join);
    else
        ask(join, address, join_met);
}

/* --- who answers there --- */

/* Only who answers, and with which identity; how it is the next health check tells. */
static void take_report(struct join *join, struct http_call *call, enum status st)
{
    struct volume_report report = {0};
    probe_read(&report, call, st);
    join->answers = report.answered;
    memcpy(join->id, report.id, sizeof join->id);
    free(report.subvolumes);
}

/* A volume that has just registered must be found where it says that it is. */
static bool is_as_claimed(struct join *join)
{
    if (!join->claim[0] || strcmp(join->claim, join->id) == 0)
        return true;
    if (join->answers)
        join_finish(join, ST_CONFLICT,
                    "another server than you answers at %s: is --base right? (%s)", join->address,
                    join->id[0] ? join->id : "it has no identity");
    else
        join_finish(join, ST_UNAVAILABLE,
                    "the master has no answer from %s: is --base right, and can it be reached?",
                    join->address);
    return false;
}

/* The address is that of a volume, and not of one that is known to be elsewhere. */
static void join_there(struct join *join, const char *name)
{
    struct volume_facts facts;
    (void)volumes_facts(join->worker->master->volumes, name, &facts);
    bool other = facts.id[0] && join->answers && strcmp(facts.id, join->id) != 0;
    join_finish(join, ST_OK, "the volume was there already%s\n",
                other ? ", but what answers there is not what it was: it is not used; see 'a "
                        "volume was replaced' in the README"
                      : "");
}

/* Nobody is known by that identity, or it has none: then the address decides. */
static void join_fresh(struct join *join)
{
    struct volumes *volumes = join->worker->master->volumes;
    struct volume_facts facts;
    if (volumes_at(volumes, join->address, join->name)) {
        join_there(join, join->name);
    } else if (volumes_facts(volumes, join->address, &facts) && !facts.removed) {
        join_finish(join, ST_CONFLICT,
                    "%s is the name of a volume of this store, which is reached at %s by now: "
                    "another volume cannot have it; use another address or another port",
                    join->address, facts.address);
    } else {
        submit(join, join->address, "added", decide_new);
    }
}

static void join_met(void *arg, struct http_call *call, enum status st)
{
    struct join *join = arg;
    struct volumes *volumes = join->worker->master->volumes;
    struct volume_facts facts;
    take_report(join, call, st);
    if (!is_as_claimed(join))
        return;
    if (!join->id[0] || !volumes_with_id(volumes, join->id, join->name)) {
        join_fresh(join);
        return;
    }
    (void)volumes_facts(volumes, join->name, &facts);
    memcpy(join->was, facts.address, sizeof join->was);
    if (strcmp(join->was, join->address) == 0)
        join_finish(join, ST_OK, "the volume was there already\n");
    else
        ask(join, join->was, join_compared);
}

/* --- who answers where it was --- */

/* One that is slow, or answers with an error, may be there all the same: it must have been silent
 * for longer. Where nobody listens there is nobody. */
static bool is_gone(const struct join *join, const struct volume_report *report, enum status st)
{
    if (report->answered)
        return strcmp(report->id, join->id) != 0;
    return st == ST_UNAVAILABLE ||
           volumes_state(join->worker->master->volumes, join->name) >= VOLUME_DOWN;
}

/* Three ends: it has left; it is there, too; or nobody knows yet, and the volume asks again. */
static void join_compared(void *arg, struct http_call *call, enum status st)
{
    struct join *join = arg;
    struct volume_report report = {0};
    probe_read(&report, call, st);
    free(report.subvolumes);
    if (is_gone(join, &report, st))
        submit(join, join->name, "moved", decide_moved);
    else if (report.answered)
        join_finish(join, ST_CONFLICT,
                    "the volume %s is up at %s, with the same identity: a volume cannot be in the "
                    "store twice. Stop one of the two; a copy of its directory is no other volume",
                    join->name, join->was);
    else
        join_finish(join, ST_UNAVAILABLE,
                    "it is not certain yet that the volume %s has left %s; try again in a second",
                    join->name, join->was);
}

/* --- the end --- */

/* The roll has the change in index and table; health checks ask at the new address from the next
 * period on. */
static void join_recorded(void *arg, enum status st)
{
    struct join *join = arg;
    bool moved = join->was[0] != 0;
    if (!st)
        log_event(LOG_INFO, "volumes", "volume=%s event=%s address=%s%s%s", join->change.name,
                  join->event, join->address, moved ? " before=" : "", join->was);
    if (st)
        join_finish(join, st,
                    st == ST_CONFLICT ? "another request has changed the volume meanwhile; try "
                                        "again"
                                      : NULL);
    else if (moved)
        join_finish(join, ST_OK, "the volume %s is reached at %s from now on\n", join->name,
                    join->address);
    else
        join_finish(join, ST_OK, "%s\n",
                    join->replaces  ? "the volume is accepted as it is now"
                    : join->answers ? "the volume is added"
                                    : "the volume is added; it does not answer yet");
}

/* `format`: the text of the answer; NULL: that of the status. */
static void join_finish(struct join *join, enum status st, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    if (format)
        (void)vsnprintf(join->text, sizeof join->text, format, values);
    va_end(values);
    if (st) {
        http_reply_status(join->req, st, format ? join->text : NULL);
    } else {
        http_reply_field(join->req, "Content-Type", "text/plain");
        http_reply(join->req, 200, join->text, strlen(join->text));
    }
    roll_change_free(&join->change);
    free(join);
}
