/*
 * A connection of `larder bench`: a nonblocking socket in an epoll set, edge-triggered for reading
 * and writing once and for all, so that a request costs no epoll_ctl: one send, one epoll_wait, one
 * receive.
 */
#ifndef LARDER_TOOLS_BENCHWIRE_H
#define LARDER_TOOLS_BENCHWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/attr.h"

struct benchserver;
struct benchvalue;
struct benchvalues;

struct benchwire {
    int fd;     /* -1: closed */
    void *user; /* whose it is */
    int server; /* its number */
    bool used;  /* it has carried an answer already: it may have been closed meanwhile */
};

/* A request on its way: the head, then the bytes of a value. */
struct benchwire_request {
    const char *head;
    size_t head_len;
    const struct benchvalue *value;
    uint64_t size; /* of the value; 0: none */
    uint64_t sent; /* of both together */
};

/* Begins to connect, and adds it to the epoll set with `wire` as its data. 0: connected or on the
 * way (EPOLLOUT tells); else an errno. */
int benchwire_open(struct benchwire *wire, int epoll, const struct benchserver *server) MUST_CHECK;

/* After EPOLLOUT: 0, or the errno for which there is no connection. */
int benchwire_connected(const struct benchwire *wire) MUST_CHECK;

/* No-op where it is closed. */
void benchwire_close(struct benchwire *wire);

/* Sends as much as the socket takes. 1: all is sent; 0: EPOLLOUT will tell; -1: broken. */
int benchwire_send(const struct benchwire *wire, const struct benchvalues *values,
                   struct benchwire_request *request) MUST_CHECK;

/* One receive of up to `len` bytes; `drop` has the kernel throw them away instead of copying them.
 * Returns as recv(2) does; -1 with EAGAIN where there is nothing. */
ssize_t benchwire_receive(const struct benchwire *wire, void *to, size_t len, bool drop) MUST_CHECK;

#endif
