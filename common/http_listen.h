/*
 * A listening TCP socket on a loop. Internal to the HTTP server. Several may listen on the same
 * address and port (SO_REUSEPORT); the kernel spreads the connections. On the loop's thread.
 */
#ifndef LARDER_COMMON_HTTP_LISTEN_H
#define LARDER_COMMON_HTTP_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/attr.h"
#include "common/loop.h"
#include "common/status.h"

struct http_listen;

/* Takes over the accepted socket: non-blocking, close-on-exec, with TCP_NODELAY. `peer` is the
 * listener's, for the length of the call. It must not stop the listener. */
typedef void (*http_listen_fn)(void *arg, int socket, const struct sockaddr_storage *peer);

/* There are no descriptors left: true where one was made free, so that accepting may go on. */
typedef bool (*http_listen_room_fn)(void *arg);

/* Listens on `address` (a name: the first of its addresses that can be had; resolving it blocks).
 * ST_IO (logged) where it cannot, ST_NO_MEMORY. With `exclusive` that is also where anybody listens
 * there already; a program that starts in that very moment is not noticed. */
enum status http_listen_start(struct http_listen **started, struct loop *loop, const char *address,
                              uint16_t port, bool exclusive, http_listen_fn accepted,
                              http_listen_room_fn make_room, void *arg) MUST_CHECK;
/* The port that it has, also where 0 was asked for; host byte order. */
uint16_t http_listen_port(const struct http_listen *listen);
/* Hands over the connections that wait to be accepted (by `accepted`, from within), then closes and
 * frees. NULL is fine. */
void http_listen_stop(struct http_listen *listen);

#endif
