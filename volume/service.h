/*
 * What a running volume serves its requests with. The server makes it, and it outlives all of them;
 * routes and flows reach no further up. It is complete before the first loop runs, and does not
 * change from then on, but for the counters.
 */
#ifndef LARDER_VOLUME_SERVICE_H
#define LARDER_VOLUME_SERVICE_H

#include <stdatomic.h>
#include <stdint.h>

#include "volume/fence.h"

struct batches;
struct called;
struct config;
struct gates;
struct http_server;
struct loop;
struct masters;
struct pool;
struct pulls;
struct room;
struct scrub;
struct spares;
struct subvolumes;
struct trusted;

/* What requests count, for /admin/metrics, and for the scrub, which gives way where they go up. Any
 * thread, by atomics. */
struct service_counters {
    atomic_uint_least64_t puts, gets, deletes, unlinks, lists; /* that began */
    atomic_uint_least64_t bytes_written;  /* of values that were acknowledged */
    atomic_uint_least64_t holes;          /* readers sent back to a master */
    atomic_uint_least64_t reads_verified; /* values compared with their MD5 for a reader */
    atomic_uint_least64_t reads_damaged;  /* that were not what they should be, or unreadable */
};

/* A loop and the HTTP server on it, to be touched on its thread. */
struct service_lane {
    struct loop *loop;
    struct http_server *http;
    const struct service_lane *next; /* NULL after the last */
};

/* All of it is the server's. */
struct service {
    const struct config *config;
    struct subvolumes *all;
    struct called *called; /* the name that it has in the store */
    struct pool *pool;
    struct gates *gates;     /* the ways into the pool, one a subvolume: requests take these */
    struct batches *batches; /* small values that are written together */
    struct pulls *pulls;     /* copies that are fetched from other volumes */
    struct masters *masters; /* who may ask for these */
    struct scrub *scrub;
    struct trusted *trusted;          /* values that were verified lately */
    struct room *room;                /* memory for answers that do not come from the page cache */
    struct spares *chunks;            /* for values that pass by the page cache */
    const struct service_lane *lanes; /* the first */
    struct service_counters counters;
    struct fence fence;  /* between a master that wrote before, and who writes now */
    uint64_t started_ms; /* unix time */
};

#endif
