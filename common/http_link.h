/*
 * Connections to peers, of one loop: opened without blocking, watched, kept while nothing is under
 * way on them. What is said over them is the business of http_short.c, the only user.
 */
#ifndef LARDER_COMMON_HTTP_LINK_H
#define LARDER_COMMON_HTTP_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/http_peers.h"
#include "common/loop.h"

enum { HTTP_LINK_BUCKETS = 64 };

enum http_link_state {
    HTTP_LINK_CONNECTING,
    HTTP_LINK_BUSY, /* it is its user's */
    HTTP_LINK_IDLE  /* it is kept in a bucket, and nobody else's */
};

struct http_link {
    struct http_links *links;
    enum http_link_state state;
    int fd;
    bool kept;    /* it has been idle before: the other side may be gone */
    bool refused; /* connect() said so at once; the deadline tells, on the loop's next turn */
    void *user;   /* the user's own */
    /* the module's: */
    struct http_peer peer;
    struct loop_watch *reading; /* for its whole life, so that keeping it costs no epoll_ctl() */
    struct loop_watch *writing; /* NULL while nothing waits to leave */
    struct loop_timer *deadline;
    uint64_t idle_since;
    struct http_link *next, **place; /* in the bucket */
};

struct http_links {
    struct loop *loop;
    unsigned max_idle, idle_count;
    /* What happens on links that are not idle. `late`: the deadline has passed. */
    void (*ready)(struct http_link *link, bool readable, bool writable);
    void (*late)(struct http_link *link);
    struct http_link *idle[HTTP_LINK_BUCKETS];
};

/* Begins to connect; ready(writable) or late() tells how it went. NULL: no memory, no descriptors.
 */
struct http_link *http_link_open(struct http_links *links, const struct http_peer *peer,
                                 unsigned timeout_ms, void *user) MUST_CHECK;
/* A kept one, made busy; NULL where there is none that could still be open. */
struct http_link *http_link_take(struct http_links *links, const struct http_peer *peer,
                                 void *user) MUST_CHECK;
/* The user is done with it, and the connection in order: it is kept, or closed where too many are.
 */
void http_link_keep(struct http_link *link);
/* Closes it. May be called from within ready() and late(). */
void http_link_close(struct http_link *link);
/* Closes all that are idle. */
void http_link_close_idle(struct http_links *links);

/* After ready() for one that connects: true, and it is busy, where it has worked. */
bool http_link_connected(struct http_link *link) MUST_CHECK;
/* Whether ready() is called when the socket takes bytes. False: no memory. */
bool http_link_watch_writing(struct http_link *link, bool wanted) MUST_CHECK;
/* Calls late() in so many milliseconds, once. */
void http_link_set_deadline(struct http_link *link, uint64_t ms);
void http_link_clear_deadline(struct http_link *link);

#endif
