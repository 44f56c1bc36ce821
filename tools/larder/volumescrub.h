/* The scrubs of all volumes: each reads all its values and compares them with their MD5s. */
#ifndef LARDER_TOOLS_VOLUMESCRUB_H
#define LARDER_TOOLS_VOLUMESCRUB_H

#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct client;
struct volumescrub;

/* What they say in sum. */
struct volumescrub_sum {
    uint64_t running; /* volumes that are at it */
    uint64_t values, bytes, damaged;
    uint64_t total;  /* bytes that there are; 0 where one does not know */
    uint64_t untold; /* damaged values of which no master knows yet */
};

/* Asks the master who they are. Volumes that cannot be scrubbed are told. NULL: said. */
struct volumescrub *volumescrub_new(struct client *client) MUST_CHECK;
void volumescrub_free(struct volumescrub *scrub);

/* Has each begin. Those that do not know how are told, and passed over. Returns how many began. */
uint64_t volumescrub_begin(struct volumescrub *scrub);

/* Asks each how far it is. One that is away is taken for running for a while, then it is told and
 * given up. */
void volumescrub_look(struct volumescrub *scrub, struct volumescrub_sum *sum);

#endif
