/*
 * Decoder of the chunked transfer coding (RFC 9112, section 7.1), strict: CRLF only, sizes of at
 * most 16 hex digits and below 2^63, chunk extensions skipped up to 256 bytes, trailers read and
 * dropped up to 8 KiB. Pure: no sockets, no memory of its own.
 */
#ifndef LARDER_COMMON_HTTP_CHUNK_H
#define LARDER_COMMON_HTTP_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

/* Belongs to the caller, who only keeps it from call to call and looks at none of it. */
struct http_chunk {
    int state;       /* http_chunk.c has the names */
    uint64_t left;   /* bytes of the chunk that are still to come */
    unsigned digits; /* of the size, so far */
    unsigned extra;  /* bytes of extension and trailers, so far */
};

enum http_chunk_result {
    HTTP_CHUNK_MORE, /* all of the input was framing; give it more */
    HTTP_CHUNK_DATA, /* *data, *data_len are bytes of the body */
    HTTP_CHUNK_END,  /* the body is complete */
    HTTP_CHUNK_BAD   /* framing error: close the connection */
};

/* At the first byte of a body. */
void http_chunk_init(struct http_chunk *chunk);

/*
 * Looks at `len` bytes. *used is how many of them are done with: drop them before the next call.
 * With HTTP_CHUNK_DATA they are the framing before the data only: *data points to the data that
 * follow it, and the caller tells by http_chunk_took() how many it has taken (and drops those too).
 * So a sink that is full takes part of them, and the rest is offered again. After HTTP_CHUNK_END
 * what follows *used belongs to the next request; after HTTP_CHUNK_BAD every further call says the
 * same.
 */
enum http_chunk_result http_chunk_next(struct http_chunk *chunk, const char *bytes, size_t len,
                                       size_t *used, const char **data,
                                       size_t *data_len) MUST_CHECK;
/* `len` is at most the *data_len of the call before. */
void http_chunk_took(struct http_chunk *chunk, size_t len);

#endif
