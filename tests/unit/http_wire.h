/*
 * A client on plain sockets that sends exactly the bytes it is told to, and reads answers. A server
 * that does something else fails the test.
 */
#ifndef LARDER_TESTS_UNIT_HTTP_WIRE_H
#define LARDER_TESTS_UNIT_HTTP_WIRE_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

enum { PATIENCE_MS = 20000 };

static int server_port; /* whom it speaks to, on the loopback */

struct client {
    int fd;
    size_t len; /* bytes that arrived behind the last answer */
    char bytes[64 * 1024];
};

struct answer {
    int status;
    char head[4096]; /* with NUL */
    struct buf body;
};

static inline struct client *client_new(void)
{
    struct client *client = calloc(1, sizeof *client);
    ck_assert_ptr_nonnull(client);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(client->fd, 0);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    int on = 1;
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ck_assert_int_eq(connect(client->fd, (struct sockaddr *)&to, sizeof to), 0);
    return client;
}

static inline void client_free(struct client *client)
{
    (void)close(client->fd);
    free(client);
}

static inline void client_send_bytes(struct client *client, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(client->fd, bytes, len, MSG_NOSIGNAL);
        ck_assert_msg(n > 0, "send: %s", strerror(errno));
        bytes += n;
        len -= (size_t)n;
    }
}

static inline void client_send(struct client *client, const char *text)
{
    client_send_bytes(client, text, strlen(text));
}

/* One more read; false at the end of the connection. */
static inline bool client_more(struct client *client)
{
    ck_assert_uint_lt(client->len, sizeof client->bytes - 1);
    ssize_t n =
        recv(client->fd, client->bytes + client->len, sizeof client->bytes - 1 - client->len, 0);
    ck_assert_msg(n >= 0, "recv: %s", strerror(errno));
    client->len += (size_t)n;
    client->bytes[client->len] = 0;
    return n > 0;
}

/* Moves `len` bytes to the body; they may have to arrive first. */
static inline void client_take(struct client *client, struct buf *to, size_t len)
{
    while (len) {
        if (!client->len)
            ck_assert_msg(client_more(client), "the answer broke off, %zu bytes missing", len);
        size_t n = client->len < len ? client->len : len;
        buf_add(to, client->bytes, n);
        client->len -= n;
        memmove(client->bytes, client->bytes + n, client->len + 1);
        len -= n;
    }
}

/* Moves up to and with `end`. */
static inline void client_take_to(struct client *client, struct buf *to, const char *end)
{
    char *at;
    while (!(at = client->len ? strstr(client->bytes, end) : NULL))
        ck_assert_msg(client_more(client), "the answer broke off before '%s'", end);
    client_take(client, to, (size_t)(at - client->bytes) + strlen(end));
}

static inline void client_take_chunks(struct client *client, struct buf *to)
{
    size_t len;
    do {
        struct buf line = BUF_INIT;
        client_take_to(client, &line, "\r\n");
        len = strtoul(buf_text(&line), NULL, 16);
        buf_free(&line);
        client_take(client, to, len);
        struct buf end = BUF_INIT;
        client_take(client, &end, 2);
        ck_assert_str_eq(buf_text(&end), "\r\n");
        buf_free(&end);
    } while (len);
}

static inline bool answer_has(const struct answer *answer, const char *line)
{
    return strstr(answer->head, line) != NULL;
}

static inline void answer_free(struct answer *answer)
{
    buf_free(&answer->body);
}

/* Reads one answer. `to_head`: to a HEAD request, without a body. */
static inline struct answer client_answer_to(struct client *client, bool to_head)
{
    struct answer answer = {.body = BUF_INIT};
    struct buf head = BUF_INIT;
    client_take_to(client, &head, "\r\n\r\n");
    ck_assert_uint_lt(head.len, sizeof answer.head);
    memcpy(answer.head, buf_text(&head), head.len + 1);
    buf_free(&head);
    ck_assert_msg(sscanf(answer.head, "HTTP/1.1 %d ", &answer.status) == 1, "%s", answer.head);
    const char *length = strstr(answer.head, "\r\nContent-Length: ");
    if (to_head || answer.status == 204 || answer.status == 304 || answer.status < 200)
        return answer;
    if (length)
        client_take(client, &answer.body, strtoul(length + 18, NULL, 10));
    else if (answer_has(&answer, "\r\nTransfer-Encoding: chunked\r\n"))
        client_take_chunks(client, &answer.body);
    else
        do
            client_take(client, &answer.body, client->len);
        while (client_more(client));
    return answer;
}

static inline struct answer client_answer(struct client *client)
{
    return client_answer_to(client, false);
}

/* The next answer has this status and this body (NULL: any). */
static inline void client_expect(struct client *client, int status, const char *body)
{
    struct answer answer = client_answer(client);
    ck_assert_msg(answer.status == status, "%d expected: %s", status, answer.head);
    if (body)
        ck_assert_str_eq(buf_text(&answer.body), body);
    answer_free(&answer);
}

/* The server closes, properly, and sends nothing more. */
static inline void client_expect_end(struct client *client)
{
    ck_assert_msg(client->len == 0, "more than was asked for: %s", client->bytes);
    ck_assert_msg(!client_more(client), "more than was asked for: %s", client->bytes);
}

/* Sends one request on a connection of its own; the answer's status, and its body in `body`. */
static inline int ask(const char *text, struct buf *body)
{
    struct client *client = client_new();
    client_send(client, text);
    struct answer answer = client_answer(client);
    if (body)
        buf_add(body, buf_text(&answer.body), answer.body.len);
    answer_free(&answer);
    client_free(client);
    return answer.status;
}

#endif
