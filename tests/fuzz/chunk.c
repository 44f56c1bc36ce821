/* The chunked coding: pieces give what the whole gives, and no byte is lost or made up. */
#include "common/http_chunk.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

struct outcome {
    enum http_chunk_result result;
    size_t used; /* of the input, framing and data */
    size_t body;
    uint64_t sum;
};

/* Feeds it `piece` bytes at a time, and takes at most `take` of what comes out. */
static struct outcome decode(const char *bytes, size_t len, size_t piece, size_t take)
{
    struct outcome out = {HTTP_CHUNK_MORE, 0, 0, 0};
    struct http_chunk chunk;
    http_chunk_init(&chunk);
    size_t have = 0;
    while (have < len && out.result != HTTP_CHUNK_END && out.result != HTTP_CHUNK_BAD) {
        have = len - have < piece ? len : have + piece;
        do {
            const char *data;
            size_t data_len;
            size_t used;
            out.result =
                http_chunk_next(&chunk, bytes + out.used, have - out.used, &used, &data, &data_len);
            check(used <= have - out.used, "no more is used than was given");
            out.used += used;
            if (out.result != HTTP_CHUNK_DATA)
                break;
            check(data == bytes + out.used && data_len && data_len <= have - out.used,
                  "the data are in the input");
            size_t n = data_len < take ? data_len : take;
            for (size_t i = 0; i < n; i++)
                out.sum = out.sum * 31 + (unsigned char)data[i];
            out.body += n;
            out.used += n;
            http_chunk_took(&chunk, n);
        } while (out.used < have);
    }
    return out;
}

/* The coding once more, in the plainest way there is: false where it is not complete and good. It
 * is less strict about what stands in extensions and trailers. */
static bool read_plainly(const char *bytes, size_t len, size_t *used, size_t *body)
{
    const char *at = bytes;
    const char *end = bytes + len;
    uint64_t size;
    *body = 0;
    do {
        const char *eol = memmem(at, (size_t)(end - at), "\r\n", 2);
        char line[20] = "";
        if (!eol)
            return false;
        memcpy(line, at, eol - at < 18 ? (size_t)(eol - at) : 18);
        size = strtoull(line, NULL, 16);
        at = eol + 2;
        if (size && (size > (uint64_t)(end - at) || (uint64_t)(end - at) - size < 2 ||
                     memcmp(at + size, "\r\n", 2) != 0))
            return false;
        at += size ? size + 2 : 0;
        *body += size;
    } while (size);
    const char *eol;
    do {
        eol = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!eol)
            return false;
        size = (size_t)(eol - at);
        at = eol + 2;
    } while (size);
    *used = (size_t)(at - bytes);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2)
        return 0;
    size_t piece = bytes[0] % 40u + 1;
    size_t take = bytes[1] % 40u + 1;
    len -= 2;
    char *copy = malloc(len ? len : 1);
    if (!copy)
        return 0;
    if (len)
        memcpy(copy, bytes + 2, len);
    struct outcome whole = decode(copy, len, SIZE_MAX, SIZE_MAX);
    struct outcome pieces = decode(copy, len, piece, take);
    bool over = whole.result == HTTP_CHUNK_END || whole.result == HTTP_CHUNK_BAD;
    check(!over || whole.result == pieces.result, "the same result, whole and in pieces");
    check(over || (pieces.result != HTTP_CHUNK_END && pieces.result != HTTP_CHUNK_BAD),
          "not over in pieces where the whole is not");
    check(whole.used == pieces.used && whole.body == pieces.body && whole.sum == pieces.sum,
          "the same body, whole and in pieces");
    size_t used;
    size_t body;
    if (whole.result == HTTP_CHUNK_END)
        check(read_plainly(copy, len, &used, &body) && used == whole.used && body == whole.body,
              "what is accepted is chunked, and read as anyone would");
    free(copy);
    return 0;
}
