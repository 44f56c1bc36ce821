/*
 * The two ends of a connection's socket: bytes that have arrived, and bytes and a file that are to
 * leave. They know system calls and buffers, and nothing of HTTP. Internal to the HTTP server.
 *
 * Why not libevent's bufferevents: version 2.1 reads 4 KiB at a time, asks FIONREAD before each,
 * and writes only after another turn through epoll. An answer costs seven system calls that way,
 * and three this way; an upload costs a sixtieth.
 */
#ifndef LARDER_COMMON_HTTP_IO_H
#define LARDER_COMMON_HTTP_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"

enum http_io {
    HTTP_IO_OK,     /* some bytes came; all bytes have left */
    HTTP_IO_WAIT,   /* the socket has none, takes no more just now */
    HTTP_IO_CLOSED, /* the other side sends no more (reading only) */
    HTTP_IO_FAILED  /* the connection is gone, or memory is; or the file could not be read */
};

/* The larger what is read at once, the longer other connections of the loop wait: with ten uploads
 * and 256 KiB the median answer to a GET took 14 ms, with 64 KiB 8 ms, at the same rate of the
 * uploads. */
enum { HTTP_INPUT_MIN = 4 * 1024, HTTP_INPUT_MAX = 64 * 1024 };

/* Arrived and not yet consumed: data[start .. start + len). All zero: empty. */
struct http_input {
    char *data;
    size_t start, len, cap;
};

/* One read from the socket into a buffer of at least `cap` bytes (made so where it is smaller).
 * There must be room: len < cap. *got is the number of bytes. */
enum http_io http_input_fill(struct http_input *in, int socket, size_t cap, size_t *got) MUST_CHECK;
void http_input_consume(struct http_input *in, size_t len);
/* Gives back what a large body needed. */
void http_input_trim(struct http_input *in);
void http_input_free(struct http_input *in);

/* To leave: the bytes, then either a block of another's memory or part of a file. */
struct http_output {
    struct buf bytes;
    size_t sent;       /* of the bytes */
    const char *block; /* NULL: none; what is left of it. Not ours: `over` tells its owner */
    int file;          /* -1: none. Closed when it has been sent, or dropped */
    uint64_t offset;   /* in the file */
    uint64_t left;     /* of the block or the file */
    void (*over)(void *arg, int err); /* NULL, or told once, when block or file is done with */
    void *over_arg;
};

void http_output_init(struct http_output *out);
/* True where nothing waits to leave. */
bool http_output_empty(const struct http_output *out);
/* Adds the file after the bytes; there must be none yet. Owns `fd` from here on. */
void http_output_file(struct http_output *out, int fd, uint64_t offset, uint64_t length);
/* The same with `length` bytes of memory, which must stay until http_output_watch() says that it is
 * over. */
void http_output_block(struct http_output *out, const char *block, size_t length);
/* Calls over(arg, err) once, when the file or block that was just added has left or is given up; at
 * once where it is over already. `err` is the errno of a read of the file that failed, else 0. */
void http_output_watch(struct http_output *out, void (*over)(void *arg, int err), void *arg);
/* Sends what the socket takes, at most a few MiB, so that one fast client does not keep the loop to
 * itself. *sent is the number of bytes that have left, whatever it returns. */
enum http_io http_output_flush(struct http_output *out, int socket, uint64_t *sent) MUST_CHECK;
/* Forgets what has not left, closes the file, frees the memory. */
void http_output_drop(struct http_output *out);

#endif
