/*
 * One connection of the HTTP server: its socket, its buffers, and the request that it is at.
 * Internal to http_*.c. From below: http_io moves bytes; http_conn owns the socket and the phases;
 * http_body and http_reply work on the request; http_turn takes a connection from one phase to the
 * next; http_server has all connections.
 *
 * Nothing here calls a handler, a sink or `drained` but http_turn. The functions that a handler
 * calls only note what is wanted and wake the connection, so a handler is never entered from within
 * itself, and a connection never goes away under its feet.
 */
#ifndef LARDER_COMMON_HTTP_CONN_H
#define LARDER_COMMON_HTTP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/http_chunk.h"
#include "common/http_head.h"
#include "common/http_io.h"
#include "common/http_stats.h"
#include "common/loop.h"
#include "common/status.h"

struct http_body_sink;
struct http_request;

enum {
    HTTP_DROP_MAX = 1024 * 1024, /* bytes of a body that nobody wants, to keep a connection */
    HTTP_ID_MAX = 31,            /* bytes of a request's id; 8 + 1 + 16 are used */
    HTTP_LINGER_MS = 5000        /* how long a client may go on sending after our side is closed */
};

/* Where a connection is; http_conn.c has the table of moves. */
enum http_phase {
    HTTP_PHASE_HEAD,     /* waits for a head: idle, or part of it is there */
    HTTP_PHASE_REQUEST,  /* a request is with its handler */
    HTTP_PHASE_LOST,     /* the same, but the client is gone: waits for the answer to be given up */
    HTTP_PHASE_ANSWERED, /* the answer is complete, and leaves; the rest of the body is dropped */
    HTTP_PHASE_LINGER,   /* we send no more; what still arrives is dropped */
    HTTP_PHASE_CLOSED    /* no socket any more; freed on the next turn */
};

/* Where the body of the request is. */
enum http_body {
    HTTP_BODY_NONE,    /* there is none, or it has been read to its end */
    HTTP_BODY_HELD,    /* announced; nobody has asked for it yet */
    HTTP_BODY_WANTED,  /* goes to the sink as it arrives */
    HTTP_BODY_FULL,    /* the sink has no room just now */
    HTTP_BODY_DROPPED, /* answered already; read and dropped */
    HTTP_BODY_BROKEN   /* broke off; the sink has been told */
};

/* What becomes of the connection after the answer; a request only ever moves down this list. */
enum http_after {
    HTTP_AFTER_NEXT,   /* the next request */
    HTTP_AFTER_CLOSE,  /* closed, with 'Connection: close' */
    HTTP_AFTER_LINGER, /* the same, but the client may still be sending: drained first, because a
                          close would answer that with a reset, and lose it the answer */
    HTTP_AFTER_RESET   /* cut at once: what has left must not look like a whole answer */
};

/* What the connections of one server share; http_server.c owns it, and it outlives them. Everything
 * in it belongs to the loop's thread: nothing here is locked. Times are milliseconds. */
struct http_hub {
    struct loop *loop;
    void (*handler)(struct http_request *req, void *arg);
    void (*answering)(struct http_request *req, void *arg);
    void (*expecting)(const char *path, size_t len, void *arg);
    void *handler_arg;
    unsigned max_connections; /* beyond it a connection is of the reserve */
    unsigned head_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms;
    struct http_server_stats stats;
    struct http_conn *first;       /* all connections */
    struct http_conn *ready;       /* those to look at on the next turn, and closed ones to free */
    struct http_conn **ready_last; /* where the next is hung: the last one's ready_next */
    struct loop_later turn;        /* set while `ready` is not empty */
    unsigned under_way;            /* requests whose answer has not left yet */
    bool draining;                 /* no connection outlives its answer any more */
    uint64_t last_id;              /* of a request */
    unsigned number;      /* of this server in the process: makes the ids unique among its loops */
    char server_line[80]; /* "Server: …\r\n" */
    time_t usual_second;  /* of usual_lines */
    size_t usual_len;
    char usual_lines[160]; /* what all answers of that second have: see http_conn_usual() */
};

/* The request that a connection is at; part of it, and used again for the next, so its memory
 * (head_bytes, fields) stays from one to the next. A handler has it from its call to its answer;
 * from then on the connection alone works on it. */
struct http_request {
    struct http_conn *conn;
    struct http_head head; /* points into head_bytes */
    char *head_bytes;
    size_t head_cap;
    char id[HTTP_ID_MAX + 1]; /* "SERVER-COUNT", both in hex */
    uint64_t started_ms;      /* loop_coarse_ms() when the head was complete */

    enum http_body body;
    uint64_t left;           /* bytes of a body of known length that have not been consumed */
    struct http_chunk chunk; /* of a chunked one */
    uint64_t dropped;        /* bytes of it that were dropped after the answer */
    const struct http_body_sink *sink; /* the handler's; NULL once it has heard the end */
    void *sink_arg;
    enum status broken;   /* why the body breaks off; the sink is still to be told */
    bool awaits_continue; /* the client waits for 100 Continue, which was not sent */

    struct buf fields; /* of the answer, as lines */
    bool started;      /* http_reply_start() was called */
    bool in_chunks;    /* its pieces are chunks */
    enum http_after after;
    void (*drained)(void *arg, bool alive); /* to be called when the output is empty */
    void *drained_arg;
};

/* A connection. Owned by the list hub->first, from http_conn_new() to http_conn_free(); in
 * hub->ready besides while it is to be looked at. The only other way to it is the handler's
 * request, until the answer. */
struct http_conn {
    struct http_hub *hub;
    struct http_conn *prev, *next; /* in hub->first */
    struct http_conn *ready_next;
    bool ready;   /* in hub->ready */
    bool running; /* http_turn is at it, and need not be told to look at it again */

    enum http_phase phase;
    int socket;                             /* -1 once it is lost or closed */
    struct loop_watch *readable, *writable; /* NULL: the loop does not watch for that */
    struct http_input in;
    struct http_output out;
    size_t scanned;   /* of `in`, for the end of a head */
    bool peer_closed; /* it sends no more; it may still read */
    bool blocked;     /* the socket takes no more; writable tells when */
    bool reserve;     /* beyond max_connections: for /admin/ only */

    uint64_t phase_since, read_since, write_since; /* loop_coarse_ms(); of the last progress */
    uint64_t head_since; /* first byte of the head (of a new connection: accepted); 0: idle */

    struct sockaddr_storage address;
    char peer[64]; /* its text, made when it is first asked for */
    struct http_request request;
};

/* Takes over the socket and joins the hub, in HTTP_PHASE_HEAD. Nothing watches it yet:
 * http_turn_run() begins that. NULL: no memory, the socket is the caller's still. */
struct http_conn *http_conn_new(struct http_hub *hub, int socket,
                                const struct sockaddr_storage *address) MUST_CHECK;
/* Leaves the hub; only for a connection that is not in hub->ready. */
void http_conn_free(struct http_conn *conn);

/* Moves on; asserts that the table allows it. The only place where the phase changes. */
void http_conn_enter(struct http_conn *conn, enum http_phase phase);
/* Has http_turn look at it at the end of the loop's turn, or of the next one where that is now. Any
 * number of times; no-op where that is to happen anyhow. */
void http_conn_wake(struct http_conn *conn);
/* Closes the socket; what has not left is dropped. The struct is freed on the next turn, so whoever
 * is on the stack may still look at it (and finds HTTP_PHASE_CLOSED). */
void http_conn_close(struct http_conn *conn);
/* Closes it with a reset, so that the client cannot take what it has got for a whole answer. */
void http_conn_reset(struct http_conn *conn);
/* The client is gone. A request under way stays until it is answered (HTTP_PHASE_LOST). */
void http_conn_lose(struct http_conn *conn);
/* "address:port"; belongs to the connection. */
const char *http_conn_peer(struct http_conn *conn);
/* What every answer begins with behind its status line, up to the request's id: "Server: …", "Date:
 * …" and "Larder-Request-Id: ". Made once a second; belongs to the hub, until the next call. */
const char *http_conn_usual(struct http_hub *hub, size_t *len);

#endif
