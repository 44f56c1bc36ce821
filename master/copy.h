/*
 * Copies one version of a value from a volume that has it to others, through the master, in the
 * window of replicate.h. What does not match the MD5 in the index is never made a copy of: the next
 * source is tried then. Volumes of larder compare it themselves before the copy is there; for
 * others the master does, and holds the last byte back.
 */
#ifndef LARDER_MASTER_COPY_H
#define LARDER_MASTER_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct copy_job;
struct worker;

struct copy_spec {
    struct worker *worker;
    const char *request; /* id for logs */
    const char *path;    /* "/aa/bb/NAME" below each place; copied */
    const char *md5;     /* 32 hex digits, or "" where it is not known; copied */
    const char *const
        *sources; /* places to read from, in the order in which they are tried; copied */
    size_t source_count;
    const char *const *targets; /* places to write to, all of them; copied */
    size_t target_count;
    uint64_t length; /* of the value, as far as it is known: how many are copied at once */
    /* Not NULL: all of the value, `length` bytes, as sources[0] has just sent it, and its type
     * (NULL: none). The caller's, until `done`. */
    const char *value, *type;
    /* Once: ST_OK where at least one target has a durable copy: stored[i] says which. `bytes` is
     * the value's length. The job is gone afterwards. */
    void (*done)(void *arg, enum status st, const bool *stored, uint64_t bytes);
    void *arg;
};

/* Never calls `done` before it returns. ST_NO_MEMORY: nothing will be called. */
enum status copy_start(const struct copy_spec *spec) MUST_CHECK;

#endif
