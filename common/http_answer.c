/*
 * feed → head complete → take_head: status line, then fields, which are cut apart in place → the
 * body by length, by chunks, or up to the end of the connection. Answers of 1xx are skipped: what
 * follows them is the answer (RFC 9110, 15.2).
 */
#include "common/http_answer.h"

#include <string.h>
#include <strings.h>

void http_answer_begin(struct http_answer *answer, bool to_head)
{
    *answer = (struct http_answer){
        .sink = answer->sink, .to_head = to_head, .head = answer->head, .body = answer->body};
    buf_clear(&answer->head);
    buf_clear(&answer->body);
}

void http_answer_free(struct http_answer *answer)
{
    buf_free(&answer->head);
    buf_free(&answer->body);
}

void http_answer_spoil(struct http_answer *answer)
{
    answer->state = HTTP_ANSWER_BAD;
    answer->reusable = false;
}

/* --- The head --- */

/* "HTTP/1.1 204 No Content"; the reason is optional. Servers of HTTP/1.0 close after the answer. */
static bool take_status_line(struct http_answer *answer, const char *line)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
        return false;
    answer->reusable = line[7] == '1';
    int status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        status = status * 10 + (line[i] - '0');
    }
    answer->status = status;
    return status >= 100 && status <= 599 && (line[12] == '\0' || line[12] == ' ');
}

/* Two lengths must be the same, or nobody knows where the next answer begins. */
static bool take_length(struct http_answer *answer, const char *value)
{
    uint64_t length = 0;
    if (*value == '\0')
        return false;
    for (; *value; value++) {
        if (*value < '0' || *value > '9' || length > (uint64_t)INT64_MAX / 10 - 1)
            return false;
        length = length * 10 + (uint64_t)(*value - '0');
    }
    bool same = !answer->has_length || answer->length == length;
    answer->has_length = true;
    answer->length = length;
    return same;
}

/* Names know no case. Their lengths are compared first: most fields mean nothing here, and are told
 * by that alone. */
static bool is_named(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && strcasecmp(name, wanted) == 0;
}

/* What the fields mean for the framing. */
static bool take_field(struct http_answer *answer, const char *name, size_t len, const char *value)
{
    if (is_named(name, len, "Content-Length"))
        return take_length(answer, value);
    if (is_named(name, len, "Transfer-Encoding")) {
        answer->chunked = true;
        return strcasecmp(value, "chunked") == 0;
    }
    if (is_named(name, len, "Connection") && strcasecmp(value, "close") == 0)
        answer->reusable = false;
    return true;
}

/* Cuts the line of `len` bytes (a NUL behind it) into name and value, and appends both to the front
 * of the head, `*used` bytes of which are taken: what is cut is never longer than what it was. */
static bool cut_field(struct http_answer *answer, char *line, size_t len, size_t *used)
{
    char *colon = memchr(line, ':', len);
    if (!colon || colon == line || colon[-1] == ' ' || colon[-1] == '\t')
        return false; /* also a folded line, which no sound server sends (RFC 9112, 5.2) */
    char *value = colon + 1;
    char *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *colon = *end = '\0';
    size_t name_size = (size_t)(colon - line) + 1;
    if (!take_field(answer, line, name_size - 1, value))
        return false;
    char *to = answer->head.data + *used;
    size_t value_size = (size_t)(end - value) + 1;
    memmove(to, line, name_size);
    memmove(to + name_size, value, value_size);
    *used += name_size + value_size;
    return true;
}

/* The head is whole, with its empty line: so there is an LF behind every line. */
static bool take_head(struct http_answer *answer)
{
    char *at = answer->head.data;
    char *end = at + answer->head.len - 2;
    size_t used = 0;
    if (memchr(at, '\0', answer->head.len))
        return false;
    for (bool first = true; at < end; first = false) {
        char *next = (char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        char *stop = memchr(at, '\r', (size_t)(next - at));
        if (!stop || stop + 2 != next) /* a bare CR or LF */
            return false;
        *stop = '\0';
        if (first ? !take_status_line(answer, at)
                  : !cut_field(answer, at, (size_t)(stop - at), &used))
            return false;
        at = next;
    }
    buf_truncate(&answer->head, used);
    return answer->status != 0;
}

/* What follows the head (RFC 9112, 6.3). */
static void begin_body(struct http_answer *answer)
{
    int status = answer->status;
    if (status < 200) { /* an interim one */
        http_answer_begin(answer, answer->to_head);
        answer->begun = true;
        return;
    }
    answer->state = HTTP_ANSWER_BODY;
    if (answer->to_head || status == 204 || status == 304) {
        answer->state = HTTP_ANSWER_DONE;
    } else if (answer->chunked) {
        http_chunk_init(&answer->chunk);
        if (answer->has_length)
            answer->reusable = false; /* smuggling, or a broken proxy */
    } else if (!answer->has_length) {
        answer->reusable = false;
    } else if (answer->length == 0) {
        answer->state = HTTP_ANSWER_DONE;
    }
}

/* Adds to the head up to its end; how many bytes it took. Almost all heads come in one piece: then
 * the end is found before anything is copied, or the body behind it would be, too. */
static size_t feed_head(struct http_answer *answer, const char *data, size_t len)
{
    size_t before = answer->head.len;
    size_t room = HTTP_ANSWER_HEAD_MAX - before;
    size_t more = len < room ? len : room;
    const char *end = before ? NULL : memmem(data, more, "\r\n\r\n", 4);
    if (end)
        more = (size_t)(end + 4 - data);
    buf_add(&answer->head, data, more);
    if (!buf_ok(&answer->head)) {
        http_answer_spoil(answer);
        return more;
    }
    if (before) {
        size_t from = before < 3 ? 0 : before - 3; /* the end may have come in pieces */
        end = memmem(answer->head.data + from, answer->head.len - from, "\r\n\r\n", 4);
        if (end)
            buf_truncate(&answer->head, (size_t)(end + 4 - answer->head.data));
    }
    size_t took = answer->head.len - before;
    if (!end && answer->head.len < HTTP_ANSWER_HEAD_MAX)
        return took;
    if (end && take_head(answer))
        begin_body(answer);
    else
        http_answer_spoil(answer);
    return took;
}

/* --- The body --- */

/* The next bytes of the body: to the sink, or kept as far as there is room. */
static void take(struct http_answer *answer, const char *data, size_t len)
{
    uint64_t offset = answer->got;
    answer->got += len;
    if (answer->sink) {
        answer->sink->take(answer->sink->arg, offset, data, len);
        return;
    }
    size_t room = HTTP_ANSWER_BODY_MAX - answer->body.len;
    buf_add(&answer->body, data, len < room ? len : room);
    if (!buf_ok(&answer->body))
        http_answer_spoil(answer);
}

static size_t feed_length(struct http_answer *answer, const char *data, size_t len)
{
    uint64_t left = answer->length - answer->got;
    size_t more = left < len ? (size_t)left : len;
    take(answer, data, more);
    if (answer->got == answer->length && answer->state == HTTP_ANSWER_BODY)
        answer->state = HTTP_ANSWER_DONE;
    return more;
}

static size_t feed_chunks(struct http_answer *answer, const char *data, size_t len)
{
    size_t used, piece_len = 0;
    const char *piece = NULL;
    switch (http_chunk_next(&answer->chunk, data, len, &used, &piece, &piece_len)) {
    case HTTP_CHUNK_DATA:
        take(answer, piece, piece_len);
        http_chunk_took(&answer->chunk, piece_len);
        used += piece_len;
        break;
    case HTTP_CHUNK_END:
        answer->state = HTTP_ANSWER_DONE;
        break;
    case HTTP_CHUNK_BAD:
        http_answer_spoil(answer);
        break;
    case HTTP_CHUNK_MORE:
        break;
    }
    return used;
}

size_t http_answer_feed(struct http_answer *answer, const char *data, size_t len)
{
    size_t used = 0;
    answer->begun = answer->begun || len > 0;
    while (used < len) {
        const char *at = data + used;
        size_t rest = len - used;
        if (answer->state == HTTP_ANSWER_HEAD) {
            used += feed_head(answer, at, rest);
        } else if (answer->state != HTTP_ANSWER_BODY) {
            break;
        } else if (answer->chunked) {
            used += feed_chunks(answer, at, rest);
        } else if (answer->has_length) {
            used += feed_length(answer, at, rest);
        } else {
            take(answer, at, rest);
            used += rest;
        }
    }
    return used;
}

/* Not for chunks: between them stand bytes that have to be looked at. */
uint64_t http_answer_left(const struct http_answer *answer)
{
    bool known = answer->state == HTTP_ANSWER_BODY && answer->has_length && !answer->chunked;
    return known ? answer->length - answer->got : 0;
}

void http_answer_skip(struct http_answer *answer, size_t len)
{
    answer->got += len;
    if (answer->got == answer->length)
        answer->state = HTTP_ANSWER_DONE;
}

void http_answer_end(struct http_answer *answer)
{
    bool ends_it = answer->state == HTTP_ANSWER_BODY && !answer->chunked && !answer->has_length;
    if (ends_it)
        answer->state = HTTP_ANSWER_DONE;
    answer->cut = answer->state == HTTP_ANSWER_HEAD || answer->state == HTTP_ANSWER_BODY;
    if (answer->cut)
        http_answer_spoil(answer);
    answer->reusable = false;
}

/* --- Fields --- */

/* The field at `*at` bytes of the head, and moves on; false at the end. */
static bool next_field(const struct http_answer *answer, size_t *at, const char **name,
                       const char **value)
{
    bool whole = answer->state == HTTP_ANSWER_BODY || answer->state == HTTP_ANSWER_DONE;
    if (!whole || *at >= answer->head.len)
        return false;
    *name = answer->head.data + *at;
    *value = *name + strlen(*name) + 1;
    *at = (size_t)(*value + strlen(*value) + 1 - answer->head.data);
    return true;
}

const char *http_answer_field(const struct http_answer *answer, const char *name)
{
    const char *each, *value;
    for (size_t at = 0; next_field(answer, &at, &each, &value);)
        if (strcasecmp(each, name) == 0)
            return value;
    return NULL;
}

void http_answer_each_field(const struct http_answer *answer,
                            void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    const char *name, *value;
    for (size_t at = 0; next_field(answer, &at, &name, &value);)
        fn(arg, name, value);
}
