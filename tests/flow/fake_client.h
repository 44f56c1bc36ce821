/* Requests to volumes: the test moves their bytes, and says how they end. */
#ifndef LARDER_TESTS_FLOW_FAKE_CLIENT_H
#define LARDER_TESTS_FLOW_FAKE_CLIENT_H

#include "common/http_client.h"
#include "tests/flow/fake_base.h"

struct http_call {
    struct http_call_spec spec;
    char method[16], url[2048], fields[512];
    unsigned resumed;
    bool ending; /* inside of `done`: must not be cancelled */
    /* what was read of the request's body */
    char *got;
    size_t got_len, got_cap;
    /* the answer */
    int status;
    const char *md5, *length, *type, *body, *range, *tag;
    struct http_call *next;
};

static struct {
    struct http_call *first; /* under way, oldest first */
    unsigned count;          /* started so far */
    unsigned fail_at;        /* the one that cannot be started, from 1; 0: none */
    bool fail_all;
} calls;

struct http_call *http_call_start(struct http_client *client UNUSED,
                                  const struct http_call_spec *spec)
{
    calls.count++;
    if (calls.fail_all || calls.count == calls.fail_at || memory_is_short())
        return NULL;
    struct http_call *call = __real_calloc(1, sizeof *call);
    ck_assert_ptr_nonnull(call);
    call->spec = *spec;
    call->spec.url = call->spec.method = NULL; /* must not be looked at later */
    call->spec.fields = NULL;
    (void)snprintf(call->method, sizeof call->method, "%s", spec->method);
    (void)snprintf(call->url, sizeof call->url, "%s", spec->url);
    for (size_t i = 0; spec->fields && spec->fields[i]; i++) {
        size_t len = strlen(call->fields);
        (void)snprintf(call->fields + len, sizeof call->fields - len, "%s\n", spec->fields[i]);
    }
    struct http_call **at = &calls.first;
    while (*at)
        at = &(*at)->next;
    *at = call;
    note("%s:%.4s", call->method, call->url + strlen("http://"));
    return call;
}

static inline void drop_call(struct http_call *call)
{
    struct http_call **at = &calls.first;
    while (*at != call) {
        ck_assert_msg(*at != NULL, "a call is ended twice");
        at = &(*at)->next;
    }
    *at = call->next;
    free(call->got);
    free(call);
}

void http_call_cancel(struct http_call *call)
{
    ck_assert(!call->ending);
    note("cancel:%.4s", call->url + strlen("http://"));
    drop_call(call);
}

void http_call_resume(struct http_call *call)
{
    call->resumed++;
}

int http_call_status(const struct http_call *call)
{
    return call->status;
}

const char *http_call_field(const struct http_call *call, const char *name)
{
    if (strcmp(name, "Content-MD5") == 0)
        return call->md5;
    if (strcmp(name, "Content-Length") == 0)
        return call->length;
    if (strcmp(name, "Content-Range") == 0)
        return call->range;
    if (strcmp(name, "ETag") == 0)
        return call->tag;
    return strcmp(name, "Content-Type") == 0 ? call->type : NULL;
}

const char *http_call_body(const struct http_call *call, size_t *len)
{
    *len = call->body ? strlen(call->body) : 0;
    return call->body ? call->body : "";
}

/* The call under way to a volume, "v3:1"; NULL: none. */
static inline struct http_call *call_to(const char *volume)
{
    for (struct http_call *call = calls.first; call; call = call->next)
        if (strncmp(call->url + strlen("http://"), volume, strlen(volume)) == 0)
            return call;
    return NULL;
}

/* libcurl asks for up to `max` bytes of the body. What it got, or HTTP_READ_…. */
static inline size_t call_reads(struct http_call *call, size_t max)
{
    if (call->got_len + max > call->got_cap) {
        call->got_cap = 2 * (call->got_len + max);
        call->got = __real_realloc(call->got, call->got_cap);
        ck_assert_ptr_nonnull(call->got);
    }
    size_t n = call->spec.read(call->spec.arg, call->got + call->got_len, max);
    if (n != HTTP_READ_PAUSE && n != HTTP_READ_ABORT) {
        ck_assert_uint_le(n, max);
        call->got_len += n;
    }
    return n;
}

/* Bytes of the answer arrive; false: the flow breaks off, and the call ends with ST_CLOSED. */
static inline bool call_brings(struct http_call *call, const char *data)
{
    call->resumed = 0;
    return call->spec.write(call->spec.arg, data, strlen(data));
}

/* The call is over; its answer has been set before, or there is none. */
static inline void call_ends(struct http_call *call, enum status st, int status)
{
    ck_assert_ptr_nonnull(call);
    call->status = status;
    call->ending = true;
    call->spec.done(call->spec.arg, call, st);
    drop_call(call);
}

static inline void calls_forget(void)
{
    ck_assert_ptr_null(calls.first);
    memset(&calls, 0, sizeof calls);
}

#endif
