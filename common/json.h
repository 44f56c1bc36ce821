/*
 * JSON: writing into a buf by hand, reading by jansson (the only user of it). By hand, because what
 * is written is a stream of small records, and a tree of a listing of a million names would be
 * memory for nothing.
 */
#ifndef LARDER_COMMON_JSON_H
#define LARDER_COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct buf;
struct json;

/* Appends a JSON string with its quotes. Valid UTF-8 stays; a byte that is not part of any becomes
 * \udcXX (as Python's surrogateescape has it), so that nothing is lost and the text stays ASCII. */
void json_add_string(struct buf *out, const void *bytes, size_t len);

/* Parses a text; NULL, and a reason in `error` (may be NULL; at least 200 bytes), where it is none,
 * where a member stands twice in an object, or memory is short. Free the result, and only it, with
 * json_free(): what the functions below return belongs to it. */
struct json *json_parse(const char *text, size_t len, char *error) MUST_CHECK;
/* The same for listings of files, whose names need not be UTF-8: what is not ASCII, raw as nginx
 * writes it or as the \udcXX of json_add_string(), becomes '?' each where the text is no JSON
 * otherwise. `error` is about the text as it came. */
struct json *json_parse_names(const char *text, size_t len, char *error) MUST_CHECK;
void json_free(struct json *json);

/* All of these accept NULL and values of another type, and say 'nothing' then. */
struct json *json_member(const struct json *object, const char *name);
bool json_is_list(const struct json *value); /* an array, may be an empty one */
size_t json_count(const struct json *array);
struct json *json_item(const struct json *array, size_t i);
const char *json_text(const struct json *value); /* UTF-8; NULL: no string */
int64_t json_int(const struct json *value, int64_t otherwise);
bool json_bool(const struct json *value, bool otherwise);
/* Calls fn for each member of an object. */
void json_each(const struct json *object,
               void (*fn)(void *arg, const char *name, const struct json *value), void *arg);

#endif
