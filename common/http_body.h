/* The body of a request on its way from the connection to the sink. Internal to the HTTP server. */
#ifndef LARDER_COMMON_HTTP_BODY_H
#define LARDER_COMMON_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

struct http_request;

/* Sets up the body that the head announces. */
void http_body_init(struct http_request *req);
/* Hands on, or drops, what has arrived, and tells the sink when it is over. True where anything
 * has happened. */
bool http_body_step(struct http_request *req);
/* Marks the body as broken off, for the next step to tell. */
void http_body_break(struct http_request *req, enum status why);
/* The request has been answered: nobody is told of its body any more. Decides whether what is still
 * to come is dropped, or the connection given up (req->after). */
void http_body_abandon(struct http_request *req);
/* How large the input buffer should be to read it. */
size_t http_body_window(const struct http_request *req);

#endif
