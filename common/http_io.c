/*
 * The system calls of a connection. Whatever the socket does not take or give just now is reported
 * as HTTP_IO_WAIT, and the caller comes back when the loop says so; nothing here waits. (sendfile
 * may wait for the disk where the page cache has not got the file; readahead keeps that short.)
 */
#include "common/http_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/log.h"

enum {
    MAPPED_MIN = 64 * 1024,        /* buffers from this size on are no business of malloc */
    KEPT = 16 * 1024,              /* memory that stays with an idle connection */
    FILE_PIECE = 1024 * 1024,      /* of one sendfile */
    FLUSH_BUDGET = 4 * 1024 * 1024 /* of one call of http_output_flush */
};

/* --- Arriving --- */

/* Large buffers are mapped: thousands of uploads that come and go would leave malloc's heap full of
 * holes of their size, which it does not give back. */
static char *buffer_new(size_t cap)
{
    if (cap < MAPPED_MIN)
        return malloc(cap);
    void *data = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return data == MAP_FAILED ? NULL : data;
}

static void buffer_free(char *data, size_t cap)
{
    if (cap < MAPPED_MIN)
        free(data);
    else
        (void)munmap(data, cap);
}

/* Moves what is there into a buffer of another size, to its front. */
static bool resize(struct http_input *in, size_t cap)
{
    char *data = buffer_new(cap);
    if (!data)
        return false;
    if (in->len)
        memcpy(data, in->data + in->start, in->len);
    buffer_free(in->data, in->cap);
    in->data = data;
    in->start = 0;
    in->cap = cap;
    return true;
}

/* A buffer of at least `cap` bytes, with all of its room at its end. */
static bool make_room(struct http_input *in, size_t cap)
{
    if (in->cap < cap)
        return resize(in, cap);
    if (in->start && in->len)
        memmove(in->data, in->data + in->start, in->len);
    in->start = 0;
    return true;
}

enum http_io http_input_fill(struct http_input *in, int socket, size_t cap, size_t *got)
{
    *got = 0;
    if (!make_room(in, cap))
        return HTTP_IO_FAILED;
    ssize_t n;
    do
        n = recv(socket, in->data + in->len, in->cap - in->len, 0);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return HTTP_IO_CLOSED;
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? HTTP_IO_WAIT : HTTP_IO_FAILED;
    in->len += (size_t)n;
    *got = (size_t)n;
    return HTTP_IO_OK;
}

void http_input_consume(struct http_input *in, size_t len)
{
    in->start += len;
    in->len -= len;
    if (in->len == 0)
        in->start = 0;
}

void http_input_trim(struct http_input *in)
{
    size_t cap = in->len > HTTP_INPUT_MIN ? in->len : HTTP_INPUT_MIN;
    if (in->cap > KEPT && in->cap > cap)
        (void)resize(in, cap); /* where that fails it only stays larger than it need be */
}

void http_input_free(struct http_input *in)
{
    buffer_free(in->data, in->cap);
    *in = (struct http_input){NULL, 0, 0, 0};
}

/* --- Leaving --- */

void http_output_init(struct http_output *out)
{
    *out = (struct http_output){.bytes = BUF_INIT, .file = -1};
}

bool http_output_empty(const struct http_output *out)
{
    return out->bytes.len == out->sent && out->left == 0;
}

/* Of the file or the block. `err`: why its rest cannot be read, or 0. */
static void end_body(struct http_output *out, int err)
{
    void (*over)(void *arg, int err) = out->over;
    if (out->file >= 0)
        (void)close(out->file);
    out->file = -1;
    out->block = NULL;
    out->left = 0;
    out->over = NULL;
    if (over)
        over(out->over_arg, err);
}

void http_output_file(struct http_output *out, int fd, uint64_t offset, uint64_t length)
{
    out->file = fd;
    out->offset = offset;
    out->left = length;
    if (length == 0)
        end_body(out, 0);
}

void http_output_block(struct http_output *out, const char *block, size_t length)
{
    out->block = length ? block : NULL;
    out->left = length;
}

void http_output_watch(struct http_output *out, void (*over)(void *arg, int err), void *arg)
{
    if (out->file < 0 && !out->block) {
        over(arg, 0);
        return;
    }
    out->over = over;
    out->over_arg = arg;
}

/* An errno that a socket does not have: the disk's. */
static bool is_of_the_file(int err)
{
    return err == EIO || err == EUCLEAN || err == EBADMSG || err == ENODATA || err == EREMOTEIO;
}

/* What a failed send or sendfile means. */
static enum http_io failure(const struct http_output *out, const char *doing)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return HTTP_IO_WAIT;
    /* A client that goes away is no event; a disk that cannot be read is. */
    if (errno != EPIPE && errno != ECONNRESET && errno != ETIMEDOUT && errno != ENOTCONN)
        log_event(LOG_WARN, "http", "error=\"%s failed, the answer is cut off: %s\" left=%llu",
                  doing, strerror(errno), (unsigned long long)out->left);
    return HTTP_IO_FAILED;
}

/* The head of an answer with a file is held back (MSG_MORE) so that it shares a packet with the
 * file's beginning. */
static enum http_io send_bytes(struct http_output *out, int socket, uint64_t *sent)
{
    int more = out->left && !out->block ? MSG_MORE : 0;
    while (out->sent < out->bytes.len && !out->block) {
        ssize_t n = send(socket, out->bytes.data + out->sent, out->bytes.len - out->sent,
                         MSG_NOSIGNAL | more);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failure(out, "sending");
        out->sent += (size_t)n;
        *sent += (uint64_t)n;
    }
    return HTTP_IO_OK;
}

/* Of what sendmsg took, the head's part comes first. */
static void consume(struct http_output *out, size_t n)
{
    size_t head = out->bytes.len - out->sent;
    if (head > n)
        head = n;
    out->sent += head;
    out->block += n - head;
    out->left -= n - head;
}

/* A head and the block behind it leave in one call. */
static enum http_io send_block(struct http_output *out, int socket, uint64_t *sent)
{
    while (out->block && out->left && *sent < FLUSH_BUDGET) {
        /* sendmsg reads what it is given, though iovec has no const for it. */
        struct iovec parts[] = {
            {out->bytes.data + out->sent, out->bytes.len - out->sent},
            {(void *)(uintptr_t)out->block, (size_t)out->left},
        };
        bool head = parts[0].iov_len > 0;
        struct msghdr message = {.msg_iov = head ? parts : parts + 1, .msg_iovlen = head ? 2 : 1};
        ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failure(out, "sending");
        consume(out, (size_t)n);
        *sent += (uint64_t)n;
    }
    if (out->block && out->left)
        return HTTP_IO_WAIT;
    if (out->block)
        end_body(out, 0);
    return HTTP_IO_OK;
}

/* The bytes have left: their memory is for the next answer, unless it is much. */
static void forget_bytes(struct http_output *out)
{
    out->sent = 0;
    buf_clear(&out->bytes);
    if (out->bytes.cap > KEPT)
        buf_free(&out->bytes);
}

/* The file goes from the page cache to the socket, and never through this process. */
static enum http_io send_file(struct http_output *out, int socket, uint64_t *sent)
{
    while (out->left && *sent < FLUSH_BUDGET) {
        off_t at = (off_t)out->offset;
        size_t piece = out->left < FILE_PIECE ? (size_t)out->left : FILE_PIECE;
        ssize_t n = sendfile(socket, out->file, &at, piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            enum http_io result = failure(out, "sending a file");
            if (is_of_the_file(errno))
                end_body(out, errno);
            return result;
        }
        if (n == 0) {
            log_event(LOG_WARN, "http",
                      "error=\"a file became shorter while it was sent; the answer is cut off\" "
                      "left=%llu",
                      (unsigned long long)out->left);
            end_body(out, EIO);
            return HTTP_IO_FAILED;
        }
        out->offset = (uint64_t)at;
        out->left -= (uint64_t)n;
        *sent += (uint64_t)n;
    }
    if (out->left)
        return HTTP_IO_WAIT;
    end_body(out, 0);
    return HTTP_IO_OK;
}

enum http_io http_output_flush(struct http_output *out, int socket, uint64_t *sent)
{
    *sent = 0;
    enum http_io result = send_bytes(out, socket, sent);
    if (result == HTTP_IO_OK)
        result = send_block(out, socket, sent);
    if (result != HTTP_IO_OK)
        return result;
    forget_bytes(out);
    return send_file(out, socket, sent);
}

void http_output_drop(struct http_output *out)
{
    end_body(out, 0);
    buf_free(&out->bytes);
    out->sent = 0;
}
