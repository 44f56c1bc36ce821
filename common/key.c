/*
 * Percent-encoding (RFC 3986, section 2.1) in both directions. minikeyvalue takes the decoded path
 * as the key, and so do we: '%2F' and '/' are the same key, and what comes out of a decoding is
 * never decoded again, or '%2541' would be 'A' to one reader and '%41' to another.
 */
#include "common/key.h"

#include <string.h>

#include "common/buf.h"
#include "common/hex.h"

/* The one place that says what a key is. No NUL, because keys stand in names of files and in C
 * strings all over; a leading '/', because '!' begins what is not a key in the index. */
enum status key_from_bytes(struct key *key, const void *bytes, size_t len)
{
    if (len > KEY_MAX)
        return ST_URI_TOO_LONG;
    if (len < KEY_MIN || *(const char *)bytes != '/' || memchr(bytes, 0, len))
        return ST_BAD_REQUEST;
    memcpy(key->bytes, bytes, len);
    key->bytes[len] = 0;
    key->len = len;
    return ST_OK;
}

/* The byte of the escape at `from` ("%2F"), or -1 for a broken one. */
static int escape_value(const char *from, size_t len)
{
    if (len < 3)
        return -1;
    int high = hex_value(from[1]);
    int low = hex_value(from[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

long key_decode(char *to, size_t max, const char *from, size_t len)
{
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        char c = from[i];
        if (c == '%') {
            int value = escape_value(from + i, len - i);
            if (value < 0)
                return -1;
            c = (char)value;
            i += 2;
        }
        if (used == max)
            return -1;
        to[used++] = c;
    }
    return (long)used;
}

/* The length after decoding, so that a broken escape and a long key are told apart. -1: broken. */
static long decoded_length(const char *from, size_t len)
{
    long n = 0;
    for (size_t i = 0; i < len; i++, n++) {
        if (from[i] != '%')
            continue;
        if (escape_value(from + i, len - i) < 0)
            return -1;
        i += 2;
    }
    return n;
}

/* In two steps, because a caller tells a long key (414) from a broken one (400). */
enum status key_from_path(struct key *key, const char *path, size_t len)
{
    char bytes[KEY_MAX];
    long n = decoded_length(path, len);
    if (n < 0)
        return ST_BAD_REQUEST;
    if (n > KEY_MAX)
        return ST_URI_TOO_LONG;
    n = key_decode(bytes, sizeof bytes, path, len);
    return n < 0 ? ST_BAD_REQUEST : key_from_bytes(key, bytes, (size_t)n);
}

/* The hex digits are upper case, as RFC 3986 (6.2.2.1) wants them. */
void key_encode(struct buf *out, const void *bytes, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    const char *from = bytes;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c && strchr(plain, c)) {
            buf_addc(out, (char)c);
        } else {
            char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(out, escape, sizeof escape);
        }
    }
}

/* Where the value of a parameter lies in a query, as sent; false without that parameter. */
static bool find_parameter(const char *query, size_t len, const char *name, const char **value,
                           size_t *value_len)
{
    size_t name_len = strlen(name);
    const char *end = query + len;
    while (query < end) {
        const char *stop = memchr(query, '&', (size_t)(end - query));
        size_t part = (size_t)((stop ? stop : end) - query);
        if (part >= name_len && memcmp(query, name, name_len) == 0 &&
            (part == name_len || query[name_len] == '=')) {
            *value = query + name_len + (part > name_len);
            *value_len = part > name_len ? part - name_len - 1 : 0;
            return true;
        }
        query += part + 1;
    }
    return false;
}

/* -2 where it does not fit, too: a caller that got the beginning would act upon another key. */
long key_query(const char *query, size_t len, const char *name, char *to, size_t max)
{
    char plain[4 * KEY_MAX]; /* large enough for a key of which every byte is escaped */
    const char *value;
    size_t value_len;
    if (!find_parameter(query, len, name, &value, &value_len))
        return -1;
    if (max == 0 || value_len > sizeof plain)
        return -2;
    /* '+' is a space in queries, though not in paths. */
    for (size_t i = 0; i < value_len; i++)
        plain[i] = value[i] == '+' ? ' ' : value[i];
    long n = key_decode(to, max - 1, plain, value_len);
    if (n < 0)
        return -2;
    to[n] = 0;
    return n;
}

bool key_query_has(const char *query, size_t len, const char *name)
{
    const char *value;
    size_t value_len;
    return find_parameter(query, len, name, &value, &value_len);
}
