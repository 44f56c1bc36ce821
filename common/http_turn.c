/*
 * What a connection does on its turn. The path of a request:
 *
 *   step_head      its head is complete: parsed, and handed to the handler (or refused)
 *   step_request   its body goes to the sink, pieces of its answer leave
 *   step_answered  the answer is complete: it leaves, and what nobody wanted of the body is dropped
 *   step_head      the next one; or
 *   step_linger    our side is closed: what still arrives is dropped, until the client closes its
 *
 * Possible failures: the head is bad (refused, lingering close), the socket fails (http_conn_lose:
 * the handler's request lives on until it is answered, and hears of it from its sink or `drained`),
 * something takes too long (http_turn_expire).
 *
 * A step does what can be done now and returns whether that was anything. Handlers, sinks and
 * `drained` are called from here, and only here; what they ask for in return is done by the next
 * step, so the stack does not grow with the number of pipelined requests.
 */
#include "common/http_turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_body.h"
#include "common/http_conn.h"
#include "common/http_request.h"
#include "common/log.h"

enum { STEPS_A_TURN = 64 }; /* so that one client's pipeline does not keep the others waiting */

static bool step_head(struct http_conn *conn);
static bool step_request(struct http_conn *conn);
static bool step_answered(struct http_conn *conn);
static bool step_linger(struct http_conn *conn);

/* --- Bytes --- */

/* Sends what the socket takes. False where nothing was to be done. */
static bool flush(struct http_conn *conn)
{
    if (conn->blocked || http_output_empty(&conn->out))
        return false;
    uint64_t sent;
    enum http_io result = http_output_flush(&conn->out, conn->socket, &sent);
    conn->hub->stats.bytes_out += sent;
    conn->write_since = loop_coarse_ms();
    if (result == HTTP_IO_FAILED) {
        http_conn_lose(conn);
        return true;
    }
    conn->blocked = result == HTTP_IO_WAIT;
    return true;
}

/* True where what arrives is of no interest: the connection ends. */
static bool discards(const struct http_conn *conn)
{
    return conn->phase == HTTP_PHASE_LINGER ||
           (conn->phase == HTTP_PHASE_ANSWERED && conn->request.after == HTTP_AFTER_LINGER);
}

static bool wants_input(const struct http_conn *conn)
{
    if (conn->peer_closed)
        return false;
    switch (conn->phase) {
    case HTTP_PHASE_HEAD:
        return true;
    case HTTP_PHASE_REQUEST:
        return conn->request.body == HTTP_BODY_WANTED;
    case HTTP_PHASE_ANSWERED:
        return conn->request.body == HTTP_BODY_DROPPED || discards(conn);
    default:
        return conn->phase == HTTP_PHASE_LINGER;
    }
}

/* How large the buffer should be: as small as will do for idle connections. */
static size_t window(const struct http_conn *conn)
{
    const struct http_input *in = &conn->in;
    if (discards(conn))
        return HTTP_INPUT_MAX / 4;
    if (conn->phase != HTTP_PHASE_HEAD)
        return http_body_window(&conn->request);
    if (in->cap < HTTP_INPUT_MIN)
        return HTTP_INPUT_MIN;
    /* With HTTP_HEAD_MAX bytes there is a head, or a refusal; never the need for more. */
    return in->len < in->cap || in->cap >= HTTP_HEAD_MAX ? in->cap : 2 * in->cap;
}

/* Reads once. */
static void fill(struct http_conn *conn)
{
    size_t got;
    size_t cap = window(conn);
    if (discards(conn))
        http_input_consume(&conn->in, conn->in.len);
    /* A full buffer waits for its turn: nothing can be read, which must not be taken for the end.
     */
    if (conn->in.len == conn->in.cap && conn->in.cap >= cap)
        return;
    enum http_io result = http_input_fill(&conn->in, conn->socket, cap, &got);
    conn->hub->stats.bytes_in += got;
    if (got) {
        conn->read_since = loop_coarse_ms();
        if (!conn->head_since)
            conn->head_since = conn->read_since;
    }
    if (result == HTTP_IO_CLOSED)
        conn->peer_closed = true;
    if (result == HTTP_IO_FAILED)
        http_conn_lose(conn);
}

/* --- Watching --- */

/* A GET's path, as far as it can be told at a glance. */
static void announce(const struct http_conn *conn)
{
    static const char begin[] = "GET /";
    enum { METHOD = sizeof "GET " - 1 };
    const char *bytes = conn->in.data + conn->in.start;
    if (conn->in.len < sizeof begin - 1 || memcmp(bytes, begin, sizeof begin - 1) != 0)
        return;
    const char *path = bytes + METHOD;
    const char *end = memchr(path, ' ', conn->in.len - METHOD);
    if (end)
        conn->hub->expecting(path, (size_t)(end - path), conn->hub->handler_arg);
}

/* A head is handled when all that arrived in this turn has been read: to read it takes the kernel
 * longer than it takes to fetch what the one before it needs out of memory. Bodies are not: they
 * are large, and the buffer is free again afterwards. */
static void turn_readable(void *arg, bool readable UNUSED, bool writable UNUSED)
{
    struct http_conn *conn = arg;
    if (wants_input(conn)) {
        bool is_head = conn->phase == HTTP_PHASE_HEAD;
        fill(conn);
        if (!is_head) {
            http_turn_run(conn);
            return;
        }
        if (conn->hub->expecting && conn->phase == HTTP_PHASE_HEAD)
            announce(conn);
        http_conn_wake(conn);
        return;
    }
    /* Only now: most requests are answered before anything more arrives, and need no change. */
    loop_watch_free(conn->readable);
    conn->readable = NULL;
}

static void turn_writable(void *arg, bool readable UNUSED, bool writable UNUSED)
{
    struct http_conn *conn = arg;
    conn->blocked = false;
    http_turn_run(conn);
}

/* Sets the watches that its state asks for. False where that failed. */
static bool watch(struct http_conn *conn)
{
    struct loop *loop = conn->hub->loop;
    if (wants_input(conn) && !conn->readable) {
        conn->readable = loop_watch_new(loop, conn->socket, true, false, turn_readable, conn);
        if (!conn->readable)
            return false;
    }
    if (conn->blocked && !conn->writable) {
        conn->writable = loop_watch_new(loop, conn->socket, false, true, turn_writable, conn);
        if (!conn->writable)
            return false;
    }
    if (!conn->blocked && conn->writable) {
        loop_watch_free(conn->writable);
        conn->writable = NULL;
    }
    return true;
}

static bool step(struct http_conn *conn)
{
    switch (conn->phase) {
    case HTTP_PHASE_HEAD:
        return step_head(conn);
    case HTTP_PHASE_REQUEST:
    case HTTP_PHASE_LOST:
        return step_request(conn);
    case HTTP_PHASE_ANSWERED:
        return step_answered(conn);
    case HTTP_PHASE_LINGER:
        return step_linger(conn);
    default:
        return false;
    }
}

void http_turn_run(struct http_conn *conn)
{
    int steps = 0;
    conn->running = true;
    while (steps < STEPS_A_TURN && step(conn))
        steps++;
    conn->running = false;
    if (conn->phase != HTTP_PHASE_CLOSED && conn->phase != HTTP_PHASE_LOST && !watch(conn)) {
        log_event(LOG_ERROR, "http", "peer=%s error=\"cannot watch the connection: %s\"",
                  http_conn_peer(conn), strerror(errno));
        http_conn_lose(conn);
    }
    if (steps == STEPS_A_TURN || conn->phase == HTTP_PHASE_CLOSED)
        http_conn_wake(conn);
}

void http_turn_ready(void *arg)
{
    struct http_hub *hub = arg;
    struct http_conn *conn = hub->ready;
    hub->ready = NULL;
    hub->ready_last = &hub->ready;
    while (conn) {
        struct http_conn *next = conn->ready_next;
        conn->ready = false;
        if (conn->phase == HTTP_PHASE_CLOSED)
            http_conn_free(conn);
        else
            http_turn_run(conn);
        conn = next;
    }
}

/* --- A request begins --- */

static char *write_hex(char *to, uint64_t number)
{
    static const char digits[] = "0123456789abcdef";
    int shift = 60;
    while (shift && !(number >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *to++ = digits[number >> shift & 15];
    return to;
}

/* No format: each request has one, and most need little else. */
static void write_id(char id[HTTP_ID_MAX + 1], unsigned server, uint64_t count)
{
    char *at = write_hex(id, server);
    *at++ = '-';
    *write_hex(at, count) = 0;
}

/* What every request begins with, good or bad. */
static void begin(struct http_conn *conn)
{
    struct http_hub *hub = conn->hub;
    struct http_request *req = &conn->request;
    write_id(req->id, hub->number, ++hub->last_id);
    req->started_ms = loop_coarse_ms();
    req->after = HTTP_AFTER_NEXT;
    req->started = req->in_chunks = false;
    req->drained = NULL;
    buf_clear(&req->fields);
    http_conn_enter(conn, HTTP_PHASE_REQUEST);
}

/* Answers what cannot be a request; nothing after it is read. */
static void refuse(struct http_conn *conn, enum status st)
{
    struct http_request *req = &conn->request;
    begin(conn);
    log_event(LOG_DEBUG, "http", "request=%s peer=%s refused=\"%s\"", req->id, http_conn_peer(conn),
              status_text(st));
    req->body = HTTP_BODY_NONE;
    req->after = HTTP_AFTER_LINGER;
    http_reply_status(req, st, NULL);
}

/* Refuses bytes that were never parsed. */
static void refuse_unread(struct http_conn *conn, enum status st)
{
    conn->request.head.method = HTTP_OTHER;
    conn->request.head.minor = 1;
    refuse(conn, st);
}

/* Copies the head out of the input, which moves on beneath it. */
static bool keep_head(struct http_conn *conn, size_t len)
{
    struct http_request *req = &conn->request;
    if (req->head_cap < len) {
        size_t cap = len < 1024 ? 1024 : len;
        free(req->head_bytes);
        req->head_cap = 0;
        req->head_bytes = malloc(cap);
        if (!req->head_bytes)
            return false;
        req->head_cap = cap;
    }
    memcpy(req->head_bytes, conn->in.data + conn->in.start, len);
    http_input_consume(&conn->in, len);
    conn->scanned = 0;
    conn->head_since = 0;
    return true;
}

/* Beyond the limit only those who look after the server are served. */
static bool is_over_limit(const struct http_conn *conn)
{
    static const char admin[] = "/admin/";
    const struct http_head *head = &conn->request.head;
    return conn->hub->stats.connections > conn->hub->max_connections &&
           strncmp(head->path, admin, sizeof admin - 1) != 0;
}

static void head_complete(struct http_conn *conn, size_t len)
{
    struct http_hub *hub = conn->hub;
    struct http_request *req = &conn->request;
    if (!keep_head(conn, len)) {
        log_event(LOG_ERROR, "http", "peer=%s error=\"no memory for a request\"",
                  http_conn_peer(conn));
        http_conn_close(conn);
        return;
    }
    enum status st = http_head_parse(&req->head, req->head_bytes, len);
    if (st) {
        refuse(conn, st);
        return;
    }
    begin(conn);
    http_body_init(req);
    hub->stats.requests++;
    if (!req->head.keep_alive || hub->draining || conn->reserve)
        req->after = HTTP_AFTER_CLOSE;
    if (conn->reserve && is_over_limit(conn)) {
        hub->stats.refused++;
        http_reply_status(req, ST_BUSY, "too many connections; try again later");
        return;
    }
    hub->handler(req, hub->handler_arg);
}

static bool step_head(struct http_conn *conn)
{
    enum status refusal = ST_OK;
    size_t len = 0;
    if (conn->in.len)
        len =
            http_head_find(conn->in.data + conn->in.start, conn->in.len, &conn->scanned, &refusal);
    if (refusal)
        refuse_unread(conn, refusal);
    else if (len)
        head_complete(conn, len);
    else if (conn->peer_closed)
        http_conn_close(conn); /* half a head is no request */
    else
        return false;
    return true;
}

/* --- It is with its handler --- */

static bool step_request(struct http_conn *conn)
{
    struct http_request *req = &conn->request;
    bool lost = conn->phase == HTTP_PHASE_LOST;
    if (!lost && flush(conn))
        return true;
    if (req->drained && (lost || http_output_empty(&conn->out))) {
        void (*drained)(void *arg, bool alive) = req->drained;
        req->drained = NULL;
        drained(req->drained_arg, !lost);
        return true;
    }
    return http_body_step(req);
}

/* --- It is answered --- */

/* The answer has left, and all of the request has been read. */
static void next_request(struct http_conn *conn)
{
    http_conn_enter(conn, HTTP_PHASE_HEAD);
    http_input_trim(&conn->in);
    conn->head_since = conn->in.len ? conn->phase_since : 0;
}

static void end_connection(struct http_conn *conn)
{
    bool linger = conn->request.after == HTTP_AFTER_LINGER || conn->in.len;
    if (!linger || conn->peer_closed || shutdown(conn->socket, SHUT_WR)) {
        http_conn_close(conn);
        return;
    }
    http_conn_enter(conn, HTTP_PHASE_LINGER);
}

static bool step_answered(struct http_conn *conn)
{
    struct http_request *req = &conn->request;
    if (req->after == HTTP_AFTER_RESET) {
        http_conn_reset(conn);
        return true;
    }
    if (flush(conn) || http_body_step(req))
        return true;
    if (!http_output_empty(&conn->out))
        return false;
    if (req->after != HTTP_AFTER_NEXT)
        end_connection(conn);
    else if (req->body == HTTP_BODY_NONE)
        next_request(conn);
    else
        return false; /* the rest of the body is to come */
    return true;
}

static bool step_linger(struct http_conn *conn)
{
    http_input_consume(&conn->in, conn->in.len);
    if (!conn->peer_closed)
        return false;
    http_conn_close(conn);
    return true;
}

/* --- What takes too long --- */

/* A client that began a head, or has never sent one, is told why it is closed. One that is between
 * two requests is not: it may be about to send the next, and would take this for its answer. */
static bool expire_head(struct http_conn *conn, uint64_t now)
{
    const struct http_hub *limits = conn->hub;
    if (conn->head_since && now - conn->head_since >= limits->head_timeout_ms)
        refuse_unread(conn, ST_TIMEOUT);
    else if (!conn->head_since && now - conn->phase_since >= limits->idle_timeout_ms)
        http_conn_close(conn);
    else
        return false;
    return true;
}

static bool expire_request(struct http_conn *conn, uint64_t now)
{
    const struct http_hub *limits = conn->hub;
    if (conn->blocked && now - conn->write_since >= limits->write_timeout_ms) {
        log_event(LOG_INFO, "http", "request=%s peer=%s error=\"the client takes no more\"",
                  conn->request.id, http_conn_peer(conn));
        http_conn_lose(conn);
        return true;
    }
    if (conn->phase == HTTP_PHASE_REQUEST && conn->request.body == HTTP_BODY_WANTED &&
        now - conn->read_since >= limits->body_timeout_ms) {
        http_body_break(&conn->request, ST_TIMEOUT);
        return true;
    }
    uint64_t since = conn->write_since > conn->phase_since ? conn->write_since : conn->phase_since;
    if (conn->phase == HTTP_PHASE_ANSWERED && !conn->blocked &&
        now - since >= limits->body_timeout_ms) {
        http_conn_close(conn);
        return true;
    }
    return false;
}

void http_turn_expire(struct http_conn *conn, uint64_t now)
{
    bool expired = false;
    if (conn->phase == HTTP_PHASE_HEAD)
        expired = expire_head(conn, now);
    else if (conn->phase == HTTP_PHASE_REQUEST || conn->phase == HTTP_PHASE_ANSWERED)
        expired = expire_request(conn, now);
    else if (conn->phase == HTTP_PHASE_LINGER && now - conn->phase_since >= HTTP_LINGER_MS)
        http_conn_close(conn);
    if (expired)
        http_conn_wake(conn);
}

void http_turn_drain(struct http_conn *conn)
{
    if (conn->phase != HTTP_PHASE_HEAD)
        return;
    /* What has arrived was sent before the client could know. */
    fill(conn);
    http_turn_run(conn);
    if (conn->phase == HTTP_PHASE_HEAD && conn->in.len == 0)
        http_conn_close(conn);
}
