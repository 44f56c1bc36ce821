/*
 * A running volume: its loops, its pool, its disks. What of it a request can reach: service.h.
 */
#ifndef LARDER_VOLUME_SERVER_H
#define LARDER_VOLUME_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct config;
struct disk;
struct server;

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

#endif
