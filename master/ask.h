/*
 * Sends a small request without a body to each of several places at once, and collects the answers:
 * deletes, tombstones, unlinks, questions whether a copy is there. Who asks that because he is
 * about to copy the value can have it with the answer, if it is small: one exchange instead of two.
 */
#ifndef LARDER_MASTER_ASK_H
#define LARDER_MASTER_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/md5.h"
#include "common/name.h"
#include "common/status.h"

struct ask;
struct key;
struct worker;

/* A value that came with the answer. The asker's, who frees both buffers; they are not touched
 * before the question goes out, nor after it is answered. */
struct ask_value {
    bool whole; /* `bytes` is all of it; else it has more than ASK_VALUE_MAX, or is not there */
    struct buf bytes;
    struct buf type; /* its Content-Type; empty: none was told */
};
enum { ASK_VALUE_MAX = 64 * 1024 };

/* One question: about the file of a version of the key at a place. */
struct ask_item {
    const char *place; /* copied */
    uint64_t generation;
    enum naming naming;
    const char *field; /* a "Name: value" line of the request, or NULL; copied */
    /* Not NULL: instead, a GET of the first ASK_VALUE_MAX bytes, for a place that is larder's; the
     * answer is as if it had been a HEAD. They are not compared with any digest. */
    struct ask_value *value;
};

struct ask_answer {
    enum status st; /* ST_OK: there was an answer */
    int http;
    int64_t length;        /* of the value, -1 where it is not told */
    char md5[MD5_HEX + 1]; /* of the value, as it is told; "" where it is not */
};

/*
 * `answered` is called once, with an answer for each item in their order (its to look at only), on
 * the loop, never before ask_start() returned; the ask is gone afterwards. With 0 items it is
 * called too. Silence longer than `timeout_ms` is an answer with ST_PEER_TIMEOUT; the place's
 * volume then counts as down. ST_NO_MEMORY: nothing was begun, and nothing will be called. Where
 * another master may write by now, only HEAD is sent: else each answer is ST_NOT_WRITER.
 */
enum status ask_start(struct worker *worker, const char *request, const char *method,
                      const struct key *key, const struct ask_item *items, size_t count,
                      unsigned timeout_ms,
                      void (*answered)(void *arg, const struct ask_answer *answers, size_t count),
                      void *arg) MUST_CHECK;

#endif
