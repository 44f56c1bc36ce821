/*
 * The body of a request on its way from the connection to the sink. Internal to the HTTP server.
 * On the loop's thread; only http_turn.c and http_reply.c call what is here. What a handler calls
 * (http_request_read_body, http_request_resume_body) is in http_request.h.
 */
#ifndef LARDER_COMMON_HTTP_BODY_H
#define LARDER_COMMON_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

struct http_request;

/* Sets up the body that the head announces, as held: nothing of it is read before the handler asks
 * for it. */
void http_body_init(struct http_request *req);
/* Hands on, or drops, what has arrived, and tells the sink when it is over. True where anything has
 * happened, so that the connection is to be looked at again. Calls the sink, which may answer the
 * request; http_turn.c's step only. */
bool http_body_step(struct http_request *req);
/* Marks the body as broken off, for the next step to tell; the first reason stays. Does not call
 * the sink itself, so it can be called from anywhere. */
void http_body_break(struct http_request *req, enum status why);
/* The request has been answered: nobody is told of its body any more. Decides whether what is still
 * to come is dropped, or the connection given up (req->after). */
void http_body_abandon(struct http_request *req);
/* How large the input buffer should be to read it, in bytes: what is left of a short body,
 * HTTP_INPUT_MAX for a long one, less where its length is not known or nobody wants it. */
size_t http_body_window(const struct http_request *req);

#endif
