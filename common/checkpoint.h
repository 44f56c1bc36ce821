/*
 * A checkpoint: a whole index at one sequence number, as one stream of bytes. What a joining master
 * fetches and what a backup's file holds are the same (common/PROTOCOL.md, 'Checkpoints'). Pure:
 * neither disk nor network.
 *
 * Each block ends in a digest of itself and of the digest before it. So a block that is damaged,
 * missing, doubled, out of order, or of another checkpoint is met where it stands; and whoever has
 * the digest of the last block that arrived can ask for what follows.
 */
#ifndef LARDER_COMMON_CHECKPOINT_H
#define LARDER_COMMON_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/durable.h"
#include "common/md5.h"
#include "common/status.h"

struct buf;

enum {
    CHECKPOINT_BLOCK = 256 * 1024,          /* bytes after which a writer ends a block */
    CHECKPOINT_BLOCK_MAX = 16 * 1024 * 1024 /* of a payload; a reader takes no larger one */
};

/* What a checkpoint says of itself. */
struct checkpoint_head {
    char id[IDENTITY_SIZE + 1];    /* of this checkpoint; the master holds its snapshot under it */
    char store[IDENTITY_SIZE + 1]; /* of the index that it was taken from */
    uint64_t sequence;             /* of the last change that is in it */
    uint64_t made_ms;              /* unix milliseconds */
};

/* How far a checkpoint has come, at the end of a block: with the last key, all that it takes to go
 * on behind it. */
struct checkpoint_point {
    uint64_t entries;
    uint64_t bytes; /* of their keys and values */
    unsigned char chain[MD5_SIZE];
};

/* --- Writing. All of it appends to `out`, and moves the point on. ST_NO_MEMORY, ST_INTERNAL. ---
 */

/* The beginning; *point is set. */
enum status checkpoint_begin(struct buf *out, const struct checkpoint_head *head,
                             struct checkpoint_point *point) MUST_CHECK;
/* Appends one entry to what is to become a block; keys must ascend over the whole checkpoint.
 * key_len 1 … 65535; an entry has to fit into CHECKPOINT_BLOCK_MAX. */
void checkpoint_add(struct buf *entries, const void *key, size_t key_len, const void *value,
                    size_t value_len);
/* A block of `count` entries, at least one, that checkpoint_add() has put together. */
enum status checkpoint_block(struct buf *out, const struct buf *entries, uint64_t count,
                             struct checkpoint_point *point) MUST_CHECK;
/* The end, which tells how much there was. */
enum status checkpoint_end(struct buf *out, struct checkpoint_point *point) MUST_CHECK;

/* --- Reading: bytes are pushed in as they come, and what they mean is told, block by block, when
 * the block has proved to be good. --- */

struct checkpoint_reader;

/* Whatever one of these returns but ST_OK ends the reading with it. */
struct checkpoint_sink {
    enum status (*head)(void *arg, const struct checkpoint_head *head);
    /* Key and value are valid during the call. */
    enum status (*entry)(void *arg, const char *key, size_t key_len, const char *value,
                         size_t value_len);
    /* After the entries of a block, and after head and end: its bytes as they came; those before
     * the head are with the head's. May be NULL. */
    enum status (*block)(void *arg, const char *bytes, size_t len);
};

/* `sink` must outlive the reader. NULL: no memory. */
struct checkpoint_reader *checkpoint_reader_new(const struct checkpoint_sink *sink,
                                                void *arg) MUST_CHECK;
void checkpoint_reader_free(struct checkpoint_reader *reader);

/* Takes bytes. ST_CORRUPT: they are no checkpoint, or a damaged one (checkpoint_reader_fault() says
 * what is wrong, and where); ST_NOT_IMPLEMENTED: of a version that is not known here; ST_NO_MEMORY;
 * or what the sink returned. After a failure it takes no more. */
enum status checkpoint_reader_take(struct checkpoint_reader *reader, const void *data,
                                   size_t len) MUST_CHECK;

/* Forgets the part of a block that has come since the last whole one: after the connection broke
 * off, what follows continues behind that. */
void checkpoint_reader_cut(struct checkpoint_reader *reader);
/* As new: for another checkpoint. */
void checkpoint_reader_reset(struct checkpoint_reader *reader);

/* True once the end has come, and its counts are right. Nothing may follow it. */
bool checkpoint_reader_whole(const struct checkpoint_reader *reader);
/* True once the head has come. */
bool checkpoint_reader_begun(const struct checkpoint_reader *reader);
/* What the head said; all zero before. */
const struct checkpoint_head *checkpoint_reader_head(const struct checkpoint_reader *reader);
/* At the end of the last whole block. */
const struct checkpoint_point *checkpoint_reader_point(const struct checkpoint_reader *reader);
/* The last key of it; "" before the first. */
const struct buf *checkpoint_reader_key(const struct checkpoint_reader *reader);
/* Bytes of the stream up to the end of the last whole block. */
uint64_t checkpoint_reader_offset(const struct checkpoint_reader *reader);
/* Why it returned ST_CORRUPT or ST_NOT_IMPLEMENTED: "byte 1234: …", for people. */
const char *checkpoint_reader_fault(const struct checkpoint_reader *reader);

#endif
