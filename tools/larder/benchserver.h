/* The servers that a thread of `larder bench` talks to: the one that it was given, and those to
 * which that one redirects. Names are resolved once, and block while they are. */
#ifndef LARDER_TOOLS_BENCHSERVER_H
#define LARDER_TOOLS_BENCHSERVER_H

#include <stddef.h>
#include <sys/socket.h>

#include "common/attr.h"

/* A client has a pointer for each server. Bytes of a name, with its NUL. */
enum { BENCHSERVER_MAX = 64, BENCHSERVER_NAME = 256 };

struct benchserver {
    char name[BENCHSERVER_NAME]; /* "host:port", as redirects have it */
    struct sockaddr_storage address;
    socklen_t address_len;
};

/* Zero it to make an empty one. */
struct benchservers {
    struct benchserver list[BENCHSERVER_MAX];
    int count;
};

/* The number of a server, which is added where it is new. -1: its name cannot be resolved, or there
 * are too many; *why (may be NULL; a constant) says which. */
int benchservers_find(struct benchservers *servers, const char *name, size_t len,
                      const char **why) MUST_CHECK;

#endif
