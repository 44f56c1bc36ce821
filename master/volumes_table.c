/*
 * The volumes and what health checks find of them. One lock for readers and writers, held for a few
 * instructions: every request asks for states and ranks, while checks write a few times a second a
 * volume.
 *
 * States are ordered from good to bad (enum volume_state), so that 'readable' and the like are
 * comparisons, and of two states the worse is the larger. volumes_set_state() is the only one that
 * changes a volume's state, logs it, and keeps the times that follow from it.
 *
 * Nothing is ever taken out of the list, and a volume stays where it is in memory: positions and
 * names may be kept without the lock.
 */
#include "master/volumes_state.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/loop.h"

enum { SETTLE_MS = 3000 };

bool volume_readable(enum volume_state state)
{
    return state <= VOLUME_READ_ONLY;
}

bool volume_writable(enum volume_state state)
{
    return state <= VOLUME_SLOW;
}

bool volume_erasable(enum volume_state state)
{
    return state <= VOLUME_FULL;
}

const char *volume_state_text(enum volume_state state)
{
    static const char *const texts[] = {"unknown", "up",        "slow", "draining",
                                        "full",    "read-only", "down", "foreign"};
    return texts[state];
}

struct volumes *volumes_new(unsigned subvolumes, uint64_t down_after_ms)
{
    struct volumes *volumes = calloc(1, sizeof *volumes);
    if (!volumes)
        return NULL;
    volumes->subvolumes = subvolumes;
    volumes->down_after_ms = down_after_ms;
    volumes->epoch = VOLUMES_FIRST_EPOCH;
    if (pthread_rwlock_init(&volumes->lock, NULL)) {
        free(volumes);
        return NULL;
    }
    return volumes;
}

void volumes_free(struct volumes *volumes)
{
    if (!volumes)
        return;
    for (size_t i = 0; i < volumes->count; i++) {
        free(volumes->list[i]->subvolumes);
        free(volumes->list[i]);
    }
    free(volumes->list);
    (void)pthread_rwlock_destroy(&volumes->lock);
    free(volumes);
}

struct volume *volumes_by_name(const struct volumes *volumes, const char *name)
{
    for (size_t i = 0; i < volumes->count; i++)
        if (strcmp(volumes->list[i]->name, name) == 0)
            return volumes->list[i];
    return NULL;
}

struct volume *volumes_by_place(const struct volumes *volumes, const char *place, const char **rest)
{
    struct volume *best = NULL;
    for (size_t i = 0; i < volumes->count; i++) {
        struct volume *volume = volumes->list[i];
        if (strncmp(place, volume->name, volume->name_len) != 0 ||
            (best && best->name_len > volume->name_len))
            continue;
        const char *behind = place + volume->name_len;
        if (*behind && *behind != '/')
            continue;
        best = volume;
        *rest = *behind ? behind + 1 : behind;
    }
    return best;
}

size_t volumes_count(struct volumes *volumes)
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    size_t count = volumes->count;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return count;
}

size_t volumes_members(struct volumes *volumes)
{
    size_t count = 0;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    for (size_t i = 0; i < volumes->count; i++)
        count += !volumes->list[i]->facts.removed;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return count;
}

const char *volumes_name(struct volumes *volumes, size_t i)
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const char *name = volumes->list[i]->name; /* never changes, never goes */
    (void)pthread_rwlock_unlock(&volumes->lock);
    return name;
}

enum volume_state volumes_state_of(const struct volume *volume, const char *subvolume)
{
    enum volume_state state = volume->facts.removed ? VOLUME_FOREIGN : volume->state;
    if (volume->facts.draining && state < VOLUME_DRAINING)
        state = VOLUME_DRAINING;
    for (size_t i = 0; i < volume->subvolume_count; i++)
        if (strcmp(volume->subvolumes[i].name, subvolume) == 0 &&
            volume->subvolumes[i].state > state)
            return volume->subvolumes[i].state;
    return state;
}

enum volume_state volumes_state(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = volumes_by_place(volumes, place, &rest);
    enum volume_state state = volume ? volumes_state_of(volume, rest) : VOLUME_UNKNOWN;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return state;
}

enum volume_kind volumes_kind(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = volumes_by_place(volumes, place, &rest);
    enum volume_kind kind = volume ? volume->kind : VOLUME_PLAIN;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return kind;
}

bool volumes_keeps_copies(const struct volume *volume, const char *subvolume)
{
    for (size_t i = 0; subvolume && i < volume->subvolume_count; i++)
        if (volume->subvolumes[i].lost && strcmp(volume->subvolumes[i].name, subvolume) == 0)
            return false;
    return !volume->lost && !volume->facts.draining && !volume->facts.removed &&
           volume->state != VOLUME_FOREIGN;
}

enum status volumes_wanted(struct volumes *volumes, const struct key *key, size_t most,
                           struct ranked **list, size_t *count)
{
    size_t all;
    *count = 0;
    enum status st = volumes_rank(volumes, key, list, &all);
    for (size_t i = 0; !st && i < all && *count < most; i++)
        if ((*list)[i].keeps)
            (*list)[(*count)++] = (*list)[i];
    return st;
}

/* With the lock held. `places`, `members` and `names` have room for all volumes; *count is how many
 * take part: members[places[i].volume] is the volume of a place. */
static enum status rank_places(const struct volumes *volumes, const struct key *key,
                               struct place *places, const struct volume **members,
                               const char **names, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < volumes->count; i++)
        if (!volumes->list[i]->facts.removed) {
            members[*count] = volumes->list[i];
            names[(*count)++] = volumes->list[i]->name;
        }
    return placement_rank(key, names, *count, volumes->subvolumes, places);
}

/* With the lock held. */
static enum status rank(const struct volumes *volumes, const struct key *key, struct ranked *list,
                        size_t *count)
{
    struct place *places = malloc(volumes->count * sizeof *places);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): a list of pointers it is */
    const struct volume **members = malloc(volumes->count * sizeof *members);
    const char **names = malloc(volumes->count * sizeof *names);
    enum status st = ST_NO_MEMORY;
    if (places && members && names)
        st = rank_places(volumes, key, places, members, names, count);
    for (size_t i = 0; !st && i < *count; i++) {
        const struct volume *volume = members[places[i].volume];
        const char *rest = places[i].name + volume->name_len;
        memcpy(list[i].place, places[i].name, sizeof list[i].place);
        list[i].state = volumes_state_of(volume, *rest ? rest + 1 : rest);
        list[i].kind = volume->kind;
        list[i].keeps = volumes_keeps_copies(volume, *rest ? rest + 1 : rest);
    }
    free(places);
    free(members);
    free(names);
    return st;
}

enum status volumes_rank(struct volumes *volumes, const struct key *key, struct ranked **list,
                         size_t *count)
{
    *list = NULL;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    *count = volumes->count;
    enum status st = ST_OK;
    if (*count) {
        *list = malloc(*count * sizeof **list);
        st = *list ? rank(volumes, key, *list, count) : ST_NO_MEMORY;
    }
    (void)pthread_rwlock_unlock(&volumes->lock);
    if (st) {
        free(*list);
        *list = NULL;
    }
    return st;
}

bool volumes_keeps(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = volumes_by_place(volumes, place, &rest);
    bool does = !volume || volumes_keeps_copies(volume, rest);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return does;
}

bool volumes_is_removed(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = volumes_by_place(volumes, place, &rest);
    bool removed = volume && volume->facts.removed;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return removed;
}

size_t volumes_keeping(struct volumes *volumes)
{
    size_t count = 0;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    for (size_t i = 0; i < volumes->count; i++)
        count += volumes_keeps_copies(volumes->list[i], NULL);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return count;
}

/* Disks that have been away for too long while their volume was up. */
static void notice_lost_disks(struct volumes *volumes, struct volume *volume, uint64_t now)
{
    for (size_t i = 0; i < volume->subvolume_count; i++) {
        struct subvolume_report *disk = &volume->subvolumes[i];
        if (disk->lost || !disk->down_since_ms || volume->facts.removed ||
            now - disk->down_since_ms < volumes->down_after_ms)
            continue;
        log_event(LOG_WARN, "volumes", "volume=%s disk=%s event=lost down_seconds=%" PRIu64,
                  volume->name, disk->name, (now - disk->down_since_ms) / 1000);
        disk->lost = true;
        volumes->epoch++;
    }
}

uint64_t volumes_epoch(struct volumes *volumes)
{
    uint64_t now = loop_now_ms();
    (void)pthread_rwlock_wrlock(&volumes->lock);
    for (size_t i = 0; i < volumes->count; i++) {
        struct volume *volume = volumes->list[i];
        notice_lost_disks(volumes, volume, now);
        if (volume->lost || !volume->down_since_ms || volume->facts.removed ||
            now - volume->down_since_ms < volumes->down_after_ms)
            continue;
        log_event(LOG_WARN, "volumes", "volume=%s event=lost down_seconds=%" PRIu64, volume->name,
                  (now - volume->down_since_ms) / 1000);
        volume->lost = true;
        volumes->epoch++;
    }
    uint64_t epoch = volumes->epoch;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return epoch;
}

void volumes_set_state(struct volume *volume, enum volume_state state, const char *why)
{
    if (volume->state == state)
        return;
    enum log_level level = state >= VOLUME_DOWN ? LOG_WARN : LOG_INFO;
    log_event(level, "volumes", "volume=%s from=%s to=%s reason=\"%s\"", volume->name,
              volume_state_text(volume->state), volume_state_text(state), why);
    volume->state = state;
    volume->up_since_ms = state == VOLUME_UP ? loop_now_ms() : 0;
    volume->down_since_ms = state == VOLUME_DOWN ? loop_now_ms() : 0;
    if (state == VOLUME_UP)
        volume->lost = false;
}

void volumes_failed(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_wrlock(&volumes->lock);
    struct volume *volume = volumes_by_place(volumes, place, &rest);
    if (volume) {
        volume->errors++;
        if (volume->state != VOLUME_FOREIGN)
            volumes_set_state(volume, VOLUME_DOWN, "a request had no answer");
    }
    (void)pthread_rwlock_unlock(&volumes->lock);
}

bool volumes_lost(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = volumes_by_place(volumes, place, &rest);
    bool lost = volume && volume->silences >= 2;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return lost;
}

bool volumes_settled(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = volumes_by_place(volumes, place, &rest);
    bool settled =
        volume && volume->up_since_ms && loop_now_ms() - volume->up_since_ms >= SETTLE_MS;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return settled;
}

void volumes_asked(struct volumes *volumes, size_t i)
{
    (void)pthread_rwlock_wrlock(&volumes->lock);
    volumes->list[i]->asked_ms = loop_now_ms();
    (void)pthread_rwlock_unlock(&volumes->lock);
}

static void silent(struct volume *volume)
{
    volume->errors++;
    volume->silences++;
    if (volume->silences >= 2 || !volume->checked)
        volumes_set_state(volume, VOLUME_DOWN, "health checks have no answer");
    else if (volume->state == VOLUME_UP)
        volumes_set_state(volume, VOLUME_SLOW, "a health check had no answer");
}

/* Another volume that has this identity, or NULL. One that was taken out may come back under
 * another address. */
static const struct volume *twin(const struct volumes *volumes, const struct volume *volume,
                                 const char *id)
{
    for (size_t i = 0; i < volumes->count; i++)
        if (volumes->list[i] != volume && !volumes->list[i]->facts.removed &&
            strcmp(volumes->list[i]->facts.id, id) == 0)
            return volumes->list[i];
    return NULL;
}

/* For how long a disk has been away is known from the reports before. One that is there again is
 * used at once, as a volume is. */
static void since_when(const struct volume *volume, struct subvolume_report *now)
{
    now->down_since_ms = now->state >= VOLUME_DOWN ? loop_now_ms() : 0;
    now->lost = false;
    for (size_t i = 0; now->down_since_ms && i < volume->subvolume_count; i++) {
        const struct subvolume_report *before = &volume->subvolumes[i];
        if (before->down_since_ms && strcmp(before->name, now->name) == 0) {
            now->down_since_ms = before->down_since_ms;
            now->lost = before->lost;
        }
    }
}

static bool answered(struct volumes *volumes, struct volume *volume, struct volume_report *report)
{
    bool first = false;
    struct volume_facts *facts = &volume->facts;
    volume->silences = 0;
    volume->kind = report->kind;
    volume->free = report->free;
    volume->total = report->total;
    for (size_t i = 0; i < report->subvolume_count; i++)
        since_when(volume, &report->subvolumes[i]);
    free(volume->subvolumes);
    volume->subvolumes = report->subvolumes;
    volume->subvolume_count = report->subvolume_count;
    report->subvolumes = NULL;
    if (report->id[0] && twin(volumes, volume, report->id)) {
        volumes_set_state(volume, VOLUME_FOREIGN,
                          "it is another volume of this store under a second name");
    } else if (facts->id[0] && strcmp(facts->id, report->id) != 0) {
        volumes_set_state(
            volume, VOLUME_FOREIGN,
            report->id[0]
                ? "its directory is not the one it was; see 'a volume was replaced' in the README"
                : "what answers at its address is no larder-volume; see 'a volume was replaced' in "
                  "the README");
    } else {
        first = report->id[0] && !facts->id[0];
        memcpy(facts->id, report->id, sizeof facts->id);
        volumes_set_state(volume, VOLUME_UP, "it answers");
    }
    return first;
}

bool volumes_checked(struct volumes *volumes, size_t i, struct volume_report *report)
{
    bool first = false;
    (void)pthread_rwlock_wrlock(&volumes->lock);
    struct volume *volume = volumes->list[i];
    volume->asked_ms = 0;
    if (strcmp(report->address, volume->facts.address) != 0) { /* it has moved meanwhile */
        (void)pthread_rwlock_unlock(&volumes->lock);
        return false;
    }
    if (report->answered)
        first = answered(volumes, volume, report);
    else
        silent(volume);
    volume->checked = true;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return first;
}
