/* A checkpoint from another master in place of an index that has missed entries of the log. */
#ifndef LARDER_MASTER_CATCHUP_H
#define LARDER_MASTER_CATCHUP_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"

struct etcd;
struct index;
struct oplog_keys;

struct catchup_spec {
    const struct oplog_keys *keys;
    struct etcd *etcd;
    const char *address; /* ours: not to be asked */
    struct index *index;
    bool (*stopped)(void *arg); /* asked all the time; true ends it */
    void *arg;
};

/* Fetches one and puts it in the place of the index; blocks for as long as that takes. What fails
 * is logged; the index is as it was then. */
enum status catchup_index(const struct catchup_spec *spec) MUST_CHECK;

#endif
