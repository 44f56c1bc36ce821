/*
 * Volumes and a master without a network: http_fetch() and its kin for programs that test the
 * tool's flows. What is put here is listed, served and counted; all else is 404. A server that was
 * not named does not answer.
 */
#ifndef LARDER_TESTS_FLOW_TOOL_FIXTURE_H
#define LARDER_TESTS_FLOW_TOOL_FIXTURE_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http_fetch.h"
#include "common/key.h"
#include "common/name.h"
#include "tests/unit/suite.h"

enum { FAKE_MAX = 4000 };

/* A file ("http://V/sv00/aa/bb/NAME") or a fixed answer ("http://M/admin/volumes"). */
struct fake_entry {
    char *url;
    char *body;            /* of a fixed answer; NULL: a file */
    const char *method;    /* of the requests that a fixed answer is for; NULL: all */
    const char *fields[2]; /* of a fixed answer: "Name: value", NULL: none */
    int status;            /* of a fixed answer */
    unsigned size;         /* of a file */
    unsigned requests;     /* that it has answered */
    bool gone;
    char meta[163]; /* of a file: its members in a listing with ?meta: ",\"md5\":…" */
};

static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_entry fake_entries[FAKE_MAX];
static size_t fake_count;
static const char *fake_servers[8]; /* "host:port" */
static size_t fake_server_count;
/* Runs before every request, under the lock. */
static void (*fake_before)(const char *method, const char *url);

struct http_fetcher {
    int status;
    struct buf body;
    const char *const *fields; /* NULL: none */
    char length[24];
    char md5[64];
};

/* `method` NULL: whatever it answers. */
static struct fake_entry *fake_find(const char *method, const char *url)
{
    for (size_t i = 0; i < fake_count; i++) {
        const char *only = fake_entries[i].method;
        if (!fake_entries[i].gone && strcmp(fake_entries[i].url, url) == 0 &&
            (!only || !method || strcmp(only, method) == 0))
            return &fake_entries[i];
    }
    return NULL;
}

static struct fake_entry *fake_add(const char *url)
{
    ck_assert_uint_lt(fake_count, FAKE_MAX);
    struct fake_entry *entry = &fake_entries[fake_count++];
    memset(entry, 0, sizeof *entry);
    entry->url = strdup(url);
    return entry;
}

/* Answers this URL so; again: from now on. */
static UNUSED struct fake_entry *fake_answer(const char *url, int status, const char *body)
{
    struct fake_entry *entry = fake_find(NULL, url);
    if (!entry)
        entry = fake_add(url);
    free(entry->body);
    entry->body = strdup(body);
    entry->status = status;
    return entry;
}

/* The same for one method, with a header (NULL: none). */
static UNUSED struct fake_entry *fake_method(const char *method, const char *url, int status,
                                             const char *field)
{
    struct fake_entry *entry = fake_find(method, url);
    if (!entry || !entry->method)
        entry = fake_add(url);
    free(entry->body);
    entry->body = strdup("");
    entry->status = status;
    entry->method = method;
    entry->fields[0] = field;
    return entry;
}

static UNUSED void fake_server(const char *address)
{
    fake_servers[fake_server_count++] = address;
}

/* The URL of a version of a key at a place. */
static UNUSED char *fake_url(const char *place, const char *key_text, uint64_t generation,
                             enum naming naming)
{
    struct key key;
    struct buf path = BUF_INIT;
    struct buf url = BUF_INIT;
    ck_assert_int_eq(key_from_bytes(&key, key_text, strlen(key_text)), ST_OK);
    ck_assert_int_eq(name_path(&path, &key, generation, naming), ST_OK);
    buf_addf(&url, "http://%s", place);
    key_encode(&url, path.data, path.len);
    buf_free(&path);
    return buf_take(&url);
}

/* A copy of `size` bytes. `md5` may be NULL; `more` is added to its members in a listing. */
static UNUSED struct fake_entry *fake_copy(const char *place, const char *key, uint64_t generation,
                                           unsigned size, const char *md5, const char *more)
{
    char *url = fake_url(place, key, generation, NAMING_LARDER);
    struct fake_entry *entry = fake_add(url);
    free(url);
    entry->size = size;
    (void)snprintf(entry->meta, sizeof entry->meta, "%s%s%s%s", md5 ? ",\"md5\":\"" : "",
                   md5 ? md5 : "", md5 ? "\"" : "", more);
    return entry;
}

static UNUSED void fake_clear(void)
{
    for (size_t i = 0; i < fake_count; i++) {
        free(fake_entries[i].url);
        free(fake_entries[i].body);
    }
    fake_count = fake_server_count = 0;
    fake_before = NULL;
}

/* --- listings --- */

static bool fake_listed(const struct buf *list, const char *name, size_t len)
{
    struct buf mark = BUF_INIT;
    buf_adds(&mark, "\"name\":\"");
    buf_add(&mark, name, len);
    buf_adds(&mark, "\"");
    bool there = strstr(buf_text(list), buf_text(&mark)) != NULL;
    buf_free(&mark);
    return there;
}

/* What is below `directory`, a URL with its last '/'. Names in URLs are encoded, in listings not.
 */
static bool fake_list(const char *directory, struct buf *out)
{
    size_t len = strlen(directory);
    buf_adds(out, "[");
    for (size_t i = 0; i < fake_count; i++) {
        const struct fake_entry *entry = &fake_entries[i];
        char name[1100];
        if (entry->gone || entry->body || strncmp(entry->url, directory, len) != 0)
            continue;
        const char *rest = entry->url + len;
        long n = key_decode(name, sizeof name, rest, strcspn(rest, "/"));
        ck_assert_int_gt(n, 0);
        if (fake_listed(out, name, (size_t)n))
            continue;
        buf_adds(out, out->len > 1 ? ",\n" : "\n");
        if (strchr(rest, '/'))
            buf_addf(out, "{ \"name\":\"%.*s\", \"type\":\"directory\" }", (int)n, name);
        else
            buf_addf(out, "{ \"name\":\"%.*s\", \"type\":\"file\", \"size\":%u%s }", (int)n, name,
                     entry->size, entry->meta);
    }
    buf_adds(out, "\n]\n");
    return out->len > 4;
}

/* --- the client's functions --- */

struct http_fetcher *http_fetcher_new(void)
{
    return calloc(1, sizeof(struct http_fetcher));
}

void http_fetcher_free(struct http_fetcher *fetcher)
{
    if (fetcher)
        buf_free(&fetcher->body);
    free(fetcher);
}

static bool fake_is_up(const char *url)
{
    for (size_t i = 0; i < fake_server_count; i++) {
        size_t len = strlen(fake_servers[i]);
        if (strncmp(url + 7, fake_servers[i], len) == 0 && url[7 + len] == '/')
            return true;
    }
    return false;
}

static void fake_serve(struct http_fetcher *fetcher, const struct http_call_spec *spec)
{
    struct fake_entry *entry = fake_find(spec->method, spec->url);
    char directory[4096];
    (void)snprintf(directory, sizeof directory, "%s", spec->url);
    char *query = strstr(directory, "/?meta");
    if (query)
        query[1] = 0;
    if (entry && entry->body) {
        fetcher->status = entry->status;
        fetcher->fields = entry->fields;
        buf_adds(&fetcher->body, entry->body);
    } else if (entry) {
        const char *md5 = strstr(entry->meta, "\"md5\":\"");
        fetcher->status = 200;
        (void)snprintf(fetcher->length, sizeof fetcher->length, "%u", entry->size);
        (void)snprintf(fetcher->md5, sizeof fetcher->md5, "%.32s", md5 ? md5 + 7 : "");
        for (unsigned i = 0; i < entry->size; i++)
            buf_addc(&fetcher->body, 'x');
    } else if (query && (fake_list(directory, &fetcher->body) ||
                         strcspn(directory + 7, "/") + 8 == strlen(directory))) {
        fetcher->status = 200; /* the root of a volume may be empty */
    } else {
        fetcher->status = 404;
    }
    if (entry)
        entry->requests++;
}

enum status http_fetch(struct http_fetcher *fetcher, const struct http_call_spec *spec)
{
    buf_clear(&fetcher->body);
    fetcher->status = 0;
    fetcher->fields = NULL;
    fetcher->length[0] = fetcher->md5[0] = 0;
    (void)pthread_mutex_lock(&fake_lock);
    if (fake_before)
        fake_before(spec->method, spec->url);
    bool up = fake_is_up(spec->url);
    if (up)
        fake_serve(fetcher, spec);
    (void)pthread_mutex_unlock(&fake_lock);
    if (up && spec->write && !spec->write(spec->arg, buf_text(&fetcher->body), fetcher->body.len))
        return ST_CLOSED;
    return up ? ST_OK : ST_UNAVAILABLE;
}

int http_fetch_status(const struct http_fetcher *fetcher)
{
    return fetcher->status;
}

const char *http_fetch_field(const struct http_fetcher *fetcher, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < 2 && fetcher->fields; i++) {
        const char *field = fetcher->fields[i];
        if (field && strncasecmp(field, name, len) == 0 && field[len] == ':')
            return field + len + 2;
    }
    if (strcasecmp(name, "Content-Length") == 0 && fetcher->length[0])
        return fetcher->length;
    if (strcasecmp(name, "Content-MD5") == 0 && fetcher->md5[0])
        return fetcher->md5;
    return NULL;
}

const char *http_fetch_body(const struct http_fetcher *fetcher, size_t *len)
{
    *len = fetcher->body.len;
    return buf_text(&fetcher->body);
}

/* --- commands --- */

/* Runs a command; the arguments are one text, with spaces between. */
static UNUSED int fake_run(int (*command)(int argc, char **argv), const char *arguments)
{
    char *text = strdup(arguments);
    char name[] = "larder test";
    char *argv[32] = {name};
    int argc = 1;
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word && argc < 31;
         word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    int result = command(argc, argv);
    free(text);
    return result;
}

#endif
