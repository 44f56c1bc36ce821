/* Notes in the index that a key needs repair, so that the janitor comes to it. */
#ifndef LARDER_MASTER_FLAG_H
#define LARDER_MASTER_FLAG_H

#include <stdbool.h>

#include "common/status.h"

struct key;
struct worker;

enum flag_reason {
    FLAG_FEW,    /* it has copies on volumes that no longer count */
    FLAG_SUSPECT /* a reader or a scrub met a copy that is missing or damaged */
};

/*
 * Locks the key, and commits the flag where the key is visible and does not have it yet. A key that
 * somebody else works on just now is tried again for two seconds where `flagged` is given.
 * `flagged` (may be NULL) is called once, never before flag_start() returned, with why the flag
 * could not be written: ST_BUSY where the key stayed locked (ST_OK also where there was nothing to
 * write). The janitor is called to a key that is suspect now. False: no memory, nothing will be
 * called.
 */
bool flag_start(struct worker *worker, const struct key *key, enum flag_reason reason,
                void (*flagged)(void *arg, enum status st), void *arg);

#endif
