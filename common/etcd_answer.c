#include "common/etcd_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/json.h"

/* A 64-bit number, which etcd writes as a string (and leaves out where it is 0). */
static bool parse_number(const struct json *object, const char *name, int64_t *to)
{
    const struct json *value = json_member(object, name);
    const char *text = json_text(value);
    char *end;
    if (!text) {
        *to = json_int(value, 0);
        return !value || json_int(value, -1) == *to;
    }
    errno = 0;
    *to = strtoll(text, &end, 10);
    return *text && !*end && errno == 0;
}

/* Bytes, and a NUL behind them. *to is the caller's to free, also where it fails. */
static enum status parse_bytes(const struct json *object, const char *name, char **to, size_t *len)
{
    const struct json *value = json_member(object, name);
    const char *text = json_text(value);
    size_t text_len = text ? strlen(text) : 0;
    *len = 0;
    if (value && !text)
        return ST_PEER;
    *to = malloc(text_len / 4 * 3 + 1);
    if (!*to)
        return ST_NO_MEMORY;
    long n = text_len ? base64_decode(*to, text_len / 4 * 3, text, text_len) : 0;
    if (n < 0)
        n = 0;
    else
        *len = (size_t)n;
    (*to)[n] = 0;
    return text_len && !n ? ST_PEER : ST_OK;
}

/* What could be read stays in *kv also where it fails, for etcd_answer_free(). */
static enum status parse_kv(struct etcd_kv *kv, const struct json *json)
{
    enum status st = parse_bytes(json, "key", &kv->key, &kv->key_len);
    if (!st)
        st = parse_bytes(json, "value", &kv->value, &kv->value_len);
    if (st)
        return st;
    bool good = kv->key_len && parse_number(json, "create_revision", &kv->create_revision) &&
                parse_number(json, "mod_revision", &kv->mod_revision) &&
                parse_number(json, "lease", &kv->lease);
    return good ? ST_OK : ST_PEER;
}

/* Adds the pairs of a range. */
static enum status parse_range(struct etcd_answer *answer, const struct json *range)
{
    const struct json *kvs = json_member(range, "kvs");
    size_t count = json_count(kvs);
    answer->more = answer->more || json_bool(json_member(range, "more"), false);
    if (!count)
        return ST_OK;
    struct etcd_kv *all = realloc(answer->kvs, (answer->count + count) * sizeof *all);
    if (!all)
        return ST_NO_MEMORY;
    answer->kvs = all;
    for (size_t i = 0; i < count; i++) {
        struct etcd_kv *kv = &all[answer->count++];
        memset(kv, 0, sizeof *kv);
        enum status st = parse_kv(kv, json_item(kvs, i));
        if (st)
            return st;
    }
    return ST_OK;
}

/* The gateway has two forms: of requests, and of streams. Both have to do with gRPC's codes
 * only. */
static void parse_error(struct etcd_answer *answer, const struct json *json)
{
    const char *text = json_text(json_member(json, "error"));
    if (!text)
        text = json_text(json_member(json_member(json, "error"), "message"));
    answer->code = (int)json_int(json_member(json, "code"), 2);
    if (answer->code <= 0)
        answer->code = 2; /* gRPC's 'unknown' */
    (void)snprintf(answer->message, sizeof answer->message, "%s",
                   text && *text ? text : "no reason given");
}

/* The header is what every true answer has: it tells an answer from any other JSON. */
static enum status parse_result(struct etcd_answer *answer, const struct json *json)
{
    const struct json *header = json_member(json, "header");
    const struct json *responses = json_member(json, "responses");
    enum status st = parse_range(answer, json);
    for (size_t i = 0; i < json_count(responses) && !st; i++)
        st = parse_range(answer, json_member(json_item(responses, i), "response_range"));
    if (st)
        return st;
    answer->succeeded = json_bool(json_member(json, "succeeded"), false);
    bool good = header && parse_number(header, "revision", &answer->revision) &&
                parse_number(json, "ID", &answer->lease) && parse_number(json, "TTL", &answer->ttl);
    return good ? ST_OK : ST_PEER;
}

enum status etcd_answer_parse(struct etcd_answer *answer, const char *text, size_t len)
{
    memset(answer, 0, sizeof *answer);
    struct json *json = json_parse(text, len, NULL);
    const struct json *inner = json_member(json, "result"); /* of what is a stream in gRPC */
    enum status st = ST_OK;
    if (json_member(json, "error"))
        parse_error(answer, json);
    else
        st = parse_result(answer, inner ? inner : json);
    json_free(json);
    return st;
}

void etcd_answer_free(struct etcd_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        free(answer->kvs[i].key);
        free(answer->kvs[i].value);
    }
    free(answer->kvs);
    answer->kvs = NULL;
    answer->count = 0;
}

const struct etcd_kv *etcd_answer_find(const struct etcd_answer *answer, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < answer->count; i++)
        if (answer->kvs[i].key_len == len && memcmp(answer->kvs[i].key, key, len) == 0)
            return &answer->kvs[i];
    return NULL;
}
