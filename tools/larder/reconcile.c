/*
 * The choice is made as if all places had been looked at (chooser_run); then what the index knows
 * of places that were not is put back into it, and only then the two are compared. In this order:
 * a place that is kept changes whether the key has moved, and garbage whether it has work.
 *
 * Forgetting costs more than remembering here: a place too many is mended by the janitor, which
 * looks, one too few is a copy that nobody knows of, and a tombstone too few a deleted value that
 * comes back.
 */
#include "tools/larder/reconcile.h"

#include <string.h>

#include "common/record.h"
#include "tools/larder/scan.h"

static bool is_visible(const struct record *record)
{
    return record->state == KEY_LIVE || record->state == KEY_UNLINKED;
}

static bool is_unseen(const struct reconcile_options *options, const char *place)
{
    return options->unseen && options->unseen(options->unseen_arg, place);
}

/* Places that nobody looked at may have a copy still. Only of the same version: what they have of
 * another one is forget_unseen_places()'s. */
static enum status keep_unseen_places(const struct reconcile_options *options,
                                      const struct record *known, struct record *record)
{
    enum status st = ST_OK;
    if (!is_visible(known) || record->generation != known->generation)
        return ST_OK;
    for (size_t i = 0; i < known->place_count && !st; i++)
        if (is_unseen(options, known->places[i]) && !record_has_place(record, known->places[i]))
            st = record_add_place(record, known->places[i]);
    return st;
}

/* Of a version that is gone, or was replaced, they may have a copy still. */
static enum status forget_unseen_places(const struct reconcile_options *options,
                                        const struct record *known, struct record *record)
{
    enum status st = ST_OK;
    bool is_copy = is_visible(record) && record->generation == known->generation;
    if (!is_visible(known) || is_copy)
        return ST_OK;
    for (size_t i = 0; i < known->place_count && !st; i++)
        if (is_unseen(options, known->places[i]))
            st = record_add_garbage(record, known->generation, known->naming, known->places[i]);
    return st;
}

/* What is still to be removed there, and who may keep a tombstone there. Not of the version that is
 * to be seen: that garbage is a copy by now, or was one that was being made (reconcile.h). Holders
 * become `maybe`: they were that at the time of the backup. */
static enum status keep_unseen_work(const struct reconcile_options *options,
                                    const struct record *known, struct record *record)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < known->garbage.count && !st; i++) {
        const struct copy *copy = &known->garbage.list[i];
        bool is_copy = is_visible(record) && copy->generation == record->generation;
        if (is_unseen(options, copy->place) && !is_copy)
            st = record_add_garbage(record, copy->generation, copy->naming, copy->place);
    }
    for (size_t i = 0; i < known->holder_count + known->maybe_count && !st; i++) {
        const char *place =
            i < known->holder_count ? known->holders[i] : known->maybes[i - known->holder_count];
        if (is_unseen(options, place))
            st = record_add_maybe(record, place);
    }
    return st;
}

/* In any order: that is placement's, and may have changed without any copy moving. */
static bool same_places(const struct record *a, const struct record *b)
{
    if (a->place_count != b->place_count)
        return false;
    for (size_t i = 0; i < a->place_count; i++)
        if (!record_has_place(b, a->places[i]))
            return false;
    return true;
}

static bool has_work(const struct record *record)
{
    return record->garbage.count || record->holder_count || record->maybe_count ||
           record->has_tombstone || record->few_copies || record->suspect;
}

/* The gravest change names it: a key that has a newer version mostly has its copies elsewhere, too.
 */
static enum reconcile_end compare(const struct record *known, const struct record *record)
{
    if (is_visible(record) && !is_visible(known))
        return RECONCILE_NEW;
    if (!is_visible(record) && is_visible(known))
        return RECONCILE_DELETED;
    if (record->generation != known->generation)
        return RECONCILE_VERSION;
    if (record->state == KEY_UNLINKED && known->state == KEY_LIVE)
        return RECONCILE_HIDDEN;
    if (!same_places(known, record) || record->naming != known->naming ||
        strcmp(record->md5, known->md5) != 0)
        return RECONCILE_MOVED;
    return has_work(known) || has_work(record) || known->state != record->state ? RECONCILE_WORK
                                                                                : RECONCILE_SAME;
}

/* It was there, nothing of it was found, and not everything was looked at. To say that it was
 * deleted would be to delete it, should a copy be where nobody looked. */
static bool is_in_doubt(const struct reconcile_options *options, const struct record *known,
                        const struct record *record, const struct scan_group *group)
{
    for (size_t i = 0; i < group->tombstone_count; i++)
        if (group->tombstones[i].generation >= known->generation)
            return false; /* it was deleted, for certain */
    return options->unseen && is_visible(known) && !is_visible(record);
}

enum status reconcile_run(const struct reconcile_options *options, const struct record *known,
                          struct scan_group *group, struct choice *choice, enum reconcile_end *end)
{
    struct record *record = &choice->record;
    enum status st = chooser_run(options->chooser, group, known, choice);
    bool keeps = choice->laid_aside && is_visible(known) && !is_visible(record);
    if (!st && (keeps || is_in_doubt(options, known, record, group))) {
        *end = RECONCILE_KEPT;
        return ST_OK;
    }
    if (!st)
        st = keep_unseen_places(options, known, record);
    if (!st)
        st = forget_unseen_places(options, known, record);
    if (!st)
        st = keep_unseen_work(options, known, record);
    /* An absent record is not stored, and its work would be lost with it. */
    if (!st && record->state == KEY_ABSENT && has_work(record))
        record_move(record, KEY_PENDING);
    if (!st)
        *end = compare(known, record);
    return st;
}
