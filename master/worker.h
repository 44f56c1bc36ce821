/*
 * What a request can reach: the master's shared parts, and those of the loop that it runs on.
 */
#ifndef LARDER_MASTER_WORKER_H
#define LARDER_MASTER_WORKER_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/buf.h"

struct bell;
struct changes;
struct cluster;
struct config;
struct http_client;
struct http_request;
struct http_server;
struct index;
struct janitor;
struct keylock;
struct lease;
struct loop;
struct pool;
struct ration;
struct roll;
struct snapshots;
struct volumes;
struct worker;

/* Shared by all loops; each part does its own locking. */
struct master {
    const struct config *config;
    struct index *index;
    struct cluster *cluster; /* NULL: there is one master only */
    bool (*may_write)(struct cluster *cluster);
    uint64_t (*term)(struct cluster *cluster); /* in which it writes; 0: it does not */
    struct keylock *locks;                     /* of keys */
    struct volumes *volumes;
    struct roll *roll;       /* through it what is lasting of the volumes changes */
    struct pool *pool;       /* for what blocks: scans */
    struct changes *changes; /* of the index; for watchers */
    struct snapshots *snapshots;
    struct lease *repairs;   /* who brings a restored index and the volumes together */
    struct janitor *janitor; /* runs on the first worker's loop */
    struct bell *bell;       /* the janitor's; NULL before it is there */
    struct worker *workers;  /* one a loop; the row stays until all threads have ended */
    size_t worker_count;
    uint64_t started_ms; /* of loop_now_ms() */
    /* Of loop_now_ms(): a volume has lately stored something else than was meant. */
    atomic_uint_fast64_t doubt_until_ms;
};

/* One event loop and what lives on it. Only its own thread touches it, but for `requests`. */
struct worker {
    struct master *master;
    struct loop *loop;
    struct http_server *server;
    struct http_client *client;    /* for requests to volumes */
    struct ration *copies;         /* what may be copied from volume to volume at the same time */
    uint64_t random;               /* state of worker_random() */
    struct buf texts[2];           /* of the GET that is being answered; kept for the next */
    uint64_t expected;             /* index_expect()'s */
    atomic_uint_fast64_t requests; /* of clients, so far: not those for /admin/ */
};

/* True where this master may change the index and the volumes at this moment: of several, one may.
 */
static inline bool master_may_write(const struct master *master)
{
    return !master->cluster || master->may_write(master->cluster);
}

/* The term in which this master writes; 0 where it does not, or there is one master only. */
static inline uint64_t master_term(const struct master *master)
{
    return master->cluster ? master->term(master->cluster) : 0;
}

/* What requests to volumes that change something there say, and health checks: "Larder-Term: N" in
 * `text`; volumes refuse older terms from then on. NULL, so that it can end a list of fields, where
 * there is one master only, or this one does not write. */
enum { MASTER_TERM_FIELD = 40 };
static inline const char *master_term_field(const struct master *master,
                                            char text[MASTER_TERM_FIELD])
{
    uint64_t term = master_term(master);
    if (!term)
        return NULL;
    (void)snprintf(text, MASTER_TERM_FIELD, "Larder-Term: %" PRIu64, term);
    return text;
}

/* A number below `below`, good enough to spread readers. */
static inline size_t worker_random(struct worker *worker, size_t below)
{
    /* xorshift64* (Vigna, 2016) */
    uint64_t x = worker->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    worker->random = x;
    return (size_t)((x * 0x2545F4914F6CDD1DULL >> 33) % below);
}

#endif
