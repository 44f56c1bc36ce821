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
enum {
    HESITATION_MS = 250,
    STAMP_VOLUMES_MAX = 62 /* a stamp has 64 bits, one for the answer */
};

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

/* Where a digest fails, they are called unbalanced: no reader goes without his redirect for that;
 * but it is not noted. With the lock held. */
static bool is_balanced(const struct volumes *volumes, const struct key *key, size_t most,
                        const char *const *places, size_t count, bool *certain)
{
    *certain = false;
    struct placement_best best = {.most = most, .count = 0};
    assert(most <= PLACEMENT_BEST_MAX);
    for (size_t i = 0; i < volumes->count; i++) {
        const struct volume *volume = volumes->list[i];
        if (volumes_keeps_copies(volume, NULL) &&
            placement_offer(&best, key, volume->name, volume->name_len))
            return false;
    }
    *certain = true;
    bool same = best.count == count;
    for (size_t i = 0; i < count && same; i++)
        same = placement_is(&best, i, volumes->subvolumes, places[i]);
    return same;
}

/* The volumes that keep copies, a bit each by their positions, which never change; above them a bit
 * that is always set, so it is never 0. 0: there are too many for that. With the lock held. */
static uint64_t keepers(const struct volumes *volumes)
{
    uint64_t bits = 1;
    if (volumes->count > STAMP_VOLUMES_MAX)
        return 0;
    for (size_t i = 0; i < volumes->count; i++)
        bits = bits << 1 | volumes_keeps_copies(volumes->list[i], NULL);
    return bits;
}

/* Answers from the stamp, or makes it anew. With the lock held. */
static bool check_stamp(const struct volumes *volumes, const struct key *key, size_t most,
                        const char *const *places, size_t count, uint64_t *stamp)
{
    uint64_t now = keepers(volumes);
    if (now && *stamp >> 1 == now)
        return *stamp & 1;
    bool certain;
    bool balanced = is_balanced(volumes, key, most, places, count, &certain);
    *stamp = now && certain ? now << 1 | balanced : 0;
    return balanced;
}

uint64_t volumes_stamp(struct volumes *volumes, const struct key *key, size_t most,
                       const char *const *places, size_t count)
{
    uint64_t stamp = 0;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    (void)check_stamp(volumes, key, most, places, count, &stamp);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return stamp;
}

bool volumes_look(struct volumes *volumes, const struct key *key, size_t most,
                  const char *const *places, size_t count, struct buf *text,
                  struct volume_copy *copies, uint64_t *stamp)
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_addc(text, ',');
        look(volumes, places[i], text, &copies[i]);
    }
    bool balanced = check_stamp(volumes, key, most, places, count, stamp);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return balanced;
}
