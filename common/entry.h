/*
 * An entry of the log that several masters share: a group of changes of the index, as bytes
 * (common/PROTOCOL.md, 'Several masters'). Pure: neither disk nor network.
 */
#ifndef LARDER_COMMON_ENTRY_H
#define LARDER_COMMON_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct buf;

enum {
    ENTRY_MAX = 1024 * 1024,
    ENTRY_HEAD = 64,
    ENTRY_OPS_MAX = ENTRY_MAX - ENTRY_HEAD,
    ENTRY_TOKEN = 16
};

struct entry {
    uint64_t first; /* sequence of its first change, from 1 */
    uint32_t count; /* of its changes, from 1 */
    uint64_t term;  /* of the writer who appended it */
    unsigned char token[ENTRY_TOKEN];
    const char *ops; /* operations, as entry_add_op() writes them */
    size_t ops_len;
};

/* Appends the bytes of an entry. ST_TOO_LARGE, ST_NO_MEMORY, ST_INTERNAL. */
enum status entry_encode(struct buf *out, const struct entry *entry) MUST_CHECK;
/* Reads one; `ops` points into `bytes`. ST_CORRUPT where it is damaged, or no entry, or one whose
 * operations are not whole; so they need no look when they are applied. */
enum status entry_decode(struct entry *entry, const char *bytes, size_t len) MUST_CHECK;
/* The sequence of its last change. */
uint64_t entry_last(const struct entry *entry);

/* --- operations --- */

struct entry_op {
    const char *key;
    size_t key_len;
    const char *value; /* NULL: the key is removed */
    size_t value_len;
};

/* Appends one; its key is `prefix` and `key`. */
void entry_add_op(struct buf *ops, const char *prefix, const char *key, size_t key_len,
                  const char *value, size_t value_len);
/* Takes the next one at *at, and moves that on. False at the end, and where what follows is not
 * whole (*at is not `end` then). */
bool entry_next_op(const char **at, const char *end, struct entry_op *op);

#endif
