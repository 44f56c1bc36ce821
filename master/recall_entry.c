/*
 * Behind the fixed part of an entry stand, unaligned: the generation, the digest (both where there
 * is one), the numbers of the places, the key.
 */
#include "master/recall_entry.h"

#include <string.h>

#include "common/hex.h"
#include "common/md5.h"
#include "common/name.h"
#include "master/intern.h"

/* In `bits`; a state is never more than STATE. */
enum { STATE = 7, IS_MKV = 8, HAS_MD5 = 16, HAS_GENERATION = 32 };

enum { HEAD = sizeof(struct recall_entry) };

_Static_assert(HEAD + sizeof(uint64_t) + MD5_SIZE + RECORD_COPIES_MAX * sizeof(uint16_t) + KEY_MAX +
                       RECALL_ALIGN <=
                   RECALL_ENTRY_MAX,
               "there is room for any record");
_Static_assert(sizeof(struct recall_entry) % RECALL_ALIGN == 0, "no entry is smaller");

static char *write_digest(char *to, const char *hex)
{
    for (size_t i = 0; i < MD5_SIZE; i++)
        *to++ = (char)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
    return to;
}

static uint8_t bits_of(const struct record_view *view)
{
    return (uint8_t)((int)view->state | (view->naming == NAMING_MKV ? IS_MKV : 0) |
                     (view->md5[0] ? HAS_MD5 : 0) | (view->generation ? HAS_GENERATION : 0));
}

bool recall_entry_write(union recall_draft *draft, const struct key *key,
                        const struct record_view *view, struct intern *places)
{
    struct recall_entry *entry = &draft->entry;
    memset(entry, 0, sizeof *entry);
    entry->bits = bits_of(view);
    entry->place_count = (uint8_t)view->place_count;
    entry->key_len = (uint16_t)key->len;
    if (view->has_dirs)
        memcpy(entry->dirs, view->dirs, sizeof entry->dirs);
    else if (name_dirs(key, entry->dirs))
        return false;
    char *at = draft->bytes + HEAD;
    if (entry->bits & HAS_GENERATION)
        at = mempcpy(at, &view->generation, sizeof view->generation);
    if (entry->bits & HAS_MD5)
        at = write_digest(at, view->md5);
    for (size_t i = 0; i < view->place_count; i++) {
        uint16_t number = intern_number(places, view->places[i]);
        if (!number)
            return false;
        at = mempcpy(at, &number, sizeof number);
    }
    at = mempcpy(at, key->bytes, key->len);
    size_t used = (size_t)(at - draft->bytes);
    entry->size = (uint16_t)((used + RECALL_ALIGN - 1) / RECALL_ALIGN * RECALL_ALIGN);
    return true;
}

const char *recall_entry_key(const struct recall_entry *entry)
{
    return (const char *)entry + HEAD + (entry->bits & HAS_GENERATION ? sizeof(uint64_t) : 0) +
           (entry->bits & HAS_MD5 ? MD5_SIZE : 0) + entry->place_count * sizeof(uint16_t);
}

void recall_entry_read(const struct recall_entry *entry, const struct intern *places,
                       struct record_view *view)
{
    const char *at = (const char *)entry + HEAD;
    view->state = (enum key_state)(entry->bits & STATE);
    view->naming = entry->bits & IS_MKV ? NAMING_MKV : NAMING_LARDER;
    view->has_dirs = true;
    memcpy(view->dirs, entry->dirs, sizeof view->dirs);
    view->generation = 0;
    view->md5[0] = 0;
    if (entry->bits & HAS_GENERATION) {
        memcpy(&view->generation, at, sizeof view->generation);
        at += sizeof view->generation;
    }
    if (entry->bits & HAS_MD5) {
        md5_hex((const unsigned char *)at, view->md5);
        at += MD5_SIZE;
    }
    view->place_count = entry->place_count;
    for (size_t i = 0; i < entry->place_count; i++) {
        uint16_t number;
        memcpy(&number, at + i * sizeof number, sizeof number);
        view->places[i] = intern_text(places, number);
    }
}
