/*
 * But for the look beforehand in bench.c the only file of the bench that calls socket functions. It
 * knows no HTTP: a request is bytes, an answer is bytes. Errors of a connection are told apart at
 * connecting only: afterwards a broken connection is one, whatever errno says.
 */
#include "tools/larder/benchwire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/larder/benchserver.h"
#include "tools/larder/benchvalue.h"

/* Of one send: the sequence of values repeats after 1 MiB, so this is more than a socket takes. */
enum { PIECES = 8 };

/* Nagle's wait for more would be seen as the server's latency. Added to the epoll set once, for
 * both directions: what has become of the connection by then comes as the first edge. Closing takes
 * it out of the set again. */
int benchwire_open(struct benchwire *wire, int epoll, const struct benchserver *server)
{
    const int on = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data = {.ptr = wire}};
    wire->used = false;
    wire->fd = socket(server->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire->fd < 0)
        return errno;
    (void)setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int result = connect(wire->fd, (const struct sockaddr *)&server->address, server->address_len);
    if ((result == 0 || errno == EINPROGRESS) &&
        epoll_ctl(epoll, EPOLL_CTL_ADD, wire->fd, &event) == 0)
        return 0;
    int err = errno;
    benchwire_close(wire);
    return err;
}

/* Reading the error clears it. */
int benchwire_connected(const struct benchwire *wire)
{
    int err = 0;
    socklen_t len = sizeof err;
    return getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 ? err : errno;
}

/* `used` stays until the next open: connection_lost() asks for it after this. */
void benchwire_close(struct benchwire *wire)
{
    if (wire->fd >= 0)
        (void)close(wire->fd);
    wire->fd = -1;
}

/* What is still to leave, in pieces: the rest of the head, and the value from where it stands. So a
 * small PUT is one segment, and a large one is never copied here. */
static int gather(const struct benchvalues *values, const struct benchwire_request *request,
                  struct iovec *pieces)
{
    int count = 0;
    uint64_t offset = 0;
    if (request->sent < request->head_len)
        pieces[count++] = (struct iovec){(void *)(uintptr_t)(request->head + request->sent),
                                         request->head_len - (size_t)request->sent};
    else
        offset = request->sent - request->head_len;
    if (request->size > offset)
        count += benchvalue_pieces(values, request->value, offset, request->size, pieces + count,
                                   PIECES - count);
    return count;
}

/* Until all is gone or the socket is full, as edge-triggered readiness demands. */
int benchwire_send(const struct benchwire *wire, const struct benchvalues *values,
                   struct benchwire_request *request)
{
    uint64_t whole = request->head_len + request->size;
    while (request->sent < whole) {
        struct iovec pieces[PIECES];
        struct msghdr message = {.msg_iov = pieces};
        message.msg_iovlen = (size_t)gather(values, request, pieces);
        ssize_t sent = sendmsg(wire->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? 0 : -1;
        request->sent += (uint64_t)sent;
    }
    return 1;
}

/* On TCP sockets Linux drops what MSG_TRUNC reads: tcp(7). */
ssize_t benchwire_receive(const struct benchwire *wire, void *to, size_t len, bool drop)
{
    ssize_t got;
    do
        got = recv(wire->fd, to, len, drop ? MSG_TRUNC : 0);
    while (got < 0 && errno == EINTR);
    return got;
}
