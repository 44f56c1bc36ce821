/*
 * larder repair: a sweep of the index, and the wait for what it finds. The path: repair →
 * wait_for_sweep → watch_repairs. The POST is answered once the sweep is noted, and `sweeping` is
 * true from then on: so the first look cannot miss it, and the end of the sweep is when it is
 * false.
 */
#include "common/buf.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"
#include "tools/larder/watch.h"

/* Until the sweep has ended; `last` is what it found then. */
static enum watch_end wait_for_sweep(struct client *client, struct watch_state *last)
{
    struct progress *progress = progress_new("looking", "keys", 0);
    enum status st = progress ? watch_look(client, last) : ST_NO_MEMORY;
    while (!st && last->sweeping) {
        progress_set(progress, last->sweep_keys, 0);
        interrupt_sleep(WATCH_PAUSE_MS);
        st = watch_look(client, last);
    }
    progress_free(progress);
    if (st == ST_NO_MEMORY)
        say_error("%s", status_text(st));
    return !st ? WATCH_DONE : st == ST_CLOSED ? WATCH_INTERRUPTED : WATCH_FAILED;
}

/* What was flagged already is counted as well: it has too few copies. */
static void print_sweep(const struct watch_state *state)
{
    struct buf text = BUF_INIT;
    progress_number(&text, state->sweep_keys);
    buf_adds(&text, " keys, ");
    progress_number(&text, state->sweep_flagged);
    buf_adds(&text, " of them with too few copies");
    say("%s\n", buf_text(&text));
    buf_free(&text);
}

/* A sweep flags keys; the janitor repairs them. The two are waited for one after the other, since
 * the queue is whole only after the sweep. */
static enum watch_end wait_for_all(struct client *client, unsigned patience_ms)
{
    struct watch_state state;
    enum watch_end end = wait_for_sweep(client, &state);
    if (end != WATCH_DONE)
        return end;
    print_sweep(&state);
    end = watch_repairs(client, patience_ms);
    if (end == WATCH_DONE)
        say("no key needs repair any more\n");
    return end;
}

/* The exit status. Without --wait a demand that was taken is success. */
static int repair(const char *master, bool waits, unsigned patience_ms)
{
    struct client *client = client_new(master);
    if (!client)
        return EXIT_TROUBLE;
    interrupt_watch();
    enum status st = client_post(client, "/admin/repair", NULL);
    enum watch_end end = WATCH_FAILED;
    if (st || client_status(client) / 100 != 2) {
        client_explain(client, st, "begin the repair", NULL);
    } else if (!waits) {
        say("the repair has begun; 'larder status' shows how far it is\n");
        end = WATCH_DONE;
    } else {
        end = wait_for_all(client, patience_ms);
    }
    if (end == WATCH_INTERRUPTED)
        say_error("interrupted; the master goes on with the repair");
    client_free(client);
    return say_flush() && end == WATCH_DONE ? EXIT_WELL : EXIT_FAILED;
}

int repair_run(int argc, char **argv)
{
    char *master = NULL;
    bool waits = say_on_terminal();
    unsigned patience_ms = 60 * 1000;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"wait", 'w', OPTION_FLAG, &waits, 0, 0, NULL, NULL,
         "wait until all is repaired (on a terminal that is the default; --no-wait: do not)"},
        {"patience", 0, OPTION_DURATION, &patience_ms, 1, 0xffffffff, NULL, "TIME",
         "give up waiting where nothing changes for so long (1m)"},
    };
    const struct option_program program = {
        "larder repair", "[OPTION]...",
        "Has the master look through its index for keys with too few copies, now, and make the\n"
        "missing ones from the others. It does so by itself, too, whenever there is reason.\n"
        "Copies that should be there and are not are found by 'larder scrub'.\n"
        "Interrupting it ends the waiting, not the repair.\n"
        "Exit status: 0 the repair has begun (with --wait: all keys have their copies), 1 not, 2 "
        "wrong\nusage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder repair", argc - rest, 0, 0))
        result = repair(master, waits, patience_ms);
    options_free(&program);
    return result;
}
