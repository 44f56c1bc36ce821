/*
 * The path of an exchange:
 *   http_short_start  on a kept link (connection): the request leaves at once; or on a new one
 *   link_ready        connected: the request leaves; then the answer comes in
 *   exchange_over     the link is kept or closed, the owner told
 *
 * A link carries one exchange at a time. Possible failures: no connection, a connection that breaks
 * off, an answer that is no HTTP, deadlines. One that breaks off on a kept link before a byte of
 * the answer came is tried once more, on a new link: the other side may have closed it just before
 * we wrote, and says nothing of the request by that (RFC 9112, 9.3.1).
 */
#include "common/http_short.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/buf.h"
#include "common/http_link.h"
#include "common/http_peers.h"

enum { RECEIVE = 16 * 1024, SPARE_EXCHANGES = 64 };

struct http_exchange {
    struct http_short *owner;
    struct http_link *link; /* its user is this exchange */
    struct http_peer peer;
    struct buf head;
    const char *body; /* the owner's */
    size_t body_len;
    size_t sent; /* of both */
    bool repeatable;
    enum status verdict; /* how it failed before http_short_start() returned */
    unsigned connect_timeout_ms, timeout_ms;
    uint64_t started_ms;
    struct http_answer answer;
    void (*done)(void *arg, struct http_exchange *exchange, enum status st);
    void *arg;
    struct http_exchange *next, **place; /* owner->exchanges; `next` also of the spare ones */
};

struct http_short {
    struct http_links links;
    struct http_peers *peers;
    struct http_exchange *exchanges; /* under way */
    struct http_exchange *spare;     /* kept for their buffers */
    unsigned spare_count;
};

static void link_ready(struct http_link *link, bool readable, bool writable);
static void link_late(struct http_link *link);
static void exchange_over(struct http_exchange *exchange, enum status st);

/* --- memory --- */

static void exchange_free(struct http_exchange *exchange)
{
    buf_free(&exchange->head);
    http_answer_free(&exchange->answer);
    free(exchange);
}

/* Keeps its memory for another. */
static void exchange_put_by(struct http_exchange *exchange)
{
    struct http_short *of = exchange->owner;
    if (of->spare_count == SPARE_EXCHANGES) {
        exchange_free(exchange);
        return;
    }
    exchange->next = of->spare;
    of->spare = exchange;
    of->spare_count++;
}

static struct http_exchange *exchange_new(struct http_short *of)
{
    struct http_exchange *exchange = of->spare;
    if (exchange) {
        of->spare = exchange->next;
        of->spare_count--;
        struct buf head = exchange->head;
        struct http_answer answer = exchange->answer;
        *exchange = (struct http_exchange){.head = head, .answer = answer};
        buf_clear(&exchange->head);
    } else if (!(exchange = calloc(1, sizeof *exchange))) {
        return NULL;
    }
    exchange->owner = of;
    return exchange;
}

static void unlink_exchange(struct http_exchange *exchange)
{
    *exchange->place = exchange->next;
    if (exchange->next)
        exchange->next->place = exchange->place;
}

/* --- starting --- */

static void write_head(struct http_exchange *exchange, const struct http_exchange_spec *spec,
                       const char *target)
{
    struct buf *head = &exchange->head;
    buf_adds(head, spec->method);
    buf_adds(head, *target == '/' ? " " : " /");
    buf_adds(head, target);
    buf_adds(head, " HTTP/1.1\r\nHost: ");
    buf_adds(head, exchange->peer.name);
    for (size_t i = 0; spec->fields && spec->fields[i]; i++) {
        buf_adds(head, "\r\n");
        buf_adds(head, spec->fields[i]);
    }
    if (spec->has_body)
        buf_addf(head, "\r\nContent-Length: %zu", spec->body_len);
    buf_adds(head, "\r\n\r\n");
}

static bool prepare(struct http_exchange *exchange, const struct http_exchange_spec *spec)
{
    const char *target;
    if (!http_peers_find(exchange->owner->peers, spec->url, &exchange->peer, &target))
        return false;
    write_head(exchange, spec, target);
    exchange->body = spec->body;
    exchange->body_len = spec->has_body ? spec->body_len : 0;
    exchange->repeatable = strcmp(spec->method, "POST") != 0;
    exchange->connect_timeout_ms = spec->connect_timeout_ms;
    exchange->timeout_ms = spec->timeout_ms;
    exchange->started_ms = loop_now_ms();
    exchange->done = spec->done;
    exchange->arg = spec->arg;
    http_answer_begin(&exchange->answer, strcmp(spec->method, "HEAD") == 0);
    return buf_ok(&exchange->head);
}

/* The deadline of the whole, from the connection on. */
static void set_deadline(struct http_exchange *exchange)
{
    uint64_t spent = loop_now_ms() - exchange->started_ms;
    if (exchange->timeout_ms == 0)
        http_link_clear_deadline(exchange->link);
    else
        http_link_set_deadline(exchange->link,
                               spent < exchange->timeout_ms ? exchange->timeout_ms - spent : 0);
}

/* Sends what the socket takes. ST_OK: all of it, ST_BUSY: not yet, ST_PEER: the connection broke.
 */
static enum status send_some(struct http_exchange *exchange)
{
    size_t all = exchange->head.len + exchange->body_len;
    while (exchange->sent < all) {
        size_t head = exchange->sent < exchange->head.len ? exchange->sent : exchange->head.len;
        size_t body = exchange->sent - head;
        struct iovec parts[2] = {
            {exchange->head.data + head, exchange->head.len - head},
            {(char *)exchange->body + body, exchange->body_len - body},
        };
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = sendmsg(exchange->link->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? ST_BUSY : ST_PEER;
        exchange->sent += (size_t)n;
    }
    return ST_OK;
}

/* Sends, and watches for room where there is too little. Nobody is told of a failure from here: an
 * answer that came before the connection broke, as an early 507, is read all the same, and then the
 * socket's end; out of memory, the deadline says it. */
static void exchange_send(struct http_exchange *exchange)
{
    enum status st = send_some(exchange);
    if (st == ST_PEER)
        (void)shutdown(exchange->link->fd, SHUT_RDWR);
    if (!http_link_watch_writing(exchange->link, st == ST_BUSY)) {
        exchange->verdict = ST_NO_MEMORY;
        http_link_set_deadline(exchange->link, 0);
    }
}

struct http_exchange *http_short_start(struct http_short *of, const struct http_exchange_spec *spec)
{
    struct http_exchange *exchange = exchange_new(of);
    if (!exchange)
        return NULL;
    bool ready = prepare(exchange, spec);
    if (ready)
        exchange->link = http_link_take(&of->links, &exchange->peer, exchange);
    if (exchange->link) {
        set_deadline(exchange);
        exchange_send(exchange);
    } else if (ready) {
        exchange->link =
            http_link_open(&of->links, &exchange->peer, exchange->connect_timeout_ms, exchange);
    }
    if (!exchange->link) {
        exchange_put_by(exchange);
        return NULL;
    }
    exchange->next = of->exchanges;
    exchange->place = &of->exchanges;
    if (exchange->next)
        exchange->next->place = &exchange->next;
    of->exchanges = exchange;
    return exchange;
}

/* --- on the link --- */

/* True where the exchange is under way again, on another link. */
static bool try_again(struct http_exchange *exchange)
{
    struct http_link *stale = exchange->link;
    if (!stale->kept || !exchange->repeatable || exchange->answer.begun)
        return false;
    struct http_link *link = http_link_open(&exchange->owner->links, &exchange->peer,
                                            exchange->connect_timeout_ms, exchange);
    if (!link)
        return false;
    http_link_close(stale);
    exchange->link = link;
    exchange->sent = 0;
    http_answer_begin(&exchange->answer, exchange->answer.to_head);
    return true;
}

static void exchange_receive(struct http_exchange *exchange)
{
    struct http_answer *answer = &exchange->answer;
    char data[RECEIVE];
    ssize_t n;
    do
        n = recv(exchange->link->fd, data, sizeof data, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n <= 0)
        http_answer_end(answer);
    else if (http_answer_feed(answer, data, (size_t)n) < (size_t)n)
        answer->reusable = false; /* the other side says more than it was asked for */
    if (answer->state == HTTP_ANSWER_DONE)
        exchange_over(exchange, ST_OK);
    else if (answer->state == HTTP_ANSWER_BAD && !try_again(exchange))
        exchange_over(exchange, ST_PEER);
}

static void link_ready(struct http_link *link, bool readable, bool writable)
{
    struct http_exchange *exchange = link->user;
    if (link->state == HTTP_LINK_CONNECTING) {
        if (!http_link_connected(link)) {
            exchange_over(exchange, ST_UNAVAILABLE);
            return;
        }
        set_deadline(exchange);
        exchange_send(exchange);
    } else if (readable) {
        exchange_receive(exchange);
    } else if (writable) {
        exchange_send(exchange);
    }
}

static void link_late(struct http_link *link)
{
    struct http_exchange *exchange = link->user;
    enum status late = link->state == HTTP_LINK_CONNECTING ? ST_UNAVAILABLE : ST_PEER_TIMEOUT;
    exchange_over(exchange, exchange->verdict ? exchange->verdict : late);
}

/* --- the end --- */

static void exchange_over(struct http_exchange *exchange, enum status st)
{
    bool all_sent = exchange->sent == exchange->head.len + exchange->body_len;
    unlink_exchange(exchange);
    if (st == ST_OK && all_sent && exchange->answer.reusable)
        http_link_keep(exchange->link);
    else
        http_link_close(exchange->link);
    exchange->done(exchange->arg, exchange, st);
    exchange_put_by(exchange);
}

void http_short_cancel(struct http_exchange *exchange)
{
    unlink_exchange(exchange);
    http_link_close(exchange->link);
    exchange_put_by(exchange);
}

const struct http_answer *http_short_answer(const struct http_exchange *exchange)
{
    return &exchange->answer;
}

/* --- all of them --- */

bool http_short_can(const struct http_short *of, const char *url)
{
    struct http_peer peer;
    const char *target;
    return http_peers_find(of->peers, url, &peer, &target);
}

void http_short_know(struct http_short *of, const char *url, const char *address)
{
    http_peers_know(of->peers, url, address);
}

struct http_short *http_short_new(struct loop *loop, unsigned max_idle)
{
    struct http_short *of = calloc(1, sizeof *of);
    if (!of)
        return NULL;
    of->links.loop = loop;
    of->links.max_idle = max_idle;
    of->links.ready = link_ready;
    of->links.late = link_late;
    of->peers = http_peers_new();
    if (!of->peers) {
        free(of);
        return NULL;
    }
    return of;
}

void http_short_free(struct http_short *of)
{
    if (!of)
        return;
    struct http_exchange *next;
    for (struct http_exchange *exchange = of->exchanges; exchange; exchange = next) {
        next = exchange->next;
        http_short_cancel(exchange);
    }
    http_link_close_idle(&of->links);
    for (struct http_exchange *exchange = of->spare; exchange; exchange = next) {
        next = exchange->next;
        exchange_free(exchange);
    }
    http_peers_free(of->peers);
    free(of);
}
