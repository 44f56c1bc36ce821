/* The master as a whole: its parts in the order in which they start and stop. */
#ifndef LARDER_MASTER_SERVER_H
#define LARDER_MASTER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct config;
struct server;

/* Opens the index, starts loops and threads, listens. What fails is logged. */
enum status server_start(struct server **to, const struct config *config) MUST_CHECK;
uint16_t server_port(const struct server *server);
/* Takes no new connections, lets requests under way finish (10 s at most), makes everything
 * durable, frees. False where some requests had to be cut off: the process should end without
 * further ado. */
bool server_stop(struct server *server);

#endif
