/*
 * Has volumes fetch a copy from another one by themselves (PROTOCOL.md, 'Copies between volumes'):
 * its bytes do not pass through here. All of them must be larder's, and the MD5 known: they compare
 * it before they store anything.
 */
#ifndef LARDER_MASTER_HANDOVER_H
#define LARDER_MASTER_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct worker;

struct handover_spec {
    struct worker *worker;
    const char *request; /* the id for logs */
    const char *path;    /* "/aa/bb/NAME" below each place */
    const char *md5;     /* 32 hex digits */
    const char *source;  /* a place that has it */
    const char *const *targets;
    size_t target_count;
    uint64_t length; /* of the value, as far as it is known: a large one may take longer */
    /* Once: each has answered, was in no time, or is down. stored[i]: targets[i] has it durably.
     * On the loop, never before handover_start() has returned. */
    void (*done)(void *arg, const bool *stored);
    void *arg;
};

/* Copies what it needs of the spec. ST_NO_MEMORY: nothing is called. */
enum status handover_start(const struct handover_spec *spec) MUST_CHECK;

#endif
