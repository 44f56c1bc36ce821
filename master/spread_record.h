/* What spread.c makes of a record when it is over: memory only, nothing is asked or committed. */
#ifndef LARDER_MASTER_SPREAD_RECORD_H
#define LARDER_MASTER_SPREAD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct record;

/* What is still to be repaired when the copies are where they are now. */
struct spread_need {
    bool few;
    bool suspect;
};

/* The places become those on the list, which is the caller's and may point into the record; copies
 * elsewhere are garbage, which is due at `due` (unix milliseconds). Of an incomplete list those are
 * places that were asked and have no good copy: what lies there, or may still come (a volume that
 * fetches it by itself), must not be forgotten. An empty list changes no places. On failure the
 * record is as before: what it calls garbage is never a copy that it still counts on. */
enum status spread_move_places(struct record *rec, const char *const *list, size_t count,
                               uint64_t due) MUST_CHECK;

/* Notes it, and since when. */
void spread_note_need(struct record *rec, struct spread_need need);

#endif
