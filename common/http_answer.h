/*
 * The answer to a request of ours, read as its bytes arrive (RFC 9112, section 4): pure, no
 * sockets. Strict, since our peers are volumes and proxies before them, which all write CRLF: what
 * cannot be understood ends the exchange, and the connection with it.
 */
#ifndef LARDER_COMMON_HTTP_ANSWER_H
#define LARDER_COMMON_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/http_chunk.h"

enum {
    HTTP_ANSWER_HEAD_MAX = 16 * 1024,
    HTTP_ANSWER_BODY_MAX = 64 * 1024 /* what is kept of a body; the rest is read and dropped */
};

enum http_answer_state {
    HTTP_ANSWER_HEAD, /* more of the head is to come */
    HTTP_ANSWER_BODY, /* more of the body is */
    HTTP_ANSWER_DONE,
    HTTP_ANSWER_BAD /* not HTTP, or memory was short: nothing can be said of what follows */
};

/* All fields are for reading only, and `status`, `body` and the fields valid once it is DONE. */
struct http_answer {
    enum http_answer_state state;
    int status;
    struct buf body; /* up to HTTP_ANSWER_BODY_MAX bytes of it */
    bool reusable;   /* the connection may carry another request afterwards */
    bool begun;      /* a byte of it has arrived */
    /* the reader's own: */
    bool to_head;    /* it answers a HEAD: a length is told, no body follows */
    bool has_length; /* else: chunked, or up to the end of the connection */
    bool chunked;
    uint64_t left;   /* of the length */
    struct buf head; /* as it came; once whole: "name\0value\0" for each field */
    struct http_chunk chunk;
};

/* Prepares for the next answer; keeps the memory of the one before. The struct was zeroed before
 * its first use. */
void http_answer_begin(struct http_answer *answer, bool to_head);

/* Takes what has arrived and returns how many bytes belong to the answer: fewer than `len` only
 * where it is DONE or BAD. */
size_t http_answer_feed(struct http_answer *answer, const char *data, size_t len);

/* The connection has ended: DONE where that is how the body ends, BAD where something is missing.
 */
void http_answer_end(struct http_answer *answer);

/* The value of the first field of that name, in any case of letters; NULL without one. */
const char *http_answer_field(const struct http_answer *answer, const char *name);
void http_answer_each_field(const struct http_answer *answer,
                            void (*fn)(void *arg, const char *name, const char *value), void *arg);

void http_answer_free(struct http_answer *answer);

#endif
