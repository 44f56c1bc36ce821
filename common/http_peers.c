/*
 * Few names are in use at once (a store has tens of volumes), and a URL is looked up for every
 * exchange: so a small array that is searched, overwritten in turn, and no allocation.
 *
 * It is strict with URLs: what it does not take goes libcurl's way, which knows the rest.
 */
#include "common/http_peers.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"

enum {
    KNOWN = 64,         /* names at once; more are resolved anew each time */
    BELIEVED_MS = 60000 /* as long as libcurl keeps what its resolver said */
};

struct known {
    char host[256];
    char address[INET6_ADDRSTRLEN];
    uint64_t until; /* 0: not in use */
};

struct http_peers {
    struct known list[KNOWN];
    size_t next; /* to be overwritten */
};

struct http_peers *http_peers_new(void)
{
    return calloc(1, sizeof(struct http_peers));
}

void http_peers_free(struct http_peers *peers)
{
    free(peers);
}

/* A URL's parts, which point into it. */
struct parts {
    const char *name; /* host[:port] */
    size_t name_len;
    char host[256]; /* without brackets */
    uint16_t port;
    const char *target;
};

/* ":PORT", or nothing for 80. */
static bool parse_port(const char *text, size_t len, uint16_t *port)
{
    unsigned value = 0;
    *port = 80;
    if (len == 0)
        return true;
    if (text[0] != ':' || len == 1 || len > 6)
        return false;
    for (size_t i = 1; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value > 0 && value <= UINT16_MAX;
}

/* False also for https, and for user names: none of that is for connections of our own. `after` is
 * where the port begins: behind the bracket of an IPv6 address. */
static bool cut(const char *url, struct parts *parts)
{
    if (strncmp(url, "http://", 7) != 0)
        return false;
    parts->name = url + 7;
    parts->name_len = strcspn(parts->name, "/?#");
    parts->target = parts->name + parts->name_len;
    if (parts->name_len > HTTP_PEER_NAME_MAX || memchr(parts->name, '@', parts->name_len))
        return false;
    const char *host = parts->name;
    size_t host_len, after;
    if (*host == '[') {
        const char *end = memchr(host, ']', parts->name_len);
        if (!end)
            return false;
        host++;
        host_len = (size_t)(end - host);
        after = host_len + 2;
    } else {
        const char *colon = memchr(host, ':', parts->name_len);
        host_len = after = colon ? (size_t)(colon - host) : parts->name_len;
    }
    if (host_len == 0 || host_len >= sizeof parts->host)
        return false;
    memcpy(parts->host, host, host_len);
    parts->host[host_len] = '\0';
    return parse_port(parts->name + after, parts->name_len - after, &parts->port);
}

/* False where the host is a name. The address is zeroed first: http_peers_same() compares all of
 * it.
 */
static bool set_address(struct http_peer *peer, const char *numeric, uint16_t port)
{
    memset(&peer->address, 0, sizeof peer->address);
    if (inet_pton(AF_INET, numeric, &peer->address.v4.sin_addr) == 1) {
        peer->address.v4.sin_family = AF_INET;
        peer->address.v4.sin_port = htons(port);
        peer->address_len = sizeof peer->address.v4;
        return true;
    }
    if (inet_pton(AF_INET6, numeric, &peer->address.v6.sin6_addr) != 1)
        return false;
    peer->address.v6.sin6_family = AF_INET6;
    peer->address.v6.sin6_port = htons(port);
    peer->address_len = sizeof peer->address.v6;
    return true;
}

static const char *look_up(const struct http_peers *peers, const char *host)
{
    uint64_t now = loop_now_ms();
    for (size_t i = 0; i < KNOWN; i++)
        if (peers->list[i].until > now && strcmp(peers->list[i].host, host) == 0)
            return peers->list[i].address;
    return NULL;
}

/* FNV-1a, 32 bits (Fowler, Noll, Vo). */
static uint32_t hash_name(const char *name, size_t len)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619U;
    return hash;
}

bool http_peers_find(const struct http_peers *peers, const char *url, struct http_peer *peer,
                     const char **target)
{
    struct parts parts;
    if (!cut(url, &parts))
        return false;
    if (!set_address(peer, parts.host, parts.port)) {
        const char *address = look_up(peers, parts.host);
        if (!address || !set_address(peer, address, parts.port))
            return false;
    }
    memcpy(peer->name, parts.name, parts.name_len);
    peer->name[parts.name_len] = '\0';
    peer->hash = hash_name(parts.name, parts.name_len);
    *target = parts.target;
    return true;
}

/* A name that is known already keeps its place, so that one name never has two addresses. */
void http_peers_know(struct http_peers *peers, const char *url, const char *address)
{
    struct parts parts;
    struct http_peer peer;
    if (!cut(url, &parts) || set_address(&peer, parts.host, parts.port) ||
        !set_address(&peer, address, parts.port) || strlen(address) >= INET6_ADDRSTRLEN)
        return;
    struct known *known = &peers->list[peers->next];
    for (size_t i = 0; i < KNOWN; i++)
        if (strcmp(peers->list[i].host, parts.host) == 0)
            known = &peers->list[i];
    if (known == &peers->list[peers->next])
        peers->next = (peers->next + 1) % KNOWN;
    memcpy(known->host, parts.host, strlen(parts.host) + 1);
    memcpy(known->address, address, strlen(address) + 1);
    known->until = loop_now_ms() + BELIEVED_MS;
}

/* The address belongs to it: a name that has moved is another peer. */
bool http_peers_same(const struct http_peer *a, const struct http_peer *b)
{
    return a->hash == b->hash && strcmp(a->name, b->name) == 0 &&
           a->address_len == b->address_len &&
           memcmp(&a->address, &b->address, a->address_len) == 0;
}
