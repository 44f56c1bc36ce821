/*
 * Syncs the index of one of several masters now and then, tells the others how far it is, and
 * deletes entries of the log that nobody needs any more: at the writer, and where there is none
 * (DESIGN.md, 'Trimming').
 */
#ifndef LARDER_MASTER_TRIM_H
#define LARDER_MASTER_TRIM_H

#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct buf;
struct index;
struct lead;
struct oplog_keys;
struct trim;

struct trim_options {
    const struct oplog_keys *keys;
    char *const *endpoints;
    size_t endpoint_count;
    const char *address; /* ours */
    struct index *index;
    struct lead *lead;
    uint64_t retain_bytes; /* of entries, for members that are away */
    const char *(*role)(void *arg);
    void *arg;
};

/* Starts the thread. NULL: no memory or threads. */
struct trim *trim_new(const struct trim_options *options) MUST_CHECK;
/* Syncs once more, and ends the thread. */
void trim_stop(struct trim *trim);
/* The same, and frees it. */
void trim_free(struct trim *trim);

/* An entry of so many bytes, with `last` the sequence of its last change, was applied. Any thread.
 */
void trim_count(struct trim *trim, uint64_t last, size_t bytes);
/* Up to where the index is synced. */
uint64_t trim_synced(struct trim *trim);
/* Appends the members as they last told of themselves: the inside of a JSON array. */
void trim_members(struct trim *trim, struct buf *out);

#endif
