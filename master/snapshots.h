/*
 * The snapshots of the index that checkpoints are read from. One is held for a while after its
 * reader broke off, so that it can go on; LevelDB keeps what they need, so there are few of them,
 * and none grows old.
 */
#ifndef LARDER_MASTER_SNAPSHOTS_H
#define LARDER_MASTER_SNAPSHOTS_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/checkpoint.h"
#include "common/status.h"

struct index;
struct index_snapshot;
struct snapshot;
struct snapshots;
struct worker;

enum {
    SNAPSHOTS_MAX = 4,
    SNAPSHOTS_HELD_MS = 2 * 60 * 1000,    /* without a reader */
    SNAPSHOTS_AGE_MS = 6 * 60 * 60 * 1000 /* with one, too */
};

/* What has to go is looked for on `worker`'s loop and the pool. NULL: no memory. */
struct snapshots *snapshots_new(struct worker *worker) MUST_CHECK;
/* On the worker's loop: readers are to break off at their next step, and no more is looked for. */
void snapshots_stop(struct snapshots *snapshots);
bool snapshots_stopped(const struct snapshots *snapshots);
/* True where nothing of its own is under way (after snapshots_stop). */
bool snapshots_idle(const struct snapshots *snapshots);
/* Before the index is closed, when nobody reads any more. */
void snapshots_free(struct snapshots *snapshots);

/* --- These block on the disk, and belong on the work pool. --- */

/* Takes one of the moment. ST_BUSY: as many as may be are being read; ST_NO_MEMORY, ST_IO. */
enum status snapshots_take(struct snapshots *snapshots, struct snapshot **taken) MUST_CHECK;
/* One that is held, by its id. ST_GONE: it is not, or has grown too old; ST_BUSY. */
enum status snapshots_resume(struct snapshots *snapshots, const char *id,
                             struct snapshot **taken) MUST_CHECK;
/* The reader ends. `keep`: it broke off, and may come back. */
void snapshots_release(struct snapshots *snapshots, struct snapshot *snapshot, bool keep);
/* Lets go of those that are due; for tests, else it happens by itself. */
void snapshots_sweep(struct snapshots *snapshots);

/* Both are valid from taking to releasing. */
const struct checkpoint_head *snapshots_head(const struct snapshot *snapshot);
struct index_snapshot *snapshots_index(const struct snapshot *snapshot);
/* True where it has grown too old to go on with. */
bool snapshots_expired(const struct snapshot *snapshot);

#endif
