/*
 * Answers. They are written into the connection's output here, and leave on its next turn: the
 * caller may be anywhere, also in the middle of that connection's own callbacks.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/http_body.h"
#include "common/http_conn.h"
#include "common/http_request.h"
#include "common/log.h"

/* How a client learns where the body ends. */
enum frame { FRAME_LENGTH, FRAME_CHUNKS, FRAME_CLOSE, FRAME_NO_BODY };

/* --- Fields --- */

void http_reply_field(struct http_request *req, const char *name, const char *value)
{
    /* Values come from keys and clients: none may begin a line of its own. */
    if (strpbrk(value, "\r\n")) {
        log_event(LOG_ERROR, "http",
                  "request=%s error=\"a line break in %s: the field is left out\"", req->id, name);
        return;
    }
    size_t name_len = strlen(name);
    size_t value_len = strlen(value);
    char *at = buf_extend(&req->fields, name_len + 2 + value_len + 2);
    if (!at)
        return;
    at = mempcpy(mempcpy(at, name, name_len), ": ", 2);
    at = mempcpy(at, value, value_len);
    *at++ = '\r';
    *at = '\n';
}

void http_reply_fieldf(struct http_request *req, const char *name, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    char text[256];
    int len = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (len >= (int)sizeof text) {
        char *longer = malloc((size_t)len + 1);
        va_start(values, format);
        if (longer)
            (void)vsnprintf(longer, (size_t)len + 1, format, values);
        va_end(values);
        if (longer)
            http_reply_field(req, name, longer);
        else
            req->fields.failed = true; /* an answer without the field would be another answer */
        free(longer);
    } else if (len >= 0) {
        http_reply_field(req, name, text);
    }
}

/* True where the handler has added a field itself, and a default would be a second one. */
static bool has_field(const struct http_request *req, const char *line_start)
{
    const char *at = buf_text(&req->fields);
    size_t len = strlen(line_start);
    while (at && *at) {
        if (strncmp(at, line_start, len) == 0)
            return true;
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return false;
}

/* --- The head --- */

static void add_number(struct buf *out, uint64_t number)
{
    char digits[24];
    char *at = digits + sizeof digits;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    buf_add(out, at, (size_t)(digits + sizeof digits - at));
}

/* Hot: a redirect is little more than this. So no formats. */
static void put_head(struct http_request *req, int status, enum frame frame, uint64_t length)
{
    struct http_hub *hub = req->conn->hub;
    struct buf *out = &req->conn->out.bytes;
    size_t usual_len;
    const char *usual = http_conn_usual(hub, &usual_len);
    buf_adds(out, "HTTP/1.1 ");
    add_number(out, (uint64_t)status);
    buf_addc(out, ' ');
    buf_adds(out, status_reason(status));
    buf_adds(out, "\r\n");
    buf_add(out, usual, usual_len);
    buf_adds(out, req->id);
    buf_adds(out, "\r\n");
    buf_add(out, req->fields.data, req->fields.len);
    if (frame == FRAME_LENGTH) {
        buf_adds(out, "Content-Length: ");
        add_number(out, length);
        buf_adds(out, "\r\n");
    }
    if (frame == FRAME_CHUNKS)
        buf_adds(out, "Transfer-Encoding: chunked\r\n");
    if (req->after != HTTP_AFTER_NEXT)
        buf_adds(out, "Connection: close\r\n");
    else if (req->head.minor == 0)
        buf_adds(out, "Connection: keep-alive\r\n");
    buf_adds(out, "\r\n");
    hub->stats.answers[status / 100 < 6 ? status / 100 : 5]++;
}

/* --- The one way to an answer, and the one out of it --- */

/* False where the client is gone: the request is over with that. */
static bool can_answer(struct http_request *req)
{
    struct http_conn *conn = req->conn;
    assert(conn->phase == HTTP_PHASE_REQUEST || conn->phase == HTTP_PHASE_LOST);
    if (conn->phase == HTTP_PHASE_REQUEST)
        return true;
    req->sink = NULL;
    req->drained = NULL;
    http_conn_close(conn);
    return false;
}

/* What becomes of the connection must be known before the head is written. */
static void prepare(struct http_request *req)
{
    if (req->conn->hub->draining && req->after == HTTP_AFTER_NEXT)
        req->after = HTTP_AFTER_CLOSE;
    if (req->conn->hub->answering)
        req->conn->hub->answering(req, req->conn->hub->handler_arg);
    http_body_abandon(req);
}

/* The answer is complete. */
static void finish(struct http_request *req)
{
    struct http_conn *conn = req->conn;
    req->drained = NULL;
    if (!buf_ok(&conn->out.bytes) || !buf_ok(&req->fields)) {
        log_event(LOG_ERROR, "http", "request=%s error=\"no memory for the answer\"", req->id);
        req->after = HTTP_AFTER_RESET;
    }
    http_conn_enter(conn, HTTP_PHASE_ANSWERED);
    http_conn_wake(conn);
}

/* Answers that end with their head, whatever it says (RFC 9112, 6.3). */
static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

/* --- Whole answers --- */

void http_reply(struct http_request *req, int status, const void *body, size_t len)
{
    assert(!req->started);
    if (!can_answer(req))
        return;
    prepare(req);
    put_head(req, status, has_no_body(status) ? FRAME_NO_BODY : FRAME_LENGTH, len);
    if (len && !has_no_body(status) && req->head.method != HTTP_HEAD)
        buf_add(&req->conn->out.bytes, body, len);
    finish(req);
}

void http_reply_status(struct http_request *req, enum status st, const char *detail)
{
    int status = status_http(st);
    if (status == 503 && !has_field(req, "Retry-After: "))
        http_reply_field(req, "Retry-After", "1");
    if (status == 405 && !has_field(req, "Allow: "))
        http_reply_field(req, "Allow", "GET, HEAD, PUT, DELETE, UNLINK");
    if (st == ST_NOT_FOUND || has_no_body(status)) {
        http_reply(req, status, NULL, 0);
        return;
    }
    struct buf text = BUF_INIT;
    buf_adds(&text, detail ? detail : status_text(st));
    buf_addc(&text, '\n');
    http_reply_field(req, "Content-Type", "text/plain");
    http_reply(req, status, buf_text(&text), text.len);
    buf_free(&text);
}

void http_reply_file(struct http_request *req, int status, int fd, uint64_t offset, uint64_t length)
{
    http_reply_watched_file(req, status, fd, offset, length, NULL, NULL);
}

void http_reply_watched_file(struct http_request *req, int status, int fd, uint64_t offset,
                             uint64_t length, void (*over)(void *arg, int err), void *arg)
{
    assert(!req->started);
    bool leaves = can_answer(req);
    if (leaves) {
        prepare(req);
        put_head(req, status, FRAME_LENGTH, length);
    }
    if (leaves && req->head.method != HTTP_HEAD) {
        http_output_file(&req->conn->out, fd, offset, length);
        if (over)
            http_output_watch(&req->conn->out, over, arg);
    } else {
        (void)close(fd);
        if (over)
            over(arg, 0);
    }
    if (leaves)
        finish(req);
}

void http_reply_block(struct http_request *req, int status, const char *block, size_t length,
                      void (*over)(void *arg, int err), void *arg)
{
    assert(!req->started);
    bool leaves = can_answer(req);
    if (leaves) {
        prepare(req);
        put_head(req, status, FRAME_LENGTH, length);
    }
    if (leaves && req->head.method != HTTP_HEAD) {
        http_output_block(&req->conn->out, block, length);
        http_output_watch(&req->conn->out, over, arg);
    } else {
        over(arg, 0);
    }
    if (leaves)
        finish(req);
}

/* --- Answers in pieces ---
 *
 * Where the length is known it is announced. Else the client of HTTP/1.1 gets chunks. That of 1.0
 * gets bytes until the connection is closed, and cannot tell a whole answer from one that broke off
 * but by a reset.
 */

static void start(struct http_request *req, int status, enum frame frame, uint64_t length)
{
    assert(!req->started);
    req->started = true;
    if (req->conn->phase == HTTP_PHASE_LOST)
        return; /* the next piece is told */
    req->in_chunks = frame == FRAME_CHUNKS;
    if (frame == FRAME_CLOSE && req->after == HTTP_AFTER_NEXT)
        req->after = HTTP_AFTER_CLOSE;
    put_head(req, status, frame, length);
    http_conn_wake(req->conn);
}

void http_reply_start(struct http_request *req, int status)
{
    start(req, status, req->head.minor > 0 ? FRAME_CHUNKS : FRAME_CLOSE, 0);
}

void http_reply_start_length(struct http_request *req, int status, uint64_t length)
{
    start(req, status, FRAME_LENGTH, length);
}

void http_reply_piece(struct http_request *req, const void *data, size_t len,
                      void (*drained)(void *arg, bool alive), void *arg)
{
    assert(req->started && !req->drained);
    req->drained = drained;
    req->drained_arg = arg;
    struct buf *out = &req->conn->out.bytes;
    /* A chunk of no bytes would be the last. */
    if (len && req->conn->phase == HTTP_PHASE_REQUEST && req->head.method != HTTP_HEAD) {
        if (req->in_chunks)
            buf_addf(out, "%zx\r\n", len);
        buf_add(out, data, len);
        if (req->in_chunks)
            buf_adds(out, "\r\n");
    }
    http_conn_wake(req->conn);
}

void http_reply_end(struct http_request *req, bool whole)
{
    assert(req->started);
    if (!can_answer(req))
        return;
    prepare(req);
    if (!whole)
        req->after = HTTP_AFTER_RESET;
    else if (req->in_chunks && req->head.method != HTTP_HEAD)
        buf_adds(&req->conn->out.bytes, "0\r\n\r\n");
    finish(req);
}
