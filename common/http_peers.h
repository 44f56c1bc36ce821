/*
 * Whom a URL means: host and port as they are named, and the address to connect to. Nothing is
 * resolved here, since that blocks: a host is an address itself, or a name whose address somebody
 * has told lately.
 */
#ifndef LARDER_COMMON_HTTP_PEERS_H
#define LARDER_COMMON_HTTP_PEERS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/attr.h"

enum { HTTP_PEER_NAME_MAX = 271 }; /* 255 of a host, brackets, ':' and a port */

struct http_peer {
    uint32_t hash;                     /* of the name */
    char name[HTTP_PEER_NAME_MAX + 1]; /* host[:port] as in the URL */
    socklen_t address_len;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
};

struct http_peers; /* names and their addresses; of one thread */

struct http_peers *http_peers_new(void) MUST_CHECK;
void http_peers_free(struct http_peers *peers);

/* Fills `peer` and points *target to what follows the host in the URL ("" where nothing does).
 * False: not an http URL that can be used, or a name without an address. */
bool http_peers_find(const struct http_peers *peers, const char *url, struct http_peer *peer,
                     const char **target) MUST_CHECK;

/* The URL's host was reached at the numeric `address`; believed for a minute, so that a name that
 * moves is noticed. No-op where the host is an address, or where memory is short. */
void http_peers_know(struct http_peers *peers, const char *url, const char *address);

bool http_peers_same(const struct http_peer *a, const struct http_peer *b);

#endif
