/*
 * A value on another volume, read over a connection of its own. Everything here blocks, for a few
 * seconds at most without a byte; one thread at a time.
 */
#ifndef LARDER_VOLUME_SOURCE_H
#define LARDER_VOLUME_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/status.h"

struct source;

/* Cuts an http URL apart: `host` gets "host[:port]" (HTTP_PEER_NAME_MAX + 1 bytes of room), and
 * *target points to the path in `url`. ST_BAD_REQUEST. */
enum { SOURCE_HOST_SIZE = 272 };
enum status source_parse(const char *url, char host[SOURCE_HOST_SIZE],
                         const char **target) MUST_CHECK;

/* Connects and asks for the value; its head has been read. ST_PEER: nobody is there, or the answer
 * is not 200 with a length; ST_PEER_TIMEOUT; ST_NO_MEMORY. `url` is the caller's. */
enum status source_open(struct source **source, const char *url) MUST_CHECK;
/* NULL is fine. */
void source_close(struct source *source);

/* Bytes of the whole value; its Content-Type, or NULL. */
uint64_t source_length(const struct source *source);
const char *source_type(const struct source *source);

/* Reads on: `len` bytes, fewer only at the end (0: it is over). ST_PEER where it breaks off,
 * ST_PEER_TIMEOUT where no byte comes for some seconds, or all of it takes more than 30 s and 1 ms
 * a KiB. */
enum status source_read(struct source *source, char *to, size_t len, size_t *got) MUST_CHECK;

#endif
