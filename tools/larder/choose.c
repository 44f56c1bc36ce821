/*
 * The rules stand in the header; here is the order in which they are applied: chooser_run →
 * rank_volumes → add_tombstones → (files sorted) → choose_version → make_record → choose_content →
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

/* What decides between copies of one generation. */
struct kind {
    const struct scan_file *first; /* the best placed one of them */
    size_t copies;
    uint64_t newest; /* when the newest of them was made */
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

/* Whether the file is whole, as far as a listing tells; its bytes are for `verify --deep`. */
static bool is_sound(const struct scan_file *file)
{
    return file->size > 0 && (!file->has_expected || file->expected == file->size);
}

static bool has_sound_copy(const struct scan_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_sound(&files[i]))
            return true;
    return false;
}

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

/* A run of copies of one generation. */
struct version {
    const struct scan_file *files;
    size_t count;
};

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
        if (has_sound_copy(version.files, version.count)) {
            choice->fell_back = newest.count > 0;
            return version;
        }
        if (newest.count == 0)
            newest = version;
    }
    choice->none_is_sound = newest.count > 0;
    return newest;
}

/* --- which copies of it --- */

/* Of the same kind: the same MD5; or, while `by_size`, the same size. */
static bool same_kind(const struct scan_file *a, const struct scan_file *b, bool by_size)
{
    return by_size ? a->size == b->size : strcmp(a->md5, b->md5) == 0;
}

/* More copies beat fewer. Age decides a tie: a copy that was left behind on a volume which was
 * away is the older one. */
static bool is_better(const struct kind *a, const struct kind *b)
{
    if (a->copies != b->copies)
        return a->copies > b->copies;
    return a->newest > b->newest;
}

/* Which copies take part: sound ones; when the MD5 is looked for, those that have one; when the
 * size is, those of the MD5 that was found (all, where none was). */
static bool takes_part(const struct scan_file *file, bool by_size, const char *md5)
{
    if (!is_sound(file))
        return false;
    return by_size ? !*md5 || strcmp(file->md5, md5) == 0 : file->md5[0] != 0;
}

/* The kind that most copies are of; its `first` is NULL where no copy takes part. *kinds is how
 * many different ones there are. Each copy is compared with each: there are a handful. A kind is
 * counted at its first copy, which is its best placed one, so a full tie goes to placement. */
static struct kind majority(const struct version *version, bool by_size, const char *md5,
                            unsigned *kinds)
{
    struct kind best = {NULL, 0, 0};
    *kinds = 0;
    for (size_t i = 0; i < version->count; i++) {
        const struct scan_file *file = &version->files[i];
        struct kind kind = {file, 0, 0};
        bool counted = false;
        if (!takes_part(file, by_size, md5))
            continue;
        for (size_t j = 0; j < version->count; j++) {
            const struct scan_file *other = &version->files[j];
            if (!takes_part(other, by_size, md5) || !same_kind(file, other, by_size))
                continue;
            counted = counted || j < i;
            kind.copies++;
            kind.newest = other->created > kind.newest ? other->created : kind.newest;
        }
        *kinds += !counted;
        if (!counted && (!best.first || is_better(&kind, &best)))
            best = kind;
    }
    return best;
}

/* What the chosen copies have in common. */
struct content {
    const char *md5; /* "": not known */
    uint64_t size;
    enum naming naming;
};

/* A copy without an MD5 is judged by its size alone: a plain server cannot tell more. */
static bool has_content(const struct scan_file *file, const struct content *content)
{
    if (!is_sound(file) || file->size != content->size)
        return false;
    return !content->md5[0] || !file->md5[0] || strcmp(file->md5, content->md5) == 0;
}

/* The naming that more of the good copies have; larder's where it is the same. */
static enum naming choose_naming(const struct version *version, const struct content *content)
{
    size_t old = 0;
    size_t ours = 0;
    for (size_t i = 0; i < version->count; i++) {
        if (!has_content(&version->files[i], content))
            continue;
        if (version->files[i].naming == NAMING_MKV)
            old++;
        else
            ours++;
    }
    return old > ours ? NAMING_MKV : NAMING_LARDER;
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

static bool any_has_md5(const struct version *version, const char *md5)
{
    for (size_t i = 0; i < version->count; i++)
        if (takes_part(&version->files[i], false, "") && strcmp(version->files[i].md5, md5) == 0)
            return true;
    return false;
}

/* MD5 first, then the size among the copies of that MD5, so that both come from the same copies. */
static struct content choose_content(const struct chooser *chooser, const struct version *version,
                                     struct choice *choice)
{
    const char *known = known_md5(chooser, version);
    struct content content = {"", 0, NAMING_LARDER};
    unsigned kinds;
    struct kind kind = majority(version, false, "", &kinds);
    choice->conflict = kinds > 1;
    if (*known && any_has_md5(version, known))
        content.md5 = known; /* what a client was told outweighs any number of copies */
    else if (kind.first)
        content.md5 = kind.first->md5;
    kind = majority(version, true, content.md5, &kinds);
    choice->conflict = choice->conflict || kinds > 1;
    if (kind.first) /* there is one: this version has a sound copy */
        content.size = kind.first->size;
    content.naming = choose_naming(version, &content);
    return content;
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
        bool good = has_content(file, content);
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
        if (!has_content(file, content) || file->naming != content->naming || volume == last)
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
    struct content content = choose_content(chooser, version, choice);
    const char *md5 = content.md5[0] ? content.md5 : known_md5(chooser, version);
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
    if (!st)
        st = add_tombstones(chooser, group, record);
    if (st)
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
    return st;
}
