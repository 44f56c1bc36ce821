/*
 * A small server for tests of clients: one thread a connection; the path of a request says what is
 * answered. It ends with the process of the test.
 */
#ifndef LARDER_TESTS_UNIT_HTTP_PEER_H
#define LARDER_TESTS_UNIT_HTTP_PEER_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/attr.h"
#include "tests/unit/suite.h"

enum { BIG = 1024 * 1024, REQUEST_MAX = 4 * BIG };

static int listener;
static int port;
static atomic_int connections;
static char last_request[REQUEST_MAX]; /* written before its answer, read after it */
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER; /* of several connections' threads */

static inline void send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

static inline void send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

static inline bool request_is_whole(const char *text, size_t len)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (!end)
        return false;
    if (strstr(text, " /early ")) /* answered before the body */
        return true;
    const char *length = strcasestr(text, "\r\nContent-Length:");
    if (length && length < end)
        return len >= (size_t)(end + 4 - text) + strtoull(length + 17, NULL, 10);
    const char *chunked = strcasestr(text, "\r\nTransfer-Encoding: chunked");
    if (chunked && chunked < end)
        return len >= 5 && strcmp(text + len - 5, "0\r\n\r\n") == 0;
    return true;
}

/* False at the end of the connection. */
static inline bool read_request(int fd, char *text)
{
    size_t len = 0;
    do {
        ssize_t n = recv(fd, text + len, REQUEST_MAX - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        text[len] = 0;
    } while (!request_is_whole(text, len));
    return true;
}

static inline void send_big(int fd)
{
    static char big[BIG];
    memset(big, 'b', sizeof big);
    send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    send_all(fd, big, sizeof big);
}

/* Byte by byte, each in a packet of its own where the kernel goes along. */
static inline void send_slowly(int fd, const char *text)
{
    const int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (; *text; text++)
        send_all(fd, text, 1);
}

/* Sends the answer to the request; false where the connection ends with it. */
static inline bool answer(int fd, const char *text)
{
    const char *path = strchr(text, ' ');
    if (!path)
        return false;
    path++;
    if (strncmp(path, "/hello ", 7) == 0)
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Word: one\r\n\r\nhello");
    else if (strncmp(path, "/head ", 6) == 0)
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    else if (strncmp(path, "/moved ", 7) == 0)
        send_text(fd, "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n");
    else if (strncmp(path, "/big ", 5) == 0)
        send_big(fd);
    else if (strncmp(path, "/cut ", 5) == 0)
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf");
    else if (strncmp(path, "/pieces ", 8) == 0)
        send_slowly(fd, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
                        "Transfer-Encoding: chunked\r\nX-Word:  two \r\n\r\n"
                        "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    else if (strncmp(path, "/until-end ", 11) == 0)
        send_text(fd, "HTTP/1.1 200 OK\r\n\r\nhello");
    else if (strncmp(path, "/last ", 6) == 0) /* it does not say that it closes */
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast");
    else if (strncmp(path, "/junk ", 6) == 0)
        send_text(fd, "220 mail.example.com ESMTP\r\n\r\n");
    else if (strncmp(path, "/more ", 6) == 0)
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmore than that");
    else if (strncmp(path, "/early ", 7) == 0)
        send_text(fd, "HTTP/1.1 507 Full\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    else if (strncmp(path, "/slow ", 6) == 0)
        return recv(fd, (char[1]){0}, 1, 0) > 0; /* never answered */
    else
        send_text(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    static const char *const ends[] = {"/cut ", "/until-end ", "/last ", "/early "};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strncmp(path, ends[i], strlen(ends[i])) == 0)
            return false;
    return true;
}

static inline void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char *text = malloc(REQUEST_MAX);
    while (text && read_request(fd, text)) {
        (void)pthread_mutex_lock(&last_lock);
        memcpy(last_request, text, strlen(text) + 1);
        (void)pthread_mutex_unlock(&last_lock);
        if (!answer(fd, text))
            break;
    }
    free(text);
    close(fd);
    return NULL;
}

static inline void *accept_all(void *arg UNUSED)
{
    int fd;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        pthread_t thread;
        atomic_fetch_add(&connections, 1);
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            (void)pthread_detach(thread);
    }
    return NULL;
}

static inline int listen_somewhere(int *on)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *on = ntohs(address.sin_port);
    return fd;
}

static inline void start_peer(void)
{
    pthread_t thread;
    listener = listen_somewhere(&port);
    ck_assert_int_eq(pthread_create(&thread, NULL, accept_all, NULL), 0);
    (void)pthread_detach(thread);
}

static inline void end_peer(void)
{
    (void)shutdown(listener, SHUT_RDWR);
}

/* Good until the eighth call after it. */
static inline const char *url(const char *path)
{
    static char text[8][100];
    static int next;
    char *to = text[next++ % 8];
    (void)snprintf(to, sizeof text[0], "http://127.0.0.1:%d%s", port, path);
    return to;
}

#endif
