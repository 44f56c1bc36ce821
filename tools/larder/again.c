#include "tools/larder/again.h"

#include "tools/larder/scan.h"

/* Allowance for volumes whose clocks are behind the master's. At worst it brings back what was
 * written so shortly before the backup, and deleted with no volume having taken the tombstone; too
 * small a one loses a value that was acknowledged. Clocks that are kept at all differ by less. */
enum { CLOCKS_MS = 10 * 1000 };

static bool is_newer(const struct scan_file *file, uint64_t made_ms)
{
    return file->created + CLOCKS_MS > made_ms;
}

bool again_came(const struct scan_group *group, uint64_t made_ms)
{
    if (!made_ms || group->tombstone_count)
        return false;
    for (size_t i = 0; i < group->file_count; i++)
        if (group->files[i].generation == 0 && is_newer(&group->files[i], made_ms))
            return true;
    return false;
}

bool again_has_old(const struct scan_file *files, size_t count, uint64_t made_ms)
{
    for (size_t i = 0; i < count; i++)
        if (!is_newer(&files[i], made_ms))
            return true;
    return false;
}
