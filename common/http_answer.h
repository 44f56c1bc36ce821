/*
 * The answer to a request of ours, read as its bytes arrive (RFC 9112, section 4): pure, no
 * sockets. Strict, since our peers are masters, volumes and proxies before them, which all write
 * CRLF: what cannot be understood ends the exchange, and the connection with it.
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
    HTTP_ANSWER_BODY_MAX = 64 * 1024 /* what is kept without a sink; the rest is read and dropped */
};

enum http_answer_state {
    HTTP_ANSWER_HEAD, /* more of the head is to come */
    HTTP_ANSWER_BODY, /* more of the body is */
    HTTP_ANSWER_DONE,
    HTTP_ANSWER_BAD /* not HTTP, or memory was short: nothing can be said of what follows */
};

/* Where the bytes of a body go as they arrive, with their place in it. It may look at the answer,
 * whose head is whole, and must not change it. */
struct http_answer_sink {
    void (*take)(void *arg, uint64_t offset, const char *data, size_t len);
    void *arg;
};

/* All fields but `sink` are for reading only; `status`, `length` and the fields are valid from BODY
 * on, `body` and `reusable` once it is DONE. */
struct http_answer {
    const struct http_answer_sink *sink; /* the owner's, for all answers; NULL: kept in `body` */
    enum http_answer_state state;
    int status;
    struct buf body; /* up to HTTP_ANSWER_BODY_MAX bytes of it, where there is no sink */
    uint64_t length; /* as announced; 0: not announced */
    uint64_t got;    /* bytes of the body so far */
    bool to_head;    /* it answers a HEAD: a length is told, no body follows */
    bool reusable;   /* the connection may carry another request afterwards */
    bool begun;      /* a byte of it has arrived */
    bool cut;        /* BAD, since the connection ended too early */
    /* the reader's own: */
    bool has_length; /* else: chunked, or up to the end of the connection */
    bool chunked;
    struct buf head; /* as it came; once whole: "name\0value\0" for each field */
    struct http_chunk chunk;
};

/* Prepares for the next answer; keeps the sink, and the memory of the one before. The struct was
 * zeroed before its first use. */
void http_answer_begin(struct http_answer *answer, bool to_head);

/* Takes what has arrived and returns how many bytes belong to the answer: fewer than `len` only
 * where it is DONE or BAD. */
size_t http_answer_feed(struct http_answer *answer, const char *data, size_t len);

/* Bytes of the body that are to come and have no framing between them; 0: not known. */
uint64_t http_answer_left(const struct http_answer *answer) MUST_CHECK;

/* `len` bytes of the body were thrown away unread: at most http_answer_left() of them. */
void http_answer_skip(struct http_answer *answer, size_t len);

/* What its owner saw, as bytes behind its end, makes it BAD. */
void http_answer_spoil(struct http_answer *answer);

/* The connection has ended: DONE where that is how the body ends, BAD where something is missing.
 */
void http_answer_end(struct http_answer *answer);

/* The value of the first field of that name, in any case of letters; NULL without one. */
const char *http_answer_field(const struct http_answer *answer, const char *name);
void http_answer_each_field(const struct http_answer *answer,
                            void (*fn)(void *arg, const char *name, const char *value), void *arg);

void http_answer_free(struct http_answer *answer);

#endif
