/*
 * Brings the copies of a key to where placement wants them: what REBALANCE does for a client, and
 * the janitor for keys with too few copies.
 */
#ifndef LARDER_MASTER_SPREAD_H
#define LARDER_MASTER_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct key;
struct record;
struct worker;

/*
 * Looks which copies are there, copies to the places that lack one (the intent is committed before,
 * so nothing is left behind unknown), and changes the record: new places, and what stands elsewhere
 * as garbage that is due after the grace time. The key is locked by the caller, who commits the
 * record afterwards and before anything is deleted. `rec` and `key` stay the caller's.
 *
 * `done` is called once, never before spread_start() returned: ST_OK where the copies are as
 * wanted now; ST_NOT_FOUND where the volumes that are up hold none of them; else why it stopped.
 * `moved` counts the bytes written. ST_NO_MEMORY: nothing will be called.
 */
enum status spread_start(struct worker *worker, const char *request, const struct key *key,
                         struct record *rec,
                         void (*done)(void *arg, enum status st, uint64_t moved),
                         void *arg) MUST_CHECK;

/* False where spreading could add no copy now: no place without one can take it. Asks no volume. */
bool spread_would_help(struct worker *worker, const struct key *key,
                       const struct record *rec) MUST_CHECK;

#endif
