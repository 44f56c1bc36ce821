/*
 * The scrubs of all volumes, by asking each again and again on one thread: a scrub takes hours, an
 * answer milliseconds.
 *
 * The trap: whether a scrub has ended is not to be seen from one answer. It may take a moment to
 * begin, a volume may be started again in its midst, and one that scrubs all the time at its own
 * pace is always `running`. So the one that was asked for (`forced`) counts, and only several quiet
 * looks in a row are an end.
 */
#include "tools/larder/volumescrub.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_fetch.h"
#include "common/json.h"
#include "common/placement.h"
#include "tools/larder/say.h"
#include "tools/larder/volume.h"
#include "tools/larder/volumelist.h"

enum {
    QUIET_MIN = 3,   /* looks at which it is not at it: a scrub may take a moment to begin */
    SILENCE_MAX = 30 /* looks without an answer, each of a second or more */
};

/* What a volume said last, and how long it has been silent or quiet. */
struct scrubbed {
    char name[VOLUME_NAME_MAX + 1];
    char address[VOLUME_NAME_MAX + 1]; /* where it is reached */
    bool over;                         /* or never begun */
    unsigned quiet, silent;            /* looks in a row: it is not at it; it did not answer */
    uint64_t values, bytes, damaged, total, untold; /* as struct volumescrub_sum */
};

struct volumescrub {
    struct http_fetcher *fetcher;
    struct scrubbed *list;
    size_t count;
};

static uint64_t number(const struct json *json, const char *name)
{
    int64_t n = json_int(json_member(json, name), 0);
    return n > 0 ? (uint64_t)n : 0;
}

/* --- who they are --- */

/* A foreign one answers, and is somebody else's. */
static bool is_away(const char *state)
{
    return strcmp(state, "down") == 0 || strcmp(state, "lost") == 0 ||
           strcmp(state, "foreign") == 0;
}

static void add_larder(struct volumescrub *scrub, const char *name, const char *address)
{
    struct scrubbed *volume = &scrub->list[scrub->count++];
    memcpy(volume->name, name, strlen(name) + 1);
    memcpy(volume->address, address, strlen(address) + 1);
}

static void add_volume(struct volumescrub *scrub, const struct volumelist_item *volume)
{
    const char *name = volume->name;
    const char *address = volume->address ? volume->address : name;
    if (!*volume->kind || !*volume->state || strlen(name) > VOLUME_NAME_MAX ||
        strlen(address) > VOLUME_NAME_MAX)
        return;
    if (is_away(volume->state))
        say_error("%s is %s: it is not scrubbed", name, volume->state);
    else if (strcmp(volume->kind, "larder") != 0)
        say_error("%s is not larder's: it cannot scrub; 'larder verify --deep' reads its values",
                  name);
    else
        add_larder(scrub, name, address);
}

/* All texts are copied out of the list, which is freed here. */
struct volumescrub *volumescrub_new(struct client *client)
{
    struct volumelist *volumes;
    if (volumelist_fetch(&volumes, client))
        return NULL;
    struct volumescrub *scrub = calloc(1, sizeof *scrub);
    if (scrub) {
        scrub->fetcher = http_fetcher_new();
        scrub->list = calloc(volumelist_count(volumes) + 1, sizeof *scrub->list);
    }
    if (!scrub || !scrub->fetcher || !scrub->list) {
        say_error("%s", status_text(ST_NO_MEMORY));
        volumescrub_free(scrub);
        volumelist_free(volumes);
        return NULL;
    }
    for (size_t i = 0; i < volumelist_count(volumes); i++) {
        struct volumelist_item volume = volumelist_item(volumes, i);
        add_volume(scrub, &volume);
    }
    volumelist_free(volumes);
    return scrub;
}

void volumescrub_free(struct volumescrub *scrub)
{
    if (!scrub)
        return;
    http_fetcher_free(scrub->fetcher);
    free(scrub->list);
    free(scrub);
}

/* --- scrubbing --- */

static bool begin_one(struct volumescrub *scrub, struct scrubbed *volume)
{
    char why[VOLUME_WHY];
    struct json *json;
    enum status st = volume_scrub(scrub->fetcher, volume->address, true, &json, why);
    if (st == ST_NOT_FOUND)
        say_error("%s is an older larder-volume, which cannot scrub: passed over", volume->name);
    else if (st)
        say_error("%s is not scrubbed: %s", volume->name, why);
    json_free(json);
    return !st;
}

uint64_t volumescrub_begin(struct volumescrub *scrub)
{
    uint64_t count = 0;
    for (size_t i = 0; i < scrub->count; i++) {
        scrub->list[i].over = !begin_one(scrub, &scrub->list[i]);
        count += !scrub->list[i].over;
    }
    return count;
}

static void take(struct scrubbed *volume, const struct json *json)
{
    volume->values = number(json, "values");
    volume->bytes = number(json, "bytes");
    volume->damaged = number(json, "damaged");
    volume->total = number(json, "total_bytes_estimate");
    volume->untold = number(json, "untold");
    /* After the one that was asked for it goes on at its own slow pace, some day. */
    bool running = json_bool(json_member(json, "running"), false);
    bool forced = json_bool(json_member(json, "forced"), running);
    volume->silent = 0;
    volume->quiet = running && forced ? 0 : volume->quiet + 1;
    volume->over = volume->quiet >= QUIET_MIN;
}

/* A volume that does not know the question any more was exchanged for an older one. */
static void look_at(struct volumescrub *scrub, struct scrubbed *volume)
{
    char why[VOLUME_WHY];
    struct json *json;
    enum status st = volume_scrub(scrub->fetcher, volume->address, false, &json, why);
    if (!st && json) {
        take(volume, json);
    } else if (++volume->silent == SILENCE_MAX || st == ST_NOT_FOUND) {
        say_error("%s: its scrub cannot be watched any more: %s", volume->name,
                  st && st != ST_NOT_FOUND ? why : "its answer is not understood");
        volume->over = true;
    }
    json_free(json);
}

/* Figures of a volume that is over stay in the sum. Where one of those still at work does not know
 * how much it has to read, no total is told. */
void volumescrub_look(struct volumescrub *scrub, struct volumescrub_sum *sum)
{
    bool all_known = true;
    memset(sum, 0, sizeof *sum);
    for (size_t i = 0; i < scrub->count; i++) {
        struct scrubbed *volume = &scrub->list[i];
        if (!volume->over)
            look_at(scrub, volume);
        sum->running += !volume->over;
        sum->values += volume->values;
        sum->bytes += volume->bytes;
        sum->damaged += volume->damaged;
        sum->total += volume->total;
        sum->untold += volume->untold;
        all_known = all_known && (volume->over || volume->total);
    }
    if (!all_known)
        sum->total = 0;
}
