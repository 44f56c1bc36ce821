/* Whether an index belongs to the store that a log in etcd is of. */
#ifndef LARDER_MASTER_ATTACH_H
#define LARDER_MASTER_ATTACH_H

#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct etcd;
struct index;
struct oplog_keys;

enum attach_end {
    ATTACH_FOLLOWS, /* it goes on with the log behind its own sequence */
    ATTACH_JOINS,   /* it is blank: it needs a checkpoint */
    ATTACH_REFUSED  /* it is another store's, or went its own way: logged, with what can be done */
};

/* Compares the index with PREFIX/store; where there is none yet, publishes the index as the store.
 * A blank index becomes one of the store, if that was blank itself when it was published. Blocks.
 * *head: how far the log has come. ST_UNAVAILABLE: etcd does not answer, nothing is known. */
enum status attach_index(struct index *index, const struct oplog_keys *keys, struct etcd *etcd,
                         enum attach_end *end, uint64_t *head) MUST_CHECK;
/* The log ends before what the index has of it: etcd was set back. Says so to the operator. */
void attach_explain_set_back(struct index *index, uint64_t head);

#endif
