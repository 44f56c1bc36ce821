#include "master/spread_record.h"

#include <string.h>

#include "common/loop.h"
#include "common/record.h"

static bool is_listed(const char *const *list, size_t count, const char *place)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], place) == 0)
            return true;
    return false;
}

/* The garbage first: only that can fail, and while it does no place has gone yet. */
enum status spread_move_places(struct record *rec, const char *const *list, size_t count,
                               uint64_t due)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < rec->place_count && !st; i++) {
        if (is_listed(list, count, rec->places[i]))
            continue;
        st = record_add_late_garbage(rec, rec->generation, rec->naming, rec->places[i], due);
    }
    if (!st && count)
        st = record_set_places(rec, list, count);
    for (size_t i = 0; i < rec->place_count; i++)
        record_drop_garbage(rec, rec->generation, rec->places[i]);
    return st;
}

void spread_note_need(struct record *rec, struct spread_need need)
{
    rec->few_copies = need.few;
    rec->suspect = need.suspect;
    if (!need.few && !need.suspect)
        rec->since = 0;
    else if (!rec->since)
        rec->since = loop_wall_ms();
}
