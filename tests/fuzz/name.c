/* Names of files: each tells its key and generation, whichever way one begins. */
#include "common/name.h"

#include <string.h>

#include "common/buf.h"
#include "tests/fuzz/fuzz.h"

static bool same_key(const struct key *a, const struct key *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* True where a file system could have the path. */
static bool can_exist(const char *path)
{
    for (size_t len; *path; path += len) {
        path += strspn(path, "/");
        len = strcspn(path, "/");
        if (len > 255)
            return false;
    }
    return true;
}

/* The path of a version is parsed into just that version. */
static void check_path(const struct key *key, uint64_t generation, enum naming naming)
{
    struct buf path = BUF_INIT;
    struct key again;
    uint64_t parsed;
    enum naming as;
    check(name_path(&path, key, generation, naming) == ST_OK, "every key has a path");
    check(naming == NAMING_MKV || can_exist(buf_text(&path)), "no component is too long");
    if (can_exist(buf_text(&path)) && !strstr(buf_text(&path), "//")) {
        check(name_parse(buf_text(&path), path.len, &again, &parsed, &as) == ST_OK,
              "a path is a name");
        check(same_key(key, &again) && parsed == generation, "a name tells its key");
        check(as == naming || (generation == 0 && name_same(key)), "and its naming");
    }
    buf_free(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct key key;
    uint64_t generation = 0;
    enum naming naming;
    if (len < 8)
        return 0;
    memcpy(&generation, bytes, 8);
    generation &= UINT64_MAX >> (generation & 63);
    if (key_from_bytes(&key, bytes + 8, len - 8) == ST_OK) {
        check_path(&key, 0, NAMING_LARDER);
        check_path(&key, generation, NAMING_LARDER);
        check_path(&key, 0, NAMING_MKV);
    }
    char *copy = malloc(len);
    if (!copy)
        return 0;
    memcpy(copy, bytes, len);
    if (name_parse(copy, len, &key, &generation, &naming) == ST_OK)
        check_path(&key, generation, naming);
    free(copy);
    return 0;
}
