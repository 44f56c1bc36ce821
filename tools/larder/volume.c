/*
 * Requests to volumes, one after the other on the caller's thread and fetcher. All have one path:
 * fetch (with tries) → what the status means → what the body says.
 *
 * Two kinds of patience: whoever asks whether a volume is there at all is told soon; whoever is in
 * the middle of hours of work waits for one that is being started again. Either ends at a signal.
 *
 * A plain WebDAV server (nginx) answers a subset of this. What it cannot say is left at nothing
 * here, and means 'not known' to all callers.
 */
#include "tools/larder/volume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/http_fetch.h"
#include "common/json.h"
#include "common/key.h"
#include "tools/larder/interrupt.h"

enum {
    TRIES_QUICK = 3,    /* is anybody there at all? */
    TRIES_PATIENT = 6,  /* 8 s in all: in the middle of long work a volume may be started again */
    TRY_PAUSE_MS = 250, /* before the second try; doubled for each further one */
    CONNECT_MS = 3000,
    ANSWER_MS = 120 * 1000, /* a directory with millions of files takes its time */
    STALL_MS = 60 * 1000
};

static const char *const internal[] = {"Larder-Internal: 1", NULL};
/* For reads of which we compare the digest: a damaged copy is to be seen as it is, and not as one
 * that is missing or breaks off. */
static const char *const unchecked[] = {"Larder-Internal: 1", "Larder-Check: none", NULL};

/* --- fetching --- */

/* status_text() speaks to clients of a server; here we are the client. */
static const char *reason(enum status st)
{
    switch (st) {
    case ST_UNAVAILABLE:
        return "no connection";
    case ST_PEER_TIMEOUT:
        return "no answer in time";
    case ST_PEER:
        return "the connection broke off";
    default:
        return status_text(st);
    }
}

/* What may be gone at the next try: 503 and its kind (a proxy between, too), and a lost connection.
 */
static bool is_passing(enum status st, int http)
{
    if (st)
        return st == ST_UNAVAILABLE || st == ST_PEER_TIMEOUT || st == ST_PEER;
    return http == 502 || http == 503 || http == 504;
}

/* Returns `st`, for the caller to hand on. */
static enum status explain(const struct http_call_spec *spec, enum status st, char *why)
{
    (void)snprintf(why, VOLUME_WHY, "%s %s: %s", spec->method, spec->url, reason(st));
    return st;
}

/* Fetches until there is an answer, or no hope for one. *http is its status. */
static enum status fetch(struct http_fetcher *fetcher, const struct http_call_spec *spec, int tries,
                         int *http, char *why)
{
    enum status st = ST_OK;
    for (int i = 0; i < tries; i++) {
        if (i)
            interrupt_sleep((unsigned long long)TRY_PAUSE_MS << (i - 1));
        st = http_fetch(fetcher, spec);
        *http = st ? 0 : http_fetch_status(fetcher);
        if (!is_passing(st, *http) || interrupt_seen())
            break;
    }
    return st ? explain(spec, st, why) : ST_OK;
}

/* As fetch, and refuses every status but 200 and 404: only these two tell whether something is
 * there. Whoever took a 500 for 'there is none' would rebuild an index without it. */
static enum status fetch_sure(struct http_fetcher *fetcher, const struct http_call_spec *spec,
                              int tries, int *http, char *why)
{
    enum status st = fetch(fetcher, spec, tries, http, why);
    if (st || *http == 200 || *http == 404)
        return st;
    (void)snprintf(why, VOLUME_WHY, "%s %s: it answered %d (%s)", spec->method, spec->url, *http,
                   status_reason(*http));
    return *http == 503 ? ST_UNAVAILABLE : ST_PEER;
}

/* For short answers, with a bound on the whole; `url` must outlive it. */
static struct http_call_spec request(const char *method, const struct buf *url)
{
    return (struct http_call_spec){.method = method,
                                   .url = buf_text(url),
                                   .fields = internal,
                                   .connect_timeout_ms = CONNECT_MS,
                                   .timeout_ms = ANSWER_MS};
}

/* --- listings --- */

/* A `struct listing` is the JSON as it was parsed, under a name of its own: items are looked at one
 * at a time, and texts stay in it. */
static const struct json *inner(const struct listing *listing)
{
    return (const struct json *)(const void *)listing;
}

/* The body stays the fetcher's; the listing has its own memory. */
static enum status parse_listing(struct http_fetcher *fetcher, const char *url,
                                 struct listing **listing, char *why)
{
    size_t len;
    const char *text = http_fetch_body(fetcher, &len);
    char error[200] = "";
    struct json *json = json_parse_names(text, len, error);
    if (json && !json_is_list(json)) { /* what stands before a volume may speak JSON, too */
        json_free(json);
        json = NULL;
        (void)snprintf(error, sizeof error, "no array");
    }
    if (!json) {
        (void)snprintf(why, VOLUME_WHY,
                       "GET %s: not a listing in JSON (%s); nginx needs 'autoindex on' and "
                       "'autoindex_format json'",
                       url, error);
        return ST_PEER;
    }
    *listing = (struct listing *)(void *)json;
    return ST_OK;
}

/* "?meta" asks a larder-volume for attributes as well, "&below" for the listings of directories; a
 * plain server ignores the query. */
enum status volume_list(struct http_fetcher *fetcher, const char *base, const char *directory,
                        bool below, struct listing **listing, char *why)
{
    *listing = NULL;
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s/", base);
    key_encode(&url, directory, strlen(directory));
    buf_adds(&url, below ? "?meta&below" : "?meta");
    const struct http_call_spec spec = request("GET", &url);
    int http;
    enum status st = buf_ok(&url) ? fetch_sure(fetcher, &spec, TRIES_PATIENT, &http, why)
                                  : explain(&spec, ST_NO_MEMORY, why);
    if (!st && http == 404)
        st = explain(&spec, ST_NOT_FOUND, why);
    if (!st)
        st = parse_listing(fetcher, buf_text(&url), listing, why);
    buf_free(&url);
    return st;
}

void listing_free(struct listing *listing)
{
    json_free((struct json *)(void *)listing);
}

size_t listing_count(const struct listing *listing)
{
    return json_count(inner(listing));
}

/* A size or a time. Negative ones are somebody's nonsense, and nothing. */
static uint64_t number_of(const struct json *value)
{
    int64_t number = json_int(value, 0);
    return number > 0 ? (uint64_t)number : 0;
}

/* So many decimal digits at `text`, -1 where it is something else. */
static int digits_of(const char *text, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

/* Names as in HTTP's dates (RFC 9110, 5.6.7), which nginx puts into its listings. */
static int month_of(const char *text)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++)
        if (memcmp(text, names + 3 * (size_t)i, 3) == 0)
            return i;
    return -1;
}

/* "Tue, 10 Nov 2026 12:00:00 GMT" in unix milliseconds; 0 where it is something else. By hand:
 * strptime() took a sixth of the time of a whole scan. */
static uint64_t time_of(const char *text)
{
    if (!text || strlen(text) != 29)
        return 0;
    struct tm parts = {.tm_mday = digits_of(text + 5, 2),
                       .tm_mon = month_of(text + 8),
                       .tm_year = digits_of(text + 12, 4) - 1900,
                       .tm_hour = digits_of(text + 17, 2),
                       .tm_min = digits_of(text + 20, 2),
                       .tm_sec = digits_of(text + 23, 2)};
    if (parts.tm_mday < 1 || parts.tm_mon < 0 || parts.tm_year < 0 || parts.tm_hour < 0 ||
        parts.tm_min < 0 || parts.tm_sec < 0)
        return 0;
    time_t seconds = timegm(&parts);
    return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

/* Members that a plain server does not send are left at nothing. */
static void take_meta(const struct json *entry, struct listing_item *item)
{
    const char *md5 = json_text(json_member(entry, "md5"));
    if (md5 && md5_parse(md5, item->md5))
        item->md5[0] = 0;
    const struct json *expected = json_member(entry, "expected");
    item->has_expected = json_int(expected, -1) >= 0;
    item->expected = number_of(expected);
    item->unlinked = json_bool(json_member(entry, "unlinked"), false);
    item->created = number_of(json_member(entry, "created"));
    if (!item->created)
        item->created = time_of(json_text(json_member(entry, "mtime")));
}

/* A name with a slash in it would lead to another directory than the one that was listed. */
bool listing_item(const struct listing *listing, size_t i, struct listing_item *item)
{
    const struct json *entry = json_item(inner(listing), i);
    const char *type = json_text(json_member(entry, "type"));
    memset(item, 0, sizeof *item);
    item->name = json_text(json_member(entry, "name"));
    if (!item->name || !type || !item->name[0] || strchr(item->name, '/'))
        return false;
    if (strcmp(type, "directory") == 0) {
        const struct json *below = json_member(entry, "below");
        item->directory = true;
        item->below = json_is_list(below) ? (const struct listing *)(const void *)below : NULL;
        return true;
    }
    if (strcmp(type, "file") != 0)
        return false;
    item->size = number_of(json_member(entry, "size"));
    take_meta(entry, item);
    return true;
}

/* --- what a volume says of itself --- */

/* Any answer but larder's own makes it a plain server: nginx answers 404 to this path, or lists a
 * directory of that name. */
enum status volume_health(struct http_fetcher *fetcher, const char *volume, struct json **health,
                          char *why)
{
    *health = NULL;
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s/admin/health", volume);
    const struct http_call_spec spec = request("GET", &url);
    int http = 0;
    enum status st = buf_ok(&url) ? fetch(fetcher, &spec, TRIES_QUICK, &http, why)
                                  : explain(&spec, ST_NO_MEMORY, why);
    buf_free(&url);
    if (st || http != 200)
        return st;
    size_t len;
    const char *text = http_fetch_body(fetcher, &len);
    struct json *json = json_parse(text, len, NULL);
    const char *server = json_text(json_member(json, "server"));
    if (server && strcmp(server, "larder-volume") == 0)
        *health = json;
    else
        json_free(json);
    return ST_OK;
}

/* The JSON may be NULL after a POST that a volume answered without a body. */
enum status volume_scrub(struct http_fetcher *fetcher, const char *volume, bool post,
                         struct json **scrub, char *why)
{
    *scrub = NULL;
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s/admin/scrub", volume);
    const struct http_call_spec spec = request(post ? "POST" : "GET", &url);
    int http = 0;
    enum status st = buf_ok(&url) ? fetch(fetcher, &spec, TRIES_QUICK, &http, why)
                                  : explain(&spec, ST_NO_MEMORY, why);
    if (!st && (http == 404 || http == 405 || http == 501)) {
        st = ST_NOT_FOUND;
    } else if (!st && http / 100 != 2) {
        (void)snprintf(why, VOLUME_WHY, "%s %s: %d", spec.method, buf_text(&url), http);
        st = ST_PEER;
    }
    buf_free(&url);
    if (!st) {
        size_t len;
        const char *text = http_fetch_body(fetcher, &len);
        *scrub = json_parse(text, len, NULL);
    }
    return st;
}

/* What it has of these in a subvolume. *list is NULL where it answers 404: it does not know the
 * question. */
static enum status list_of(struct http_fetcher *fetcher, const char *what, const char *volume,
                           const char *subvolume, struct json **list, char *why)
{
    *list = NULL;
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s/admin/%s?place=/%s", volume, what, subvolume);
    const struct http_call_spec spec = request("GET", &url);
    int http = 0;
    enum status st = buf_ok(&url) ? fetch_sure(fetcher, &spec, TRIES_PATIENT, &http, why)
                                  : explain(&spec, ST_NO_MEMORY, why);
    if (!st && http == 200) {
        size_t len;
        const char *text = http_fetch_body(fetcher, &len);
        *list = json_parse(text, len, NULL);
    }
    if (!st && !*list) {
        (void)snprintf(why, VOLUME_WHY, "GET %s: not a list", buf_text(&url));
        st = http == 404 ? ST_OK : ST_PEER;
    }
    buf_free(&url);
    return st;
}

/* A volume that has none answers with an empty list. */
enum status volume_tombstones(struct http_fetcher *fetcher, const char *volume,
                              const char *subvolume, struct json **tombstones, char *why)
{
    enum status st = list_of(fetcher, "tombstones", volume, subvolume, tombstones, why);
    return st || *tombstones ? st : ST_PEER;
}

enum status volume_quarantine(struct http_fetcher *fetcher, const char *volume,
                              const char *subvolume, struct json **quarantine, char *why)
{
    return list_of(fetcher, "quarantine", volume, subvolume, quarantine, why);
}

/* --- one copy --- */

/* The name is encoded: base64 has `+` and `=`, and a server may read `+` as a space. */
static enum status copy_url(struct buf *url, const char *place, const struct key *key,
                            uint64_t generation, enum naming naming)
{
    struct buf path = BUF_INIT;
    enum status st = name_path(&path, key, generation, naming);
    if (!st) {
        buf_addf(url, "http://%s", place);
        key_encode(url, path.data, path.len);
        st = buf_ok(url) ? ST_OK : ST_NO_MEMORY;
    }
    buf_free(&path);
    return st;
}

/* The MD5 is what the volume remembers, not what it has read now. */
static void take_answer(struct http_fetcher *fetcher, struct volume_copy *copy)
{
    copy->there = true;
    const char *length = http_fetch_field(fetcher, "Content-Length");
    copy->size = length ? strtoull(length, NULL, 10) : 0;
    const char *md5 = http_fetch_field(fetcher, "Content-MD5");
    if (!md5 || md5_parse(md5, copy->md5))
        copy->md5[0] = 0;
}

/* A 404 leaves *copy zeroed: there is none. */
enum status volume_head(struct http_fetcher *fetcher, const char *place, const struct key *key,
                        uint64_t generation, enum naming naming, struct volume_copy *copy,
                        char *why)
{
    memset(copy, 0, sizeof *copy);
    struct buf url = BUF_INIT;
    enum status st = copy_url(&url, place, key, generation, naming);
    const struct http_call_spec spec = request("HEAD", &url);
    int http = 0;
    st = st ? explain(&spec, st, why) : fetch_sure(fetcher, &spec, TRIES_QUICK, &http, why);
    if (!st && http == 200)
        take_answer(fetcher, copy);
    buf_free(&url);
    return st;
}

/* A value on its way through the digest. */
struct reading {
    struct md5 *md5;
    uint64_t size;
    void (*took)(void *arg, size_t bytes);
    void *arg;
};

/* An interruption breaks the transfer off. */
static bool read_piece(void *arg, const char *data, size_t len)
{
    struct reading *reading = arg;
    md5_update(reading->md5, data, len);
    reading->size += len;
    if (reading->took)
        reading->took(reading->arg, len);
    return !interrupt_seen();
}

/* Of all bytes as they came; whether they are the right ones is the caller's to say. */
static enum status reading_end(struct reading *reading, struct volume_copy *copy)
{
    unsigned char digest[MD5_SIZE];
    enum status st = md5_finish(reading->md5, digest);
    if (st)
        return st;
    copy->there = true;
    copy->size = reading->size;
    md5_hex(digest, copy->md5);
    return ST_OK;
}

/* One attempt: a digest cannot go on with a second answer where the first broke off. What `took`
 * was told of a broken attempt stays told: those bytes were read. */
static enum status read_once(struct http_fetcher *fetcher, const char *url, struct reading *reading,
                             struct volume_copy *copy, char *why)
{
    reading->md5 = md5_new();
    reading->size = 0;
    const struct http_call_spec spec = {.method = "GET",
                                        .url = url,
                                        .fields = unchecked,
                                        .write = read_piece,
                                        .arg = reading,
                                        .connect_timeout_ms = CONNECT_MS,
                                        .stall_ms = STALL_MS};
    enum status st = reading->md5 ? http_fetch(fetcher, &spec) : ST_NO_MEMORY;
    int http = st ? 0 : http_fetch_status(fetcher);
    if (!st && http != 200 && http != 404) {
        (void)snprintf(why, VOLUME_WHY, "GET %s: it answered %d (%s)", url, http,
                       status_reason(http));
        st = is_passing(ST_OK, http) ? ST_UNAVAILABLE : ST_PEER;
    } else if (st) {
        (void)explain(&spec, st, why);
    }
    if (!st && http == 200)
        st = reading_end(reading, copy);
    md5_free(reading->md5);
    return st;
}

/* A try that broke off is made again from the first byte (read_once). A 404 leaves *copy zeroed:
 * there is none. */
enum status volume_read(struct http_fetcher *fetcher, const char *place, const struct key *key,
                        uint64_t generation, enum naming naming, struct volume_copy *copy,
                        void (*took)(void *arg, size_t bytes), void *arg, char *why)
{
    memset(copy, 0, sizeof *copy);
    struct buf url = BUF_INIT;
    struct reading reading = {NULL, 0, took, arg};
    enum status st = copy_url(&url, place, key, generation, naming);
    if (st)
        (void)snprintf(why, VOLUME_WHY, "GET a copy at %s: %s", place, status_text(st));
    for (int i = 0; i < TRIES_PATIENT && buf_ok(&url) && url.len; i++) {
        if (i)
            interrupt_sleep((unsigned long long)TRY_PAUSE_MS << (i - 1));
        if (interrupt_seen()) { /* what was not read is not missing */
            (void)snprintf(why, VOLUME_WHY, "GET %s: interrupted", buf_text(&url));
            st = ST_CLOSED;
            break;
        }
        st = read_once(fetcher, buf_text(&url), &reading, copy, why);
        if (!is_passing(st, 0))
            break;
    }
    buf_free(&url);
    return st;
}
