/*
 * larder status: what the master says of itself and of its volumes. Two pages of the master's,
 * /admin/status and /admin/volumes, and of each volume that answers its scrub.
 *
 * Numbers are shown by the names that the master gives them, so a newer master's figures appear
 * without a change here; only what would be hard to read that way has a sentence of its own
 * (`sentences`).
 */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_fetch.h"
#include "common/json.h"
#include "common/loop.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"
#include "tools/larder/volume.h"

/* --- the master --- */

/* A member that is a number or a text; all else is passed over. `arg` is its indentation. Negative
 * numbers do not occur. */
static void print_number(void *arg, const char *name, const struct json *value)
{
    struct buf number = BUF_INIT;
    const char *indent = arg;
    int64_t of = json_int(value, -1);
    if (of >= 0) {
        progress_number(&number, (uint64_t)of);
        say("%s%-20s %s\n", indent, name, buf_text(&number));
    } else if (json_text(value)) {
        say("%s%-20s %s\n", indent, name, json_text(value));
    }
    buf_free(&number);
}

/* "1,234 keys" */
static void add_count(struct buf *out, const struct json *of, const char *name, const char *what)
{
    int64_t count = json_int(json_member(of, name), 0);
    progress_number(out, count > 0 ? (uint64_t)count : 0);
    buf_adds(out, what);
}

/* The queue is that of the janitor's last whole round (common/PROTOCOL.md, /admin/status). */
static void print_repair(const struct json *repair)
{
    struct buf text = BUF_INIT;
    int64_t oldest = json_int(json_member(repair, "oldest_seconds"), 0);
    add_count(&text, repair, "queue", " keys wait");
    if (oldest > 0) {
        buf_adds(&text, ", the oldest for ");
        progress_duration(&text, (uint64_t)oldest * 1000);
    }
    say("%-20s %s\n", "repair", buf_text(&text));
    buf_free(&text);
}

/* "running: …", "ended 0:07 ago: …", "none yet". `finished` is of the master's clock. */
static bool add_when(struct buf *out, const struct json *of)
{
    int64_t finished = json_int(json_member(of, "finished"), 0);
    int64_t now = (int64_t)loop_wall_ms();
    if (json_bool(json_member(of, "running"), false)) {
        buf_adds(out, json_bool(json_member(of, "forced"), false) ? "running at full speed: "
                                                                  : "running: ");
    } else if (finished > 0) {
        buf_adds(out, "ended ");
        progress_duration(out, now > finished ? (uint64_t)(now - finished) : 0);
        buf_adds(out, " ago: ");
    } else {
        buf_adds(out, "none yet");
        return false;
    }
    return true;
}

/* What it found to be repaired is in the queue from then on. */
static void print_sweep(const struct json *sweep)
{
    struct buf text = BUF_INIT;
    if (add_when(&text, sweep)) {
        add_count(&text, sweep, "keys", " keys looked at, ");
        add_count(&text, sweep, "flagged", " to be repaired");
    }
    say("%-20s %s\n", "sweep", buf_text(&text));
    buf_free(&text);
}

/* Figures of the round that runs, or of the last one. */
static void print_audit(const struct json *audit)
{
    struct buf text = BUF_INIT;
    if (add_when(&text, audit)) {
        add_count(&text, audit, "keys", " keys compared, ");
        add_count(&text, audit, "suspects", " to be repaired, ");
        add_count(&text, audit, "files", " files, ");
        add_count(&text, audit, "orphans", " in no record");
    }
    say("%-20s %s\n", "audit", buf_text(&text));
    buf_free(&text);
}

static const struct {
    const char *name;
    void (*print)(const struct json *value);
} sentences[] = {{"repair", print_repair}, {"sweep", print_sweep}, {"audit", print_audit}};

/* Whatever the master tells, in its order: some in a sentence of their own, other groups below
 * their name, indented. */
static void print_member(void *arg, const char *name, const struct json *value)
{
    char indent[] = "  ";
    bool group = json_text(value) == NULL && json_int(value, INT64_MIN) == INT64_MIN;
    if (!group) {
        print_number(arg, name, value);
        return;
    }
    for (size_t i = 0; i < sizeof sentences / sizeof sentences[0]; i++)
        if (strcmp(name, sentences[i].name) == 0) {
            sentences[i].print(value);
            return;
        }
    say("%s\n", name);
    json_each(value, print_number, indent);
}

/* --- volumes --- */

/* Three digits at most, as `ls -h` does it. */
static void add_bytes(struct buf *out, int64_t bytes)
{
    static const char units[] = "BKMGTPE";
    double amount = (double)bytes;
    size_t unit = 0;
    for (; amount >= 1000 && unit + 2 < sizeof units; unit++)
        amount /= 1024;
    buf_addf(out, unit && amount < 10 ? "%.1f%c" : "%.0f%c", amount, units[unit]);
}

/* A plain server does not tell its room. */
static void print_room(const struct json *of)
{
    struct buf text = BUF_INIT;
    int64_t total = json_int(json_member(of, "total"), 0);
    if (total > 0) {
        add_bytes(&text, json_int(json_member(of, "free"), 0));
        buf_adds(&text, " of ");
        add_bytes(&text, total);
    } else {
        buf_addc(&text, '-');
    }
    say(" %-16s %" PRId64 "\n", buf_text(&text), json_int(json_member(of, "errors"), 0));
    buf_free(&text);
}

/* "-" where there is none, so that columns stay in place. */
static const char *text_of(const struct json *of, const char *name)
{
    const char *text = json_text(json_member(of, name));
    return text ? text : "-";
}

/* Disks that are just as their volume, or well, are not worth a line. */
static void print_disk(void *arg, const char *name, const struct json *disk)
{
    const struct json *volume = arg;
    const char *state = text_of(disk, "state");
    if (!*name || strcmp(state, "up") == 0 || strcmp(state, text_of(volume, "state")) == 0)
        return;
    say("  /%-30s %-10s %-8s", name, state, "");
    print_room(disk);
}

/* Where it is reached; its name where an older master does not say. */
static const char *address_of(const struct json *volume)
{
    const char *address = json_text(json_member(volume, "address"));
    return address ? address : text_of(volume, "name");
}

/* "  scrub: ended 0:07 ago: 1.2G of 1.2G read, 0 damaged". The master does not know of it, so the
 * volume itself is asked; one that does not answer or is older has no such line. */
static void print_scrub(struct http_fetcher *fetcher, const struct json *volume)
{
    char why[VOLUME_WHY];
    struct buf text = BUF_INIT;
    struct json *scrub;
    bool asks = strcmp(text_of(volume, "kind"), "larder") == 0 &&
                strcmp(text_of(volume, "state"), "down") != 0 &&
                strcmp(text_of(volume, "state"), "lost") != 0;
    if (!asks || volume_scrub(fetcher, address_of(volume), false, &scrub, why))
        return;
    if (scrub && add_when(&text, scrub)) {
        int64_t total = json_int(json_member(scrub, "total_bytes_estimate"), 0);
        add_bytes(&text, json_int(json_member(scrub, "bytes"), 0));
        if (total > 0) {
            buf_adds(&text, " of ");
            add_bytes(&text, total);
        }
        buf_adds(&text, " read, ");
        add_count(&text, scrub, "damaged", " damaged");
    }
    if (text.len)
        say("  scrub: %s\n", buf_text(&text));
    buf_free(&text);
    json_free(scrub);
}

/* True where all of them are up. One fetcher for all scrubs: they are asked one after the other,
 * each when its line is due, and without memory for it the table comes without them. */
static bool print_volumes(const struct json *volumes)
{
    bool good = true;
    struct http_fetcher *fetcher = http_fetcher_new();
    say("%-33s %-10s %-8s %-16s %s\n", "VOLUME", "STATE", "KIND", "FREE", "ERRORS");
    for (size_t i = 0; i < json_count(volumes); i++) {
        struct json *volume = json_item(volumes, i);
        const char *state = text_of(volume, "state");
        good = good && strcmp(state, "up") == 0;
        say("%-33s %-10s %-8s", text_of(volume, "name"), state, text_of(volume, "kind"));
        print_room(volume);
        if (strcmp(address_of(volume), text_of(volume, "name")) != 0)
            say("  at %s\n", address_of(volume));
        json_each(json_member(volume, "subvolumes"), print_disk, volume);
        if (fetcher)
            print_scrub(fetcher, volume);
    }
    http_fetcher_free(fetcher);
    return good;
}

/* --- both --- */

/* False: said. Each body is copied, since the next request replaces it. */
static bool ask(struct client *client, const char *path, struct buf *body)
{
    enum status st = client_request(client, "GET", path);
    if (st || client_status(client) != 200) {
        client_explain(client, st, "ask for the state", NULL);
        return false;
    }
    size_t len;
    const char *text = client_body(client, &len);
    buf_add(body, text, len);
    return buf_ok(body);
}

/* Shows what is there: members that a later master adds appear without a change here. The exit
 * status tells whether all is well, so that a script need not read the table; with --json it reads,
 * and the status only says whether there is something to be read. */
static int print_status(const struct buf *master, const struct buf *volumes, bool as_json)
{
    struct json *of_master = json_parse(buf_text(master), master->len, NULL);
    struct json *of_volumes = json_parse(buf_text(volumes), volumes->len, NULL);
    struct json *list = json_member(of_volumes, "volumes");
    int result = EXIT_FAILED;
    char indent[] = "";
    const char *brace = strchr(buf_text(volumes), '{');
    if (!of_master || !list || !brace) {
        say_error("the master's answer is not understood; is it another version?");
    } else if (as_json) {
        /* Both are whole documents; the second one's members follow the first. */
        say("{\"status\":%s,%s", buf_text(master), brace + 1);
        result = EXIT_WELL;
    } else {
        json_each(of_master, print_member, indent);
        say("\n");
        result = print_volumes(list) ? EXIT_WELL : EXIT_FAILED;
    }
    json_free(of_master);
    json_free(of_volumes);
    return say_flush() ? result : EXIT_FAILED;
}

/* The exit status of the command. Both pages are fetched before anything is printed: half of an
 * answer looks like a store with no volumes. */
static int show_status(const char *master_url, bool as_json)
{
    struct buf master = BUF_INIT;
    struct buf volumes = BUF_INIT;
    struct client *client = client_new(master_url);
    int result = client ? EXIT_FAILED : EXIT_TROUBLE;
    if (client && ask(client, "/admin/status", &master) && ask(client, "/admin/volumes", &volumes))
        result = print_status(&master, &volumes, as_json);
    buf_free(&master);
    buf_free(&volumes);
    client_free(client);
    return result;
}

int status_run(int argc, char **argv)
{
    char *master = NULL;
    bool json = false;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"json", 'j', OPTION_FLAG, &json, 0, 0, NULL, NULL,
         "one JSON document: {\"status\":{...},\"volumes\":[...]}"},
    };
    const struct option_program program = {
        "larder status", "[OPTION]...",
        "Shows what the master says of itself, a 'NAME VALUE' a line, and a table of its volumes:\n"
        "name, state, kind (larder, or plain for any other WebDAV server), free space, errors.\n"
        "Disks have a line where they differ. States: up; unknown (not asked yet); draining; "
        "full;\n"
        "read-only; down; lost (down for longer than --down-after: what it held is copied "
        "elsewhere);\nforeign (not the volume that it was, or one that has another name already).\n"
        "'repair' is the queue of keys with too few copies, 'sweep' a look through the index for "
        "such\nkeys, 'audit' the comparison of index and volumes, 'scrub' a volume's reading of "
        "all its values.\n"
        "Exit status: 0 the master answers and all volumes are up (with --json: it answers), 1 "
        "not,\n"
        "2 wrong usage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder status", argc - rest, 0, 0))
        result = show_status(master, json);
    options_free(&program);
    return result;
}
