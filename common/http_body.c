/*
 * Bodies. What has arrived lies in the connection's input, and the sink is handed pointers into
 * that; what it does not take stays there, and while it is full nothing is read, so the kernel's
 * buffers fill, and the client waits. That is all the back-pressure there is.
 *
 * The states of a body are in http_conn.h (enum http_body). The way of one that is read to its end:
 * HELD, WANTED (and FULL, and WANTED again), NONE. The sink hears of the end exactly once, by
 * tell_end(), unless the request is answered before: then it hears nothing more, and the rest is
 * dropped, or the connection is given up.
 *
 * A sink may answer the request from within `data` or `end`. So whatever is done after a call of it
 * looks at req->body again, and not at what was known before.
 */
#include "common/http_body.h"

#include "common/http_conn.h"
#include "common/http_request.h"

void http_body_init(struct http_request *req)
{
    req->body = http_head_has_body(&req->head) ? HTTP_BODY_HELD : HTTP_BODY_NONE;
    req->left = req->head.length;
    http_chunk_init(&req->chunk);
    req->dropped = 0;
    req->sink = NULL;
    req->broken = ST_OK;
    /* One that sends the body at once does not wait, whatever it says. */
    req->awaits_continue =
        req->body == HTTP_BODY_HELD && req->head.expects_continue && req->conn->in.len == 0;
}

void http_request_read_body(struct http_request *req, const struct http_body_sink *sink, void *arg)
{
    struct http_conn *conn = req->conn;
    req->sink = sink;
    req->sink_arg = arg;
    /* Where there is no body the sink still wants to hear that it is over; http_turn tells it. */
    req->body = HTTP_BODY_WANTED;
    /* A client that did not wait needs no leave any more, and one that has got the beginning of
     * the answer would take it for a part of that. */
    if (req->awaits_continue && !conn->in.len && !req->started && conn->phase == HTTP_PHASE_REQUEST)
        buf_adds(&conn->out.bytes, "HTTP/1.1 100 Continue\r\n\r\n");
    req->awaits_continue = false;
    conn->read_since = loop_coarse_ms();
    http_conn_wake(conn);
}

/* The time it was full does not count against the client: the deadline begins anew. */
void http_request_resume_body(struct http_request *req)
{
    if (req->body != HTTP_BODY_FULL)
        return;
    req->body = HTTP_BODY_WANTED;
    req->conn->read_since = loop_coarse_ms();
    http_conn_wake(req->conn);
}

/* A chunked body may be two bytes or two terabytes; a quarter of the largest window is a
 * compromise, since the buffer is given back between requests only. */
size_t http_body_window(const struct http_request *req)
{
    if (req->head.chunked || req->body == HTTP_BODY_DROPPED)
        return HTTP_INPUT_MAX / 4;
    if (req->left > HTTP_INPUT_MAX)
        return HTTP_INPUT_MAX;
    return req->left < HTTP_INPUT_MIN ? HTTP_INPUT_MIN : (size_t)req->left;
}

/* --- Steps --- */

/* The sink hears the last of it. It may answer the request from there, so the state is set before,
 * and nothing of the request is touched after. */
static void tell_end(struct http_request *req, enum status st)
{
    req->body = st ? HTTP_BODY_BROKEN : HTTP_BODY_NONE;
    const struct http_body_sink *sink = req->sink;
    req->sink = NULL;
    sink->end(req->sink_arg, st);
}

/* Gives the sink bytes, or drops them. How many are done with. A sink that answers from within
 * `data` has made the body DROPPED or BROKEN by http_body_abandon(): only a body that is still
 * wanted can become full. */
static size_t pass_on(struct http_request *req, const char *data, size_t len)
{
    if (req->body == HTTP_BODY_DROPPED) {
        req->dropped += len;
        return len;
    }
    size_t took = req->sink->data(req->sink_arg, data, len);
    if (took > len)
        took = len;
    if (took < len && req->body == HTTP_BODY_WANTED)
        req->body = HTTP_BODY_FULL;
    return took;
}

/* Takes what is there of a body of known length, and not a byte of what follows it: that is the
 * next request. True at its end. */
static bool take_plain(struct http_request *req)
{
    struct http_input *in = &req->conn->in;
    size_t len = in->len < req->left ? in->len : (size_t)req->left;
    if (len) {
        size_t took = pass_on(req, in->data + in->start, len);
        http_input_consume(in, took);
        req->left -= took;
    }
    return req->left == 0;
}

/* True while bytes that arrive for it are taken. */
static bool is_read(const struct http_request *req)
{
    return req->body == HTTP_BODY_WANTED || req->body == HTTP_BODY_DROPPED;
}

/* Takes what is there of a chunked body: many small chunks are one step. True at its end. */
static bool take_chunks(struct http_request *req)
{
    struct http_input *in = &req->conn->in;
    while (in->len && is_read(req)) {
        size_t used;
        size_t len;
        const char *data;
        enum http_chunk_result result =
            http_chunk_next(&req->chunk, in->data + in->start, in->len, &used, &data, &len);
        req->dropped += req->body == HTTP_BODY_DROPPED ? used : 0;
        http_input_consume(in, used);
        if (result == HTTP_CHUNK_END)
            return true;
        if (result == HTTP_CHUNK_BAD)
            req->broken = ST_BAD_REQUEST;
        if (result != HTTP_CHUNK_DATA)
            return false;
        size_t took = pass_on(req, data, len);
        http_chunk_took(&req->chunk, took);
        http_input_consume(in, took);
    }
    return false;
}

/* Dropping has its limits: in size, and in what is no body at all. The connection is then drained
 * and closed, because where the next request begins will never be known. */
static bool give_up_dropping(struct http_request *req)
{
    if (!req->broken && req->dropped <= HTTP_DROP_MAX)
        return false;
    req->body = HTTP_BODY_BROKEN;
    req->after = HTTP_AFTER_LINGER;
    return true;
}

bool http_body_step(struct http_request *req)
{
    struct http_conn *conn = req->conn;
    if (conn->phase == HTTP_PHASE_LOST &&
        (req->body == HTTP_BODY_WANTED || req->body == HTTP_BODY_FULL)) {
        tell_end(req, ST_CLOSED);
        return true;
    }
    if (conn->phase == HTTP_PHASE_LOST || !is_read(req))
        return false;
    size_t before = conn->in.len;
    bool over = !req->broken && (req->head.chunked ? take_chunks(req) : take_plain(req));
    if (!is_read(req))
        return true; /* the sink is full */
    /* The client closed its side with less than it had announced: there is no more to wait for. */
    if (!over && !req->broken && conn->peer_closed && conn->in.len == 0)
        req->broken = ST_CLOSED;
    if (req->body == HTTP_BODY_DROPPED) {
        if (over)
            req->body = HTTP_BODY_NONE;
        return over || give_up_dropping(req) || conn->in.len != before;
    }
    if (over || req->broken)
        tell_end(req, over ? ST_OK : req->broken);
    return over || req->broken || conn->in.len != before;
}

void http_body_break(struct http_request *req, enum status why)
{
    if (!req->broken)
        req->broken = why;
}

void http_body_abandon(struct http_request *req)
{
    req->sink = NULL;
    if (req->body == HTTP_BODY_NONE)
        return;
    /* A client that waits would have to send the body for the connection to go on; one that has
     * much to send is told to stop sooner by a close than by our patience. */
    bool give_up = req->body == HTTP_BODY_BROKEN || req->awaits_continue ||
                   (!req->head.chunked && req->left > HTTP_DROP_MAX);
    if (req->after == HTTP_AFTER_NEXT && !give_up) {
        req->body = HTTP_BODY_DROPPED;
        return;
    }
    req->body = HTTP_BODY_BROKEN;
    if (req->after < HTTP_AFTER_LINGER)
        req->after = HTTP_AFTER_LINGER;
}
