/*
 * A row of addresses, filled as servers are met and never emptied: their numbers stand for them in
 * connections. One row a thread, so that nothing is locked.
 */
#include "tools/larder/benchserver.h"

#include <netdb.h>
#include <string.h>

/* Cuts "host:port", "host", "[::1]:port" in two, in place. */
static char *cut_port(char *name)
{
    static char http[] = "80";
    char *colon = strrchr(name, ':');
    const char *bracket = strrchr(name, ']');
    if (!colon || (bracket && colon < bracket))
        return http;
    *colon = 0;
    return colon + 1;
}

/* The first address that the name has: one server is one address in all that is measured. NULL, or
 * why there is none. */
static const char *resolve(struct benchserver *server)
{
    char text[BENCHSERVER_NAME];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    memcpy(text, server->name, sizeof text);
    /* The name stays as it is: it goes into Host, and is what redirects are compared with. */
    const char *port = cut_port(text);
    char *host = text;
    size_t len = strlen(host);
    if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        host++;
    }
    int code = getaddrinfo(host, port, &hints, &found);
    if (code)
        return gai_strerror(code);
    memcpy(&server->address, found->ai_addr, found->ai_addrlen);
    server->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return NULL;
}

/* A thread meets few servers, so a row is searched faster than anything cleverer. */
int benchservers_find(struct benchservers *servers, const char *name, size_t len, const char **why)
{
    const char *none;
    if (!why)
        why = &none;
    for (int i = 0; i < servers->count; i++)
        if (strncmp(servers->list[i].name, name, len) == 0 && servers->list[i].name[len] == 0)
            return i;
    *why = "there are more than 64 servers";
    if (servers->count == BENCHSERVER_MAX)
        return -1;
    *why = "its name is too long";
    if (len >= BENCHSERVER_NAME)
        return -1;
    struct benchserver *server = &servers->list[servers->count];
    memset(server, 0, sizeof *server);
    memcpy(server->name, name, len);
    *why = resolve(server);
    return *why ? -1 : servers->count++;
}
