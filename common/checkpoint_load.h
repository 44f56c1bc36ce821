/*
 * From a checkpoint to an index: its entries go into a fresh LevelDB beside the index's directory,
 * DIR.checkpoint-new, which takes the place of DIR in one step when it is whole, verified and on
 * the disk. A crash at any moment leaves the old index or the new one, whole. Everything here
 * blocks.
 */
#ifndef LARDER_COMMON_CHECKPOINT_LOAD_H
#define LARDER_COMMON_CHECKPOINT_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/checkpoint.h"
#include "common/status.h"

struct buf;
struct checkpoint_load;

enum checkpoint_load_kind {
    /* Every entry as it is, "!m…" included: this master goes on where the other one stood. */
    CHECKPOINT_LOAD_COPY,
    /* Of a backup: what happened since is lost. The index gets an identity of its own, is marked as
     * restored ("!mrestored"), and its sequence numbers begin beyond any that was given before. */
    CHECKPOINT_LOAD_RESTORE
};

/* Begins DIR.checkpoint-new; DIR itself is not touched, and may be in use. What an interrupted load
 * left is removed. Where it or one of the others fails, `why` (may be NULL) gets a text for people.
 */
enum status checkpoint_load_begin(struct checkpoint_load **begun, const char *dir,
                                  enum checkpoint_load_kind kind, struct buf *why) MUST_CHECK;
/* A sink for a checkpoint_reader, with the load as its arg. */
extern const struct checkpoint_sink checkpoint_load_sink;
/* Where a reader ended with `st`, and the sink was the reason: says why, unless `why` says
 * something already. Returns `st`. */
enum status checkpoint_load_explain(const struct checkpoint_load *load, enum status st,
                                    struct buf *why);
/* Forgets what has come: another checkpoint follows. */
enum status checkpoint_load_anew(struct checkpoint_load *load) MUST_CHECK;
/* The checkpoint is whole: all is synced, read back and compared. DIR.checkpoint-new is ready
 * afterwards, and the load only to be freed. ST_CORRUPT: it was not read back as it was written. */
enum status checkpoint_load_finish(struct checkpoint_load *load, struct buf *why) MUST_CHECK;
/* What was not finished is removed. */
void checkpoint_load_free(struct checkpoint_load *load);

/* Puts DIR.checkpoint-new, finished, in the place of DIR, and removes what was there. Nobody may
 * have DIR open. Durable when it returns. */
enum status checkpoint_load_swap(const char *dir, struct buf *why) MUST_CHECK;
/* For the start of a master, before it opens DIR: ends or takes back a swap that was interrupted,
 * and removes leftovers. ST_OK also where there are none. */
enum status checkpoint_load_clean(const char *dir, struct buf *why) MUST_CHECK;

/* All of it for a master that joins: fetches a checkpoint (CHECKPOINT_LOAD_COPY) from one of
 * `masters` ("http://host:port", ended by NULL) into DIR.checkpoint-new, for
 * checkpoint_load_swap(). DIR may be in use meanwhile, for stale reads for example. `stopped` (may
 * be NULL) is asked all the time: true ends it with ST_CLOSED. *head tells what was fetched: go on
 * behind head->sequence. The errors of checkpoint_fetch(), ST_NO_SPACE, ST_IO. */
enum status checkpoint_load_fetch(const char *const *masters, const char *dir,
                                  bool (*stopped)(void *arg), void *arg,
                                  struct checkpoint_head *head, struct buf *why) MUST_CHECK;

#endif
