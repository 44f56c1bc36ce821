/*
 * A blocking call is a loop that runs until `fetched` stops it. The fetcher stands between the
 * caller's functions and the client: `read` and `write` are handed on, and what the asynchronous
 * call forgets after `done` (status, headers, body) is copied.
 */
#include "common/http_fetch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/loop.h"

/* Servers that one thread talks to by turns; one more only costs a connection anew. */
enum { IDLE_CONNECTIONS = 16 };

struct http_fetcher {
    struct loop *loop;
    struct http_client *client;
    const struct http_call_spec *spec; /* of the call under way */
    struct http_call *call;            /* NULL: none */
    _Atomic bool interrupted;
    enum status st;    /* of the last call */
    int status;        /* HTTP's, of the last answer */
    struct buf fields; /* "name\0value\0" of each header */
    struct buf body;   /* where the caller has no `write` */
};

struct http_fetcher *http_fetcher_new(void)
{
    struct http_fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher)
        return NULL;
    fetcher->loop = loop_new();
    fetcher->client = fetcher->loop ? http_client_new(fetcher->loop, IDLE_CONNECTIONS) : NULL;
    if (!fetcher->client) {
        http_fetcher_free(fetcher);
        return NULL;
    }
    return fetcher;
}

void http_fetcher_free(struct http_fetcher *fetcher)
{
    if (!fetcher)
        return;
    http_client_free(fetcher->client);
    loop_free(fetcher->loop);
    buf_free(&fetcher->fields);
    buf_free(&fetcher->body);
    free(fetcher);
}

static size_t fetch_read(void *arg, char *to, size_t max)
{
    const struct http_fetcher *fetcher = arg;
    size_t n = fetcher->spec->read(fetcher->spec->arg, to, max);
    return n == HTTP_READ_PAUSE ? HTTP_READ_ABORT : n; /* nobody would wake it again */
}

/* The status and the headers are known from the first piece of the body on. */
static bool fetch_write(void *arg, const char *data, size_t len)
{
    struct http_fetcher *fetcher = arg;
    fetcher->status = http_call_status(fetcher->call);
    if (fetcher->spec->write)
        return fetcher->spec->write(fetcher->spec->arg, data, len);
    buf_add(&fetcher->body, data, len);
    return buf_ok(&fetcher->body);
}

/* One after the other in one buffer: a fetcher is kept for thousands of calls, and this needs no
 * allocation for each header. */
static void keep_field(void *arg, const char *name, const char *value)
{
    struct http_fetcher *fetcher = arg;
    buf_add(&fetcher->fields, name, strlen(name) + 1);
    buf_add(&fetcher->fields, value, strlen(value) + 1);
}

/* The end of every call, good or bad. The call is freed when this returns, so all that the caller
 * may ask for afterwards is copied now. */
static void fetched(void *arg, struct http_call *call, enum status st)
{
    struct http_fetcher *fetcher = arg;
    fetcher->status = http_call_status(call);
    http_call_each_field(call, keep_field, fetcher);
    fetcher->st = !st && !buf_ok(&fetcher->fields) ? ST_NO_MEMORY : st;
    fetcher->call = NULL;
    loop_stop(fetcher->loop);
}

/* The caller's spec stays as it is; the client gets a copy with the fetcher's functions in it. */
enum status http_fetch(struct http_fetcher *fetcher, const struct http_call_spec *spec)
{
    struct http_call_spec own = *spec;
    own.read = spec->read ? fetch_read : NULL;
    own.write = fetch_write;
    /* A paused call would never be resumed: the caller is inside of http_fetch(). */
    own.pause_after_write = false;
    own.done = fetched;
    own.arg = fetcher;
    buf_clear(&fetcher->fields);
    buf_clear(&fetcher->body);
    fetcher->status = 0;
    fetcher->spec = spec;
    fetcher->call = http_call_start(fetcher->client, &own);
    if (!fetcher->call)
        return ST_NO_MEMORY;
    /* The loop may have been stopped for a call that came to its end just before. */
    while (fetcher->call && !atomic_load(&fetcher->interrupted))
        loop_run(fetcher->loop);
    if (!fetcher->call)
        return fetcher->st;
    http_call_cancel(fetcher->call);
    fetcher->call = NULL;
    return ST_CLOSED;
}

/* In this order: whoever sees the loop end finds out why. */
void http_fetcher_interrupt(struct http_fetcher *fetcher)
{
    atomic_store(&fetcher->interrupted, true);
    loop_stop(fetcher->loop);
}

void http_fetcher_resume(struct http_fetcher *fetcher)
{
    atomic_store(&fetcher->interrupted, false);
}

int http_fetch_status(const struct http_fetcher *fetcher)
{
    return fetcher->status;
}

const char *http_fetch_field(const struct http_fetcher *fetcher, const char *name)
{
    const char *at = buf_text(&fetcher->fields); /* never NULL, also before the first header */
    const char *end = at + fetcher->fields.len;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (strcasecmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

const char *http_fetch_body(const struct http_fetcher *fetcher, size_t *len)
{
    *len = fetcher->body.len;
    return buf_text(&fetcher->body);
}
