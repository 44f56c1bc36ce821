/*
 * Removes the garbage copies of a key, and keeps or forgets its tombstones on volumes, as its
 * record says. The key is locked by the caller, who commits what has changed in the record
 * afterwards.
 */
#ifndef LARDER_MASTER_BURY_H
#define LARDER_MASTER_BURY_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"

struct key;
struct record;
struct worker;

/*
 * Asks the volumes that are up to delete the copies in rec->garbage that are due; those that are
 * known to be gone, and cannot come yet, leave the list. `careful`, for who has time: only volumes
 * that have been up for a while, and no more than a few dozen copies at a time. Where some
 * stay and the key has a tombstone, it is put on volumes that are up, so that an index made anew
 * from the volumes knows it too; where none stay, it is taken off them again. `rec` and `key` stay
 * the caller's, and must stay until `buried` is called: once, never before bury_start() returned.
 * ST_NO_MEMORY: nothing will be called.
 */
enum status bury_start(struct worker *worker, const char *request, const struct key *key,
                       struct record *rec, bool careful, void (*buried)(void *arg),
                       void *arg) MUST_CHECK;

#endif
