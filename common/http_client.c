/*
 * Two ways to make a call behind one interface: short exchanges over connections of our own, and
 * libcurl for whatever streams. A name that libcurl had to resolve is known to the short way for a
 * minute afterwards.
 *
 * A call is made here and freed here, in one of two places: after its owner was told that it is
 * over, or in http_call_cancel(). So `done` may look at the answer and must not cancel, and the
 * owner must forget the call in `done`. Cancelling never calls back: the owner that cancels is
 * mostly about to free what `arg` points to.
 *
 * Everything is on one loop's thread; nothing is locked.
 */
#include "common/http_client.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_curl.h"
#include "common/http_short.h"

enum { ANSWER_MAX = 64 * 1024 }; /* of a body that nobody takes by `write` */

/* Both ways are made at once and share nothing, not even connections: what streams would keep one
 * of a short exchange's for long. */
struct http_client {
    struct http_short *brief;
    struct http_curl *curl;
    struct http_call *calls; /* under way */
};

/* A call goes one way: `exchange` or `transfer` is set, both of them gone when it is over. */
struct http_call {
    struct http_client *client;
    struct http_exchange *exchange;
    struct http_curl_call *transfer;
    const char *body; /* the owner's */
    size_t body_len;
    size_t given;    /* of the body, to libcurl */
    struct buf kept; /* of libcurl's answer, where the owner has no `write` */
    size_t (*read)(void *arg, char *to, size_t max);
    bool (*write)(void *arg, const char *data, size_t len);
    void (*done)(void *arg, struct http_call *call, enum status st);
    void *arg;
    struct http_call *next, **link; /* client->calls */
};

/* libcurl wants it before there are threads. */
bool http_client_global_init(void)
{
    return http_curl_global_init();
}

/* The first is undone where the second cannot be had, so a client has both or is none. */
struct http_client *http_client_new(struct loop *loop, unsigned max_idle)
{
    struct http_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->brief = http_short_new(loop, max_idle);
    client->curl = client->brief ? http_curl_new(loop, max_idle) : NULL;
    if (!client->curl) {
        http_short_free(client->brief);
        free(client);
        return NULL;
    }
    return client;
}

/* The calls first: they stand on the two ways. */
void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    struct http_call *next;
    for (struct http_call *call = client->calls; call; call = next) {
        next = call->next;
        http_call_cancel(call);
    }
    http_short_free(client->brief);
    http_curl_free(client->curl);
    free(client);
}

/* Leaves the list, by the pointer that points to it: there is no need to look for it. What it went
 * by is gone already, or is the way's own to free. */
static void call_free(struct http_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    buf_free(&call->kept);
    free(call);
}

/* --- the short way --- */

/* The answer belongs to the exchange, which is gone when this returns: so `done` is told now, and
 * looks at it now. */
static void exchange_done(void *arg, struct http_exchange *exchange UNUSED, enum status st)
{
    struct http_call *call = arg;
    call->done(call->arg, call, st);
    call_free(call);
}

/* All of the request in memory, all of the answer wanted in memory, and a host whose address is
 * known: the short way resolves nothing, as that would block the loop. `stall_ms` watches progress,
 * which only streams have. */
static bool is_short(const struct http_client *client, const struct http_call_spec *spec)
{
    return !spec->write && !spec->stall_ms && (!spec->has_body || spec->body) &&
           http_short_can(client->brief, spec->url);
}

/* Left unset where it fails: http_call_start() sees that. */
static void start_exchange(struct http_call *call, const struct http_call_spec *spec)
{
    const struct http_exchange_spec exchange = {
        .method = spec->method,
        .url = spec->url,
        .fields = spec->fields,
        .body = spec->body,
        .body_len = (size_t)spec->body_length,
        .has_body = spec->has_body,
        .connect_timeout_ms = spec->connect_timeout_ms ? spec->connect_timeout_ms : 1000,
        .timeout_ms = spec->timeout_ms,
        .done = exchange_done,
        .arg = call,
    };
    call->exchange = http_short_start(call->client->brief, &exchange);
}

/* --- libcurl's way --- */

/* libcurl asks for any body in pieces, also for one that lies there whole. */
static size_t give_body(void *arg, char *to, size_t max)
{
    struct http_call *call = arg;
    if (call->read)
        return call->read(call->arg, to, max);
    size_t left = call->body_len - call->given;
    size_t n = left < max ? left : max;
    memcpy(to, call->body + call->given, n);
    call->given += n;
    return n;
}

/* What goes beyond the bound is dropped, and not an error: the status has come, and that is what an
 * owner without `write` wants to know. */
static bool take_answer(void *arg, const char *data, size_t len)
{
    struct http_call *call = arg;
    if (call->write)
        return call->write(call->arg, data, len);
    if (call->kept.len + len <= ANSWER_MAX)
        buf_add(&call->kept, data, len);
    return buf_ok(&call->kept);
}

/* The address that a name had is told to the short way before the owner is: what he starts next for
 * the same host goes that way already. */
static void transfer_over(void *arg, enum status st)
{
    struct http_call *call = arg;
    const char *url;
    const char *address = st ? NULL : http_curl_reached(call->transfer, &url);
    if (address)
        http_short_know(call->client->brief, url, address);
    call->done(call->arg, call, st);
    call_free(call);
}

/* A copy of the spec with the functions of ours, which know the call. */
static void start_transfer(struct http_call *call, const struct http_call_spec *spec)
{
    struct http_call_spec own = *spec;
    own.arg = call;
    own.read = give_body;
    own.write = take_answer;
    call->transfer = http_curl_start(call->client->curl, &own, transfer_over);
}

/* --- the interface --- */

/* In the list before it is started, so that whatever happens call_free() is its end. Neither way
 * calls back from within its start, so the owner has the pointer before `done` comes. */
struct http_call *http_call_start(struct http_client *client, const struct http_call_spec *spec)
{
    struct http_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->client = client;
    call->link = &client->calls;
    call->next = client->calls;
    if (call->next)
        call->next->link = &call->next;
    client->calls = call;
    call->body = spec->body;
    call->body_len = spec->body ? (size_t)spec->body_length : 0;
    call->read = spec->read;
    call->write = spec->write;
    call->done = spec->done;
    call->arg = spec->arg;
    if (is_short(client, spec))
        start_exchange(call, spec);
    else
        start_transfer(call, spec);
    if (!call->exchange && !call->transfer) {
        call_free(call);
        return NULL;
    }
    return call;
}

/* The short way never pauses. */
void http_call_resume(struct http_call *call)
{
    if (call->transfer)
        http_curl_resume(call->transfer);
}

void http_call_cancel(struct http_call *call)
{
    if (call->transfer)
        http_curl_cancel(call->transfer);
    else
        http_short_cancel(call->exchange);
    call_free(call);
}

/* --- the answer; it is the way's, and goes with it --- */

int http_call_status(const struct http_call *call)
{
    return call->transfer ? http_curl_status(call->transfer)
                          : http_short_answer(call->exchange)->status;
}

const char *http_call_field(const struct http_call *call, const char *name)
{
    return call->transfer ? http_curl_field(call->transfer, name)
                          : http_answer_field(http_short_answer(call->exchange), name);
}

void http_call_each_field(const struct http_call *call,
                          void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    if (call->transfer)
        http_curl_each_field(call->transfer, fn, arg);
    else
        http_answer_each_field(http_short_answer(call->exchange), fn, arg);
}

const char *http_call_body(const struct http_call *call, size_t *len)
{
    const struct buf *body =
        call->transfer ? &call->kept : &http_short_answer(call->exchange)->body;
    *len = body->len;
    return buf_text(body);
}
