/* What the janitor does for one key: removes its garbage, settles its tombstones, fills up its
 * copies. */
#ifndef LARDER_MASTER_TEND_H
#define LARDER_MASTER_TEND_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/key.h"
#include "common/status.h"

struct worker;

enum tend_end {
    TEND_DONE,  /* nothing is left to do for the key */
    TEND_LATER, /* something is: a volume is away, or it is not due yet */
    TEND_BUSY   /* somebody else works on the key now */
};

/* `tended` is called once, never before tend_start() returned; false: nothing will be called (no
 * memory). */
bool tend_start(struct worker *worker, const struct key *key,
                void (*tended)(void *arg, enum tend_end end), void *arg) MUST_CHECK;

#endif
