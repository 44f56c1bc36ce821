/*
 * What a handler may ask of a request. The struct is http_conn.h's, which handlers do not include:
 * here is the only way to it for them, and it is read only. The body is http_body.c's, the answer
 * http_reply.c's.
 */
#include "common/http_request.h"

#include <poll.h>

#include "common/http_conn.h"
#include "common/key.h"

enum http_method http_request_method(const struct http_request *req)
{
    return req->head.method;
}

const char *http_request_method_name(const struct http_request *req)
{
    return req->head.method_name;
}

const char *http_request_path(const struct http_request *req, size_t *len)
{
    *len = req->head.path_len;
    return req->head.path;
}

const char *http_request_query(const struct http_request *req, size_t *len)
{
    *len = req->head.query_len;
    return req->head.query;
}

bool http_request_has(const struct http_request *req, const char *name)
{
    return key_query_has(req->head.query, req->head.query_len, name);
}

const char *http_request_field(const struct http_request *req, const char *name)
{
    return http_head_field(&req->head, name);
}

const char *http_request_id(const struct http_request *req)
{
    return req->id;
}

const char *http_request_peer(const struct http_request *req)
{
    return http_conn_peer(req->conn);
}

/* While a handler works nothing is read, so nobody has told us yet. */
bool http_request_is_lost(const struct http_request *req)
{
    struct pollfd end = {.fd = req->conn->socket};
    if (req->conn->phase == HTTP_PHASE_LOST)
        return true;
    return poll(&end, 1, 0) > 0 && (end.revents & (POLLERR | POLLHUP)) != 0;
}

struct loop *http_request_loop(const struct http_request *req)
{
    return req->conn->hub->loop;
}

bool http_request_has_body(const struct http_request *req)
{
    return http_head_has_body(&req->head);
}

bool http_request_no_length(const struct http_request *req)
{
    return !req->head.has_length && !req->head.chunked;
}

int64_t http_request_body_length(const struct http_request *req)
{
    return req->head.chunked ? -1 : (int64_t)req->head.length;
}

uint64_t http_request_started_ms(const struct http_request *req)
{
    return req->started_ms;
}
