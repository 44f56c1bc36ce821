/*
 * One look at the table for all copies of a record: the hot path of reads. The lock is shared by
 * all loops, and taking it once for each fact of each copy cost more than the facts did.
 */
#include <assert.h>

#include "common/buf.h"
#include "common/loop.h"
#include "master/volumes_state.h"

/* A health check that is answered takes a millisecond or so. Where an overloaded machine makes all
 * of them take longer, all volumes are alike again, and nothing is lost. */
enum { HESITATION_MS = 250 };

static bool hesitates(const struct volume *volume)
{
    return volume->asked_ms && loop_now_ms() - volume->asked_ms >= HESITATION_MS;
}

/* With the lock held. */
static void look(const struct volumes *volumes, const char *place, struct buf *text,
                 struct volume_copy *copy)
{
    const char *rest;
    const struct volume *volume = volumes_by_place(volumes, place, &rest);
    copy->at = text->len;
    volumes_write_address(volume, place, text);
    copy->len = text->len - copy->at;
    copy->state = volume ? volumes_state_of(volume, rest) : VOLUME_UNKNOWN;
    copy->hesitates = volume && hesitates(volume);
}

/* Where a digest fails, they are called unbalanced: no reader goes without his redirect for that.
 * With the lock held. */
static bool is_balanced(const struct volumes *volumes, const struct key *key, size_t most,
                        const char *const *places, size_t count)
{
    struct placement_best best = {.most = most, .count = 0};
    assert(most <= PLACEMENT_BEST_MAX);
    for (size_t i = 0; i < volumes->count; i++) {
        const struct volume *volume = volumes->list[i];
        if (volumes_keeps_copies(volume, NULL) &&
            placement_offer(&best, key, volume->name, volume->name_len))
            return false;
    }
    bool same = best.count == count;
    for (size_t i = 0; i < count && same; i++)
        same = placement_is(&best, i, volumes->subvolumes, places[i]);
    return same;
}

bool volumes_look(struct volumes *volumes, const struct key *key, size_t most,
                  const char *const *places, size_t count, struct buf *text,
                  struct volume_copy *copies)
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_addc(text, ',');
        look(volumes, places[i], text, &copies[i]);
    }
    bool balanced = is_balanced(volumes, key, most, places, count);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return balanced;
}
