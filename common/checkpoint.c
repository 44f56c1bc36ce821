#include "common/checkpoint.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hex.h"

enum {
    MAGIC_SIZE = 8,
    VERSION = 1,
    START_SIZE = MAGIC_SIZE + 4, /* magic and version */
    FRAME_SIZE = 1 + 4,          /* a block's type and length */
    HEAD_SIZE = 2 * IDENTITY_SIZE + 8 + 8,
    ENTRY_SIZE = 2 + 4, /* an entry's lengths */
    END_SIZE = 8 + 8,
    KEEP_MAX = 2 * CHECKPOINT_BLOCK /* of memory, between two blocks */
};

static const char magic[MAGIC_SIZE + 1] = "LARDERCP";

/* Where a reader is. */
enum phase {
    PHASE_HEAD, /* magic, version and head, which are taken together: without the head there is
                   nothing to resume */
    PHASE_DATA,
    PHASE_WHOLE
};

struct checkpoint_reader {
    const struct checkpoint_sink *sink;
    void *arg;
    enum phase phase;
    struct checkpoint_head head;
    struct checkpoint_point point;
    struct buf key;      /* the last one of the last whole block, */
    struct buf last;     /* and of the entries that are being told */
    struct buf part;     /* the bytes of a block that is not whole yet */
    uint64_t offset;     /* of the stream, where `part` begins */
    enum status refusal; /* why no more is taken */
    char fault[200];
};

/* --- numbers: most significant byte first, on every machine --- */

static void put_number(unsigned char *to, size_t size, uint64_t number)
{
    for (size_t i = size; i-- > 0; number >>= 8)
        to[i] = (unsigned char)number;
}

static uint64_t get_number(const char *from, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | (unsigned char)from[i];
    return number;
}

static void add_number(struct buf *out, size_t size, uint64_t number)
{
    unsigned char bytes[8];
    put_number(bytes, size, number);
    buf_add(out, bytes, size);
}

/* The digest of a block: over the one before, and all of the block but itself. */
static enum status chain(const unsigned char before[MD5_SIZE], const char *block, size_t len,
                         unsigned char digest[MD5_SIZE])
{
    unsigned char copy[MD5_SIZE]; /* `before` may be `digest` */
    memcpy(copy, before, sizeof copy);
    return md5_pair(copy, sizeof copy, block, len, digest);
}

/* --- writing --- */

/* The digest is over type, length and payload, and the one before: it becomes the point's, so the
 * order of calls is the order of blocks. Magic and version in front are in no digest; the reader
 * compares them. */
static enum status write_block(struct buf *out, char type, const void *payload, size_t len,
                               struct checkpoint_point *point)
{
    size_t start = out->len;
    buf_addc(out, type);
    add_number(out, 4, len);
    buf_add(out, payload, len);
    if (!buf_ok(out))
        return ST_NO_MEMORY;
    enum status st = chain(point->chain, out->data + start, out->len - start, point->chain);
    buf_add(out, point->chain, sizeof point->chain);
    return !st && !buf_ok(out) ? ST_NO_MEMORY : st;
}

enum status checkpoint_begin(struct buf *out, const struct checkpoint_head *head,
                             struct checkpoint_point *point)
{
    unsigned char payload[HEAD_SIZE];
    memset(point, 0, sizeof *point);
    buf_add(out, magic, MAGIC_SIZE);
    add_number(out, 4, VERSION);
    memcpy(payload, head->id, IDENTITY_SIZE);
    memcpy(payload + IDENTITY_SIZE, head->store, IDENTITY_SIZE);
    put_number(payload + (size_t)2 * IDENTITY_SIZE, 8, head->sequence);
    put_number(payload + (size_t)2 * IDENTITY_SIZE + 8, 8, head->made_ms);
    return write_block(out, 'H', payload, sizeof payload, point);
}

void checkpoint_add(struct buf *entries, const void *key, size_t key_len, const void *value,
                    size_t value_len)
{
    add_number(entries, 2, key_len);
    add_number(entries, 4, value_len);
    buf_add(entries, key, key_len);
    buf_add(entries, value, value_len);
}

enum status checkpoint_block(struct buf *out, const struct buf *entries, uint64_t count,
                             struct checkpoint_point *point)
{
    if (!buf_ok(entries))
        return ST_NO_MEMORY;
    enum status st = write_block(out, 'D', entries->data, entries->len, point);
    point->entries += count;
    point->bytes += entries->len - count * ENTRY_SIZE;
    return st;
}

enum status checkpoint_end(struct buf *out, struct checkpoint_point *point)
{
    unsigned char payload[END_SIZE];
    put_number(payload, 8, point->entries);
    put_number(payload + 8, 8, point->bytes);
    return write_block(out, 'E', payload, sizeof payload, point);
}

/* --- reading --- */

struct checkpoint_reader *checkpoint_reader_new(const struct checkpoint_sink *sink, void *arg)
{
    struct checkpoint_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return NULL;
    reader->sink = sink;
    reader->arg = arg;
    return reader;
}

void checkpoint_reader_free(struct checkpoint_reader *reader)
{
    if (!reader)
        return;
    buf_free(&reader->key);
    buf_free(&reader->last);
    buf_free(&reader->part);
    free(reader);
}

/* Always ST_CORRUPT, so that a caller can return it. `at`: bytes into the block. */
PRINTF_LIKE(3, 4)
static enum status fault(struct checkpoint_reader *reader, size_t at, const char *format, ...)
{
    int len =
        snprintf(reader->fault, sizeof reader->fault, "byte %" PRIu64 ": ", reader->offset + at);
    va_list args;
    va_start(args, format);
    if (len > 0)
        (void)vsnprintf(reader->fault + len, sizeof reader->fault - (size_t)len, format, args);
    va_end(args);
    return ST_CORRUPT;
}

static enum status check_start(struct checkpoint_reader *reader)
{
    const char *bytes = reader->part.data;
    uint64_t version = get_number(bytes + MAGIC_SIZE, 4);
    if (memcmp(bytes, magic, MAGIC_SIZE) != 0)
        return fault(reader, 0, "this is no checkpoint");
    if (version == VERSION)
        return ST_OK;
    (void)fault(reader, MAGIC_SIZE, "version %" PRIu64 " of the format is not known here", version);
    return ST_NOT_IMPLEMENTED;
}

static bool is_identity(const char *bytes)
{
    for (size_t i = 0; i < IDENTITY_SIZE; i++)
        if (hex_value(bytes[i]) < 0)
            return false;
    return true;
}

static enum status read_head(struct checkpoint_reader *reader, const char *payload, size_t len)
{
    struct checkpoint_head *head = &reader->head;
    if (len != HEAD_SIZE || !is_identity(payload) || !is_identity(payload + IDENTITY_SIZE))
        return fault(reader, FRAME_SIZE, "the head is malformed");
    memcpy(head->id, payload, IDENTITY_SIZE);
    memcpy(head->store, payload + IDENTITY_SIZE, IDENTITY_SIZE);
    head->sequence = get_number(payload + (size_t)2 * IDENTITY_SIZE, 8);
    head->made_ms = get_number(payload + (size_t)2 * IDENTITY_SIZE + 8, 8);
    reader->phase = PHASE_DATA;
    return reader->sink->head ? reader->sink->head(reader->arg, head) : ST_OK;
}

/* Bytewise; below 0 where `a` comes first. */
static int compare_keys(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t len = a_len < b_len ? a_len : b_len;
    int order = len ? memcmp(a, b, len) : 0;
    return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* One entry at `*at` of the payload, which moves on. */
static enum status read_entry(struct checkpoint_reader *reader, const char *payload, size_t len,
                              size_t *at)
{
    struct buf *last = &reader->last;
    if (len - *at < ENTRY_SIZE)
        return fault(reader, FRAME_SIZE + *at, "half an entry at the end of a block");
    size_t key_len = (size_t)get_number(payload + *at, 2);
    size_t value_len = (size_t)get_number(payload + *at + 2, 4);
    const char *key = payload + *at + ENTRY_SIZE;
    if (key_len == 0 || key_len > len - *at - ENTRY_SIZE ||
        value_len > len - *at - ENTRY_SIZE - key_len)
        return fault(reader, FRAME_SIZE + *at, "an entry is larger than its block");
    if (compare_keys(key, key_len, last->data, last->len) <= 0)
        return fault(reader, FRAME_SIZE + *at, "the keys do not ascend");
    buf_clear(last);
    buf_add(last, key, key_len);
    if (!buf_ok(last))
        return ST_NO_MEMORY;
    *at += ENTRY_SIZE + key_len + value_len;
    reader->point.entries++;
    reader->point.bytes += key_len + value_len;
    return reader->sink->entry(reader->arg, key, key_len, key + key_len, value_len);
}

static enum status read_data(struct checkpoint_reader *reader, const char *payload, size_t len)
{
    enum status st = len ? ST_OK : fault(reader, 0, "an empty block");
    for (size_t at = 0; at < len && !st;)
        st = read_entry(reader, payload, len, &at);
    if (st)
        return st;
    buf_clear(&reader->key);
    buf_add(&reader->key, reader->last.data, reader->last.len);
    return buf_ok(&reader->key) ? ST_OK : ST_NO_MEMORY;
}

static enum status read_end(struct checkpoint_reader *reader, const char *payload, size_t len)
{
    const struct checkpoint_point *point = &reader->point;
    if (len != END_SIZE || get_number(payload, 8) != point->entries ||
        get_number(payload + 8, 8) != point->bytes)
        return fault(reader, FRAME_SIZE, "the counts of the end are not those of what came");
    reader->phase = PHASE_WHOLE;
    return ST_OK;
}

static bool is_due(const struct checkpoint_reader *reader, char type)
{
    return reader->phase == PHASE_HEAD ? type == 'H' : type == 'D' || type == 'E';
}

/* A block that has come whole, chain included. What it says is believed only when the chain holds.
 */
static enum status read_block(struct checkpoint_reader *reader, const char *block, size_t len)
{
    unsigned char digest[MD5_SIZE];
    const char *payload = block + FRAME_SIZE;
    size_t payload_len = len - FRAME_SIZE - MD5_SIZE;
    enum status st = chain(reader->point.chain, block, len - MD5_SIZE, digest);
    if (!st && memcmp(digest, block + len - MD5_SIZE, MD5_SIZE) != 0)
        st = fault(reader, 0, "a block is damaged, or does not follow on the one before it");
    if (!st && block[0] == 'H')
        st = read_head(reader, payload, payload_len);
    else if (!st && block[0] == 'D')
        st = read_data(reader, payload, payload_len);
    else if (!st)
        st = read_end(reader, payload, payload_len);
    memcpy(reader->point.chain, digest, sizeof digest);
    return st;
}

/* Where the block begins in the part at hand. */
static size_t block_start(const struct checkpoint_reader *reader)
{
    return reader->phase == PHASE_HEAD ? START_SIZE : 0;
}

/* Sets *whole to the bytes that the part at hand needs before more can be said of it. */
static enum status find_needed(struct checkpoint_reader *reader, size_t *whole)
{
    const struct buf *part = &reader->part;
    size_t start = block_start(reader);
    *whole = start;
    if (reader->phase == PHASE_WHOLE)
        return fault(reader, 0, "something follows the end");
    if (part->len < start)
        return ST_OK;
    enum status st = start ? check_start(reader) : ST_OK;
    *whole = start + FRAME_SIZE;
    if (st || part->len < *whole)
        return st;
    uint64_t payload = get_number(part->data + start + 1, 4);
    if (!is_due(reader, part->data[start]))
        return fault(reader, start, "no block begins here");
    if (payload > CHECKPOINT_BLOCK_MAX)
        return fault(reader, start + 1, "a block of %" PRIu64 " bytes is too large", payload);
    *whole += (size_t)payload + MD5_SIZE;
    return ST_OK;
}

static enum status part_complete(struct checkpoint_reader *reader)
{
    struct buf *part = &reader->part;
    size_t start = block_start(reader);
    enum status st = read_block(reader, part->data + start, part->len - start);
    if (!st && reader->sink->block)
        st = reader->sink->block(reader->arg, part->data, part->len);
    reader->offset += part->len;
    if (part->cap > KEEP_MAX)
        buf_free(part);
    buf_clear(part);
    return st;
}

/* Takes what the part at hand needs next, *len bytes at most; *len: what it took. */
static enum status take_some(struct checkpoint_reader *reader, const char *data, size_t *len)
{
    struct buf *part = &reader->part;
    size_t whole;
    enum status st = find_needed(reader, &whole);
    size_t room = st ? 0 : whole - part->len;
    *len = *len < room ? *len : room;
    buf_add(part, data, *len);
    if (!st && !buf_ok(part))
        st = ST_NO_MEMORY;
    if (st || part->len < whole)
        return st;
    /* The frame says how much more is needed: asked again, now that it is there. */
    st = find_needed(reader, &whole);
    return !st && part->len == whole ? part_complete(reader) : st;
}

enum status checkpoint_reader_take(struct checkpoint_reader *reader, const void *data, size_t len)
{
    const char *at = data;
    while (len && !reader->refusal) {
        size_t taken = len;
        reader->refusal = take_some(reader, at, &taken);
        at += taken;
        len -= taken;
    }
    return reader->refusal;
}

void checkpoint_reader_cut(struct checkpoint_reader *reader)
{
    buf_clear(&reader->part);
}

void checkpoint_reader_reset(struct checkpoint_reader *reader)
{
    buf_clear(&reader->part);
    buf_clear(&reader->key);
    buf_clear(&reader->last);
    memset(&reader->head, 0, sizeof reader->head);
    memset(&reader->point, 0, sizeof reader->point);
    reader->offset = 0;
    reader->phase = PHASE_HEAD;
    reader->refusal = ST_OK;
    reader->fault[0] = 0;
}

bool checkpoint_reader_whole(const struct checkpoint_reader *reader)
{
    return reader->phase == PHASE_WHOLE;
}

bool checkpoint_reader_begun(const struct checkpoint_reader *reader)
{
    return reader->head.id[0] != 0;
}

const struct checkpoint_head *checkpoint_reader_head(const struct checkpoint_reader *reader)
{
    return &reader->head;
}

const struct checkpoint_point *checkpoint_reader_point(const struct checkpoint_reader *reader)
{
    return &reader->point;
}

const struct buf *checkpoint_reader_key(const struct checkpoint_reader *reader)
{
    return &reader->key;
}

uint64_t checkpoint_reader_offset(const struct checkpoint_reader *reader)
{
    return reader->offset;
}

const char *checkpoint_reader_fault(const struct checkpoint_reader *reader)
{
    return reader->fault;
}
