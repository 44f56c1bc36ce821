/*
 * larder watch: prints what happens to keys, a line each, as it happens. The master sends it as
 * server-sent events (GET /prefix?watch); where the connection breaks off, or the master is away,
 * it connects again and goes on behind the last event: nothing is left out, nothing comes twice.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/key.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/say.h"

enum {
    STALL_MS = 45 * 1000, /* a heartbeat comes every 15 s */
    PAUSE_MS = 500,
    LINE_MAX = 16 * 1024
};

struct watching {
    struct client *client;
    const char *prefix; /* encoded, with its leading '/' */
    bool json;
    unsigned long long left; /* events to print; 0: no end */
    bool begun;              /* `seen` is known */
    uint64_t seen;
    /* of the stream: */
    struct buf line;
    struct buf event, data;
    uint64_t id;
    bool has_id;
    bool over;          /* enough was printed */
    bool behind;        /* the master has told that events are missing */
    bool broken;        /* what came is no stream of events */
    struct buf refusal; /* the text of an answer that is none */
};

/* --- events --- */

/* With --json the object is the master's own, with the name of the event put in front: so what a
 * newer master adds to it is passed on. */
static void print_event(struct watching *watching)
{
    const struct buf *data = &watching->data;
    struct json *json = json_parse(buf_text(data), data->len, NULL);
    const char *key = json_text(json_member(json, "key"));
    const char *md5 = json_text(json_member(json, "md5"));
    int64_t size = json_int(json_member(json, "size"), -1);
    if (!key) {
        watching->broken = true;
    } else if (watching->json) {
        say("{\"event\":\"%s\",%s\n", buf_text(&watching->event), buf_text(data) + 1);
    } else {
        say("%" PRIu64 " %s %s", watching->id, buf_text(&watching->event), key);
        if (size >= 0)
            say(" %" PRId64, size);
        say("%s%s\n", md5 ? " " : "", md5 ? md5 : "");
    }
    json_free(json);
    if (watching->left && --watching->left == 0)
        watching->over = true;
}

/* An empty line ends an event; what had no data was a comment, or an id alone. */
static void end_event(struct watching *watching)
{
    if (watching->data.len && strcmp(buf_text(&watching->event), "behind") == 0)
        watching->behind = true;
    else if (watching->data.len)
        print_event(watching);
    if (watching->has_id && !watching->behind && !watching->broken) {
        watching->seen = watching->id;
        watching->begun = true;
    }
    watching->has_id = false;
    buf_clear(&watching->event);
    buf_clear(&watching->data);
}

/* What follows the name on the line; NULL where it is another field. */
static const char *value_of(const char *line, const char *name)
{
    size_t len = strlen(name);
    return strncmp(line, name, len) == 0 ? line + len : NULL;
}

/* Fields as our masters write them, with one space behind the colon; all else is passed over, as
 * the specification of event streams (WHATWG HTML, 9.2) wants it of what is unknown. */
static void take_line(struct watching *watching, const char *line)
{
    const char *value;
    if (!*line) {
        end_event(watching);
    } else if ((value = value_of(line, "id: "))) {
        watching->id = strtoull(value, NULL, 10);
        watching->has_id = true;
    } else if ((value = value_of(line, "event: "))) {
        buf_clear(&watching->event);
        buf_adds(&watching->event, value);
    } else if ((value = value_of(line, "data: "))) {
        buf_adds(&watching->data, value);
    }
}

/* False ends the connection. An answer other than 200 is no stream: its text is kept, up to a
 * bound, for may_go_on(). */
static bool take_piece(void *arg, const char *data, size_t len)
{
    struct watching *watching = arg;
    if (client_status(watching->client) != 200) {
        buf_add(&watching->refusal, data, watching->refusal.len < LINE_MAX ? len : 0);
        return true;
    }
    for (size_t i = 0; i < len && !watching->over && !watching->broken; i++) {
        if (data[i] != '\n' && watching->line.len < LINE_MAX) {
            buf_addc(&watching->line, data[i]);
            continue;
        }
        watching->broken = data[i] != '\n';
        take_line(watching, buf_text(&watching->line));
        buf_clear(&watching->line);
    }
    /* Whoever reads the lines wants them now. */
    return say_flush() && !watching->over && !watching->broken && !interrupt_seen();
}

/* --- connections --- */

/* One connection, from `seen` on, until it ends. What was begun of an event when the last one broke
 * off is dropped: it comes again, since `seen` is only set at the end of an event. */
static enum status watch_once(struct watching *watching)
{
    struct buf path = BUF_INIT;
    buf_addf(&path, "%s?watch", watching->prefix);
    if (watching->begun)
        buf_addf(&path, "&since=%" PRIu64, watching->seen);
    buf_clear(&watching->line);
    buf_clear(&watching->event);
    buf_clear(&watching->data);
    buf_clear(&watching->refusal);
    watching->has_id = false;
    const struct http_call_spec spec = {
        .method = "GET", .write = take_piece, .arg = watching, .stall_ms = STALL_MS};
    enum status st =
        buf_ok(&path) ? client_send(watching->client, &spec, buf_text(&path)) : ST_NO_MEMORY;
    buf_free(&path);
    return st;
}

/* A 410 says up to where the master is now, so whoever lists the keys can go on from there without
 * a gap; a stream that fell behind does not. */
static void explain_gone(const struct watching *watching)
{
    struct json *json = json_parse(buf_text(&watching->refusal), watching->refusal.len, NULL);
    int64_t now = json_int(json_member(json, "sequence"), -1);
    json_free(json);
    if (now >= 0)
        say_error("the changes after %" PRIu64 " are not kept any more; list the keys, then watch "
                  "with --since %" PRId64,
                  watching->seen, now);
    else
        say_error("fell behind after %" PRIu64
                  ": what follows is not kept any more; list the keys, "
                  "and watch anew",
                  watching->seen);
}

/* True where another connection may do. */
static bool may_go_on(struct watching *watching, enum status st)
{
    int http = st ? 0 : client_status(watching->client);
    if (watching->over || interrupt_seen())
        return false;
    if (watching->broken) {
        say_error("what came is no stream of events; is this a larder master?");
        return false;
    }
    if (watching->behind || http == 410) {
        explain_gone(watching);
        return false;
    }
    if (st == ST_NO_MEMORY || (http >= 400 && http < 500) || (st && !watching->begun)) {
        client_explain(watching->client, st, "watch", NULL);
        return false;
    }
    return true;
}

/* A loss is told once, until something has come again: a master that is away for a day is one line.
 */
static int watch_all(struct watching *watching)
{
    bool told = false;
    uint64_t seen = watching->seen;
    for (;;) {
        enum status st = watch_once(watching);
        if (!may_go_on(watching, st))
            return watching->over ? EXIT_WELL : EXIT_FAILED;
        if (watching->seen != seen)
            told = false;
        if (!told && st)
            say_error("the connection is lost; trying again");
        told = told || st;
        seen = watching->seen;
        interrupt_sleep(PAUSE_MS);
    }
}

static int watch_prefix(const char *master, const char *prefix, struct watching *watching)
{
    int result = EXIT_TROUBLE;
    struct buf bytes = BUF_INIT;
    struct buf path = BUF_INIT;
    if (!arguments_prefix(prefix, false, &bytes))
        return EXIT_TROUBLE;
    key_encode(&path, bytes.data, bytes.len);
    watching->prefix = buf_text(&path);
    watching->client = client_new(master);
    if (watching->client && buf_ok(&path))
        result = watch_all(watching);
    client_free(watching->client);
    buf_free(&watching->line);
    buf_free(&watching->event);
    buf_free(&watching->data);
    buf_free(&watching->refusal);
    buf_free(&path);
    buf_free(&bytes);
    return result;
}

int watchkeys_run(int argc, char **argv)
{
    char *master = NULL;
    char *since = NULL;
    struct watching watching = {.line = BUF_INIT};
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"since", 's', OPTION_TEXT, &since, 0, 0, NULL, "N",
         "what has happened after the change with this number, too"},
        {"json", 'j', OPTION_FLAG, &watching.json, 0, 0, NULL, NULL, "one JSON object a line"},
        {"count", 'n', OPTION_SIZE, &watching.left, 0, 0, NULL, "N", "ends after N events"},
    };
    const struct option_program program = {
        "larder watch", "[PREFIX]",
        "Prints what happens to keys that begin with PREFIX (percent-encoded; all keys without "
        "it),\n"
        "a line each: NUMBER EVENT KEY, for values SIZE, and their MD5 where it is known. EVENT "
        "is\n"
        "put, overwrite, delete or unlink. Where the connection breaks off it connects again, and\n"
        "goes on behind the last event.\n"
        "Exit status: 0 as many events as wanted, 1 the master does not keep what is missing any\n"
        "more (list the keys, and watch again), or cannot be reached, 2 wrong usage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    char *end = NULL;
    if (parsed == OPTIONS_OK && since) {
        watching.seen = strtoull(since, &end, 10);
        watching.begun = true;
    }
    const char *prefix = argc - rest == 1 ? argv[rest] : "";
    if (parsed == OPTIONS_OK && since && (since[0] < '0' || since[0] > '9' || *end))
        say_error("watch: --since takes the number of a change");
    else if (parsed == OPTIONS_OK && arguments_fit("larder watch", argc - rest, 0, 1))
        result = watch_prefix(master, prefix, &watching);
    options_free(&program);
    return say_flush() ? result : EXIT_FAILED;
}
