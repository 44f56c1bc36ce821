/*
 * larder drain: the master is told once, and does it by itself; the rest is watching. The path:
 * drain → begin_draining → wait_until_empty → the master's garbage is gone, too.
 *
 * A volume is empty when no record names it any more, which only a scan of the index can tell: so
 * the number of keys is counted by the master each time, and as rarely as that costs it a tenth of
 * its time. The queue of the master would not do: it says what was found to be moved, not what
 * should be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/key.h"
#include "common/loop.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/member.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"
#include "tools/larder/watch.h"

enum {
    SETTLE_MS = 30 * 1000, /* for old copies, which stay a while for their readers */
    SWEEP_MS = 3 * 1000,   /* without progress before the master is asked to look again */
    COUNT_SHARE = 10       /* counting takes the master at most such a part of the time */
};

/* One run of the command. */
struct drain {
    const char *name; /* of the volume; the caller's */
    struct client *client;
    struct progress *progress;
    unsigned patience_ms;
    uint64_t first;    /* keys that it had at the beginning */
    uint64_t count_ms; /* how long the master took to count, the last time */
    uint64_t swept_ms; /* when it was asked for a sweep last */
};

/* How many keys have a copy there. The master looks through its whole index for that. */
static enum status count_keys(struct drain *drain, uint64_t *keys)
{
    struct buf path = BUF_INIT;
    uint64_t began = loop_now_ms();
    buf_adds(&path, "/admin/volume-keys?volume=");
    key_encode(&path, drain->name, strlen(drain->name));
    enum status st =
        buf_ok(&path) ? client_request(drain->client, "GET", buf_text(&path)) : ST_NO_MEMORY;
    buf_free(&path);
    struct json *json =
        !st && client_status(drain->client) == 200 ? client_json(drain->client) : NULL;
    int64_t count = json_int(json_member(json, "keys"), -1);
    if (count < 0) {
        client_explain(drain->client, st, "count the keys of the volume", NULL);
        st = st ? st : ST_PEER;
    } else {
        *keys = (uint64_t)count;
    }
    json_free(json);
    drain->count_ms = loop_now_ms() - began;
    return st;
}

/* A key that was being written while the master looked for what is to be moved was passed over.
 * Another look is of use only where nothing is queued and nothing moves. */
static void sweep_again(struct drain *drain, const struct watch_state *state, uint64_t stall_ms)
{
    uint64_t now = loop_now_ms();
    if (state->queue || state->sweeping || stall_ms < SWEEP_MS || now - drain->swept_ms < SWEEP_MS)
        return;
    drain->swept_ms = now;
    (void)!client_post(drain->client, "/admin/repair", NULL); /* or the next time */
}

/* WATCH_STUCK, or WATCH_DONE for 'go on'. */
static enum watch_end stuck(struct drain *drain, const struct watch_state *state, uint64_t keys,
                            uint64_t stall_ms)
{
    char what[VOLUME_NAME_MAX + 80];
    sweep_again(drain, state, stall_ms);
    (void)snprintf(what, sizeof what, "%" PRIu64 " keys cannot be moved away from %s", keys,
                   drain->name);
    return watch_is_stuck(drain->client, state, stall_ms, drain->patience_ms, what) ? WATCH_STUCK
                                                                                    : WATCH_DONE;
}

/* At the end old copies are waited for as well: they stay a while for readers that were sent to
 * them, and an operator who unplugs the disk would cut those off. */
static enum watch_end wait_until_empty(struct drain *drain)
{
    struct watch_pace pace;
    struct watch_state state;
    uint64_t keys = drain->first;
    enum status st = ST_OK;
    watch_pace_begin(&pace);
    while (!st && keys) {
        progress_set(drain->progress, drain->first > keys ? drain->first - keys : 0, drain->first);
        uint64_t pause = drain->count_ms * COUNT_SHARE;
        interrupt_sleep(pause > WATCH_PAUSE_MS ? pause : WATCH_PAUSE_MS);
        st = watch_look(drain->client, &state);
        if (!st)
            st = count_keys(drain, &keys);
        if (st)
            break;
        uint64_t stall = watch_pace_stall(&pace, keys, state.rounds);
        if (keys && stuck(drain, &state, keys, stall) == WATCH_STUCK)
            return WATCH_STUCK;
    }
    if (st)
        return st == ST_CLOSED ? WATCH_INTERRUPTED : WATCH_FAILED;
    return watch_settle(drain->client, SETTLE_MS);
}

/* Holds the progress line for as long as it waits. */
static enum watch_end watch_draining(struct drain *drain)
{
    drain->progress = progress_new("draining", "keys", drain->first);
    if (!drain->progress) {
        say_error("%s", status_text(ST_NO_MEMORY));
        return WATCH_FAILED;
    }
    enum watch_end end = wait_until_empty(drain);
    progress_free(drain->progress);
    if (end == WATCH_INTERRUPTED)
        say_error("interrupted; the master goes on. 'larder drain %s' watches it again, with "
                  "--stop it is taken back",
                  drain->name);
    return end;
}

/* The last word is a count, whatever the watching saw. */
static bool finish(struct drain *drain)
{
    uint64_t keys = drain->first;
    if (count_keys(drain, &keys) || keys)
        return false; /* said, if only by watch_is_stuck() */
    say("no key has a copy on %s any more; 'larder remove-volume %s' takes it out\n", drain->name,
        drain->name);
    return true;
}

/* The number of keys is asked for before: afterwards some have gone already. */
static bool begin_draining(struct drain *drain, bool waits)
{
    if (waits && count_keys(drain, &drain->first))
        return false;
    return member_post(drain->client, "/admin/drain", drain->name, "drain");
}

/* True where the exit status is to be 0. */
static bool run_drain(struct drain *drain, bool stops, bool waits)
{
    if (stops)
        return member_post(drain->client, "/admin/drain?stop", drain->name, "keep");
    if (!begin_draining(drain, waits))
        return false;
    if (!waits)
        return true;
    interrupt_watch();
    enum watch_end end = watch_draining(drain);
    /* Copies that a volume which is away keeps elsewhere do not concern this one. */
    bool emptied = end == WATCH_DONE || end == WATCH_STUCK;
    return emptied && finish(drain);
}

static int drain(const char *master, const char *volume, bool stops, bool waits,
                 unsigned patience_ms)
{
    char name[VOLUME_NAME_MAX + 1];
    if (!member_name(volume, name))
        return EXIT_TROUBLE;
    struct drain drain = {.name = name, .client = client_new(master), .patience_ms = patience_ms};
    if (!drain.client)
        return EXIT_TROUBLE;
    bool good = run_drain(&drain, stops, waits);
    client_free(drain.client);
    return say_flush() && good ? EXIT_WELL : EXIT_FAILED;
}

static const char summary[] =
    "Moves all copies of a volume to the others while clients go on; it takes no new values\n"
    "meanwhile. The master remembers it, over a restart, too, and does it by itself; this shows "
    "how\n"
    "far it is. Interrupting it ends the watching, not the draining. Then 'larder remove-volume'.\n"
    "Exit status: 0 the draining has begun (with --wait: no key has a copy there any more), 1 not, "
    "or\nsome keys cannot be moved because no other volume can take them, 2 wrong usage.";

int drain_run(int argc, char **argv)
{
    char *master = NULL;
    bool stops = false;
    bool waits = say_on_terminal();
    unsigned patience_ms = 60 * 1000;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"stop", 0, OPTION_FLAG, &stops, 0, 0, NULL, NULL, "take it back: the volume stays"},
        {"wait", 'w', OPTION_FLAG, &waits, 0, 0, NULL, NULL,
         "wait until it is empty (on a terminal that is the default; --no-wait: do not)"},
        {"patience", 0, OPTION_DURATION, &patience_ms, 1, 0xffffffff, NULL, "TIME",
         "give up waiting where nothing changes for so long (1m)"},
    };
    const struct option_program program = {"larder drain", "[OPTION]... VOLUME", summary, options,
                                           sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder drain", argc - rest, 1, 1))
        result = drain(master, argv[rest], stops, waits, patience_ms);
    options_free(&program);
    return result;
}
