/*
 * A machine of states that takes framing byte by byte and leaves data alone: the caller takes those
 * in one piece, and is told only where they begin. Whatever RFC 9112 leaves to a lenient reader
 * (white space, bare LF, sizes of any length) is refused, because another reader before us may have
 * seen another end of the body in it.
 */
#include "common/http_chunk.h"

#include <string.h>

#include "common/hex.h"

enum {
    DIGITS_MAX = 16,        /* of 64 bits, so leading zeros do not go on for ever either */
    EXTENSION_MAX = 256,    /* bytes a chunk; nobody sends any, but RFC 9112 (7.1.1) allows them */
    TRAILERS_MAX = 8 * 1024 /* bytes of all together */
};

/* What the next byte belongs to. */
enum {
    IN_SIZE,
    IN_EXTENSION, /* behind the size: ";name=value", skipped */
    SIZE_LF,
    IN_DATA, /* not framing: http_chunk_next() stops here, http_chunk_took() goes on */
    DATA_CR, /* the CRLF that every chunk ends with */
    DATA_LF,
    TRAILER_START, /* a trailer, or the empty line that ends it all */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF, /* of the empty line */
    ENDED,
    BROKEN /* for good: where the next chunk begins is not known any more */
};

void http_chunk_init(struct http_chunk *chunk)
{
    *chunk = (struct http_chunk){IN_SIZE, 0, 0, 0};
}

/* RFC 9110's tchar, as http_head.c has it for the names of fields. */
static bool is_name(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* What may stand in an extension or a trailer's value. */
static bool is_text(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

/* One digit more, or what ends them. No white space: "5 " has been read as 5 and as 0x50. */
static int after_size(struct http_chunk *chunk, char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        /* Below 2^63: it must fit a signed length anywhere else. */
        if (chunk->digits == DIGITS_MAX || chunk->left >= (uint64_t)1 << 59)
            return BROKEN;
        chunk->left = chunk->left << 4 | (unsigned)digit;
        chunk->digits++;
        return IN_SIZE;
    }
    if (chunk->digits == 0)
        return BROKEN;
    chunk->extra = 0;
    return c == '\r' ? SIZE_LF : c == ';' ? IN_EXTENSION : BROKEN;
}

/* The line with the size is over. Size 0 is the last chunk, and trailers follow. */
static int after_size_line(struct http_chunk *chunk, char c)
{
    if (c != '\n')
        return BROKEN;
    chunk->extra = 0;
    chunk->digits = 0;
    return chunk->left ? IN_DATA : TRAILER_START;
}

/* A byte of the trailer section. Nobody reads what the trailers say; they must only have the form
 * of fields, so that what follows a bad one is not taken for the next request. */
static int after_trailer(struct http_chunk *chunk, char c)
{
    if (++chunk->extra > TRAILERS_MAX)
        return BROKEN;
    if (chunk->state == TRAILER_VALUE)
        return c == '\r' ? TRAILER_LF : is_text(c) ? TRAILER_VALUE : BROKEN;
    if (is_name(c))
        return TRAILER_NAME;
    if (chunk->state == TRAILER_START)
        return c == '\r' ? LAST_LF : BROKEN;
    return c == ':' ? TRAILER_VALUE : BROKEN;
}

/* The state after a byte of framing. IN_DATA and ENDED are never asked about: http_chunk_next()
 * leaves the bytes there alone. */
static int after(struct http_chunk *chunk, char c)
{
    switch (chunk->state) {
    case IN_SIZE:
        return after_size(chunk, c);
    case IN_EXTENSION:
        if (c == '\r')
            return SIZE_LF;
        return is_text(c) && ++chunk->extra <= EXTENSION_MAX ? IN_EXTENSION : BROKEN;
    case SIZE_LF:
        return after_size_line(chunk, c);
    case DATA_CR:
        return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return c == '\n' ? IN_SIZE : BROKEN;
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return after_trailer(chunk, c);
    case TRAILER_LF:
        return c == '\n' ? TRAILER_START : BROKEN;
    case LAST_LF:
        return c == '\n' ? ENDED : BROKEN;
    default:
        return BROKEN;
    }
}

enum http_chunk_result http_chunk_next(struct http_chunk *chunk, const char *bytes, size_t len,
                                       size_t *used, const char **data, size_t *data_len)
{
    size_t at = 0;
    while (at < len && chunk->state != IN_DATA && chunk->state != ENDED && chunk->state != BROKEN)
        chunk->state = after(chunk, bytes[at++]);
    *used = at;
    *data = bytes + at;
    *data_len = 0;
    if (chunk->state == BROKEN)
        return HTTP_CHUNK_BAD;
    if (chunk->state == ENDED)
        return HTTP_CHUNK_END;
    if (chunk->state != IN_DATA || at == len)
        return HTTP_CHUNK_MORE;
    /* A chunk may end before the input does; what follows it is framing again. */
    *data_len = len - at < chunk->left ? len - at : (size_t)chunk->left;
    return HTTP_CHUNK_DATA;
}

/* Nothing may be left of a chunk before its CRLF is looked for, so the state moves only here. */
void http_chunk_took(struct http_chunk *chunk, size_t len)
{
    chunk->left -= len;
    if (chunk->left == 0)
        chunk->state = DATA_CR;
}
