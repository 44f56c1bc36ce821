/*
 * Records in memory: the moves between states, and the lists. Their text is record_text.c's.
 *
 * Lists are arrays that are searched from the front: a key has a few copies, and never more than
 * tens of anything. An addition that fails for want of memory leaves the list as it was, so the
 * caller can give up and free the record.
 */
#include "common/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* moves[from][to]: what may become what. A state may become itself: a version is replaced, or only
 * the work of the key changes. Nothing comes back from absent but by a new write (PENDING), and a
 * key with a version never becomes PENDING: readers see the old version until the new one is
 * whole. */
static const bool moves[5][5] = {
    [KEY_ABSENT] = {[KEY_PENDING] = true},
    /* written; or the write failed and its leftovers are gone */
    [KEY_PENDING] = {[KEY_PENDING] = true, [KEY_LIVE] = true, [KEY_ABSENT] = true},
    /* overwritten, unlinked, deleted */
    [KEY_LIVE] = {[KEY_LIVE] = true, [KEY_UNLINKED] = true, [KEY_DELETED] = true},
    [KEY_UNLINKED] = {[KEY_UNLINKED] = true, [KEY_LIVE] = true, [KEY_DELETED] = true},
    /* written again; or all its copies are known to be gone */
    [KEY_DELETED] = {[KEY_DELETED] = true, [KEY_LIVE] = true, [KEY_ABSENT] = true},
};

bool record_may_move(enum key_state from, enum key_state to)
{
    return moves[from][to];
}

/* A move that the table does not allow is an error in larder, not in its data: going on would write
 * it into the index. */
void record_move(struct record *rec, enum key_state to)
{
    assert(record_may_move(rec->state, to));
    rec->state = to;
}

const char *key_state_text(enum key_state state)
{
    static const char *const texts[] = {"absent", "pending", "live", "unlinked", "deleted"};
    return texts[state];
}

void record_init(struct record *rec)
{
    memset(rec, 0, sizeof *rec);
}

static void free_strings(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

void record_free(struct record *rec)
{
    free_strings(rec->places, rec->place_count);
    free_strings(rec->holders, rec->holder_count);
    free_strings(rec->maybes, rec->maybe_count);
    for (size_t i = 0; i < rec->garbage.count; i++)
        free(rec->garbage.list[i].place);
    free(rec->garbage.list);
    record_init(rec);
}

/* --- lists --- */

/* Both allocations first, then the list changes. A longer array is kept also where the string
 * failed: it only has room to spare. */
static enum status add_string(char ***list, size_t *count, const char *text)
{
    char *copy = strdup(text);
    char **more = realloc(*list, (*count + 1) * sizeof *more);
    if (more)
        *list = more;
    if (!copy || !more) {
        free(copy);
        return ST_NO_MEMORY;
    }
    more[(*count)++] = copy;
    return ST_OK;
}

static bool has_string(char *const *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

/* The order of the others stays: of places it means something. */
static void drop_string(char **list, size_t *count, const char *text)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(list[i], text) == 0) {
            free(list[i]);
            memmove(list + i, list + i + 1, (*count - i - 1) * sizeof *list);
            (*count)--;
            return;
        }
}

/* The new list is made first: on failure the old one stays. */
enum status record_set_places(struct record *rec, const char *const *places, size_t count)
{
    char **list = NULL;
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (add_string(&list, &n, places[i])) {
            free_strings(list, n);
            return ST_NO_MEMORY;
        }
    free_strings(rec->places, rec->place_count);
    rec->places = list;
    rec->place_count = n;
    return ST_OK;
}

enum status record_add_place(struct record *rec, const char *place)
{
    return add_string(&rec->places, &rec->place_count, place);
}

/* The place decides with the generation: of one version a place has one copy, under one naming. */
enum status record_add_garbage(struct record *rec, uint64_t generation, enum naming naming,
                               const char *place)
{
    return record_add_late_garbage(rec, generation, naming, place, 0);
}

enum status record_add_late_garbage(struct record *rec, uint64_t generation, enum naming naming,
                                    const char *place, uint64_t due)
{
    struct copies *garbage = &rec->garbage;
    for (size_t i = 0; i < garbage->count; i++) {
        struct copy *copy = &garbage->list[i];
        if (copy->generation != generation || strcmp(copy->place, place) != 0)
            continue;
        copy->due = due > copy->due ? due : copy->due;
        return ST_OK;
    }
    struct copy *more = realloc(garbage->list, (garbage->count + 1) * sizeof *more);
    if (more)
        garbage->list = more;
    char *copy = strdup(place);
    if (!more || !copy) {
        free(copy);
        return ST_NO_MEMORY;
    }
    more[garbage->count++] = (struct copy){generation, naming, copy, due};
    return ST_OK;
}

void record_hurry_garbage(struct record *rec)
{
    for (size_t i = 0; i < rec->garbage.count; i++)
        rec->garbage.list[i].due = 0;
}

bool record_has_due(const struct record *rec, uint64_t now)
{
    for (size_t i = 0; i < rec->garbage.count; i++)
        if (rec->garbage.list[i].due <= now)
            return true;
    bool repair_alone = !rec->has_tombstone && !rec->holder_count && !rec->maybe_count &&
                        (rec->few_copies || rec->suspect);
    return rec->garbage.count == 0 && !repair_alone;
}

static enum status add_once(char ***list, size_t *count, const char *text)
{
    return has_string(*list, *count, text) ? ST_OK : add_string(list, count, text);
}

/* A volume is in one of the two lists, holders or maybes, never in both. */
enum status record_add_holder(struct record *rec, const char *place)
{
    enum status st = add_once(&rec->holders, &rec->holder_count, place);
    if (!st)
        drop_string(rec->maybes, &rec->maybe_count, place);
    return st;
}

enum status record_add_maybe(struct record *rec, const char *place)
{
    bool known = has_string(rec->holders, rec->holder_count, place);
    return known ? ST_OK : add_once(&rec->maybes, &rec->maybe_count, place);
}

/* Noted as maybes before they are forgotten as holders: where memory ends in between, they are in
 * both, which costs a request more, and no volume with an old tombstone is forgotten. */
enum status record_doubt_holders(struct record *rec)
{
    for (size_t i = 0; i < rec->holder_count; i++)
        if (add_once(&rec->maybes, &rec->maybe_count, rec->holders[i]))
            return ST_NO_MEMORY;
    free_strings(rec->holders, rec->holder_count);
    rec->holders = NULL;
    rec->holder_count = 0;
    return ST_OK;
}

void record_drop_garbage(struct record *rec, uint64_t generation, const char *place)
{
    struct copies *garbage = &rec->garbage;
    for (size_t i = 0; i < garbage->count; i++) {
        struct copy *copy = &garbage->list[i];
        if (copy->generation != generation || strcmp(copy->place, place) != 0)
            continue;
        free(copy->place);
        memmove(copy, copy + 1, (garbage->count - i - 1) * sizeof *copy);
        garbage->count--;
        return;
    }
}

void record_drop_holder(struct record *rec, const char *place)
{
    drop_string(rec->holders, &rec->holder_count, place);
    drop_string(rec->maybes, &rec->maybe_count, place);
}

void record_drop_place(struct record *rec, const char *place)
{
    drop_string(rec->places, &rec->place_count, place);
}

bool record_has_place(const struct record *rec, const char *place)
{
    return has_string(rec->places, rec->place_count, place);
}

/* The wall clock is a lower bound only, for an index that was rebuilt and does not know what it
 * once gave. A clock that goes back does no harm, because what the record knows counts as well. */
uint64_t record_next_generation(const struct record *rec, uint64_t now_ms)
{
    if (rec->state == KEY_ABSENT)
        return 0;
    uint64_t known = rec->generation;
    if (rec->has_tombstone && rec->tombstone > known)
        known = rec->tombstone;
    for (size_t i = 0; i < rec->garbage.count; i++)
        if (rec->garbage.list[i].generation > known)
            known = rec->garbage.list[i].generation;
    return known + 1 > now_ms ? known + 1 : now_ms;
}
