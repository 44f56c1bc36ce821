#include "tools/larder/aside.h"

#include "common/record.h"
#include "tools/larder/scan.h"

static bool is_visible(const struct record *record)
{
    return record && (record->state == KEY_LIVE || record->state == KEY_UNLINKED);
}

/* What is laid aside stays there for people to look at, also when its key is overwritten or deleted
 * afterwards: so an older version counts for nothing, nor does one that a tombstone covers. */
bool aside_counts(const struct scan_group *group, const struct record *known,
                  const struct record *record)
{
    uint64_t generation = group->quarantined_generation;
    if (!group->quarantined || (known && known->has_tombstone && known->tombstone >= generation))
        return false;
    for (size_t i = 0; i < group->tombstone_count; i++)
        if (group->tombstones[i].generation >= generation)
            return false;
    if (is_visible(record))
        return generation > record->generation;
    return !is_visible(known) || generation >= known->generation;
}
