/*
 * Requests to one place after the other: there are few marks beside the files. Plain servers keep
 * none.
 */
#include "tools/larder/marks.h"

#include <string.h>

#include "common/json.h"
#include "common/name.h"
#include "tools/larder/addresses.h"
#include "tools/larder/places.h"
#include "tools/larder/roster.h"
#include "tools/larder/scan.h"
#include "tools/larder/volume.h"

/* A tombstone's path is that of generation 0; the generation that it covers is in its text. */
static enum status take_tombstones(struct scan_writer *writer, const struct json *list,
                                   uint32_t place, uint64_t *tombstones)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < json_count(list) && !st; i++) {
        const struct json *entry = json_item(list, i);
        const char *path = json_text(json_member(entry, "path"));
        int64_t generation = json_int(json_member(entry, "generation"), -1);
        struct key key;
        uint64_t of_name;
        enum naming naming;
        if (!path || generation < 0 || name_parse(path, strlen(path), &key, &of_name, &naming))
            continue; /* no key's: nothing that it could say */
        st = scan_add_tombstone(writer, &key, (uint64_t)generation, place);
        (*tombstones)++;
    }
    return st;
}

/* What stood there tells key and generation, as a file does. */
static enum status take_quarantine(struct scan_writer *writer, const struct json *list,
                                   uint32_t place)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < json_count(list) && !st; i++) {
        const char *path = json_text(json_member(json_item(list, i), "path"));
        struct key key;
        uint64_t generation;
        enum naming naming;
        if (path && name_parse(path, strlen(path), &key, &generation, &naming) == ST_OK)
            st = scan_add_quarantined(writer, &key, generation, place);
    }
    return st;
}

/* `reached`: its volume's address; `subvolume`: "svXX", or "". */
static enum status ask_place(struct http_fetcher *fetcher, struct scan_writer *writer,
                             uint32_t place, const char *reached, const char *subvolume,
                             uint64_t *count, char *why)
{
    struct json *tombstones = NULL;
    struct json *quarantine = NULL;
    enum status st = volume_tombstones(fetcher, reached, subvolume, &tombstones, why);
    if (!st)
        st = volume_quarantine(fetcher, reached, subvolume, &quarantine, why);
    if (!st) {
        why[0] = 0; /* the scan speaks for itself */
        st = take_tombstones(writer, json_member(tombstones, "tombstones"), place, count);
    }
    if (!st)
        st = take_quarantine(writer, json_member(quarantine, "quarantine"), place);
    json_free(tombstones);
    json_free(quarantine);
    return st;
}

enum status marks_scan(const struct roster *roster, struct http_fetcher *fetcher,
                       struct scan_writer *writer, uint64_t *tombstones, uint32_t *place, char *why)
{
    const struct places *places = roster_places(roster);
    enum status st = ST_OK;
    for (uint32_t i = 0; i < places_count(places) && !st; i++) {
        size_t count;
        size_t volume = places_volume(places, i);
        const char *name = roster_volumes(roster, &count)[volume];
        const char *full = places_name(places, i);
        const char *subvolume = full[strlen(name)] ? full + strlen(name) + 1 : "";
        char reached[ADDRESSES_PLACE];
        if (!roster_is_larder(roster, volume))
            continue;
        *place = i;
        roster_reach(roster, name, reached);
        st = ask_place(fetcher, writer, i, reached, subvolume, tombstones, why);
    }
    return st;
}
