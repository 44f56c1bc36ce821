/*
 * Plain blocking sockets, since there is one connection a thread and nothing else to do on it: the
 * bytes go from the kernel into the caller's buffer, and no loop is woken for them. The answer's
 * head is read by common/http_answer.h, as if it answered a HEAD; what follows it is the value.
 */
#include "volume/source.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/http_answer.h"
#include "common/loop.h"

/* As the master has it when the bytes pass through it: a source that is silent for so long is given
 * up. It is also the time to connect in. */
enum { SILENCE_SECONDS = 3, FIRST_READ = 4096 };
/* For all of it, so that a source which trickles holds no thread for long: so much, and a
 * millisecond for each so many bytes. The master waits a little longer (PROTOCOL.md). */
enum { DEADLINE_MS = 30000, BYTES_A_MS = 1024 };

struct source {
    int socket;
    struct http_answer head;
    uint64_t length, left;  /* of the value; not read yet */
    uint64_t until;         /* loop_now_ms(): the whole exchange must be over then */
    char first[FIRST_READ]; /* what came with the head, from `used` to `filled` the value's */
    size_t used, filled;
};

enum status source_parse(const char *url, char host[SOURCE_HOST_SIZE], const char **target)
{
    static const char scheme[] = "http://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return ST_BAD_REQUEST;
    url += sizeof scheme - 1;
    size_t len = strcspn(url, "/?#");
    /* A query would let anything stand before a value's name. */
    if (len == 0 || len >= SOURCE_HOST_SIZE || url[len] != '/' || memchr(url, '@', len) ||
        strpbrk(url + len, "?#"))
        return ST_BAD_REQUEST;
    memcpy(host, url, len);
    host[len] = 0;
    *target = url + len;
    return ST_OK;
}

/* Cuts "host:port" in two, in place; brackets of an IPv6 address go. */
static const char *cut_port(char *host, char **bare)
{
    char *colon = strrchr(host, ':');
    char *bracket = strrchr(host, ']');
    *bare = host;
    if (colon && (!bracket || colon > bracket))
        *colon = 0;
    else
        colon = NULL;
    if (host[0] == '[' && bracket) {
        *bracket = 0;
        *bare = host + 1;
    }
    return colon ? colon + 1 : "80";
}

/* SO_SNDTIMEO bounds connect(), too (socket(7)). */
static int connect_to(const struct addrinfo *address)
{
    const struct timeval silence = {.tv_sec = SILENCE_SECONDS};
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof silence) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) ||
        connect(fd, address->ai_addr, address->ai_addrlen)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static enum status connect_source(struct source *source, char *host)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    char *bare;
    const char *port = cut_port(host, &bare);
    if (getaddrinfo(bare, port, &hints, &list))
        return ST_PEER;
    for (const struct addrinfo *at = list; at && source->socket < 0; at = at->ai_next)
        source->socket = connect_to(at);
    freeaddrinfo(list);
    return source->socket < 0 ? ST_PEER : ST_OK;
}

static enum status of_errno(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK ? ST_PEER_TIMEOUT : ST_PEER;
}

static enum status send_request(const struct source *source, const char *host, const char *target)
{
    struct buf text = BUF_INIT;
    /* Its bytes are compared with the MD5 here; the source need not do it, too. */
    buf_addf(&text,
             "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nLarder-Internal: 1\r\n"
             "Larder-Check: none\r\n\r\n",
             target, host);
    enum status st = buf_ok(&text) ? ST_OK : ST_NO_MEMORY;
    if (!st && send(source->socket, text.data, text.len, MSG_NOSIGNAL) != (ssize_t)text.len)
        st = of_errno();
    buf_free(&text);
    return st;
}

static enum status receive(const struct source *source, char *to, size_t len, size_t *got,
                           int flags)
{
    ssize_t n;
    *got = 0;
    if (loop_now_ms() > source->until)
        return ST_PEER_TIMEOUT;
    do
        n = recv(source->socket, to, len, flags);
    while (n < 0 && errno == EINTR);
    *got = n > 0 ? (size_t)n : 0;
    if (n < 0)
        return of_errno();
    return n ? ST_OK : ST_PEER; /* the end, before all was there */
}

/* Decimal; false for anything else. */
static bool read_length(const char *text, uint64_t *length)
{
    char *rest;
    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *length = strtoull(text, &rest, 10);
    return !errno && *rest == 0;
}

static enum status read_head(struct source *source)
{
    http_answer_begin(&source->head, true);
    while (source->head.state == HTTP_ANSWER_HEAD) {
        enum status st = receive(source, source->first, sizeof source->first, &source->filled, 0);
        if (st)
            return st;
        source->used = http_answer_feed(&source->head, source->first, source->filled);
    }
    if (source->head.state != HTTP_ANSWER_DONE || source->head.status != 200 ||
        http_answer_field(&source->head, "Transfer-Encoding") ||
        !read_length(http_answer_field(&source->head, "Content-Length"), &source->length))
        return ST_PEER;
    source->left = source->length;
    source->until += source->length / BYTES_A_MS;
    return ST_OK;
}

enum status source_open(struct source **source, const char *url)
{
    char host[SOURCE_HOST_SIZE];
    char named[SOURCE_HOST_SIZE];
    const char *target;
    enum status st = source_parse(url, host, &target);
    if (st)
        return st;
    struct source *new = calloc(1, sizeof *new);
    if (!new)
        return ST_NO_MEMORY;
    new->socket = -1;
    new->until = loop_now_ms() + DEADLINE_MS;
    memcpy(named, host, sizeof named);
    st = connect_source(new, host);
    if (!st)
        st = send_request(new, named, target);
    if (!st)
        st = read_head(new);
    if (st)
        source_close(new);
    else
        *source = new;
    return st;
}

void source_close(struct source *source)
{
    if (!source)
        return;
    if (source->socket >= 0)
        (void)close(source->socket);
    http_answer_free(&source->head);
    free(source);
}

uint64_t source_length(const struct source *source)
{
    return source->length;
}

const char *source_type(const struct source *source)
{
    return http_answer_field(&source->head, "Content-Type");
}

enum status source_read(struct source *source, char *to, size_t len, size_t *got)
{
    *got = 0;
    if (len > source->left)
        len = (size_t)source->left;
    size_t ahead = source->filled - source->used;
    if (ahead > len)
        ahead = len;
    memcpy(to, source->first + source->used, ahead);
    source->used += ahead;
    *got = ahead;
    while (*got < len) {
        size_t more;
        /* All of it at once: the fewer wake-ups, the less they cost. */
        enum status st = receive(source, to + *got, len - *got, &more, MSG_WAITALL);
        if (st)
            return st;
        *got += more;
    }
    source->left -= *got;
    return ST_OK;
}
