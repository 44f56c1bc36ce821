#include "master/volumes.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"

enum { SETTLE_MS = 3000 };

struct volume {
    char name[VOLUME_NAME_MAX + 1];
    size_t name_len;
    enum volume_state state;
    enum volume_kind kind;
    char id[IDENTITY_SIZE + 1]; /* "" until it was seen */
    uint64_t up_since_ms;       /* of loop_now_ms(); 0 while it is not up */
    unsigned silences;          /* health checks in a row without an answer */
    uint64_t errors;            /* failures of requests and checks, since the start */
    uint64_t free, total;
    struct subvolume_report *subvolumes;
    size_t subvolume_count;
    bool checked;
};

struct volumes {
    pthread_rwlock_t lock;
    unsigned subvolumes;
    struct volume **list;
    size_t count;
};

bool volume_readable(enum volume_state state)
{
    return state <= VOLUME_READ_ONLY;
}

bool volume_writable(enum volume_state state)
{
    return state <= VOLUME_UP;
}

bool volume_erasable(enum volume_state state)
{
    return state <= VOLUME_FULL;
}

const char *volume_state_text(enum volume_state state)
{
    static const char *const texts[] = {"unknown", "up", "full", "read-only", "down", "foreign"};
    return texts[state];
}

struct volumes *volumes_new(unsigned subvolumes)
{
    struct volumes *volumes = calloc(1, sizeof *volumes);
    if (!volumes)
        return NULL;
    volumes->subvolumes = subvolumes;
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

/* With the lock held. */
static struct volume *by_name(const struct volumes *volumes, const char *name)
{
    for (size_t i = 0; i < volumes->count; i++)
        if (strcmp(volumes->list[i]->name, name) == 0)
            return volumes->list[i];
    return NULL;
}

/* The volume that a place is on, and in *rest its subvolume ("" or "svXX"). Of two volumes where
 * one is a path below the other the longer name wins. With the lock held. */
static struct volume *by_place(const struct volumes *volumes, const char *place, const char **rest)
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

enum status volumes_add(struct volumes *volumes, const char *name, const char *id, bool *was_there)
{
    enum status st = ST_OK;
    (void)pthread_rwlock_wrlock(&volumes->lock);
    *was_there = by_name(volumes, name) != NULL;
    if (!*was_there) {
        struct volume *volume = calloc(1, sizeof *volume);
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): a list of pointers it is */
        struct volume **more = realloc(volumes->list, (volumes->count + 1) * sizeof *more);
        if (more)
            volumes->list = more;
        if (volume && more) {
            volume->name_len = strlen(name);
            memcpy(volume->name, name, volume->name_len + 1);
            if (id && strlen(id) == IDENTITY_SIZE)
                memcpy(volume->id, id, IDENTITY_SIZE + 1);
            more[volumes->count++] = volume;
        } else {
            free(volume);
            st = ST_NO_MEMORY;
        }
    }
    (void)pthread_rwlock_unlock(&volumes->lock);
    return st;
}

size_t volumes_count(struct volumes *volumes)
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    size_t count = volumes->count;
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

/* The worse of the volume's state and the subvolume's. A subvolume that it does not report does not
 * exist yet: it is made by the first PUT. With the lock held. */
static enum volume_state state_of(const struct volume *volume, const char *subvolume)
{
    enum volume_state state = volume->state;
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
    const struct volume *volume = by_place(volumes, place, &rest);
    enum volume_state state = volume ? state_of(volume, rest) : VOLUME_UNKNOWN;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return state;
}

enum volume_kind volumes_kind(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = by_place(volumes, place, &rest);
    enum volume_kind kind = volume ? volume->kind : VOLUME_PLAIN;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return kind;
}

/* With the lock held; places has room for all volumes. */
static enum status rank_places(const struct volumes *volumes, const struct key *key,
                               struct place *places)
{
    const char **names = malloc(volumes->count * sizeof *names);
    if (!names)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < volumes->count; i++)
        names[i] = volumes->list[i]->name;
    enum status st = placement_rank(key, names, volumes->count, volumes->subvolumes, places);
    free(names);
    return st;
}

/* With the lock held. */
static enum status rank(const struct volumes *volumes, const struct key *key, struct ranked *list)
{
    struct place *places = malloc(volumes->count * sizeof *places);
    if (!places)
        return ST_NO_MEMORY;
    enum status st = rank_places(volumes, key, places);
    for (size_t i = 0; i < volumes->count && !st; i++) {
        const struct volume *volume = volumes->list[places[i].volume];
        const char *rest = places[i].name + volume->name_len;
        memcpy(list[i].place, places[i].name, sizeof list[i].place);
        list[i].state = state_of(volume, *rest ? rest + 1 : rest);
        list[i].kind = volume->kind;
    }
    free(places);
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
        st = *list ? rank(volumes, key, *list) : ST_NO_MEMORY;
    }
    (void)pthread_rwlock_unlock(&volumes->lock);
    if (st) {
        free(*list);
        *list = NULL;
    }
    return st;
}

/* With the lock held for writing. */
static void set_state(struct volume *volume, enum volume_state state, const char *why)
{
    if (volume->state == state)
        return;
    enum log_level level = state >= VOLUME_DOWN ? LOG_WARN : LOG_INFO;
    log_event(level, "volumes", "volume=%s from=%s to=%s reason=\"%s\"", volume->name,
              volume_state_text(volume->state), volume_state_text(state), why);
    volume->state = state;
    volume->up_since_ms = state == VOLUME_UP ? loop_now_ms() : 0;
}

void volumes_failed(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_wrlock(&volumes->lock);
    struct volume *volume = by_place(volumes, place, &rest);
    if (volume) {
        volume->errors++;
        if (volume->state != VOLUME_FOREIGN)
            set_state(volume, VOLUME_DOWN, "a request had no answer");
    }
    (void)pthread_rwlock_unlock(&volumes->lock);
}

bool volumes_lost(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = by_place(volumes, place, &rest);
    bool lost = volume && volume->silences >= 2;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return lost;
}

bool volumes_settled(struct volumes *volumes, const char *place)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = by_place(volumes, place, &rest);
    bool settled =
        volume && volume->up_since_ms && loop_now_ms() - volume->up_since_ms >= SETTLE_MS;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return settled;
}

static void silent(struct volume *volume)
{
    volume->errors++;
    volume->silences++;
    if (volume->silences >= 2 || !volume->checked)
        set_state(volume, VOLUME_DOWN, "health checks have no answer");
}

/* Another volume that has this identity, or NULL. */
static const struct volume *twin(const struct volumes *volumes, const struct volume *volume,
                                 const char *id)
{
    for (size_t i = 0; i < volumes->count; i++)
        if (volumes->list[i] != volume && strcmp(volumes->list[i]->id, id) == 0)
            return volumes->list[i];
    return NULL;
}

static bool answered(struct volumes *volumes, struct volume *volume, struct volume_report *report)
{
    bool first = false;
    volume->silences = 0;
    volume->kind = report->kind;
    volume->free = report->free;
    volume->total = report->total;
    free(volume->subvolumes);
    volume->subvolumes = report->subvolumes;
    volume->subvolume_count = report->subvolume_count;
    report->subvolumes = NULL;
    if (report->id[0] && twin(volumes, volume, report->id)) {
        set_state(volume, VOLUME_FOREIGN, "it is another volume of this store under a second name");
    } else if (report->id[0] && volume->id[0] && strcmp(volume->id, report->id) != 0) {
        set_state(volume, VOLUME_FOREIGN,
                  "its directory is not the one it was; see 'a volume was replaced' in the README");
    } else {
        first = report->id[0] && !volume->id[0];
        memcpy(volume->id, report->id[0] ? report->id : volume->id, sizeof volume->id);
        set_state(volume, VOLUME_UP, "it answers");
    }
    return first;
}

bool volumes_checked(struct volumes *volumes, size_t i, struct volume_report *report)
{
    bool first = false;
    (void)pthread_rwlock_wrlock(&volumes->lock);
    struct volume *volume = volumes->list[i];
    if (report->answered)
        first = answered(volumes, volume, report);
    else
        silent(volume);
    volume->checked = true;
    (void)pthread_rwlock_unlock(&volumes->lock);
    return first;
}

void volumes_accept(struct volumes *volumes, const char *name)
{
    (void)pthread_rwlock_wrlock(&volumes->lock);
    struct volume *volume = by_name(volumes, name);
    if (volume)
        volume->id[0] = 0; /* the next health check takes the new one */
    (void)pthread_rwlock_unlock(&volumes->lock);
}

void volumes_tally(struct volumes *volumes, size_t *writable, size_t *checked, size_t *full)
{
    *writable = *checked = *full = 0;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    for (size_t i = 0; i < volumes->count; i++) {
        const struct volume *volume = volumes->list[i];
        *checked += volume->checked;
        *writable += volume_writable(volume->state);
        bool any_full = volume->state == VOLUME_FULL;
        for (size_t j = 0; j < volume->subvolume_count; j++)
            any_full = any_full || volume->subvolumes[j].state == VOLUME_FULL;
        *full += any_full;
    }
    (void)pthread_rwlock_unlock(&volumes->lock);
}

static void subvolumes_json(const struct volume *volume, struct buf *out)
{
    for (size_t j = 0; j < volume->subvolume_count; j++) {
        const struct subvolume_report *sub = &volume->subvolumes[j];
        buf_adds(out, j ? "," : "");
        json_add_string(out, sub->name, strlen(sub->name));
        buf_addf(out,
                 ":{\"state\":\"%s\",\"free\":%" PRIu64 ",\"total\":%" PRIu64 ",\"errors\":%" PRIu64
                 "}",
                 volume_state_text(sub->state), sub->free, sub->total, sub->errors);
    }
}

void volumes_json(struct volumes *volumes, struct buf *out)
{
    buf_adds(out, "{\"volumes\":[");
    (void)pthread_rwlock_rdlock(&volumes->lock);
    for (size_t i = 0; i < volumes->count; i++) {
        const struct volume *volume = volumes->list[i];
        buf_addf(out,
                 "%s\n{\"name\":\"%s\",\"state\":\"%s\",\"kind\":\"%s\",\"id\":\"%s\","
                 "\"free\":%" PRIu64 ",\"total\":%" PRIu64 ",\"errors\":%" PRIu64
                 ",\"subvolumes\":{",
                 i ? "," : "", volume->name, volume_state_text(volume->state),
                 volume->kind == VOLUME_LARDER ? "larder" : "plain", volume->id, volume->free,
                 volume->total, volume->errors);
        subvolumes_json(volume, out);
        buf_adds(out, "}}");
    }
    (void)pthread_rwlock_unlock(&volumes->lock);
    buf_adds(out, "]}\n");
}

void volumes_metrics(struct volumes *volumes, struct buf *out)
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    buf_adds(out, "# HELP larder_volume_up 1 where the volume answers its health check.\n"
                  "# TYPE larder_volume_up gauge\n");
    for (size_t i = 0; i < volumes->count; i++)
        buf_addf(out, "larder_volume_up{volume=\"%s\"} %d\n", volumes->list[i]->name,
                 volumes->list[i]->state == VOLUME_UP);
    buf_adds(out, "# HELP larder_volume_errors_total Requests and checks that it did not answer.\n"
                  "# TYPE larder_volume_errors_total counter\n");
    for (size_t i = 0; i < volumes->count; i++)
        buf_addf(out, "larder_volume_errors_total{volume=\"%s\"} %" PRIu64 "\n",
                 volumes->list[i]->name, volumes->list[i]->errors);
    (void)pthread_rwlock_unlock(&volumes->lock);
}
