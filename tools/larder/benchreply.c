/*
 * A parser of answers for the client side, of just what a load needs: status, framing, four fields.
 * Not the one of common/http_head.c, which reads requests, and is as strict as a server must be.
 *
 * It is fed whatever a receive brought, so a head may come in any number of pieces: only then it is
 * collected in `head`. Bodies are never collected; they go to the sink piece by piece. After DONE
 * or BAD nothing more is taken.
 *
 * Framing is as in RFC 9112, 6.3: none for HEAD, 204 and 304; else chunked, else by length, else up
 * to the end of the connection.
 */
#include "tools/larder/benchreply.h"

#include <string.h>
#include <strings.h>

void benchreply_init(struct benchreply *reply)
{
    memset(reply, 0, sizeof *reply);
}

void benchreply_free(struct benchreply *reply)
{
    buf_free(&reply->head);
}

/* The large arrays are not wiped: their first byte says that they are empty. */
void benchreply_begin(struct benchreply *reply, bool to_head)
{
    reply->state = BENCHREPLY_HEAD;
    reply->framing = BENCHREPLY_CLOSE;
    reply->to_head = to_head;
    reply->closes = reply->cut = false;
    reply->status = 0;
    reply->length = reply->got = 0;
    buf_clear(&reply->head);
    reply->md5[0] = reply->location[0] = 0;
}

/* --- the head --- */

/* What does not fit is left out: it could only be mistaken for something shorter. */
static void copy_value(char *to, size_t room, const char *value, size_t len)
{
    if (len >= room)
        len = 0;
    memcpy(to, value, len);
    to[len] = 0;
}

/* Digits, and nothing else. */
static bool parse_length(struct benchreply *reply, const char *value, size_t len)
{
    uint64_t length = 0;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9' || length > UINT64_MAX / 10 - 1)
            return false;
        length = length * 10 + (uint64_t)(value[i] - '0');
    }
    /* Chunked wins, whatever stands first. */
    if (reply->framing != BENCHREPLY_CHUNKED)
        reply->framing = BENCHREPLY_LENGTH;
    reply->length = length;
    return len > 0;
}

/* Names of fields know no case, and so do the values "chunked" and "close". */
static bool is_named(const char *line, size_t name_len, const char *name)
{
    return name_len == strlen(name) && strncasecmp(line, name, name_len) == 0;
}

static bool is_value(const char *value, size_t len, const char *text)
{
    return len == strlen(text) && strncasecmp(value, text, len) == 0;
}

/* False for what is no field at all; fields that nobody asks for are passed over. White space
 * behind a value stays with it. */
static bool take_field(struct benchreply *reply, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon)
        return false;
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    size_t value_len = (size_t)(end - value);
    if (is_named(line, name_len, "content-length"))
        return parse_length(reply, value, value_len);
    if (is_named(line, name_len, "transfer-encoding") && is_value(value, value_len, "chunked"))
        reply->framing = BENCHREPLY_CHUNKED;
    else if (is_named(line, name_len, "connection") && is_value(value, value_len, "close"))
        reply->closes = true;
    else if (is_named(line, name_len, "content-md5"))
        copy_value(reply->md5, sizeof reply->md5, value, value_len);
    else if (is_named(line, name_len, "location"))
        copy_value(reply->location, sizeof reply->location, value, value_len);
    return true;
}

/* "HTTP/1.1 200 OK"; HTTP/1.0 closes the connection. */
static bool take_status_line(struct benchreply *reply, const char *line, size_t len)
{
    if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ')
        return false;
    reply->closes = line[7] == '0';
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        reply->status = reply->status * 10 + (line[i] - '0');
    }
    return reply->status >= 100 && (len == 12 || line[12] == ' ');
}

/* A whole head, with its empty line. */
static bool take_head(struct benchreply *reply, const char *head, size_t len)
{
    const char *end = head + len - 2;
    bool first = true;
    while (head < end) {
        const char *stop = memchr(head, '\n', (size_t)(end - head));
        size_t line = stop ? (size_t)(stop - head) : (size_t)(end - head);
        size_t bare = line && head[line - 1] == '\r' ? line - 1 : line;
        if (!(first ? take_status_line(reply, head, bare) : take_field(reply, head, bare)))
            return false;
        first = false;
        head += line + 1;
    }
    return !first;
}

/* What follows the head. An interim answer (100 Continue) is forgotten: the real one comes next. */
static void begin_body(struct benchreply *reply)
{
    bool interim = reply->status < 200;
    if (interim) {
        benchreply_begin(reply, reply->to_head);
        return;
    }
    if (reply->to_head || reply->status == 204 || reply->status == 304)
        reply->framing = BENCHREPLY_NONE;
    if (reply->framing == BENCHREPLY_CLOSE)
        reply->closes = true;
    if (reply->framing == BENCHREPLY_CHUNKED)
        http_chunk_init(&reply->chunk);
    bool empty = reply->framing == BENCHREPLY_NONE ||
                 (reply->framing == BENCHREPLY_LENGTH && reply->length == 0);
    reply->state = empty ? BENCHREPLY_DONE : BENCHREPLY_BODY;
}

/* Returns how many of the bytes belong to the head. A head that came at once, as almost all do, is
 * parsed where it is; one in pieces is looked through from its beginning each time, which its bound
 * keeps cheap. `before` are bytes of earlier calls, so they do not count as taken now. */
static size_t feed_head(struct benchreply *reply, const char *data, size_t len)
{
    size_t before = reply->head.len;
    const char *bytes = data;
    size_t have = len;
    if (before) {
        buf_add(&reply->head, data, len);
        bytes = buf_text(&reply->head);
        have = reply->head.len;
    }
    const char *end = memmem(bytes, have, "\r\n\r\n", 4);
    size_t head_len = end ? (size_t)(end - bytes) + 4 : have;
    if (head_len > BENCHREPLY_HEAD_MAX || !buf_ok(&reply->head)) {
        reply->state = BENCHREPLY_BAD;
        return len;
    }
    if (!end) {
        if (!before)
            buf_add(&reply->head, data, len);
        return len;
    }
    if (take_head(reply, bytes, head_len))
        begin_body(reply);
    else
        reply->state = BENCHREPLY_BAD;
    buf_clear(&reply->head);
    return head_len - before;
}

/* --- the body --- */

/* The place in the body is counted here and nowhere else, but for benchreply_skip(). */
static void take(struct benchreply *reply, const char *data, size_t len,
                 const struct benchreply_sink *sink)
{
    sink->take(sink->arg, reply->got, data, len);
    reply->got += len;
}

/* One step of the decoder. Both of these return how many bytes they are done with. */
static size_t feed_chunked(struct benchreply *reply, const char *data, size_t len,
                           const struct benchreply_sink *sink)
{
    size_t used;
    const char *piece;
    size_t piece_len;
    switch (http_chunk_next(&reply->chunk, data, len, &used, &piece, &piece_len)) {
    case HTTP_CHUNK_DATA:
        take(reply, piece, piece_len, sink);
        http_chunk_took(&reply->chunk, piece_len);
        return used + piece_len;
    case HTTP_CHUNK_END:
        reply->state = BENCHREPLY_DONE;
        return used;
    case HTTP_CHUNK_MORE:
        return used;
    case HTTP_CHUNK_BAD:
        break;
    }
    reply->state = BENCHREPLY_BAD;
    return len;
}

/* By length or to the end of the connection: what is beyond the length is not taken, and makes the
 * answer BAD in benchreply_feed(). */
static size_t feed_body(struct benchreply *reply, const char *data, size_t len,
                        const struct benchreply_sink *sink)
{
    if (reply->framing == BENCHREPLY_CHUNKED)
        return feed_chunked(reply, data, len, sink);
    uint64_t left = benchreply_left(reply);
    size_t mine = reply->framing == BENCHREPLY_LENGTH && left < len ? (size_t)left : len;
    take(reply, data, mine, sink);
    if (reply->framing == BENCHREPLY_LENGTH && reply->got == reply->length)
        reply->state = BENCHREPLY_DONE;
    return mine;
}

/* Each turn takes at least a byte, or ends: a head and its body may come in one piece. */
void benchreply_feed(struct benchreply *reply, const char *data, size_t len,
                     const struct benchreply_sink *sink)
{
    while (len && (reply->state == BENCHREPLY_HEAD || reply->state == BENCHREPLY_BODY)) {
        size_t used = reply->state == BENCHREPLY_HEAD ? feed_head(reply, data, len)
                                                      : feed_body(reply, data, len, sink);
        data += used;
        len -= used;
    }
    if (len)
        reply->state = BENCHREPLY_BAD;
}

/* Not for chunks: between them stand bytes that have to be looked at. */
uint64_t benchreply_left(const struct benchreply *reply)
{
    bool known = reply->state == BENCHREPLY_BODY && reply->framing == BENCHREPLY_LENGTH;
    return known ? reply->length - reply->got : 0;
}

void benchreply_skip(struct benchreply *reply, size_t len)
{
    reply->got += len;
    if (reply->got == reply->length)
        reply->state = BENCHREPLY_DONE;
}

/* Without framing the end of the connection is that of the body; anywhere else it is too early. */
void benchreply_end(struct benchreply *reply)
{
    bool whole = reply->state == BENCHREPLY_DONE ||
                 (reply->state == BENCHREPLY_BODY && reply->framing == BENCHREPLY_CLOSE);
    reply->cut = !whole;
    reply->state = whole ? BENCHREPLY_DONE : BENCHREPLY_BAD;
}

bool benchreply_begun(const struct benchreply *reply)
{
    return reply->status || reply->head.len > 0;
}
