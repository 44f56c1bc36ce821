/*
 * larder scrub. The path: the volumes read their values; what they find damaged they lay aside, so
 * that the comparison of index and volumes, which comes after, meets it as missing, even where a
 * volume could not tell the master; then the repair of all that was found.
 */
#include <inttypes.h>

#include "common/buf.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"
#include "tools/larder/volumescrub.h"
#include "tools/larder/watch.h"

struct scrub {
    struct client *client;
    bool volumes, master; /* which parts */
    bool waits;
    unsigned patience_ms;
    uint64_t damaged; /* values that volumes laid aside, and keys that lack a copy */
    uint64_t untold;  /* of those, values that no volume could tell its master of */
};

/* What a failure of watch_look() means for the waiting. */
static enum watch_end end_of(enum status st)
{
    return !st ? WATCH_DONE : st == ST_CLOSED ? WATCH_INTERRUPTED : WATCH_FAILED;
}

/* --- the volumes --- */

/* Values of all copies: one that has three is counted three times. */
static void print_volumes(const struct volumescrub_sum *sum)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, "volumes: ");
    progress_number(&text, sum->values);
    buf_adds(&text, " values read (");
    progress_number(&text, sum->bytes);
    buf_adds(&text, " bytes), ");
    progress_number(&text, sum->damaged);
    buf_adds(&text, " damaged");
    say("%s\n", buf_text(&text));
    buf_free(&text);
}

/* An interrupted wait prints what was read so far: the volumes go on by themselves. */
static enum watch_end wait_for_volumes(struct scrub *scrub, struct volumescrub *volumes)
{
    struct volumescrub_sum sum;
    struct progress *progress = progress_new("reading", "bytes", 0);
    if (!progress) {
        say_error("%s", status_text(ST_NO_MEMORY));
        return WATCH_FAILED;
    }
    for (volumescrub_look(volumes, &sum); sum.running && !interrupt_seen();
         volumescrub_look(volumes, &sum)) {
        progress_set(progress, sum.bytes, sum.total);
        interrupt_sleep(WATCH_PAUSE_MS);
    }
    progress_free(progress);
    print_volumes(&sum);
    scrub->damaged += sum.damaged;
    scrub->untold = sum.untold;
    return sum.running ? WATCH_INTERRUPTED : WATCH_DONE;
}

/* Done, too, where no volume could be asked: each has been named, and the comparison is of use all
 * the same. */
static enum watch_end scrub_volumes(struct scrub *scrub)
{
    struct volumescrub *volumes = volumescrub_new(scrub->client);
    if (!volumes)
        return WATCH_FAILED;
    enum watch_end end = WATCH_DONE;
    if (volumescrub_begin(volumes) && scrub->waits)
        end = wait_for_volumes(scrub, volumes);
    volumescrub_free(volumes);
    return end;
}

/* --- the master --- */

/* Numbers are those of one whole comparison, the last. */
static void print_audit(const struct watch_state *state)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, "index: ");
    progress_number(&text, state->audit_keys);
    buf_adds(&text, " keys compared, ");
    progress_number(&text, state->audit_suspects);
    buf_adds(&text, " with a missing or wrong copy; ");
    progress_number(&text, state->audit_files);
    buf_adds(&text, " files, ");
    progress_number(&text, state->audit_orphans);
    buf_adds(&text, " of them in no record, and removed");
    say("%s\n", buf_text(&text));
    buf_free(&text);
}

/* Nobody knows beforehand how many keys and files there are, so there is no total. */
static enum watch_end wait_for_audit(struct scrub *scrub)
{
    struct watch_state state;
    struct progress *progress = progress_new("comparing", "keys and files", 0);
    enum status st = progress ? watch_look(scrub->client, &state) : ST_NO_MEMORY;
    while (!st && state.auditing) {
        progress_set(progress, state.audit_keys + state.audit_files, 0);
        interrupt_sleep(WATCH_PAUSE_MS);
        st = watch_look(scrub->client, &state);
    }
    progress_free(progress);
    if (st == ST_NO_MEMORY)
        say_error("%s", status_text(st));
    if (st)
        return end_of(st);
    print_audit(&state);
    scrub->damaged += state.audit_suspects;
    return WATCH_DONE;
}

/* The POST is answered at once; from then on /admin/status has `running`. */
static enum watch_end scrub_master(struct scrub *scrub)
{
    enum status st = client_post(scrub->client, "/admin/scrub", NULL);
    if (st || client_status(scrub->client) / 100 != 2) {
        client_explain(scrub->client, st, "begin the comparison of index and volumes", NULL);
        return WATCH_FAILED;
    }
    return scrub->waits ? wait_for_audit(scrub) : WATCH_DONE;
}

/* --- all of it --- */

/* What no volume could tell a master the comparison finds; without it nobody repairs it. */
static enum watch_end check_untold(const struct scrub *scrub)
{
    if (scrub->master || scrub->untold == 0)
        return WATCH_DONE;
    say_error("%" PRIu64 " damaged values could not be told to the master, and are not repaired: "
              "'larder scrub --master-only' finds them",
              scrub->untold);
    return WATCH_STUCK;
}

/* One after the other, for the order matters: what the volumes lay aside is what the comparison
 * must find. Repairs are waited for only where anything was found. */
static enum watch_end run_parts(struct scrub *scrub)
{
    enum watch_end end = WATCH_DONE;
    if (scrub->volumes)
        end = scrub_volumes(scrub);
    if (end == WATCH_DONE && scrub->master)
        end = scrub_master(scrub);
    if (end == WATCH_DONE && scrub->damaged) {
        end = watch_repairs(scrub->client, scrub->patience_ms);
        if (end == WATCH_DONE)
            end = check_untold(scrub);
        if (end == WATCH_DONE)
            say("all that was found is repaired\n");
    }
    return end;
}

/* EXIT_TROUBLE where nobody could be asked; what was found and not repaired is EXIT_FAILED. */
static int run_scrub(struct scrub *scrub, const char *master)
{
    scrub->client = client_new(master);
    if (!scrub->client)
        return EXIT_TROUBLE;
    interrupt_watch();
    enum watch_end end = run_parts(scrub);
    if (end == WATCH_INTERRUPTED)
        say_error("interrupted; what was begun goes on in the volumes and the master");
    if (end == WATCH_DONE && !scrub->waits)
        say("the scrub has begun\n");
    client_free(scrub->client);
    if (end == WATCH_FAILED)
        return EXIT_TROUBLE;
    return say_flush() && end == WATCH_DONE ? EXIT_WELL : EXIT_FAILED;
}

static const char summary[] =
    "Has every volume read all its values now and compare them with their MD5s, at full speed; "
    "what\n"
    "is damaged is laid aside. Then has the master compare its index with the volumes: missing "
    "copies\n"
    "are made anew from good ones, files in no record are removed (when they are older than\n"
    "--orphan-after). Both happen by themselves, too, at a slow pace.\n"
    "Output: what was looked at and found, a line for each part. Interrupting it ends the "
    "waiting,\n"
    "not the scrub.\n"
    "Exit status: 0 nothing was found, or all is repaired (without --wait: it has begun), 1 not "
    "all\nis repaired, or it was interrupted, 2 wrong usage, or the master cannot be reached.";

int scrub_run(int argc, char **argv)
{
    char *master = NULL;
    bool only_volumes = false;
    bool only_master = false;
    struct scrub scrub = {.waits = say_on_terminal(), .patience_ms = 60 * 1000};
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"wait", 'w', OPTION_FLAG, &scrub.waits, 0, 0, NULL, NULL,
         "wait until all is read, compared and repaired (on a terminal that is the default; "
         "--no-wait: do not)"},
        {"volumes-only", 0, OPTION_FLAG, &only_volumes, 0, 0, NULL, NULL,
         "only have the volumes read their values"},
        {"master-only", 0, OPTION_FLAG, &only_master, 0, 0, NULL, NULL,
         "only have the master compare index and volumes"},
        {"patience", 0, OPTION_DURATION, &scrub.patience_ms, 1, 0xffffffff, NULL, "TIME",
         "give up waiting for repairs where nothing changes for so long (1m)"},
    };
    const struct option_program program = {"larder scrub", "[OPTION]...", summary, options,
                                           sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder scrub", argc - rest, 0, 0)) {
        scrub.volumes = !only_master;
        scrub.master = !only_volumes;
        if (scrub.volumes || scrub.master)
            result = run_scrub(&scrub, master);
        else
            say_error("--volumes-only and --master-only exclude each other");
    }
    options_free(&program);
    return result;
}
