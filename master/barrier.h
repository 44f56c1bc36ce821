/*
 * What stands before a read that must be linearizable: a thread reads the head of the log once for
 * all that wait, and lets each through when the index has come that far.
 */
#ifndef LARDER_MASTER_BARRIER_H
#define LARDER_MASTER_BARRIER_H

#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/loop.h"
#include "common/status.h"

struct barrier;
struct index;
struct oplog_keys;

struct barrier_options {
    const struct oplog_keys *keys;
    char *const *endpoints;
    size_t endpoint_count;
    struct index *index;
    void (*want)(void *arg, uint64_t sequence); /* somebody waits for it; any thread */
    void *arg;
};

/* One that waits. The struct is the caller's, and stays untouched by it until `through` runs, on
 * `loop`, never before the call returned: ST_OK, or ST_LAGGING after 5 s at most. */
struct barrier_wait {
    struct loop *loop;
    void (*through)(void *arg, enum status st);
    void *arg;
    /* the barrier's own: */
    uint64_t sequence, until_ms;
    enum status st;
    struct loop_message message;
    struct barrier_wait *next;
};

/* NULL: no memory or threads. */
struct barrier *barrier_new(const struct barrier_options *options) MUST_CHECK;
/* Ends the thread; who still waits is told ST_LAGGING. */
void barrier_stop(struct barrier *barrier);
/* The same, and frees it. */
void barrier_free(struct barrier *barrier);

/* Until the index has everything that was in the log when this was called, and what belongs to
 * sequence `least`, whichever is more. */
void barrier_pass(struct barrier *barrier, struct barrier_wait *wait, uint64_t least);
/* Until the index has come to `least`. */
void barrier_reach(struct barrier *barrier, struct barrier_wait *wait, uint64_t least);
/* The index has come to this sequence. Any thread. */
void barrier_applied(struct barrier *barrier, uint64_t sequence);

#endif
