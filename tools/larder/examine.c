/*
 * The path of a look: examiner_run → examine_once → fetch (the record before) → look_at_all →
 * look_at_places, look_at_others, look_at_tombstones → fetch (the record after) → compare.
 *
 * The trap that shaped it: between the list of keys and a request for a copy, clients write and
 * delete. Whatever was seen counts only if the record says the same before and after; otherwise it
 * is all done again, with longer pauses, a few times. A key that never rests is ST_BUSY, and
 * counted as unchecked, not as wrong.
 *
 * `fresh` has places numbered anew for each key, in `places`: a record may name a place that the
 * roster does not have. `scanned` has the roster's numbers. They must not be mixed; only names may
 * be compared.
 */
#include "tools/larder/examine.h"

#include <stdlib.h>
#include <string.h>

#include "common/http_client.h"
#include "common/http_fetch.h"
#include "common/json.h"
#include "tools/larder/client.h"
#include "tools/larder/compare.h"
#include "tools/larder/info.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/places.h"
#include "tools/larder/roster.h"
#include "tools/larder/say.h"
#include "tools/larder/scan.h"
#include "tools/larder/throttle.h"
#include "tools/larder/volume.h"

/* The pauses, doubled each time, add up to 1.5 s. */
enum { TRIES = 6, PAUSE_MS = 50 };

struct examiner {
    struct examine_options options; /* a copy; what it points to is shared by all threads */
    struct client *client;
    struct http_fetcher *fetcher;
    struct scan_reader *reader; /* of options.scan; this thread's own */
    struct scan_group scanned;  /* what the walk found of the key at hand */
    struct scan_group fresh;    /* what is there now */
    struct places *places;      /* that `fresh` is about */
};

struct examiner *examiner_new(const struct examine_options *options)
{
    struct examiner *examiner = calloc(1, sizeof *examiner);
    if (!examiner)
        return NULL;
    examiner->options = *options;
    examiner->client = client_new(options->masters);
    examiner->fetcher = http_fetcher_new();
    examiner->reader = scan_reader_new(options->scan);
    if (examiner->client && examiner->fetcher && examiner->reader)
        return examiner;
    examiner_free(examiner);
    return NULL;
}

/* Before scan_discard(): the reader has an iterator in it. */
void examiner_free(struct examiner *examiner)
{
    if (!examiner)
        return;
    scan_group_free(&examiner->scanned);
    scan_group_free(&examiner->fresh);
    places_free(examiner->places);
    scan_reader_free(examiner->reader);
    http_fetcher_free(examiner->fetcher);
    client_free(examiner->client);
    free(examiner);
}

/* --- looking at copies --- */

/* A copy that may be there. */
struct candidate {
    const char *place;
    uint64_t generation;
    enum naming naming;
    bool deep;
};

/* A reader that must keep a rate sleeps here; the volume waits meanwhile. */
static void took(void *arg, size_t bytes)
{
    throttle_moved(arg, bytes);
}

/* What the walk saw of a candidate, NULL where nothing. */
static const struct scan_file *scanned_at(const struct examiner *examiner,
                                          const struct candidate *candidate)
{
    const struct places *places = roster_places(examiner->options.roster);
    for (size_t i = 0; i < examiner->scanned.file_count; i++) {
        const struct scan_file *file = &examiner->scanned.files[i];
        bool same = file->naming == candidate->naming ||
                    (file->generation == 0 && name_same(&examiner->scanned.key));
        if (file->generation == candidate->generation && same &&
            strcmp(places_name(places, file->place), candidate->place) == 0)
            return file;
    }
    return NULL;
}

/* Adds it to `fresh` where it is there. A volume does not serve a file of the wrong size; then what
 * the walk saw tells more than that it is missing. */
static enum status look(struct examiner *examiner, const struct candidate *candidate)
{
    struct volume_copy copy;
    char why[VOLUME_WHY];
    char reached[ADDRESSES_PLACE];
    const struct key *key = &examiner->fresh.key;
    roster_reach(examiner->options.roster, candidate->place, reached);
    enum status st =
        candidate->deep
            ? volume_read(examiner->fetcher, reached, key, candidate->generation, candidate->naming,
                          &copy, took, examiner->options.throttle, why)
            : volume_head(examiner->fetcher, reached, key, candidate->generation, candidate->naming,
                          &copy, why);
    if (st) {
        if (!interrupt_seen())
            say_error("could not look at a copy: %s", why);
        return st;
    }
    struct scan_file file = {.generation = candidate->generation, .naming = candidate->naming};
    const struct scan_file *scanned = scanned_at(examiner, candidate);
    if (copy.there) {
        file.size = copy.size;
        memcpy(file.md5, copy.md5, sizeof file.md5);
    } else if (scanned && scanned->has_expected && scanned->expected != scanned->size) {
        file = *scanned;
    } else {
        return ST_OK;
    }
    st = places_add(examiner->places, candidate->place, 0, &file.place);
    return st ? st : scan_group_add_file(&examiner->fresh, &file);
}

/* The copies that readers are sent to. With --deep these are read; what is no copy is only asked
 * for. */
static enum status look_at_places(struct examiner *examiner, const struct info *info)
{
    const struct record *record = &info->record;
    enum status st = ST_OK;
    for (size_t i = 0; i < record->place_count && !st; i++) {
        const struct candidate candidate = {record->places[i], record->generation, record->naming,
                                            examiner->options.deep};
        if (!roster_left_out(examiner->options.roster, record->places[i]))
            st = look(examiner, &candidate);
    }
    return st;
}

/* These were looked at with the places of the record. */
static bool is_place_of(const struct examiner *examiner, const struct info *info,
                        const struct scan_file *file, const char *place)
{
    const struct record *record = &info->record;
    bool same = file->naming == record->naming ||
                (file->generation == 0 && name_same(&examiner->scanned.key));
    return record->generation == file->generation && same && record_has_place(record, place);
}

/* Files that the walk found, and that are no copies of the record. */
static enum status look_at_others(struct examiner *examiner, const struct info *info)
{
    const struct places *places = roster_places(examiner->options.roster);
    enum status st = ST_OK;
    for (size_t i = 0; i < examiner->scanned.file_count && !st; i++) {
        const struct scan_file *file = &examiner->scanned.files[i];
        const char *place = places_name(places, file->place);
        const struct candidate candidate = {place, file->generation, file->naming, false};
        if (!is_place_of(examiner, info, file, place))
            st = look(examiner, &candidate);
    }
    return st;
}

/* --- tombstones --- */

/* Tombstones are told by their paths, which are those of the first generation of a key. */
static bool has_path(const struct json *list, const struct key *key, uint64_t *generation)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *entry = json_item(list, i);
        const char *path = json_text(json_member(entry, "path"));
        struct key of;
        uint64_t of_name;
        enum naming naming;
        if (!path || name_parse(path, strlen(path), &of, &of_name, &naming) || of.len != key->len ||
            memcmp(of.bytes, key->bytes, key->len) != 0)
            continue;
        *generation = (uint64_t)json_int(json_member(entry, "generation"), 0);
        return true;
    }
    return false;
}

/* One that the walk found is asked for again; it may be gone. The whole list has to be read for it,
 * but a tombstone over a live value is a rare thing. */
static enum status look_at_tombstone(struct examiner *examiner, uint32_t number)
{
    const struct roster *roster = examiner->options.roster;
    const char *place = places_name(roster_places(roster), number);
    size_t count;
    const char *volume =
        roster_volumes(roster, &count)[places_volume(roster_places(roster), number)];
    const char *subvolume = place[strlen(volume)] ? place + strlen(volume) + 1 : "";
    char why[VOLUME_WHY];
    char reached[ADDRESSES_PLACE];
    struct json *answer;
    roster_reach(roster, volume, reached);
    enum status st = volume_tombstones(examiner->fetcher, reached, subvolume, &answer, why);
    if (st) {
        say_error("could not look at the tombstones: %s", why);
        return st;
    }
    uint64_t generation;
    uint32_t id;
    if (has_path(json_member(answer, "tombstones"), &examiner->fresh.key, &generation)) {
        st = places_add(examiner->places, place, 0, &id);
        if (!st)
            st = scan_group_add_tombstone(&examiner->fresh, generation, id);
    }
    json_free(answer);
    return st;
}

/* Only tombstones that would be a finding are worth a request. */
static enum status look_at_tombstones(struct examiner *examiner, const struct info *info)
{
    enum status st = ST_OK;
    if (info->record.state != KEY_LIVE && info->record.state != KEY_UNLINKED)
        return ST_OK;
    for (size_t i = 0; i < examiner->scanned.tombstone_count && !st; i++) {
        const struct scan_tombstone *tombstone = &examiner->scanned.tombstones[i];
        if (tombstone->generation >= info->record.generation)
            st = look_at_tombstone(examiner, tombstone->place);
    }
    return st;
}

/* --- the look as a whole --- */

/* `places` and `fresh` are of this key alone, and made anew for each. */
static enum status look_at_all(struct examiner *examiner, const struct key *key,
                               const struct info *info)
{
    places_free(examiner->places);
    examiner->places = places_new();
    scan_group_clear(&examiner->fresh);
    examiner->fresh.key = *key;
    enum status st = examiner->places ? look_at_places(examiner, info) : ST_NO_MEMORY;
    if (!st)
        st = look_at_others(examiner, info);
    if (!st)
        st = look_at_tombstones(examiner, info);
    return st;
}

/* For compare.h, which knows no roster. */
static bool is_left_out(const void *arg, const char *place)
{
    return roster_left_out(arg, place);
}

static enum status compare(struct examiner *examiner, const struct info *info,
                           struct findings *findings)
{
    const struct compare_options options = {examiner->places, is_left_out,
                                            examiner->options.roster};
    findings_clear(findings);
    return compare_run(&options, info, &examiner->fresh, findings);
}

/* A key that the master does not have is one whose record is absent. */
static enum status fetch(struct examiner *examiner, const struct key *key, struct info *info)
{
    info_free(info);
    enum status st = info_fetch(examiner->client, key, info);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* ST_BUSY where something happened to the key meanwhile. */
static enum status examine_once(struct examiner *examiner, const struct key *key,
                                struct findings *findings)
{
    struct info before;
    struct info after;
    info_init(&before);
    info_init(&after);
    enum status st = fetch(examiner, key, &before);
    if (!st)
        st = look_at_all(examiner, key, &before);
    if (!st)
        st = fetch(examiner, key, &after);
    if (!st && !info_same(&before, &after))
        st = ST_BUSY;
    if (!st)
        st = compare(examiner, &after, findings);
    info_free(&before);
    info_free(&after);
    return st;
}

enum status examiner_run(struct examiner *examiner, const struct key *key,
                         struct findings *findings)
{
    enum status st = scan_lookup(examiner->reader, key, &examiner->scanned);
    if (st) {
        say_error("could not read the scratch database: %s", status_text(st));
        return st;
    }
    st = ST_BUSY;
    for (int i = 0; i < TRIES && st == ST_BUSY && !interrupt_seen(); i++) {
        if (i)
            interrupt_sleep((unsigned long long)PAUSE_MS << (i - 1));
        st = examine_once(examiner, key, findings);
    }
    return st;
}
