/*
 * The rules stand in the header; here is the order in which they are applied: chooser_run →
 * rank_volumes → add_tombstones → (files sorted) → choose_version → make_record → content_choose →
 * add_copies, add_other_versions → add_unseen.
 *
 * After the sort, files of one generation stand together, newest first, and within one the best
 * placed first, copies of one volume side by side; each step is a pass over that row.
 *
 * Invariant: each file of the group ends either as a place of the record or in its garbage; one
 * that was in neither would stay on its disk for good. keep_damaged() is the exception: of a key
 * that has no sound copy only what is past is given up.
 *
 * One chooser a thread: `ranked` and `ranks` are of the key at hand.
 */
#include "tools/larder/choose.h"

#include <stdlib.h>
#include <string.h>

#include "tools/larder/again.h"
#include "tools/larder/aside.h"
#include "tools/larder/content.h"
#include "tools/larder/places.h"
#include "tools/larder/scan.h"

/* Where a volume stands in the order of placement for the key at hand. */
struct rank {
    size_t position;
    const char *place; /* on that volume, as placement wants it */
};

struct chooser {
    struct choose_options options; /* a copy; what it points to is the caller's */
    struct place *ranked;          /* scratch, one a volume, in the order of placement */
    struct rank *ranks;            /* scratch, by position in the list of volumes */
    const struct record *known;    /* of the key at hand; NULL: nothing is */
    bool again; /* a version 0 came after `known`, of a key that was gone by then (choose.h) */
};

struct chooser *chooser_new(const struct choose_options *options)
{
    struct chooser *chooser = calloc(1, sizeof *chooser);
    if (!chooser)
        return NULL;
    chooser->options = *options;
    chooser->ranked = calloc(options->volume_count + 1, sizeof *chooser->ranked);
    chooser->ranks = calloc(options->volume_count + 1, sizeof *chooser->ranks);
    if (!chooser->ranked || !chooser->ranks) {
        chooser_free(chooser);
        return NULL;
    }
    return chooser;
}

void chooser_free(struct chooser *chooser)
{
    if (!chooser)
        return;
    free(chooser->ranked);
    free(chooser->ranks);
    free(chooser);
}

/* --- the order of placement --- */

/* Ranks stand until the next key: `ranked` owns the names that `ranks` points to. */
static enum status rank_volumes(struct chooser *chooser, const struct key *key)
{
    const struct choose_options *options = &chooser->options;
    enum status st = placement_rank(key, options->volumes, options->volume_count,
                                    options->subvolumes, chooser->ranked);
    for (size_t i = 0; i < options->volume_count && !st; i++)
        chooser->ranks[chooser->ranked[i].volume] = (struct rank){i, chooser->ranked[i].name};
    return st;
}

/* Newer generations first, then in the order of placement. */
static int compare_files(const void *a, const void *b, void *arg)
{
    const struct chooser *chooser = arg;
    const struct scan_file *x = a;
    const struct scan_file *y = b;
    const struct places *places = chooser->options.places;
    if (x->generation != y->generation)
        return x->generation > y->generation ? -1 : 1;
    const struct rank *p = &chooser->ranks[places_volume(places, x->place)];
    const struct rank *q = &chooser->ranks[places_volume(places, y->place)];
    if (p->position != q->position)
        return p->position < q->position ? -1 : 1;
    /* The same volume: the disk that placement wants, then by name. */
    const char *s = places_name(places, x->place);
    const char *t = places_name(places, y->place);
    int order = (strcmp(s, p->place) != 0) - (strcmp(t, p->place) != 0);
    if (order == 0)
        order = strcmp(s, t);
    return order ? order : (int)x->naming - (int)y->naming;
}

/* --- which version --- */

/* How many files from the first on are of its generation. */
static size_t generation_length(const struct scan_file *files, size_t count)
{
    size_t n = 0;
    while (n < count && files[n].generation == files[0].generation)
        n++;
    return n;
}

/* True where the earlier index shows a version, whatever its copies. */
static bool was_visible(const struct record *known)
{
    return known && (known->state == KEY_LIVE || known->state == KEY_UNLINKED);
}

/* Deleted or replaced, as far as is known. */
static bool is_past(const struct chooser *chooser, const struct record *record, uint64_t generation)
{
    if (chooser->again && generation == 0)
        return false;
    if (record->has_tombstone && generation <= record->tombstone)
        return true;
    return was_visible(chooser->known) && generation < chooser->known->generation;
}

/* The version that readers should see, of those that are not past; count 0: none. A PUT is
 * acknowledged when its copies are synced, so a newest version without one sound copy was none yet,
 * or its disks failed. */
static struct version choose_version(const struct chooser *chooser, const struct scan_group *group,
                                     struct choice *choice)
{
    struct version newest = {group->files, 0};
    size_t length;
    for (size_t at = 0; at < group->file_count; at += length) {
        struct version version = {group->files + at, 0};
        version.count = length = generation_length(version.files, group->file_count - at);
        if (is_past(chooser, &choice->record, version.files[0].generation))
            continue;
        if (content_any_sound(&version)) {
            choice->fell_back = newest.count > 0;
            return version;
        }
        if (newest.count == 0)
            newest = version;
    }
    choice->none_is_sound = newest.count > 0;
    return newest;
}

/* Whether the earlier index shows this very version, and no other of its number. */
static bool is_known(const struct chooser *chooser, const struct version *version)
{
    const struct scan_file *first = version->files;
    return was_visible(chooser->known) && chooser->known->generation == first->generation &&
           (!chooser->again || first->generation > 0 ||
            again_has_old(first, version->count, chooser->options.made_ms));
}

/* What the earlier index says of this very version; "" where it says nothing. */
static const char *known_md5(const struct chooser *chooser, const struct version *version)
{
    return is_known(chooser, version) ? chooser->known->md5 : "";
}

/* --- the record --- */

static enum status add_garbage(const struct chooser *chooser, struct record *record,
                               const struct scan_file *file)
{
    return record_add_garbage(record, file->generation, file->naming,
                              places_name(chooser->options.places, file->place));
}

static enum status add_other_versions(const struct chooser *chooser, const struct scan_group *group,
                                      const struct version *version, struct record *record)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < group->file_count && !st; i++) {
        const struct scan_file *file = &group->files[i];
        if (file < version->files || file >= version->files + version->count)
            st = add_garbage(chooser, record, file);
    }
    return st;
}

/* What is not taken becomes garbage, so nothing that was found is left without an owner in the
 * index. */
static enum status add_copies(const struct chooser *chooser, const struct version *version,
                              const struct content *content, struct choice *choice)
{
    const struct places *places = chooser->options.places;
    enum status st = ST_OK;
    for (size_t i = 0; i < version->count && !st; i++) {
        const struct scan_file *file = &version->files[i];
        bool good = content_is_of(content, file);
        if (good && file->naming == content->naming &&
            choice->record.place_count < RECORD_COPIES_MAX) {
            st = record_add_place(&choice->record, places_name(places, file->place));
            continue;
        }
        choice->damaged += !good;
        st = add_garbage(chooser, &choice->record, file);
    }
    return st;
}

/* The newest version where not one copy is sound: nothing is removed, nothing is forgotten. */
static enum status keep_damaged(const struct chooser *chooser, const struct scan_group *group,
                                const struct version *version, struct choice *choice)
{
    const struct scan_file *first = version->files;
    struct record *record = &choice->record;
    enum status st = ST_OK;
    choice->size = first->size;
    record->naming = first->naming;
    memcpy(record->md5, first->md5, sizeof record->md5);
    for (size_t i = 0; i < version->count && !st; i++)
        if (version->files[i].naming == first->naming && record->place_count < RECORD_COPIES_MAX)
            st = record_add_place(record,
                                  places_name(chooser->options.places, version->files[i].place));
    choice->damaged = (unsigned)version->count;
    record->few_copies = true;
    /* Only what is past goes. */
    for (size_t i = 0; i < group->file_count && !st; i++)
        if (is_past(chooser, record, group->files[i].generation))
            st = add_garbage(chooser, record, &group->files[i]);
    return st;
}

/* Two disks of one volume are lost together: they count as one copy. */
static size_t count_volumes(const struct chooser *chooser, const struct version *version,
                            const struct content *content)
{
    size_t count = 0;
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < version->count; i++) {
        const struct scan_file *file = &version->files[i];
        size_t volume = places_volume(chooser->options.places, file->place);
        if (!content_is_of(content, file) || file->naming != content->naming || volume == last)
            continue;
        last = volume; /* copies of one volume stand together */
        count++;
    }
    return count;
}

/* An UNLINK is acknowledged when the index has it; a volume that was down then missed it. So one
 * copy that knows of it is enough. */
static bool any_unlinked(const struct version *version)
{
    for (size_t i = 0; i < version->count; i++)
        if (version->files[i].unlinked)
            return true;
    return false;
}

/* The record of the chosen version; what the tombstones say is in it already. */
static enum status make_record(const struct chooser *chooser, const struct scan_group *group,
                               const struct version *version, struct choice *choice)
{
    struct record *record = &choice->record;
    record->generation = version->files[0].generation;
    bool was_hidden = is_known(chooser, version) && chooser->known->state == KEY_UNLINKED;
    record->state = was_hidden || any_unlinked(version) ? KEY_UNLINKED : KEY_LIVE;
    if (choice->none_is_sound)
        return keep_damaged(chooser, group, version, choice);
    const char *known = known_md5(chooser, version);
    struct content content = content_choose(version, known, &choice->conflict);
    const char *md5 = content.md5[0] ? content.md5 : known;
    choice->size = content.size;
    record->naming = content.naming;
    memcpy(record->md5, md5, strlen(md5) + 1);
    enum status st = add_copies(chooser, version, &content, choice);
    if (!st)
        st = add_other_versions(chooser, group, version, record);
    record->few_copies = count_volumes(chooser, version, &content) < chooser->options.replicas;
    return st;
}

/* Where a deleted key may have a copy that nobody looked for. Without this a volume that was left
 * out would bring the deleted value back at the next rebuild. */
static enum status add_unseen(const struct chooser *chooser, const struct key *key,
                              struct record *record)
{
    const struct choose_options *options = &chooser->options;
    enum status st = ST_OK;
    for (size_t i = 0; i < options->volume_count && options->unseen && !st; i++) {
        const char *place = chooser->ranked[i].name;
        if (!options->unseen(options->unseen_arg, place))
            continue;
        st = record_add_garbage(record, record->tombstone, NAMING_LARDER, place);
        /* Old namings exist of the first generation only; a place keeps one entry a generation. */
        if (!st && record->tombstone > 0 && !name_same(key))
            st = record_add_garbage(record, 0, NAMING_MKV, place);
    }
    return st;
}

/* The highest tombstone counts; every volume that keeps one is remembered, so that the janitor
 * can have it dropped. */
static enum status add_tombstones(const struct chooser *chooser, const struct scan_group *group,
                                  struct record *record)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < group->tombstone_count && !st; i++) {
        const struct scan_tombstone *tombstone = &group->tombstones[i];
        if (!record->has_tombstone || tombstone->generation > record->tombstone)
            record->tombstone = tombstone->generation;
        record->has_tombstone = true;
        st = record_add_holder(record, places_name(chooser->options.places, tombstone->place));
    }
    return st;
}

/* No version is to be seen. What is left of older ones than the earlier index shows needs a
 * tombstone until it is gone; a tombstone that speaks of nothing is none. */
static void note_absence(const struct chooser *chooser, struct record *record)
{
    if (!record->has_tombstone && record->garbage.count && was_visible(chooser->known)) {
        record->has_tombstone = true;
        record->tombstone = chooser->known->generation;
    }
    if (record->garbage.count + record->holder_count == 0)
        record->has_tombstone = false;
    record->state = record->has_tombstone ? KEY_DELETED : KEY_ABSENT;
}

/* Tombstones first: they decide which files count. */
enum status chooser_run(struct chooser *chooser, struct scan_group *group,
                        const struct record *known, struct choice *choice)
{
    memset(choice, 0, sizeof *choice);
    struct record *record = &choice->record;
    record_init(record);
    chooser->known = known;
    chooser->again = known && again_came(group, chooser->options.made_ms);
    if (known && known->has_tombstone) {
        record->has_tombstone = true;
        record->tombstone = known->tombstone;
    }
    enum status st = rank_volumes(chooser, &group->key);
    if (st || (st = add_tombstones(chooser, group, record)))
        return st;
    if (group->file_count)
        qsort_r(group->files, group->file_count, sizeof *group->files, compare_files, chooser);
    struct version version = choose_version(chooser, group, choice);
    if (version.count) {
        st = make_record(chooser, group, &version, choice);
        if (version.files[0].generation == 0)
            record->has_tombstone = false; /* one of `known`, of which nothing was left since */
    } else {
        st = add_other_versions(chooser, group, &version, record);
    }
    if (!st && record->has_tombstone)
        st = add_unseen(chooser, &group->key, record);
    if (!st && version.count == 0)
        note_absence(chooser, record);
    choice->laid_aside = aside_counts(group, known, record);
    return st;
}
