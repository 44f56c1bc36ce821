/*
 * A running volume: its loops, its pool, its disks, and everything that a request can reach.
 */
#ifndef LARDER_VOLUME_SERVER_H
#define LARDER_VOLUME_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct config;
struct disk;
struct gates;
struct http_server;
struct loop;
struct pool;
struct registrar;
struct scrub;
struct server;
struct subvolumes;

/* What requests count, for /admin/metrics. */
struct server_counters {
    atomic_uint_least64_t puts, gets, deletes, unlinks, lists; /* that began */
    atomic_uint_least64_t bytes_written; /* of values that were acknowledged */
    atomic_uint_least64_t holes;         /* readers sent back to a master */
};

/* Opens the directory, starts the threads, listens, registers at the masters. `config` and `disk`
 * must outlive it. On failure the reason has been printed to standard error. */
enum status server_start(struct server **server, const struct config *config,
                         const struct disk *disk) MUST_CHECK;

/*
 * No new connections; waits at most `timeout_ms` until the requests under way have been answered,
 * and ends the loops. True: they have, and server_free() may be called. False: some have not; their
 * threads may be stuck in a disk, so the process had better end without freeing anything.
 */
bool server_stop(struct server *server, unsigned timeout_ms) MUST_CHECK;
void server_free(struct server *server);

uint16_t server_port(const struct server *server);
const struct config *server_config(const struct server *server);
struct pool *server_pool(const struct server *server);
/* The ways into the pool, one a subvolume: requests take these. */
struct gates *server_gates(const struct server *server);
struct subvolumes *server_subvolumes(const struct server *server);
struct scrub *server_scrub(const struct server *server);
struct server_counters *server_counters(struct server *server);
uint64_t server_started_ms(const struct server *server); /* unix time */

/* The loops, 0 to server_loops() - 1, and the HTTP server on each, to be touched on its loop. */
unsigned server_loops(const struct server *server);
struct loop *server_loop(const struct server *server, unsigned i);
struct http_server *server_http(const struct server *server, unsigned i);

#endif
