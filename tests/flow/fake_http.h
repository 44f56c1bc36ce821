/*
 * A client: one request at a time, whose body and end the test plays, and whose answer it looks at.
 * A flow that touches the request after the answer touches freed memory.
 */
#ifndef LARDER_TESTS_FLOW_FAKE_HTTP_H
#define LARDER_TESTS_FLOW_FAKE_HTTP_H

#include "common/buf.h"
#include "common/http_server.h"
#include "common/key.h"
#include "tests/flow/fake_base.h"

struct http_request {
    char id[16];
};

static struct {
    /* what it asks */
    const char *path, *query;
    int64_t length; /* of the body; 0: none, -1: chunked */
    const char *md5, *type;
    const char *identity; /* that a volume tells */
    const char *repair;   /* the name of a larder verify --repair */
    const char *last_event_id;
    /* the request, until it is answered */
    struct http_request *req;
    const struct http_body_sink *sink;
    void *sink_arg;
    bool full;
    void (*drained)(void *arg, bool alive);
    void *drained_arg;
    /* the answer */
    unsigned answers;
    int status;
    bool started, whole;
    char fields[4096];
    char *body;
    size_t body_len, body_cap;
} client;

/* The request that a flow gets; what it asks has been set before. */
static inline struct http_request *client_asks(void)
{
    ck_assert_ptr_null(client.req);
    client.req = __real_malloc(sizeof *client.req);
    ck_assert_ptr_nonnull(client.req);
    memcpy(client.req->id, "7-1", 4);
    client.sink = NULL;
    client.full = client.started = client.whole = false;
    client.drained = NULL;
    client.answers = 0;
    client.status = 0;
    client.fields[0] = 0;
    client.body_len = 0;
    return client.req;
}

static inline void client_free(void)
{
    ck_assert_ptr_null(client.req); /* it was answered */
    free(client.body);
    memset(&client, 0, sizeof client);
}

/* Sends bytes of the body; how many the flow took. */
static inline size_t client_sends(const char *data, size_t len)
{
    ck_assert_ptr_nonnull(client.sink);
    client.full = false;
    size_t taken = client.sink->data(client.sink_arg, data, len);
    ck_assert_uint_le(taken, len);
    client.full = taken < len && client.req;
    return taken;
}

/* The body is over, or the client is gone. */
static inline void client_ends(enum status st)
{
    const struct http_body_sink *sink = client.sink;
    ck_assert_ptr_nonnull(sink);
    client.sink = NULL;
    sink->end(client.sink_arg, st);
}

/* The piece of the answer has left, or the client is gone. */
static inline void client_takes(bool alive)
{
    void (*drained)(void *arg, bool alive) = client.drained;
    ck_assert_ptr_nonnull((void *)drained);
    client.drained = NULL;
    drained(client.drained_arg, alive);
}

static inline void check_request(const struct http_request *req)
{
    ck_assert_ptr_eq(req, client.req);
}

static inline void add_body(const void *data, size_t len)
{
    if (client.body_len + len + 1 > client.body_cap) {
        client.body_cap = 2 * (client.body_len + len + 1);
        client.body = __real_realloc(client.body, client.body_cap);
        ck_assert_ptr_nonnull(client.body);
    }
    if (len)
        memcpy(client.body + client.body_len, data, len);
    client.body_len += len;
    client.body[client.body_len] = 0;
}

/* The request is gone from here on. */
static inline void answered(struct http_request *req, int status)
{
    check_request(req);
    client.answers++;
    client.status = status;
    client.sink = NULL;
    client.drained = NULL;
    client.req = NULL;
    free(req);
    note("reply:%d", status);
}

const char *http_request_path(const struct http_request *req, size_t *len)
{
    check_request(req);
    *len = strlen(client.path);
    return client.path;
}

const char *http_request_query(const struct http_request *req, size_t *len)
{
    check_request(req);
    *len = client.query ? strlen(client.query) : 0;
    return client.query ? client.query : "";
}

bool http_request_has(const struct http_request *req, const char *name)
{
    size_t len;
    const char *query = http_request_query(req, &len);
    return key_query_has(query, len, name);
}

const char *http_request_field(const struct http_request *req, const char *name)
{
    check_request(req);
    if (strcmp(name, "Content-MD5") == 0)
        return client.md5;
    if (strcmp(name, "Last-Event-ID") == 0)
        return client.last_event_id;
    if (strcmp(name, "Larder-Identity") == 0)
        return client.identity;
    if (strcmp(name, "Larder-Repair") == 0)
        return client.repair;
    return strcmp(name, "Content-Type") == 0 ? client.type : NULL;
}

const char *http_request_id(const struct http_request *req)
{
    check_request(req);
    return req->id;
}

bool http_request_has_body(const struct http_request *req)
{
    check_request(req);
    return client.length != 0;
}

int64_t http_request_body_length(const struct http_request *req)
{
    check_request(req);
    return client.length;
}

void http_request_read_body(struct http_request *req, const struct http_body_sink *sink, void *arg)
{
    check_request(req);
    ck_assert_ptr_null(client.sink);
    client.sink = sink;
    client.sink_arg = arg;
    note("read");
}

void http_request_resume_body(struct http_request *req)
{
    check_request(req);
    client.full = false;
    note("resume");
}

void http_reply_field(struct http_request *req, const char *name, const char *value)
{
    check_request(req);
    size_t len = strlen(client.fields);
    (void)snprintf(client.fields + len, sizeof client.fields - len, "%s: %s\n", name, value);
}

void http_reply_fieldf(struct http_request *req, const char *name, const char *format, ...)
{
    char text[256];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, sizeof text, format, values);
    va_end(values);
    http_reply_field(req, name, text);
}

void http_reply(struct http_request *req, int status, const void *body, size_t len)
{
    ck_assert(!client.started);
    client.whole = true;
    add_body(body, len);
    answered(req, status);
}

void http_reply_status(struct http_request *req, enum status st, const char *detail UNUSED)
{
    http_reply(req, status_http(st), NULL, 0);
}

void http_reply_start(struct http_request *req, int status)
{
    check_request(req);
    ck_assert(!client.started);
    client.started = true;
    client.status = status;
}

void http_reply_piece(struct http_request *req, const void *data, size_t len,
                      void (*drained)(void *arg, bool alive), void *arg)
{
    check_request(req);
    ck_assert(client.started && !client.drained);
    add_body(data, len);
    client.drained = drained;
    client.drained_arg = arg;
    note("piece");
}

void http_reply_end(struct http_request *req, bool whole)
{
    ck_assert(client.started);
    client.whole = whole;
    answered(req, client.status);
}

/* True where the answer has this line among its fields. */
static inline bool answer_has(const char *line)
{
    const char *at = strstr(client.fields, line);
    return at && (at == client.fields || at[-1] == '\n') && at[strlen(line)] == '\n';
}

#endif
