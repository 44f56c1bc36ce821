/*
 * The answer to a GET or HEAD of a value: which part of it, with which fields, and the ways in
 * which its bytes leave but for the stream (stream.c).
 */
#ifndef LARDER_VOLUME_ANSWER_H
#define LARDER_VOLUME_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/md5.h"
#include "volume/store.h"

struct flow;
struct http_request;
struct room;

enum { ANSWER_ETAG = MD5_HEX + 16 };

struct answer {
    int status;              /* 200, 206; 304, 412, 416: without any bytes of the value */
    uint64_t offset, length; /* of the part that is asked for */
    bool sends;              /* its bytes leave: not for HEAD */
    char etag[ANSWER_ETAG];
};

/* What a value that is held in memory leaves in; made by the caller, `bytes` filled by him. */
struct answer_block {
    struct room *room; /* the memory was taken from there */
    size_t taken;
    char bytes[];
};

/* By the conditions and the range of the request. Reads only the head of it, so it may run on the
 * pool. */
void answer_plan(struct answer *answer, const struct http_request *req,
                 const struct store_value *value);

/* Adds the fields of a 200 or 206; for who sends the bytes himself. */
void answer_fields(const struct answer *answer, struct http_request *req,
                   const struct store_value *value);

/* Answers the flow's request. The part goes out of the file by sendfile, or, without bytes, only
 * its head. Owns value->fd from here on. A read that fails meanwhile cuts the connection, and makes
 * the value suspect to the scrub. */
void answer_file(const struct answer *answer, const struct flow *flow,
                 const struct store_value *value);

/* The same out of `bytes`, the part that is asked for, which are copied. Does not use value->fd. */
void answer_bytes(const struct answer *answer, const struct flow *flow,
                  const struct store_value *value, const char *bytes);

/* The same out of `block`, which has the whole value; it is freed, and its memory given back, when
 * the bytes have left. Does not use value->fd. */
void answer_memory(const struct answer *answer, const struct flow *flow,
                   const struct store_value *value, struct answer_block *block);

#endif
