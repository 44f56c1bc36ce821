/* What the janitor does for one key: removes its garbage, settles its tombstones, fills up its
 * copies. */
#ifndef LARDER_MASTER_TEND_H
#define LARDER_MASTER_TEND_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/key.h"
#include "common/status.h"

struct loop;
struct worker;

/* How much of it. */
enum tend_scope {
    TEND_CLEAR, /* garbage and tombstones only */
    TEND_REPAIR /* and its copies, where they are few or suspect */
};

enum tend_end {
    TEND_DONE,  /* nothing is left to do for the key */
    TEND_MORE,  /* what was to be done now is done; more is to come */
    TEND_LATER, /* nothing could be done: a volume is away, no copy is good, or it is not due yet */
    TEND_BUSY   /* somebody else works on the key now */
};

/* Works on the loop of `worker`; from any thread. `tended` is called once, on the loop `home`,
 * never before tend_start() returned; false: nothing will be called (no memory). */
bool tend_start(struct worker *worker, struct loop *home, const struct key *key,
                enum tend_scope scope, void (*tended)(void *arg, enum tend_end end),
                void *arg) MUST_CHECK;

#endif
