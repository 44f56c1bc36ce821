/*
 * Names of files, written and read back. Invariant: name_parse() accepts a larder name only where
 * name_path() of what it found is that very path, so a key and generation have one name, and a name
 * one key. A stray file that only looks like a value is told by MD5(key), which must begin with its
 * aa and bb.
 *
 * Both run over paths of strangers (a volume may be any nginx), so neither trusts a length: the
 * buffers below are sized for the longest key, and what is longer is refused before it is copied.
 */
#include "common/name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "common/buf.h"
#include "common/hex.h"
#include "common/md5.h"

enum {
    COMPONENT_MAX = 255, /* bytes of a file's name on every common file system */
    CUT = 250,           /* of which a cut directory takes so many, and a '-' */
    BASE64_MAX = BASE64_LENGTH(KEY_MAX),
    GUESS_MAX = 40, /* slashes in an old name; see parse_mkv() */
    SUFFIX_MAX = 21 /* '.' and 20 digits */
};

/* Appends NAME cut into directories where it is too long for one component. '-' ends them, since it
 * is not in the alphabet: so no cut directory has the name of another key's file. */
static void add_cut(struct buf *out, const char *name, size_t len)
{
    while (len > COMPONENT_MAX) {
        buf_add(out, name, CUT);
        buf_adds(out, "-/");
        name += CUT;
        len -= CUT;
    }
    buf_add(out, name, len);
}

enum status name_dirs(const struct key *key, unsigned char dirs[2])
{
    unsigned char digest[MD5_SIZE];
    enum status st = md5_pair(key->bytes, key->len, NULL, 0, digest);
    if (!st)
        memcpy(dirs, digest, 2);
    return st;
}

enum status name_path(struct buf *out, const struct key *key, uint64_t generation,
                      enum naming naming)
{
    unsigned char dirs[2];
    enum status st = name_dirs(key, dirs);
    return st ? st : name_path_in(out, dirs, key, generation, naming);
}

/* Only the '/' is replaced, and not '+': minikeyvalue's names stay the same wherever that is
 * possible. */
enum status name_path_in(struct buf *out, const unsigned char dirs[2], const struct key *key,
                         uint64_t generation, enum naming naming)
{
    static const char digits[] = "0123456789abcdef";
    char name[BASE64_MAX + SUFFIX_MAX + 1];
    const char head[] = {'/', digits[dirs[0] >> 4], digits[dirs[0] & 15],
                         '/', digits[dirs[1] >> 4], digits[dirs[1] & 15],
                         '/'};
    size_t len = base64_encode(name, key->bytes, key->len);
    if (naming == NAMING_LARDER)
        for (char *slash = name; (slash = memchr(slash, '/', len - (size_t)(slash - name)));)
            *slash = '_';
    if (generation)
        len +=
            (size_t)snprintf(name + len, SUFFIX_MAX + 1, ".%llu", (unsigned long long)generation);
    buf_add(out, head, sizeof head);
    if (naming == NAMING_LARDER)
        add_cut(out, name, len);
    else
        buf_add(out, name, len);
    return buf_ok(out) ? ST_OK : ST_NO_MEMORY;
}

bool name_same(const struct key *key)
{
    char name[BASE64_MAX];
    size_t len = base64_encode(name, key->bytes, key->len);
    return len <= COMPONENT_MAX && !memchr(name, '/', len);
}

/* Decodes base64 text into a key that `aa` and `bb` belong to. Two bytes of the MD5 let one in
 * 65,536 wrong guesses through, and a guess must be the base64 of a key besides. */
static bool decode_key(const char *text, size_t len, const unsigned char aabb[2], struct key *key)
{
    char bytes[KEY_MAX];
    unsigned char digest[MD5_SIZE];
    long n = base64_decode(bytes, sizeof bytes, text, len);
    if (n < 0 || key_from_bytes(key, bytes, (size_t)n))
        return false;
    return md5_pair(key->bytes, key->len, NULL, 0, digest) == ST_OK && digest[0] == aabb[0] &&
           digest[1] == aabb[1];
}

/*
 * minikeyvalue's names lose a '/' wherever base64 has two in a row, since web servers merge them.
 * The length tells how many are missing (mod 4), aa/bb whether a guess is right: each of the
 * `missing` is put behind one of the slashes that are there, from `from` on.
 */
static bool guess_slashes(char *text, size_t len, size_t from, unsigned missing,
                          const unsigned char aabb[2], struct key *key)
{
    if (missing == 0)
        return decode_key(text, len, aabb, key);
    for (size_t i = from; i < len; i++) {
        if (text[i] != '/')
            continue;
        memmove(text + i + 1, text + i, len - i);
        if (guess_slashes(text, len + 1, i, missing - 1, aabb, key))
            return true;
        memmove(text + i, text + i + 1, len - i);
    }
    return false;
}

/* Names with a slash only: without one both namings agree, and the name has been tried as larder's.
 * The length tells one to three missing slashes; four of them look like none. */
static bool parse_mkv(const char *name, size_t len, const unsigned char aabb[2], struct key *key)
{
    char text[BASE64_MAX + 4];
    size_t slashes = 0;
    for (size_t i = 0; i < len; i++)
        slashes += name[i] == '/';
    /* Beyond a few dozen slashes it is a stray file, and guessing would take long. */
    unsigned missing = (unsigned)(4 - len % 4) % 4;
    if (len > BASE64_MAX || slashes == 0 || (missing && slashes > GUESS_MAX))
        return false;
    memcpy(text, name, len);
    return guess_slashes(text, len, 0, missing, aabb, key);
}

/* Undoes the cut and the '_'; 0 where it cannot be larder's. `text` has room for `len`. What is cut
 * too short, or twice, is found out by spelled_right(). */
static size_t join_cut(char *text, const char *name, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '-') {
            /* The end of a cut directory, and only there. */
            if (i + 1 >= len || name[i + 1] != '/' || n == 0 || n % CUT)
                return 0;
            i++;
        } else if (name[i] == '/') {
            return 0;
        } else {
            text[n++] = name[i] == '_' ? '/' : name[i];
        }
    }
    return n;
}

/* The digits behind the last '.'; *len is shortened to what is before it. False: not a number that
 * name_path() could have written. */
static bool take_generation(const char *text, size_t *len, uint64_t *generation)
{
    *generation = 0;
    const char *dot = memchr(text, '.', *len);
    if (!dot)
        return true;
    const char *end = text + *len;
    if (dot + 1 == end || dot[1] == '0' || end - dot > SUFFIX_MAX)
        return false;
    uint64_t value = 0;
    for (const char *c = dot + 1; c < end; c++) {
        if (!isdigit((unsigned char)*c) || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*c - '0');
    }
    *generation = value;
    *len = (size_t)(dot - text);
    return true;
}

/* Lower case only, as name_path() writes it: 'AB' is another directory. */
static int hex_pair(const char *text)
{
    if (isupper((unsigned char)text[0]) || isupper((unsigned char)text[1]))
        return -1;
    int high = hex_value(text[0]);
    int low = hex_value(text[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* True where larder would store the key, to which aa and bb belong, in just this place: a name has
 * one spelling only. */
static bool spelled_right(const char *path, size_t len, const unsigned char aabb[2],
                          const struct key *key, uint64_t generation)
{
    struct buf again = BUF_INIT;
    bool same = name_path_in(&again, aabb, key, generation, NAMING_LARDER) == ST_OK &&
                again.len == len + 1 && memcmp(again.data + 1, path, len) == 0;
    buf_free(&again);
    return same;
}

enum status name_parse(const char *path, size_t len, struct key *key, uint64_t *generation,
                       enum naming *naming)
{
    if (len && *path == '/') {
        path++;
        len--;
    }
    if (len < 7 || path[2] != '/' || path[5] != '/' || len > (size_t)2 * BASE64_MAX)
        return ST_NOT_FOUND;
    int aa = hex_pair(path);
    int bb = hex_pair(path + 3);
    if (aa < 0 || bb < 0)
        return ST_NOT_FOUND;
    const unsigned char aabb[2] = {(unsigned char)aa, (unsigned char)bb};
    const char *name = path + 6;
    size_t name_len = len - 6;

    char text[2 * BASE64_MAX] = "";
    size_t n = join_cut(text, name, name_len);
    if (n && take_generation(text, &n, generation) && decode_key(text, n, aabb, key) &&
        spelled_right(path, len, aabb, key, *generation)) {
        *naming = NAMING_LARDER;
        return ST_OK;
    }
    *generation = 0;
    *naming = NAMING_MKV;
    /* Old names without a '/' are the same as ours, but longer than a component they are only
     * theirs. */
    if (parse_mkv(name, name_len, aabb, key))
        return ST_OK;
    return ST_NOT_FOUND;
}
