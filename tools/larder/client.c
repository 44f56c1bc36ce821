/*
 * The master's side of all commands: one fetcher, and a list of URLs of which one is at work at a
 * time. `current` stays with who answered last, so a master that is down costs a timeout once and
 * not at every request.
 *
 * Another master is asked only where there was no connection at all: whatever else failed may have
 * been done already, and a PUT's body may have been read up.
 *
 * Messages are made here too, so that all commands say alike what was asked, who answered, and what
 * can be done.
 */
#include "tools/larder/client.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/http_fetch.h"
#include "common/json.h"
#include "common/key.h"
#include "tools/larder/say.h"

/* ANSWER_MS: counting or sweeping an index takes minutes. A master that hangs for longer is one
 * that does not answer. */
enum { MASTERS_MAX = 16, REDIRECTS_MAX = 3, CONNECT_MS = 3000, ANSWER_MS = 300 * 1000 };

struct client {
    struct http_fetcher *fetcher;
    char *masters[MASTERS_MAX + 1]; /* "http://host:port"; NULL behind the last */
    size_t count;
    size_t current; /* who answered last */
    const char *post_fields[2];
};

/* --- who to ask --- */

/* What is left of a URL without its scheme: an address, no path. Nothing that could change the
 * meaning of the paths that are put behind it. */
static bool good_url(const char *text, size_t len)
{
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f ||
            strchr("/?#@\"<>\\%", text[i]))
            return false;
    return true;
}

/* "http://" may be left off; https is none: the master does not speak it. Said where it fails, but
 * for lack of memory. */
static bool add_master(struct client *client, const char *text, size_t len)
{
    static const char scheme[] = "http://";
    const char *whole = text;
    size_t whole_len = len;
    if (len > sizeof scheme - 1 && strncmp(text, scheme, sizeof scheme - 1) == 0) {
        text += sizeof scheme - 1;
        len -= sizeof scheme - 1;
    }
    while (len && text[len - 1] == '/')
        len--;
    if (!good_url(text, len) || client->count == MASTERS_MAX) {
        say_error("'%.*s' is no master: write http://HOST:PORT", (int)whole_len, whole);
        return false;
    }
    if (asprintf(&client->masters[client->count], "%s%.*s", scheme, (int)len, text) < 0)
        return false;
    client->count++;
    return true;
}

/* Empty pieces of the list are skipped, so a comma too many does no harm. */
static bool add_masters(struct client *client, const char *list)
{
    bool good = true;
    while (*list && good) {
        size_t len = strcspn(list, ",");
        if (len)
            good = add_master(client, list, len);
        list += len + (list[len] == ',');
    }
    return good && client->count;
}

/* The order is that of all commands: option, environment, this machine. */
struct client *client_new(const char *masters)
{
    if (!masters || !*masters)
        masters = getenv("LARDER_MASTER");
    if (!masters || !*masters)
        masters = "http://127.0.0.1:3000";
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->fetcher = http_fetcher_new();
    if (!client->fetcher || !add_masters(client, masters)) {
        client_free(client);
        return NULL;
    }
    return client;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    for (size_t i = 0; i < client->count; i++)
        free(client->masters[i]);
    http_fetcher_free(client->fetcher);
    free(client);
}

const char *const *client_masters(const struct client *client)
{
    return (const char *const *)client->masters;
}

/* --- asking --- */

/* One of several masters answers 307 to what only the writer does. Where that is in the list it is
 * asked first from now on. */
static void prefer(struct client *client, const char *url)
{
    for (size_t i = 0; i < client->count; i++) {
        size_t len = strlen(client->masters[i]);
        if (strncmp(url, client->masters[i], len) == 0 && (!url[len] || url[len] == '/'))
            client->current = i;
    }
}

/* Sends the request to where the last answer pointed. */
static enum status follow_redirect(struct client *client, struct http_call_spec *spec)
{
    const char *location = http_fetch_field(client->fetcher, "Location");
    char *url = location ? strdup(location) : NULL; /* the next fetch forgets the field */
    if (!url)
        return ST_OK; /* it stays a 307, which the caller explains */
    prefer(client, url);
    spec->url = url;
    enum status st = http_fetch(client->fetcher, spec);
    free(url);
    return st;
}

/* A spec without limits of its own for the whole call has none; put.c and rebalance.c set theirs.
 */
enum status client_send(struct client *client, const struct http_call_spec *spec, const char *path)
{
    enum status st = ST_UNAVAILABLE;
    struct http_call_spec own = *spec;
    own.connect_timeout_ms = CONNECT_MS;
    for (size_t i = 0; i < client->count && st == ST_UNAVAILABLE; i++) {
        /* ST_UNAVAILABLE: there was no connection, so nothing of the body is gone yet. */
        struct buf url = BUF_INIT;
        if (i)
            client->current = (client->current + 1) % client->count;
        buf_addf(&url, "%s%s", client->masters[client->current], path);
        own.url = buf_text(&url);
        st = buf_ok(&url) ? http_fetch(client->fetcher, &own) : ST_NO_MEMORY;
        buf_free(&url);
    }
    bool repeatable = !spec->has_body || spec->body;
    for (int i = 0; repeatable && i < REDIRECTS_MAX && !st && client_status(client) == 307; i++)
        st = follow_redirect(client, &own);
    return st;
}

bool client_is_writer(const struct json *status)
{
    const char *role = json_text(json_member(json_member(status, "cluster"), "role"));
    return !role || strcmp(role, "writer") == 0;
}

void client_find_writer(struct client *client)
{
    if (client_request(client, "GET", "/admin/status"))
        return; /* what comes next says so */
    struct json *json = client_json(client);
    const char *writer = json_text(json_member(json_member(json, "cluster"), "writer"));
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s", writer ? writer : "");
    if (writer && *writer && buf_ok(&url)) {
        prefer(client, buf_text(&url));
        if (strcmp(client->masters[client->current], buf_text(&url)) != 0 &&
            client->count < MASTERS_MAX && add_master(client, writer, strlen(writer)))
            client->current = client->count - 1;
    }
    buf_free(&url);
    json_free(json);
}

enum status client_request(struct client *client, const char *method, const char *path)
{
    const struct http_call_spec spec = {.method = method, .timeout_ms = ANSWER_MS};
    return client_send(client, &spec, path);
}

void client_post_with(struct client *client, const char *field)
{
    client->post_fields[0] = field;
}

/* Without a text there is no body at all: the master tells the two apart. */
enum status client_post(struct client *client, const char *path, const char *text)
{
    const struct http_call_spec spec = {.method = "POST",
                                        .fields = client->post_fields,
                                        .has_body = text != NULL,
                                        .body_length = text ? (int64_t)strlen(text) : 0,
                                        .body = text,
                                        .timeout_ms = ANSWER_MS};
    return client_send(client, &spec, path);
}

enum status client_key_request(struct client *client, const char *method, const struct key *key,
                               const char *query)
{
    struct buf path = BUF_INIT;
    key_encode(&path, key->bytes, key->len);
    buf_adds(&path, query);
    enum status st = buf_ok(&path) ? client_request(client, method, buf_text(&path)) : ST_NO_MEMORY;
    buf_free(&path);
    return st;
}

int client_status(const struct client *client)
{
    return http_fetch_status(client->fetcher);
}

const char *client_field(const struct client *client, const char *name)
{
    return http_fetch_field(client->fetcher, name);
}

const char *client_body(const struct client *client, size_t *len)
{
    return http_fetch_body(client->fetcher, len);
}

struct json *client_json(const struct client *client)
{
    size_t len;
    const char *text = client_body(client, &len);
    return json_parse(text, len, NULL);
}

/* --- explaining --- */

/* Servers answer errors in one line of text. HTML (of a proxy between) and JSON are for nobody's
 * eyes, and control characters could play with the terminal. */
bool client_reason(const struct client *client, struct buf *out)
{
    size_t len;
    const char *body = client_body(client, &len);
    size_t n = 0;
    while (n < len && n < 300 && !iscntrl((unsigned char)body[n]))
        n++;
    if (n == 0 || body[0] == '<' || body[0] == '{')
        return false;
    buf_add(out, body, n);
    return true;
}

static void add_reason(const struct client *client, struct buf *out)
{
    struct buf reason = BUF_INIT;
    if (client_reason(client, &reason))
        buf_addf(out, ": %s", buf_text(&reason));
    buf_free(&reason);
}

/* What the reader can do; the master says what went wrong. */
static const char *advice(int http)
{
    switch (http) {
    case 409:
        return "; try again in a moment";
    case 503:
        return "; 'larder status' shows the volumes";
    case 507:
        return "; add a volume, or make room";
    default:
        return "";
    }
}

/* One message for everything that may go wrong with a request, so that all of them say what was
 * being done, who answered what, and what can be done about it. */
void client_explain(const struct client *client, enum status st, const char *doing,
                    const struct key *key)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, doing);
    if (key) {
        buf_addc(&text, ' ');
        key_encode(&text, key->bytes, key->len);
    }
    const char *master = client->masters[client->current];
    if (st == ST_UNAVAILABLE) {
        buf_addf(&text, ": no master answers at %s", client->masters[0]);
        for (size_t i = 1; i < client->count; i++)
            buf_addf(&text, ", %s", client->masters[i]);
        buf_adds(&text, "; start it, or give another with -m URL");
    } else if (st == ST_PEER_TIMEOUT) {
        buf_addf(&text, ": %s did not answer in time", master);
    } else if (st == ST_PEER) {
        buf_addf(&text, ": the connection to %s broke off; try again", master);
    } else if (st) {
        buf_addf(&text, ": %s", status_text(st));
    } else {
        int http = client_status(client);
        buf_addf(&text, ": %s answered %d (%s)", master, http, status_reason(http));
        add_reason(client, &text);
        buf_adds(&text, advice(http));
    }
    say_error("could not %s", buf_text(&text));
    buf_free(&text);
}
