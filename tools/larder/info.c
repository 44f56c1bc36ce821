/*
 * Reads a record as the master's JSON has it (GET /admin/keys, common/PROTOCOL.md) back into struct
 * record. Members that are missing mean what they mean there: nothing. So an older or newer master
 * is understood as far as it can be.
 */
#include "tools/larder/info.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/md5.h"
#include "tools/larder/client.h"

void info_init(struct info *info)
{
    memset(info, 0, sizeof *info);
    record_init(&info->record);
}

/* Initializes again, so that it may be used for the next record. */
void info_free(struct info *info)
{
    record_free(&info->record);
    for (size_t i = 0; i < info->wanted_count; i++)
        free(info->wanted[i]);
    free(info->wanted);
    info_init(info);
}

/* --- parsing --- */

/* Keys are encoded in JSON, since their bytes need not be UTF-8. */
static enum status parse_key(const struct json *json, struct key *key)
{
    const char *text = json_text(json_member(json, "key"));
    return text && !key_from_path(key, text, strlen(text)) ? ST_OK : ST_CORRUPT;
}

/* The words are those of key_state_text(); another word is of a newer master, and no state that
 * anything could be decided upon. */
static enum status parse_state(const struct json *json, struct record *record)
{
    const char *text = json_text(json_member(json, "state"));
    for (int state = KEY_ABSENT; text && state <= KEY_DELETED; state++)
        if (strcmp(text, key_state_text((enum key_state)state)) == 0) {
            record->state = (enum key_state)state;
            return ST_OK;
        }
    return ST_CORRUPT;
}

/* Where nothing is said it is larder's own. */
static enum naming parse_naming(const struct json *json)
{
    const char *text = json_text(json_member(json, "naming"));
    return text && strcmp(text, "mkv") == 0 ? NAMING_MKV : NAMING_LARDER;
}

/* `add` is record_add_place or one of its like, which take a copy of the text. */
static enum status parse_places(const struct json *list, struct record *record,
                                enum status (*add)(struct record *record, const char *place))
{
    enum status st = ST_OK;
    for (size_t i = 0; i < json_count(list) && !st; i++) {
        const char *text = json_text(json_item(list, i));
        st = text ? add(record, text) : ST_CORRUPT;
    }
    return st;
}

/* Each with its own generation and naming: garbage is of any version. */
static enum status parse_garbage(const struct json *list, struct record *record)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < json_count(list) && !st; i++) {
        const struct json *copy = json_item(list, i);
        const char *place = json_text(json_member(copy, "volume"));
        uint64_t generation = (uint64_t)json_int(json_member(copy, "generation"), 0);
        st = place ? record_add_garbage(record, generation, parse_naming(copy), place) : ST_CORRUPT;
    }
    return st;
}

/* All or nothing is not needed: info_free() takes what was made so far. */
static enum status parse_wanted(const struct json *list, struct info *info)
{
    size_t count = json_count(list);
    info->wanted = calloc(count + 1, sizeof *info->wanted);
    if (!info->wanted)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_text(json_item(list, i));
        if (!text)
            return ST_CORRUPT;
        info->wanted[i] = strdup(text);
        if (!info->wanted[i])
            return ST_NO_MEMORY;
        info->wanted_count++;
    }
    return ST_OK;
}

/* After a failure `info` has a part of it; the caller frees it all the same. */
enum status info_parse(const struct json *json, struct info *info)
{
    struct record *record = &info->record;
    enum status st = parse_key(json, &info->key);
    if (!st)
        st = parse_state(json, record);
    record->generation = (uint64_t)json_int(json_member(json, "generation"), 0);
    record->naming = parse_naming(json);
    const char *md5 = json_text(json_member(json, "md5"));
    if (md5 && md5_parse(md5, record->md5))
        record->md5[0] = 0;
    record->few_copies = json_bool(json_member(json, "few"), false);
    record->suspect = json_bool(json_member(json, "suspect"), false);
    const struct json *tombstone = json_member(json, "tombstone");
    record->has_tombstone = json_int(tombstone, -1) >= 0;
    if (record->has_tombstone)
        record->tombstone = (uint64_t)json_int(tombstone, 0);
    if (!st)
        st = parse_places(json_member(json, "volumes"), record, record_add_place);
    if (!st)
        st = parse_places(json_member(json, "holders"), record, record_add_holder);
    if (!st)
        st = parse_places(json_member(json, "maybes"), record, record_add_maybe);
    if (!st)
        st = parse_garbage(json_member(json, "garbage"), record);
    if (!st)
        st = parse_wanted(json_member(json, "wanted"), info);
    return st;
}

/* --- fetching --- */

/* Also of keys that readers do not see: PENDING and DELETED have records as well. */
enum status info_fetch(struct client *client, const struct key *key, struct info *info)
{
    enum status st = client_key_request(client, "GET", key, "?record");
    int http = st ? 0 : client_status(client);
    if (!st && http == 404)
        return ST_NOT_FOUND;
    if (st || http != 200) {
        client_explain(client, st, "read the record of", key);
        return st ? st : ST_PEER;
    }
    struct json *json = client_json(client);
    st = info_parse(json, info);
    if (st)
        client_explain(client, st, "understand the record of", key);
    json_free(json);
    return st;
}

/* --- comparing --- */

/* In their order, too: places stand in the order of placement. */
static bool same_strings(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* Keys that readers do not see are never in the wrong place. */
bool info_is_elsewhere(const struct info *info)
{
    const struct record *record = &info->record;
    if (record->state != KEY_LIVE && record->state != KEY_UNLINKED)
        return false;
    return !same_strings(record->places, record->place_count, info->wanted, info->wanted_count);
}

/* Too few copies are found here by the record's own word: places may be the wanted ones, and yet
 * fewer than --replicas. */
bool info_is_misplaced(const struct info *info)
{
    const struct record *record = &info->record;
    bool there = record->state == KEY_LIVE || record->state == KEY_UNLINKED;
    return info_is_elsewhere(info) || (there && record->few_copies);
}

/* Not `wanted`, which changes when a volume goes up or down: that is nothing that clients did. */
bool info_same(const struct info *a, const struct info *b)
{
    const struct record *x = &a->record;
    const struct record *y = &b->record;
    if (x->state != y->state || x->generation != y->generation || x->naming != y->naming ||
        strcmp(x->md5, y->md5) != 0 || x->garbage.count != y->garbage.count ||
        !same_strings(x->places, x->place_count, y->places, y->place_count))
        return false;
    for (size_t i = 0; i < x->garbage.count; i++) {
        const struct copy *p = &x->garbage.list[i];
        const struct copy *q = &y->garbage.list[i];
        if (p->generation != q->generation || strcmp(p->place, q->place) != 0)
            return false;
    }
    return true;
}
