/*
 * A connection's life outside of its requests: made, moved from phase to phase, closed, freed.
 *
 * Closing and freeing are two steps. A connection is closed in the midst of its own callbacks, and
 * those still hold it; so it goes into hub->ready, and http_turn_ready() frees it on the next turn,
 * when the stack is empty.
 *
 * Invariants: a connection with a socket is in HEAD, REQUEST, ANSWERED or LINGER; LOST and CLOSED
 * have none. A request under way (REQUEST, LOST, ANSWERED) is counted in hub->under_way. While it
 * is with its handler (REQUEST, LOST) only the end of the server frees the connection: a handler
 * that waits for a disk still has a pointer to it.
 */
#include "common/http_conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BIT(phase) (1U << HTTP_PHASE_##phase)

/* From which phase to which. There is no way back from LOST to ANSWERED: where the client is gone,
 * an answer is not written but given up (http_reply.c), which closes. */
static const unsigned moves[] = {
    [HTTP_PHASE_HEAD] = BIT(REQUEST) | BIT(CLOSED),
    [HTTP_PHASE_REQUEST] = BIT(ANSWERED) | BIT(LOST) | BIT(CLOSED),
    [HTTP_PHASE_LOST] = BIT(CLOSED),
    [HTTP_PHASE_ANSWERED] = BIT(HEAD) | BIT(LINGER) | BIT(CLOSED),
    [HTTP_PHASE_LINGER] = BIT(CLOSED),
    [HTTP_PHASE_CLOSED] = 0,
};

/* Phases in which a request is under way: the server must not stop before it is over. */
static bool is_under_way(enum http_phase phase)
{
    return ((BIT(REQUEST) | BIT(LOST) | BIT(ANSWERED)) >> phase & 1) != 0;
}

struct http_conn *http_conn_new(struct http_hub *hub, int socket,
                                const struct sockaddr_storage *address)
{
    struct http_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->hub = hub;
    conn->socket = socket;
    conn->address = *address;
    conn->request.conn = conn;
    http_output_init(&conn->out);
    conn->phase_since = conn->head_since = loop_coarse_ms();
    conn->next = hub->first;
    if (hub->first)
        hub->first->prev = conn;
    hub->first = conn;
    hub->stats.connections++;
    return conn;
}

/* The socket and all that hangs on it. Also done for a connection that is only LOST: its descriptor
 * and its buffers are of no use to a handler, which may take long. */
static void shut(struct http_conn *conn)
{
    loop_watch_free(conn->readable);
    loop_watch_free(conn->writable);
    conn->readable = conn->writable = NULL;
    /* After the watches: a descriptor that is closed first may be another connection's by then. */
    if (conn->socket >= 0)
        (void)close(conn->socket);
    conn->socket = -1;
    http_output_drop(&conn->out);
    http_input_free(&conn->in);
}

/* Counted out of stats.connections by http_conn_close(), or here where the server ends before
 * that. */
void http_conn_free(struct http_conn *conn)
{
    if (!conn)
        return;
    assert(!conn->ready);
    shut(conn);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        conn->hub->first = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    if (conn->phase != HTTP_PHASE_CLOSED)
        conn->hub->stats.connections--;
    buf_free(&conn->request.fields);
    free(conn->request.head_bytes);
    free(conn);
}

/* Whatever hangs on the phase is done here: the count of requests under way, and the clock of the
 * deadlines that begin with a phase. */
void http_conn_enter(struct http_conn *conn, enum http_phase phase)
{
    assert(moves[conn->phase] >> phase & 1);
    if (!is_under_way(conn->phase) && is_under_way(phase))
        conn->hub->under_way++;
    if (is_under_way(conn->phase) && !is_under_way(phase))
        conn->hub->under_way--;
    conn->phase = phase;
    conn->phase_since = loop_coarse_ms();
}

/* The loop calls us once for all connections. One
 * that is running is looked at until nothing is left to do, so it needs no other turn. */
void http_conn_wake(struct http_conn *conn)
{
    if (conn->ready || conn->running)
        return;
    struct http_hub *hub = conn->hub;
    loop_later(hub->loop, &hub->turn);
    conn->ready = true;
    conn->ready_next = NULL;
    *hub->ready_last = conn;
    hub->ready_last = &conn->ready_next;
}

void http_conn_close(struct http_conn *conn)
{
    http_conn_enter(conn, HTTP_PHASE_CLOSED);
    shut(conn);
    conn->hub->stats.connections--; /* now, and not when it is freed: its descriptor is free */
    http_conn_wake(conn);
}

/* SO_LINGER with time 0 makes close() send a reset. A client of HTTP/1.0, and one that was promised
 * a length, would else take the end of the connection for the end of the value. */
void http_conn_reset(struct http_conn *conn)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(conn->socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    http_conn_close(conn);
}

void http_conn_lose(struct http_conn *conn)
{
    if (conn->phase != HTTP_PHASE_REQUEST) {
        http_conn_close(conn);
        return;
    }
    http_conn_enter(conn, HTTP_PHASE_LOST);
    shut(conn);
    http_conn_wake(conn);
}

/* Made when it is asked for, because only the log wants it. */
const char *http_conn_peer(struct http_conn *conn)
{
    if (*conn->peer)
        return conn->peer;
    char text[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&conn->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&conn->address;
    bool is_v6 = conn->address.ss_family == AF_INET6;
    if (is_v6)
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    else
        (void)inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    (void)snprintf(conn->peer, sizeof conn->peer, is_v6 ? "[%s]:%u" : "%s:%u", text,
                   ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
    return conn->peer;
}

/* "Date: …\r\n": RFC 9110, section 6.6.1 and 5.6.7 (IMF-fixdate). "" where there is no such date.
 */
static void write_date(char *to, size_t size, time_t now)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm parts;
    *to = 0;
    if (!gmtime_r(&now, &parts))
        return;
    /* By hand, because strftime would speak the locale's language. */
    (void)snprintf(to, size, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[parts.tm_wday],
                   parts.tm_mday, months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour,
                   parts.tm_min, parts.tm_sec);
}

/* time() costs a fifth of what a clock with milliseconds does. */
const char *http_conn_usual(struct http_hub *hub, size_t *len)
{
    time_t now = time(NULL);
    if (now != hub->usual_second || hub->usual_len == 0) {
        char date[48];
        write_date(date, sizeof date, now);
        int written = snprintf(hub->usual_lines, sizeof hub->usual_lines,
                               "%s%sLarder-Request-Id: ", hub->server_line, date);
        assert(written > 0 && (size_t)written < sizeof hub->usual_lines);
        hub->usual_len = (size_t)written;
        hub->usual_second = now;
    }
    *len = hub->usual_len;
    return hub->usual_lines;
}
