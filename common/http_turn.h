/* What a connection does when something has happened to it. Internal to the HTTP server. */
#ifndef LARDER_COMMON_HTTP_TURN_H
#define LARDER_COMMON_HTTP_TURN_H

#include <stdint.h>

struct http_conn;

/* Does all that can be done now: heads, handlers, bodies, answers. */
void http_turn_run(struct http_conn *conn);
/* All that are ready, and frees those that are closed. `arg` is a struct http_hub. */
void http_turn_ready(void *arg);
/* Ends what has taken too long. */
void http_turn_expire(struct http_conn *conn, uint64_t now);
/* The server is to stop: reads what has arrived already, closes it where that is nothing. */
void http_turn_drain(struct http_conn *conn);

#endif
