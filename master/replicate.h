/*
 * Writes one value to several places at the same time, as its bytes come in. They pass through a
 * window of at most 512 KiB, so the slowest replica sets the pace. A replica that fails, stands
 * still or is down is dropped; while the value's beginning is still in the window, the next
 * candidate takes over.
 */
#ifndef LARDER_MASTER_REPLICATE_H
#define LARDER_MASTER_REPLICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/md5.h"
#include "common/status.h"

struct replicate;
struct worker;

struct replicate_spec {
    struct worker *worker;
    const char *request;           /* the id for logs */
    const char *path;              /* "/aa/bb/NAME" below each place */
    const char *const *candidates; /* places, best first; copied */
    size_t candidate_count;
    size_t wanted;    /* copies to make */
    size_t minimum;   /* fewer: it fails */
    int64_t length;   /* of the value, -1: not known */
    const char *type; /* Content-Type to keep, or NULL */
    bool digest;      /* compute the MD5, and compare it with what the volumes say they stored */
    const char
        *expected_md5;  /* 32 hex digits, or NULL. The last byte is held back until it matched */
    bool checked_there; /* instead, the volumes compare with expected_md5 before they store
                           anything, and no digest is computed here: all candidates are larder's */
    /* The window has room again after replicate_data() took less than all. On the loop, never from
     * inside a function of this module. */
    void (*room)(void *arg);
    /* Once: it is over. ST_OK where at least `minimum` copies are durable. Else ST_DIGEST,
     * ST_UNAVAILABLE, ST_NO_SPACE, ST_PEER (the volumes do not agree on what it is). Ask what was
     * stored where, then replicate_free(). */
    void (*done)(void *arg, enum status st);
    void *arg;
};

/* Starts the calls. NULL: no memory. */
struct replicate *replicate_start(const struct replicate_spec *spec) MUST_CHECK;

/* Takes bytes of the value; how many. Fewer than `len`: wait for `room`. */
size_t replicate_data(struct replicate *rep, const void *data, size_t len);
/* All bytes were given. `done` follows. */
void replicate_end(struct replicate *rep);

/* Breaks off without `done` (or cleans up after it), and frees. What volumes have of it is
 * incomplete, and they drop it. */
void replicate_free(struct replicate *rep);

/* After `done`: how candidate i ended. */
enum replica_end { REPLICA_UNUSED, REPLICA_STORED, REPLICA_FAILED };
enum replica_end replicate_result(const struct replicate *rep, size_t i);
uint64_t replicate_length(const struct replicate *rep);
/* The MD5 of the value, "" without `digest`. */
const char *replicate_md5(const struct replicate *rep);

#endif
