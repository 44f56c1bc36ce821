#include "common/entry.h"

#include <string.h>

#include "common/buf.h"
#include "common/md5.h"

/* Where the fields stand; `DIGEST` is of everything before it and the operations. */
enum { MAGIC = 0, FIRST = 8, COUNT = 16, LENGTH = 20, TERM = 24, TOKEN = 32, DIGEST = 48 };
enum { OP_HEAD = 8 };

#define OP_REMOVE UINT32_MAX

static const char magic[8] = {'l', 'a', 'r', 'd', 'e', 'r', 'L', '1'};

/* --- little-endian numbers --- */

static void put_number(char *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(value >> (8 * i) & 255);
}

static uint64_t get_number(const char *from, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i--;)
        value = value << 8 | (unsigned char)from[i];
    return value;
}

/* --- operations --- */

void entry_add_op(struct buf *ops, const char *prefix, const char *key, size_t key_len,
                  const char *value, size_t value_len)
{
    char head[OP_HEAD];
    size_t prefix_len = strlen(prefix);
    put_number(head, prefix_len + key_len, 4);
    put_number(head + 4, value ? value_len : OP_REMOVE, 4);
    buf_add(ops, head, sizeof head);
    buf_add(ops, prefix, prefix_len);
    buf_add(ops, key, key_len);
    if (value)
        buf_add(ops, value, value_len);
}

bool entry_next_op(const char **at, const char *end, struct entry_op *op)
{
    size_t left = (size_t)(end - *at);
    if (left < OP_HEAD)
        return false;
    op->key_len = get_number(*at, 4);
    op->value_len = get_number(*at + 4, 4);
    bool removes = op->value_len == OP_REMOVE;
    if (removes)
        op->value_len = 0;
    left -= OP_HEAD;
    if (op->key_len > left || op->value_len > left - op->key_len)
        return false;
    op->key = *at + OP_HEAD;
    op->value = removes ? NULL : op->key + op->key_len;
    *at = op->key + op->key_len + op->value_len;
    return true;
}

/* --- entries --- */

enum status entry_encode(struct buf *out, const struct entry *entry)
{
    char head[ENTRY_HEAD];
    unsigned char digest[MD5_SIZE];
    if (entry->ops_len > ENTRY_OPS_MAX)
        return ST_TOO_LARGE;
    memcpy(head + MAGIC, magic, sizeof magic);
    put_number(head + FIRST, entry->first, 8);
    put_number(head + COUNT, entry->count, 4);
    put_number(head + LENGTH, entry->ops_len, 4);
    put_number(head + TERM, entry->term, 8);
    memcpy(head + TOKEN, entry->token, ENTRY_TOKEN);
    enum status st = md5_pair(head, DIGEST, entry->ops, entry->ops_len, digest);
    if (st)
        return st;
    memcpy(head + DIGEST, digest, sizeof digest);
    buf_add(out, head, sizeof head);
    buf_add(out, entry->ops, entry->ops_len);
    return buf_ok(out) ? ST_OK : ST_NO_MEMORY;
}

static bool whole_operations(const struct entry *entry)
{
    const char *at = entry->ops;
    const char *end = at + entry->ops_len;
    struct entry_op op;
    while (entry_next_op(&at, end, &op))
        if (op.key_len == 0)
            return false;
    return at == end;
}

enum status entry_decode(struct entry *entry, const char *bytes, size_t len)
{
    unsigned char digest[MD5_SIZE];
    if (len < ENTRY_HEAD || len > ENTRY_MAX || memcmp(bytes, magic, sizeof magic) != 0 ||
        get_number(bytes + LENGTH, 4) != len - ENTRY_HEAD)
        return ST_CORRUPT;
    entry->first = get_number(bytes + FIRST, 8);
    entry->count = (uint32_t)get_number(bytes + COUNT, 4);
    entry->term = get_number(bytes + TERM, 8);
    memcpy(entry->token, bytes + TOKEN, ENTRY_TOKEN);
    entry->ops = bytes + ENTRY_HEAD;
    entry->ops_len = len - ENTRY_HEAD;
    enum status st = md5_pair(bytes, DIGEST, entry->ops, entry->ops_len, digest);
    if (st)
        return st;
    bool good = memcmp(digest, bytes + DIGEST, sizeof digest) == 0 && entry->count &&
                entry->first && entry->first <= UINT64_MAX - entry->count &&
                whole_operations(entry);
    return good ? ST_OK : ST_CORRUPT;
}

uint64_t entry_last(const struct entry *entry)
{
    return entry->first + entry->count - 1;
}
