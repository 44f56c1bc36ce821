/*
 * A checkpoint from a running master, over HTTP, into a reader: GET /admin/checkpoint, resumed
 * where it breaks off. Blocks; for a thread of its own.
 */
#ifndef LARDER_COMMON_CHECKPOINT_FETCH_H
#define LARDER_COMMON_CHECKPOINT_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct buf;
struct checkpoint_reader;

struct checkpoint_fetch {
    const char *const *masters; /* "http://host:port", ended by NULL; one that does not answer is
                                   passed over. Only the one that began a checkpoint has its rest */
    struct checkpoint_reader *reader; /* as new, or in the middle of one that broke off */
    /* The master does not hold the snapshot any more: all that came is to be forgotten, a new
     * checkpoint follows. Whatever it returns but ST_OK ends the fetch with it. May be NULL. */
    enum status (*anew)(void *arg);
    /* Asked at every piece, and at least once a second while nothing comes: true ends it. May be
     * NULL. */
    bool (*stopped)(void *arg);
    void *arg;
    unsigned patience_ms; /* gives up where not a block has come for so long; 0: 60 s */
};

/* Returns when the checkpoint is whole: ST_OK. ST_CLOSED: stopped. ST_UNAVAILABLE: no master
 * answers. ST_PEER, ST_PEER_TIMEOUT: it broke off again and again. ST_CORRUPT,
 * ST_NOT_IMPLEMENTED: see checkpoint_reader_fault(). Else what the reader's sink returned. `why`
 * (may be NULL) gets a text for people where it failed, but for what the sink returned. Nothing is
 * logged. */
enum status checkpoint_fetch(const struct checkpoint_fetch *fetch, struct buf *why) MUST_CHECK;

#endif
