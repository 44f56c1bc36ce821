/* Two atomics instead of a lock, since every request of a master looks here. Between them a reader
 * may see a term with the time of the one before: both were heard of within the same moment, and a
 * minute is long beside that. */
#include "volume/fence.h"

#include <stdlib.h>

uint64_t fence_parse(const char *field)
{
    char *end;
    if (!field || *field < '0' || *field > '9')
        return 0;
    uint64_t term = strtoull(field, &end, 10);
    return *end || term > INT64_MAX ? 0 : term; /* a revision of etcd's is never larger */
}

bool fence_holds(const struct fence *fence, uint64_t term, uint64_t now_ms)
{
    uint64_t highest = atomic_load(&fence->term);
    uint64_t heard = atomic_load(&fence->heard_ms);
    return term == 0 || term >= highest || now_ms > heard + FENCE_FORGETS_MS;
}

bool fence_hear(struct fence *fence, uint64_t term, uint64_t now_ms)
{
    if (term == 0)
        return true;
    uint64_t highest = atomic_load(&fence->term);
    do {
        if (term < highest && now_ms <= atomic_load(&fence->heard_ms) + FENCE_FORGETS_MS)
            return false;
        if (term >= highest) /* first: a term without its time would be taken for a forgotten one */
            atomic_store(&fence->heard_ms, now_ms);
    } while (!atomic_compare_exchange_weak(&fence->term, &highest, term));
    atomic_store(&fence->heard_ms, now_ms);
    return true;
}
