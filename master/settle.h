/* Waits until whatever the loops have decided by now is in the index, for readers to see. */
#ifndef LARDER_MASTER_SETTLE_H
#define LARDER_MASTER_SETTLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/loop.h"
#include "common/status.h"
#include "master/index.h"

struct master;

/* The struct is its owner's, who keeps it while `under_way`; all zero before its first use. */
struct settle {
    struct master *master;
    struct loop *home;
    size_t visited; /* loops */
    bool under_way;
    struct loop_message message;
    struct index_change change; /* empty: its place in the order of changes is all that counts */
    void (*settled)(void *arg, enum status st);
    void *arg;
};

/* Calls `settled` once, on `home`, when every change is visible that was handed to the index in
 * the same turn of any loop in which something was read (of the volumes, say) before this call. A
 * flow that looks at the volumes and commits without leaving its loop in between has either seen
 * what this call's owner knows, or is seen by him. Not ST_OK: the index could not be written, and
 * nothing is known. Not before it has returned, but in tests. */
void settle_start(struct settle *settle, struct master *master, struct loop *home,
                  void (*settled)(void *arg, enum status st), void *arg);
/* Not while it is under way. */
void settle_free(struct settle *settle);

#endif
