/*
 * Reads the answers to requests as their bytes arrive: pure, no sockets. Lenient where a client may
 * be, since it is pointed at other servers too; every answer has a bound on its head.
 */
#ifndef LARDER_TOOLS_BENCHREPLY_H
#define LARDER_TOOLS_BENCHREPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/http_chunk.h"

/* Bytes. A Location may have a key of 1024 bytes in it, each encoded as three. */
enum { BENCHREPLY_HEAD_MAX = 16 * 1024, BENCHREPLY_LOCATION_MAX = 4096 };

enum benchreply_state {
    BENCHREPLY_HEAD, /* more of the head is to come */
    BENCHREPLY_BODY, /* more of the body is */
    BENCHREPLY_DONE, /* whole; status and fields may be read */
    BENCHREPLY_BAD   /* no answer that can be understood */
};

enum benchreply_framing {
    BENCHREPLY_NONE, /* no body */
    BENCHREPLY_LENGTH,
    BENCHREPLY_CHUNKED,
    BENCHREPLY_CLOSE /* up to the end of the connection */
};

struct benchreply {
    enum benchreply_state state;
    enum benchreply_framing framing;
    bool to_head;            /* it answers a HEAD, so there is no body */
    bool closes;             /* the connection is closed after it */
    bool cut;                /* BAD, since the connection ended too early */
    int status;              /* 0: not known yet */
    uint64_t length;         /* as announced, where framing is LENGTH */
    uint64_t got;            /* bytes of the body so far */
    struct http_chunk chunk; /* where framing is CHUNKED */
    struct buf head;         /* a head that came in pieces */
    char md5[64];            /* Content-MD5 as sent; "": none, or too long to be one */
    char location[BENCHREPLY_LOCATION_MAX]; /* "": none, or too long */
};

/* Where the bytes of the body go, with their place in it. */
struct benchreply_sink {
    void (*take)(void *arg, uint64_t offset, const char *data, size_t len);
    void *arg;
};

void benchreply_init(struct benchreply *reply);
void benchreply_free(struct benchreply *reply);

/* Another request was sent: begins anew. */
void benchreply_begin(struct benchreply *reply, bool to_head);

/* Looks at what arrived; the state is in reply->state afterwards. Bytes behind the end of the
 * answer make it BAD: there was no second request. */
void benchreply_feed(struct benchreply *reply, const char *data, size_t len,
                     const struct benchreply_sink *sink);

/* `len` bytes of the body were thrown away unread; only where benchreply_left() allows it. */
void benchreply_skip(struct benchreply *reply, size_t len);

/* Bytes of the body that are to come and have no framing between them; 0: not known. */
uint64_t benchreply_left(const struct benchreply *reply) MUST_CHECK;

/* The connection has ended. */
void benchreply_end(struct benchreply *reply);

/* True where a byte of it has arrived. */
bool benchreply_begun(const struct benchreply *reply) MUST_CHECK;

#endif
