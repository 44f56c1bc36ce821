/*
 * A link is born connecting, is busy while an exchange has it, and idle between two of them; only
 * idle links are in a bucket, and only those are closed without asking their user. One that was
 * handed out is freed in http_link_close() alone.
 */
#include "common/http_link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Less than a server's idle timeout (60 s of ours, 75 s of nginx), so that we close first, and do
 * not write into a connection that the other side is about to close. */
enum { IDLE_MS = 50000 };

/* --- opening and closing --- */

/* A socket that connects; -1 where there can be none. TCP_NODELAY: a request leaves in one send,
 * and waiting for more would only delay it. *refused: the socket is no use, but its owner is told
 * later as of any other failure. */
static int start_connecting(const struct http_peer *peer, bool *refused)
{
    const int one = 1;
    int fd = socket(peer->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *refused = connect(fd, &peer->address.any, peer->address_len) < 0 && errno != EINPROGRESS &&
               errno != EINTR;
    return fd;
}

/* A refusal at once is told here, too, by a deadline of 0: never before http_link_open() returned.
 */
static void link_late(void *arg)
{
    struct http_link *link = arg;
    link->links->late(link);
}

static void unlink_idle(struct http_link *link)
{
    *link->place = link->next;
    if (link->next)
        link->next->place = link->place;
    link->links->idle_count--;
}

static void link_ready(void *arg, bool readable, bool writable)
{
    struct http_link *link = arg;
    if (link->state == HTTP_LINK_IDLE) { /* closed by the other side, or it speaks unasked */
        unlink_idle(link);
        http_link_close(link);
    } else if (!link->refused) {
        link->links->ready(link, readable, writable);
    }
}

struct http_link *http_link_open(struct http_links *links, const struct http_peer *peer,
                                 unsigned timeout_ms, void *user)
{
    struct http_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->links = links;
    link->peer = *peer;
    link->user = user;
    link->state = HTTP_LINK_CONNECTING;
    link->fd = start_connecting(peer, &link->refused);
    if (link->fd < 0 && (errno == EMFILE || errno == ENFILE) && links->idle_count) {
        http_link_close_idle(links); /* what is kept for later is better used now */
        link->fd = start_connecting(peer, &link->refused);
    }
    if (link->fd < 0) {
        free(link);
        return NULL;
    }
    link->deadline = loop_timer_new(links->loop, link_late, link);
    link->reading = loop_watch_new(links->loop, link->fd, true, false, link_ready, link);
    if (!link->deadline || !link->reading || !http_link_watch_writing(link, true)) {
        http_link_close(link);
        return NULL;
    }
    http_link_set_deadline(link, link->refused ? 0 : timeout_ms);
    return link;
}

/* Readiness comes for a failure, too; the socket knows which. */
bool http_link_connected(struct http_link *link)
{
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &err, &len) || err)
        return false;
    link->state = HTTP_LINK_BUSY;
    return true;
}

void http_link_close(struct http_link *link)
{
    loop_watch_free(link->reading); /* before the descriptor is closed: epoll must not know it */
    loop_watch_free(link->writing);
    loop_timer_free(link->deadline);
    (void)close(link->fd);
    free(link);
}

/* --- keeping --- */

void http_link_keep(struct http_link *link)
{
    struct http_links *links = link->links;
    if (links->idle_count >= links->max_idle) {
        http_link_close(link);
        return;
    }
    http_link_clear_deadline(link);
    struct http_link **bucket = &links->idle[link->peer.hash % HTTP_LINK_BUCKETS];
    link->state = HTTP_LINK_IDLE;
    link->kept = true;
    link->user = NULL;
    link->idle_since = loop_now_ms();
    link->next = *bucket;
    link->place = bucket;
    if (link->next)
        link->next->place = &link->next;
    *bucket = link;
    links->idle_count++;
}

/* The one used last comes first, so those that are too many grow old; they are closed on the way.
 */
struct http_link *http_link_take(struct http_links *links, const struct http_peer *peer, void *user)
{
    uint64_t now = loop_now_ms();
    struct http_link *next;
    for (struct http_link *link = links->idle[peer->hash % HTTP_LINK_BUCKETS]; link; link = next) {
        next = link->next;
        bool old = now - link->idle_since > IDLE_MS;
        if (!old && !http_peers_same(&link->peer, peer))
            continue;
        unlink_idle(link);
        if (!old) {
            link->state = HTTP_LINK_BUSY;
            link->user = user;
            return link;
        }
        http_link_close(link);
    }
    return NULL;
}

void http_link_close_idle(struct http_links *links)
{
    struct http_link *next;
    for (size_t i = 0; i < HTTP_LINK_BUCKETS; i++)
        for (struct http_link *link = links->idle[i]; link; link = next) {
            next = link->next;
            unlink_idle(link);
            http_link_close(link);
        }
}

/* --- while it is busy --- */

/* A watch of its own beside the one for reading, which stays for good (http_link.h): most requests
 * leave at once and never need it. */
bool http_link_watch_writing(struct http_link *link, bool wanted)
{
    if (wanted == (link->writing != NULL))
        return true;
    loop_watch_free(link->writing);
    link->writing = NULL;
    if (wanted)
        link->writing = loop_watch_new(link->links->loop, link->fd, false, true, link_ready, link);
    return !wanted || link->writing;
}

void http_link_set_deadline(struct http_link *link, uint64_t ms)
{
    loop_timer_set(link->deadline, ms);
}

void http_link_clear_deadline(struct http_link *link)
{
    loop_timer_clear(link->deadline);
}
