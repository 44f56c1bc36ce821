/*
 * larder get: the value of a key becomes a file, or goes to standard output.
 *
 *   get_locate      the master is asked where a copy is, and what its MD5 is
 *   get_fetch       the copy is read into the output while its MD5 is computed
 *   get_check       both MD5s are compared
 *
 * A copy that cannot be read, breaks off or is damaged is left out, and the master asked for
 * another. FILE is written under another name beside it and renamed at the end: it is there whole
 * or not at all. What went to standard output already cannot be taken back, so there only a copy
 * that has not given a byte yet can be replaced by another.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/http_client.h"
#include "common/http_fetch.h"
#include "common/key.h"
#include "common/md5.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/output.h"
#include "tools/larder/say.h"

/* No bound on the whole: a value may be large and the line slow. One on standing still instead. */
enum { TRIES = 8, PAUSE_MS = 200, CONNECT_MS = 3000, STALL_MS = 60 * 1000 };

enum get_outcome {
    GET_DONE,
    GET_AGAIN, /* another copy may do */
    GET_FAILED /* said already */
};

struct get {
    const struct key *key;
    struct client *client;
    struct http_fetcher *fetcher;
    struct output *output;    /* NULL until it could be made */
    struct buf location;      /* of the copy at hand */
    char wanted[MD5_HEX + 1]; /* what the master says; "": it does not know */
    struct buf avoid;         /* places that failed, encoded, with commas between */
    struct md5 *md5;
    bool output_failed; /* said; no other copy would do better */
    char why[300];      /* the last copy did not do */
};

static enum get_outcome get_locate(struct get *get);
static enum get_outcome get_fetch(struct get *get);
static enum get_outcome get_check(struct get *get);

/* A 302 without a Location is no answer of a master, and explained as such. */
static enum get_outcome get_locate(struct get *get)
{
    struct buf query = BUF_INIT;
    if (get->avoid.len)
        buf_addf(&query, "?avoid=%s", buf_text(&get->avoid));
    enum status st = buf_ok(&query)
                         ? client_key_request(get->client, "GET", get->key, buf_text(&query))
                         : ST_NO_MEMORY;
    buf_free(&query);
    int http = st ? 0 : client_status(get->client);
    const char *location = http == 302 ? client_field(get->client, "Location") : NULL;
    if (!location) {
        /* No copy is left to ask for; the reason why the last one did not do tells more. */
        if (http == 503 && get->why[0]) {
            buf_clear(&get->avoid);
            return GET_AGAIN;
        }
        client_explain(get->client, st, "get", get->key);
        return GET_FAILED;
    }
    const char *md5 = client_field(get->client, "Content-Md5");
    if (!md5 || md5_parse(md5, get->wanted))
        get->wanted[0] = 0;
    buf_clear(&get->location);
    buf_adds(&get->location, location);
    return GET_DONE;
}

/* Leaves the place of the copy at hand out from now on: in its URL, what stands between the scheme
 * and "/aa/bb/". */
static void avoid_place(struct get *get)
{
    unsigned char digest[MD5_SIZE];
    char middle[16];
    const char *start = buf_text(&get->location);
    if (strncmp(start, "http://", 7) != 0 ||
        md5_pair(get->key->bytes, get->key->len, NULL, 0, digest))
        return;
    (void)snprintf(middle, sizeof middle, "/%02x/%02x/", digest[0], digest[1]);
    const char *end = strstr(start + 7, middle);
    if (!end)
        return;
    if (get->avoid.len)
        buf_addc(&get->avoid, ',');
    key_encode(&get->avoid, start + 7, (size_t)(end - start - 7));
}

/* Runs while the answer comes in; false breaks it off. */
static bool take_piece(void *arg, const char *data, size_t len)
{
    struct get *get = arg;
    if (interrupt_seen())
        return false;
    if (http_fetch_status(get->fetcher) != 200)
        return true; /* the text of an error; not the value */
    md5_update(get->md5, data, len);
    get->output_failed = !output_write(get->output, data, len);
    return !get->output_failed;
}

/* Every try begins with an empty output and a new digest: a second copy may not be joined to a
 * piece of the first, which may be damaged. */
static enum get_outcome get_fetch(struct get *get)
{
    static const char *const fields[] = {"Larder-Internal: 1", NULL};
    const struct http_call_spec spec = {.method = "GET",
                                        .url = buf_text(&get->location),
                                        .fields = fields,
                                        .write = take_piece,
                                        .arg = get,
                                        .connect_timeout_ms = CONNECT_MS,
                                        .stall_ms = STALL_MS};
    if (!buf_ok(&get->location) || !output_rewind(get->output))
        return GET_FAILED;
    md5_free(get->md5);
    get->md5 = md5_new();
    enum status st = get->md5 ? http_fetch(get->fetcher, &spec) : ST_NO_MEMORY;
    if (get->output_failed || interrupt_seen())
        return GET_FAILED;
    int http = st ? 0 : http_fetch_status(get->fetcher);
    if (!st && http == 200)
        return GET_DONE;
    if (st)
        (void)snprintf(get->why, sizeof get->why, "%.200s: %s", buf_text(&get->location),
                       st == ST_UNAVAILABLE ? "no connection" : "the connection broke off");
    else
        (void)snprintf(get->why, sizeof get->why, "%.200s answered %d (%s)",
                       buf_text(&get->location), http, status_reason(http));
    return GET_AGAIN;
}

/* A damaged copy is told to the operator only when no other does; the volume finds out itself when
 * it serves or scrubs it. */
static enum get_outcome get_check(struct get *get)
{
    unsigned char digest[MD5_SIZE];
    char hex[MD5_HEX + 1];
    if (md5_finish(get->md5, digest)) {
        say_error("could not compute the MD5 of what was read");
        return GET_FAILED;
    }
    md5_hex(digest, hex);
    if (!get->wanted[0] || strcmp(hex, get->wanted) == 0)
        return GET_DONE;
    (void)snprintf(
        get->why, sizeof get->why,
        "%.150s is damaged (its MD5 is %s, and should be %s); run 'larder verify --deep'",
        buf_text(&get->location), hex, get->wanted);
    return GET_AGAIN;
}

/* The place of a copy that did not do is left out of the next question. */
static enum get_outcome get_once(struct get *get)
{
    enum get_outcome outcome = get_locate(get);
    if (outcome == GET_DONE) {
        outcome = get_fetch(get);
        if (outcome == GET_DONE)
            outcome = get_check(get);
        if (outcome == GET_AGAIN)
            avoid_place(get);
    }
    return outcome;
}

/* The tries are bounded: a store where every copy is bad must not keep a script waiting. */
static bool get_all(struct get *get)
{
    enum get_outcome outcome = GET_AGAIN;
    for (int i = 0; i < TRIES && outcome == GET_AGAIN && !interrupt_seen(); i++) {
        if (i)
            interrupt_sleep(PAUSE_MS);
        outcome = get_once(get);
        if (outcome == GET_AGAIN && !output_can_rewind(get->output))
            break;
    }
    struct buf key = BUF_INIT;
    key_encode(&key, get->key->bytes, get->key->len);
    if (interrupt_seen())
        say_error("interrupted; %s was not got", buf_text(&key));
    else if (outcome == GET_DONE)
        outcome = output_finish(get->output) ? GET_DONE : GET_FAILED;
    else if (outcome == GET_AGAIN && !output_can_rewind(get->output))
        say_error(
            "could not get %s: %s. What went to standard output is not the value; begin again",
            buf_text(&key), get->why);
    else if (outcome == GET_AGAIN)
        say_error("could not get %s: %s; 'larder stat %s' shows its copies", buf_text(&key),
                  get->why, buf_text(&key));
    buf_free(&key);
    return outcome == GET_DONE && !interrupt_seen();
}

static int get_value(const char *master, const struct key *key, const char *file)
{
    struct get get = {.key = key, .location = BUF_INIT, .avoid = BUF_INIT};
    int result = EXIT_TROUBLE;
    interrupt_watch(); /* so that no half file is left */
    get.client = client_new(master);
    get.fetcher = http_fetcher_new();
    if (get.client && get.fetcher) {
        result = EXIT_FAILED;
        get.output = output_new(file);
        if (get.output && get_all(&get))
            result = EXIT_WELL;
    }
    output_free(get.output);
    md5_free(get.md5);
    buf_free(&get.location);
    buf_free(&get.avoid);
    http_fetcher_free(get.fetcher);
    client_free(get.client);
    return result;
}

/* FILE is standard output where it is left off. */
static int run(void *arg UNUSED, const char *master, bool raw, char *const *texts, int count)
{
    struct key key;
    if (!arguments_key(texts[0], raw, &key))
        return EXIT_TROUBLE;
    return get_value(master, &key, count == 2 ? texts[1] : "-");
}

static const char summary[] =
    "Reads the value of KEY into FILE, or to standard output, and checks its MD5. FILE is "
    "there\n"
    "whole afterwards, or as it was. Copies that fail or are damaged are passed over.\n"
    "Exit status: 0 read, 1 not read, 2 wrong usage.";

int get_run(int argc, char **argv)
{
    const struct arguments_command command = {"larder get", "KEY [FILE|-]", summary, 1, 2, run,
                                              NULL};
    return arguments_run(&command, argc, argv);
}
