/*
 * Waiting for what the master does by itself: sweeps, audits, repairs, the removal of old copies.
 * All waits end at a signal (interrupt.h), which must be watched for. A master that is started
 * again meanwhile is waited for.
 */
#ifndef LARDER_TOOLS_WATCH_H
#define LARDER_TOOLS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct client;
struct json;

enum { WATCH_PAUSE_MS = 300 }; /* between two looks */

/* What /admin/status says of it. */
struct watch_state {
    uint64_t work, settled;         /* keys with work of any kind; those settled so far */
    uint64_t queue, oldest_seconds; /* keys that need repair, as of the last round */
    uint64_t rounds;                /* through all of the work */
    uint64_t replicas;
    bool sweeping, auditing;
    uint64_t sweep_keys, sweep_flagged;
    uint64_t audit_keys, audit_suspects, audit_files, audit_orphans;
};

/* Fills in what is there. */
void watch_parse(struct watch_state *state, const struct json *json);

/* Asks the master (of several the one that writes, which does the work), again for up to a minute
 * where it does not answer; then says so. ST_CLOSED: a signal came. */
enum status watch_look(struct client *client, struct watch_state *state) MUST_CHECK;

/* How many volumes take new values. ST_OK, or it has said why. */
enum status watch_writable(struct client *client, uint64_t *count) MUST_CHECK;

enum watch_end {
    WATCH_DONE,
    WATCH_STUCK,       /* it does not go on */
    WATCH_INTERRUPTED, /* a signal came */
    WATCH_FAILED       /* said */
};

/* Until no key needs repair any more, with progress. WATCH_STUCK (said): their number has not
 * shrunk for `patience_ms`, or there are fewer volumes than copies. */
enum watch_end watch_repairs(struct client *client, uint64_t patience_ms) MUST_CHECK;

/* Until the master has nothing to do at all, so old copies are gone; WATCH_STUCK after `most_ms`.
 */
enum watch_end watch_settle(struct client *client, uint64_t most_ms) MUST_CHECK;

/* --- Does something go on? --- */

/* A number that should shrink. */
struct watch_pace {
    uint64_t least;    /* seen so far */
    uint64_t since_ms; /* when it was first seen */
    uint64_t rounds;   /* of the master, at that time */
};

void watch_pace_begin(struct watch_pace *pace);
/* Notes what the number is now; returns for how many ms it has not shrunk, 0 where the master has
 * not been through all of its work a few times meanwhile: large values take long. */
uint64_t watch_pace_stall(struct watch_pace *pace, uint64_t number, uint64_t rounds) MUST_CHECK;

/* True where `stall_ms` is too long; has said then that `what` cannot go on, and why. */
bool watch_is_stuck(struct client *client, const struct watch_state *state, uint64_t stall_ms,
                    uint64_t patience_ms, const char *what) MUST_CHECK;

#endif
