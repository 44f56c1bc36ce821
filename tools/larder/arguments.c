#include "tools/larder/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/key.h"
#include "tools/larder/say.h"

bool arguments_fit(const char *command, int count, int min, int max)
{
    if (count >= min && count <= max)
        return true;
    say_error("%s: %s; see '%s --help'", command + strlen("larder "),
              count < min ? "an argument is missing" : "there are too many arguments", command);
    return false;
}

bool arguments_prefix(const char *text, bool raw, struct buf *out)
{
    size_t len = strlen(text);
    char *decoded = malloc(len + 1);
    if (!decoded) {
        say_error("out of memory");
        return false;
    }
    long n = (long)len;
    if (raw)
        memcpy(decoded, text, len);
    else
        n = key_decode(decoded, len, text, len);
    if (n >= 0) {
        if (n == 0 || decoded[0] != '/')
            buf_addc(out, '/');
        buf_add(out, decoded, (size_t)n);
    } else {
        say_error("'%s' is no key: a %% must be followed by two hex digits. Write a %% itself as "
                  "%%25, or use --raw",
                  text);
    }
    free(decoded);
    return n >= 0 && buf_ok(out);
}

bool arguments_key(const char *text, bool raw, struct key *key)
{
    struct buf bytes = BUF_INIT;
    bool good = arguments_prefix(text, raw, &bytes);
    if (good && key_from_bytes(key, bytes.data, bytes.len)) {
        say_error("'%.100s' is no key: a key has 1 to %d bytes after its '/', none of them a NUL",
                  text, KEY_MAX - 1);
        good = false;
    }
    buf_free(&bytes);
    return good;
}
