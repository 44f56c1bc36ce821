/* Checkpoints: the reader minds nothing, and pieces do not matter. Half of the inputs are taken as
 * they are; the other half as the payloads of blocks, which get frames and chains that hold, since
 * no fuzzer guesses an MD5. */
#include "common/checkpoint.h"

#include <string.h>

#include "common/buf.h"
#include "tests/fuzz/fuzz.h"

struct seen {
    uint64_t heads, entries, bytes, blocks, sum;
    struct buf last;
};

static enum status see_head(void *arg, const struct checkpoint_head *head)
{
    struct seen *seen = arg;
    check(strlen(head->id) == IDENTITY_SIZE, "an id is whole");
    seen->heads++;
    return ST_OK;
}

static enum status see_entry(void *arg, const char *key, size_t key_len, const char *value,
                             size_t value_len)
{
    struct seen *seen = arg;
    check(key_len > 0, "a key is not empty");
    for (size_t i = 0; i < value_len; i++)
        seen->sum += (unsigned char)value[i]; /* touches all of it */
    seen->bytes += value_len;
    size_t len = key_len < seen->last.len ? key_len : seen->last.len;
    int order = len ? memcmp(key, seen->last.data, len) : 0;
    check(order > 0 || (order == 0 && key_len > seen->last.len), "keys ascend");
    buf_clear(&seen->last);
    buf_add(&seen->last, key, key_len);
    seen->bytes += key_len;
    seen->entries++;
    return ST_OK;
}

static enum status see_block(void *arg, const char *bytes, size_t len)
{
    struct seen *seen = arg;
    check(len > 0 && bytes, "a block has bytes");
    seen->blocks++;
    return ST_OK;
}

static const struct checkpoint_sink sink = {see_head, see_entry, see_block};

static enum status read_all(const char *data, size_t len, size_t piece, struct seen *seen)
{
    struct checkpoint_reader *reader = checkpoint_reader_new(&sink, seen);
    if (!reader)
        return ST_NO_MEMORY;
    enum status st = ST_OK;
    for (size_t at = 0; at < len && !st; at += piece)
        st = checkpoint_reader_take(reader, data + at, len - at < piece ? len - at : piece);
    bool whole = checkpoint_reader_whole(reader);
    check(!whole || checkpoint_reader_point(reader)->entries == seen->entries, "counts are right");
    check(!whole || checkpoint_reader_point(reader)->bytes == seen->bytes, "so are bytes");
    checkpoint_reader_free(reader);
    return st;
}

/* From [type][length, two bytes][payload]… to blocks whose chain holds. */
static void frame(struct buf *out, const uint8_t *bytes, size_t len)
{
    unsigned char chain[MD5_SIZE] = {0};
    buf_add(out, "LARDERCP\0\0\0\1", 12);
    while (len >= 3) {
        static const char types[] = "HDDDDDEx";
        size_t size = (size_t)bytes[1] << 8 | bytes[2];
        size = size < len - 3 ? size : len - 3;
        unsigned char number[4] = {0, 0, (unsigned char)(size >> 8), (unsigned char)size};
        size_t start = out->len;
        buf_addc(out, types[bytes[0] % 8]);
        buf_add(out, number, sizeof number);
        buf_add(out, bytes + 3, size);
        if (!buf_ok(out) ||
            md5_pair(chain, sizeof chain, out->data + start, out->len - start, chain))
            return;
        buf_add(out, chain, sizeof chain);
        bytes += 3 + size;
        len -= 3 + size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct buf stream = BUF_INIT;
    struct seen one = {0};
    struct seen many = {0};
    if (len < 2)
        return 0;
    if (bytes[0] & 1)
        frame(&stream, bytes + 2, len - 2);
    else
        buf_add(&stream, bytes + 2, len - 2);
    enum status first = read_all(stream.data, stream.len, stream.len + 1, &one);
    enum status second = read_all(stream.data, stream.len, 1 + bytes[1] % 64, &many);
    check(first == second, "pieces do not matter");
    check(one.entries == many.entries && one.blocks == many.blocks && one.heads == many.heads,
          "the same is told");
    buf_free(&one.last);
    buf_free(&many.last);
    buf_free(&stream);
    return 0;
}
