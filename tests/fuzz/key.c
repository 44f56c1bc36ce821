/* Keys: what is decoded can be encoded again, in paths and in queries, and nothing is merged. */
#include "common/key.h"

#include <string.h>

#include "common/buf.h"
#include "tests/fuzz/fuzz.h"

static void check_round_trip(const struct key *key)
{
    struct buf path = BUF_INIT;
    struct key again;
    key_encode(&path, key->bytes, key->len);
    check(!strpbrk(buf_text(&path), " \"<>\\^`{|}%?#\r\n\x7f") || strchr(buf_text(&path), '%'),
          "an encoded key has nothing that ends a URI");
    check(key_from_path(&again, buf_text(&path), path.len) == ST_OK, "an encoded key is decoded");
    check(again.len == key->len && memcmp(again.bytes, key->bytes, key->len) == 0,
          "decoded, it is the same key");
    buf_free(&path);
}

/* A key as a parameter of a query. */
static void check_query(const struct key *key)
{
    struct buf query = BUF_INIT;
    char value[KEY_MAX + 1];
    buf_adds(&query, "list&start=");
    key_encode(&query, key->bytes, key->len);
    buf_adds(&query, "&limit=5");
    long len = key_query(buf_text(&query), query.len, "start", value, sizeof value);
    check(len == (long)key->len && memcmp(value, key->bytes, key->len) == 0,
          "a parameter is the key that was put into it");
    check(key_query(buf_text(&query), query.len, "list", value, sizeof value) == 0,
          "a parameter without a value is there");
    check(key_query(buf_text(&query), query.len, "star", value, sizeof value) == -1,
          "a parameter is found by its whole name");
    buf_free(&query);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct key key;
    char value[64];
    char *copy = malloc(len ? len : 1);
    if (!copy)
        return 0;
    if (len)
        memcpy(copy, bytes, len);
    if (key_from_path(&key, copy, len) == ST_OK || key_from_bytes(&key, copy, len) == ST_OK) {
        check(key.len >= KEY_MIN && key.len <= KEY_MAX && *key.bytes == '/' &&
                  strlen(key.bytes) == key.len,
              "a key is what the contract says");
        check_round_trip(&key);
        check_query(&key);
    }
    long n = key_decode(value, sizeof value, copy, len);
    check(n >= -1 && n <= (long)sizeof value, "decoding stays within its room");
    n = key_query(copy, len, "start", value, sizeof value);
    check(n >= -2 && n < (long)sizeof value && (n < 0 || value[n] == 0),
          "a parameter stays within its room");
    free(copy);
    return 0;
}
