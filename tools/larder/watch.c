/*
 * Waiting, by looking at /admin/status again and again: the master tells nobody when something
 * ends. Each look is one of two questions: is there still something to do, and does it go on?
 *
 * The traps that shaped it. A queue is that of the janitor's last whole round, so 'empty' may be
 * older than what was just flagged: two rounds more are waited for. A number that stands still may
 * be one large value being copied, or a retry that is due later: only rounds without progress count
 * as standing still. A master that was started again begins all its counters anew: a counter that
 * goes back begins the waiting anew, and is no error.
 *
 * One client, one thread; every wait ends at a signal.
 */
#include "tools/larder/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/loop.h"
#include "tools/larder/client.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"

enum {
    AWAY_MS = 60 * 1000,  /* for so long a master may be away: it is started again */
    AWAY_PAUSE_MS = 1000, /* between two tries then */
    FEW_MS = 10 * 1000, /* without progress before it is asked whether there are too few volumes */
    ROUNDS_MIN = 3      /* of the master without progress; one may wait for retries */
};

/* --- looking --- */

/* Absent or negative is 0: an older master may not have it. */
static uint64_t number(const struct json *json, const char *name)
{
    int64_t n = json_int(json_member(json, name), 0);
    return n > 0 ? (uint64_t)n : 0;
}

void watch_parse(struct watch_state *state, const struct json *json)
{
    const struct json *repair = json_member(json, "repair");
    const struct json *sweep = json_member(json, "sweep");
    const struct json *audit = json_member(json, "audit");
    *state = (struct watch_state){
        .work = number(json, "work"),
        .settled = number(json, "settled"),
        .queue = number(repair, "queue"),
        .oldest_seconds = number(repair, "oldest_seconds"),
        .rounds = number(repair, "rounds"),
        .replicas = number(json, "replicas"),
        .sweeping = json_bool(json_member(sweep, "running"), false),
        .auditing = json_bool(json_member(audit, "running"), false),
        .sweep_keys = number(sweep, "keys"),
        .sweep_flagged = number(sweep, "flagged"),
        .audit_keys = number(audit, "keys"),
        .audit_suspects = number(audit, "suspects"),
        .audit_files = number(audit, "files"),
        .audit_orphans = number(audit, "orphans"),
    };
}

/* Asks for a page until the master answers. The JSON is the caller's. */
static enum status fetch(struct client *client, const char *path, struct json **json)
{
    uint64_t began = loop_now_ms();
    enum status st;
    *json = NULL;
    while (!interrupt_seen()) {
        st = client_request(client, "GET", path);
        if (!st && client_status(client) == 200)
            *json = client_json(client);
        if (*json)
            return ST_OK;
        /* An answer that it has no such page is its last word. */
        bool final = !st && client_status(client) / 100 == 4;
        if (final || loop_now_ms() - began > AWAY_MS) {
            client_explain(client, st, "ask for the state", NULL);
            return st ? st : ST_PEER;
        }
        interrupt_sleep(AWAY_PAUSE_MS);
    }
    return ST_CLOSED;
}

/* Of several masters only the one that writes works: the queues and rounds of the others stand
 * still, and who waited for those would wait in vain. */
enum status watch_look(struct client *client, struct watch_state *state)
{
    struct json *json;
    uint64_t began = loop_now_ms();
    enum status st = fetch(client, "/admin/status", &json);
    while (!st && !client_is_writer(json) && loop_now_ms() - began < AWAY_MS) {
        json_free(json);
        client_find_writer(client);
        st = fetch(client, "/admin/status", &json);
        if (!st && !client_is_writer(json)) /* nobody does now: another one is about to */
            interrupt_sleep(AWAY_PAUSE_MS);
    }
    watch_parse(state, json); /* zeros where there is nothing */
    json_free(json);
    return st;
}

/* `up` is the only state in which new values are put. */
enum status watch_writable(struct client *client, uint64_t *count)
{
    struct json *json;
    enum status st = fetch(client, "/admin/volumes", &json);
    const struct json *list = json_member(json, "volumes");
    *count = 0;
    for (size_t i = 0; i < json_count(list); i++) {
        const char *state = json_text(json_member(json_item(list, i), "state"));
        *count += state && strcmp(state, "up") == 0;
    }
    json_free(json);
    return st;
}

/* --- does something go on? --- */

/* The first number is less than any, so it counts as progress. */
void watch_pace_begin(struct watch_pace *pace)
{
    *pace = (struct watch_pace){.least = UINT64_MAX, .since_ms = loop_now_ms()};
}

uint64_t watch_pace_stall(struct watch_pace *pace, uint64_t number_now, uint64_t rounds)
{
    uint64_t now = loop_now_ms();
    /* A master that was started again counts its rounds from the beginning. */
    if (number_now < pace->least || rounds < pace->rounds)
        *pace = (struct watch_pace){.least = number_now, .since_ms = now, .rounds = rounds};
    return rounds - pace->rounds >= ROUNDS_MIN ? now - pace->since_ms : 0;
}

bool watch_is_stuck(struct client *client, const struct watch_state *state, uint64_t stall_ms,
                    uint64_t patience_ms, const char *what)
{
    uint64_t writable;
    struct buf time = BUF_INIT;
    bool stuck = stall_ms > patience_ms;
    if (!stuck && stall_ms < FEW_MS)
        return false;
    bool few = !watch_writable(client, &writable) && writable < state->replicas;
    if (few) {
        say_error("%s: only %" PRIu64 " volumes take new values now, and %" PRIu64
                  " copies are wanted. Add a volume; the master then goes on by itself",
                  what, writable, state->replicas);
    } else if (stuck) {
        progress_duration(&time, stall_ms);
        say_error("%s: nothing has changed for %s. 'larder status' shows the volumes, the "
                  "master's log the reason; the master goes on trying",
                  what, buf_text(&time));
    }
    buf_free(&time);
    return few || stuck;
}

/* --- waiting --- */

/* For a look that failed; it has said why, but for an interruption. */
static enum watch_end end_of(enum status st)
{
    return st == ST_CLOSED ? WATCH_INTERRUPTED : WATCH_FAILED;
}

/* The queue is known as of the last round; within one, what was settled shows that it goes on. */
static void tell_queue(struct progress *progress, const struct watch_state *state,
                       uint64_t settled_before, uint64_t *peak)
{
    if (state->queue > *peak)
        *peak = state->queue;
    uint64_t done = *peak - state->queue;
    uint64_t settled = state->settled > settled_before ? state->settled - settled_before : 0;
    if (settled > *peak)
        settled = *peak;
    progress_set(progress, settled > done ? settled : done, *peak);
}

static enum watch_end wait_for_queue(struct client *client, struct progress *progress,
                                     uint64_t patience_ms)
{
    struct watch_pace pace;
    struct watch_state state;
    enum status st = watch_look(client, &state);
    /* The round that is under way began before; the next one sees all that there is to do. */
    uint64_t whole = state.rounds + 2;
    uint64_t settled = state.settled;
    uint64_t peak = 0;
    char what[80];
    watch_pace_begin(&pace);
    while (!st) {
        tell_queue(progress, &state, settled, &peak);
        if (state.rounds >= whole && state.queue == 0)
            return WATCH_DONE;
        if (state.rounds + 2 < whole)
            whole = 2; /* the master was started again */
        uint64_t stall = watch_pace_stall(&pace, state.queue, state.rounds);
        (void)snprintf(what, sizeof what, "%" PRIu64 " keys still need repair", state.queue);
        if (state.queue && watch_is_stuck(client, &state, stall, patience_ms, what))
            return WATCH_STUCK;
        interrupt_sleep(WATCH_PAUSE_MS);
        st = watch_look(client, &state);
    }
    return end_of(st);
}

/* Holds the progress line; wait_for_queue() does the waiting. */
enum watch_end watch_repairs(struct client *client, uint64_t patience_ms)
{
    struct progress *progress = progress_new("repairing", "keys", 0);
    if (!progress) {
        say_error("%s", status_text(ST_NO_MEMORY));
        return WATCH_FAILED;
    }
    enum watch_end end = wait_for_queue(client, progress, patience_ms);
    progress_free(progress);
    return end;
}

/* Without progress of its own: it is a short wait at the end of others. */
enum watch_end watch_settle(struct client *client, uint64_t most_ms)
{
    struct watch_state state;
    uint64_t began = loop_now_ms();
    enum status st = watch_look(client, &state);
    uint64_t whole = state.rounds + 2;
    while (!st && (state.work || state.rounds < whole)) {
        if (loop_now_ms() - began > most_ms)
            return WATCH_STUCK;
        interrupt_sleep(WATCH_PAUSE_MS);
        st = watch_look(client, &state);
    }
    return st ? end_of(st) : WATCH_DONE;
}
