/*
 * Writing is one function, for strings: everything else in JSON is plain enough to be printed where
 * it is needed. Reading hides jansson's types, so its header stays in this file; a `struct json` is
 * never defined, it is jansson's pointer with another type.
 */
#include "common/json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hex.h"

/* The length of the valid UTF-8 character at `s` (RFC 3629, section 4), 0 where there is none.
 * Overlong forms, surrogates and what is beyond U+10FFFF are none: a reader of the JSON would
 * refuse all of it for one of them. */
static size_t utf8_length(const unsigned char *s, size_t len)
{
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* The second byte decides about the rest: overlong forms (e0, f0), surrogates (ed), beyond
     * U+10FFFF (f4). */
    if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)))
        return 0;
    if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)))
        return 0;
    return n;
}

/* Keys and names of files are bytes. 0x7f need not be escaped, but terminals act upon it. */
/* How many bytes at `s` stand for themselves. */
static size_t plain_length(const unsigned char *s, size_t len)
{
    size_t n = 0;
    while (n < len && s[n] >= 0x20 && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
        n++;
    return n;
}

/* Most strings are plain from end to end, and then are copied whole: pages of keys are strings and
 * little else. */
void json_add_string(struct buf *out, const void *bytes, size_t len)
{
    const unsigned char *s = bytes;
    buf_addc(out, '"');
    for (size_t i = 0; i < len;) {
        size_t n = plain_length(s + i, len - i);
        if (n) {
            buf_add(out, s + i, n);
            i += n;
            continue;
        }
        n = utf8_length(s + i, len - i);
        if (n == 0) {
            buf_addf(out, "\\udc%02x", s[i]);
            n = 1;
        } else if (s[i] == '"' || s[i] == '\\') {
            buf_addf(out, "\\%c", s[i]);
        } else if (s[i] < 0x20 || s[i] == 0x7f) {
            buf_addf(out, "\\u%04x", s[i]);
        } else {
            buf_add(out, s + i, n);
        }
        i += n;
    }
    buf_addc(out, '"');
}

/* `struct json` is jansson's json_t under a name of ours. Via void *, because to the compiler the
 * two have nothing to do with each other; they are never looked into on this side. */
static const json_t *inner(const struct json *json)
{
    return (const json_t *)(const void *)json;
}

static struct json *outer(json_t *json)
{
    return (struct json *)(void *)json;
}

struct json *json_parse(const char *text, size_t len, char *error)
{
    json_error_t why;
    /* Of two members of one name it would keep the last, and another reader the first. */
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!json && error)
        (void)snprintf(error, 200, "line %d: %.150s", why.line, why.text);
    return outer(json);
}

/* True for the escape of a surrogate, \ud800 to \udfff: alone it is no character. */
static bool is_surrogate(const char *escape, size_t len)
{
    return len >= 6 && escape[1] == 'u' && hex_value(escape[2]) == 0xd &&
           hex_value(escape[3]) >= 8 && hex_value(escape[4]) >= 0 && hex_value(escape[5]) >= 0;
}

/* Copies the text without what jansson refuses in a name. The length, never a larger one. */
static size_t soften(char *to, const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] >= 0x80) {
            to[n++] = '?';
        } else if (text[i] == '\\' && is_surrogate(text + i, len - i)) {
            to[n++] = '?';
            i += 5;
        } else {
            to[n++] = text[i];
            if (text[i] == '\\' && i + 1 < len) /* an escaped backslash begins no escape */
                to[n++] = text[++i];
        }
    }
    return n;
}

struct json *json_parse_names(const char *text, size_t len, char *error)
{
    struct json *json = json_parse(text, len, error);
    char *copy = json ? NULL : malloc(len ? len : 1);
    if (copy)
        json = json_parse(copy, soften(copy, text, len), NULL);
    free(copy);
    return json;
}

void json_free(struct json *json)
{
    json_decref((json_t *)(void *)json);
}

struct json *json_member(const struct json *object, const char *name)
{
    return outer(json_object_get(inner(object), name));
}

bool json_is_list(const struct json *value)
{
    return json_is_array(inner(value));
}

size_t json_count(const struct json *array)
{
    return json_array_size(inner(array));
}

struct json *json_item(const struct json *array, size_t i)
{
    return outer(json_array_get(inner(array), i));
}

const char *json_text(const struct json *value)
{
    return json_string_value(inner(value));
}

int64_t json_int(const struct json *value, int64_t otherwise)
{
    return value && json_is_integer(inner(value)) ? (int64_t)json_integer_value(inner(value))
                                                  : otherwise;
}

bool json_bool(const struct json *value, bool otherwise)
{
    return value && json_is_boolean(inner(value)) ? json_is_true(inner(value)) : otherwise;
}

void json_each(const struct json *object,
               void (*fn)(void *arg, const char *name, const struct json *value), void *arg)
{
    /* jansson's iterator wants a pointer that is not const, though it changes nothing. */
    json_t *of = (json_t *)(uintptr_t)object;
    if (!json_is_object(of))
        return;
    for (void *at = json_object_iter(of); at; at = json_object_iter_next(of, at))
        fn(arg, json_object_iter_key(at), outer(json_object_iter_value(at)));
}
