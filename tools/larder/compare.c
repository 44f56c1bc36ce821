/*
 * One key: what the record says against what was found. Used twice by verify, with the walk's
 * findings and with those of a fresh look; so it trusts nothing but its arguments, and says the
 * same of the same.
 *
 * Three passes: the copies of the record (there? whole? alike?), the tombstones against the record,
 * and each file against everything that accounts for it. A file is accounted for by the record's
 * places or by its garbage, which is what keeps a PUT or a removal under way from being a finding.
 */
#include "tools/larder/compare.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/grow.h"
#include "tools/larder/info.h"
#include "tools/larder/places.h"
#include "tools/larder/scan.h"

/* What one comparison looks at. */
struct comparison {
    const struct compare_options *options;
    const struct info *info; /* NULL: no record */
    const struct scan_group *group;
    struct findings *findings;
    enum status st;
};

const char *problem_word(enum problem problem)
{
    static const char *const words[] = {
#define PROBLEM_TEXT(name, word) word,
        PROBLEM_LIST(PROBLEM_TEXT)
#undef PROBLEM_TEXT
    };
    return words[problem];
}

/* --- findings --- */

void findings_clear(struct findings *findings)
{
    findings->count = 0;
}

void findings_free(struct findings *findings)
{
    free(findings->list);
    memset(findings, 0, sizeof *findings);
}

static struct finding *new_finding(struct findings *findings)
{
    struct finding *list =
        grow_list(findings->list, findings->count, &findings->room, sizeof *list);
    if (!list)
        return NULL;
    findings->list = list;
    return &findings->list[findings->count++];
}

/* A failed allocation is kept in of->st and told once, at the end. */
PRINTF_LIKE(5, 6)
static void found(struct comparison *of, enum problem problem, const char *place,
                  uint64_t generation, const char *format, ...)
{
    struct finding *finding = new_finding(of->findings);
    if (!finding) {
        of->st = ST_NO_MEMORY;
        return;
    }
    finding->problem = problem;
    finding->generation = generation;
    (void)snprintf(finding->place, sizeof finding->place, "%s", place);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(finding->detail, sizeof finding->detail, format, args);
    va_end(args);
}

/* --- versions --- */

/* Both namings of a first version may give the same path: then a file tells no more than that. */
static bool same_naming(const struct key *key, uint64_t generation, enum naming a, enum naming b)
{
    return a == b || (generation == 0 && name_same(key));
}

/* PENDING and DELETED have no copies that readers see: all their files are garbage or extra. */
static bool is_visible(const struct info *info)
{
    return info && (info->record.state == KEY_LIVE || info->record.state == KEY_UNLINKED);
}

/* The version that the record has; whether at one of its places is asked elsewhere. */
static bool is_of_record(const struct comparison *of, const struct scan_file *file)
{
    const struct record *record = &of->info->record;
    return file->generation == record->generation &&
           same_naming(&of->group->key, file->generation, file->naming, record->naming);
}

/* What the janitor, or a PUT under way, accounts for. */
static bool is_garbage(const struct comparison *of, const struct scan_file *file)
{
    const struct copies *garbage = &of->info->record.garbage;
    const char *place = places_name(of->options->places, file->place);
    for (size_t i = 0; i < garbage->count; i++) {
        const struct copy *copy = &garbage->list[i];
        if (copy->generation == file->generation && strcmp(copy->place, place) == 0 &&
            same_naming(&of->group->key, file->generation, file->naming, copy->naming))
            return true;
    }
    return false;
}

/* Without a record nothing is: not even garbage, which is a part of it. */
static bool is_known(const struct comparison *of, const struct scan_file *file)
{
    if (!of->info)
        return false;
    if (is_visible(of->info) && is_of_record(of, file) &&
        record_has_place(&of->info->record, places_name(of->options->places, file->place)))
        return true;
    return is_garbage(of, file);
}

/* --- copies of the record --- */

/* The copy that the record means: its version, at this place. */
static const struct scan_file *copy_at(const struct comparison *of, const char *place)
{
    for (size_t i = 0; i < of->group->file_count; i++) {
        const struct scan_file *file = &of->group->files[i];
        if (is_of_record(of, file) &&
            strcmp(places_name(of->options->places, file->place), place) == 0)
            return file;
    }
    return NULL;
}

/* Of a place that was not looked at nothing can be missing. */
static bool is_unseen(const struct comparison *of, const char *place)
{
    return of->options->unseen && of->options->unseen(of->options->unseen_arg, place);
}

/* By itself: its size against its attribute, its MD5 against the index. True where it is sound. */
static bool check_alone(struct comparison *of, const struct scan_file *file, const char *place)
{
    const struct record *record = &of->info->record;
    if (file->has_expected && file->expected != file->size)
        found(of, PROBLEM_SIZE, place, file->generation,
              "%" PRIu64 " bytes, and should have %" PRIu64, file->size, file->expected);
    else if (file->size == 0)
        found(of, PROBLEM_SIZE, place, file->generation, "empty, and no value is");
    else if (record->md5[0] && file->md5[0] && strcmp(record->md5, file->md5) != 0)
        found(of, PROBLEM_MD5, place, file->generation, "its MD5 is %s, the index has %s",
              file->md5, record->md5);
    else
        return true;
    return false;
}

/* Against the first sound copy: all copies of a version are the same. */
static void check_beside(struct comparison *of, const struct scan_file *file, const char *place,
                         const struct scan_file *other)
{
    if (file->size != other->size)
        found(of, PROBLEM_SIZE, place, file->generation,
              "%" PRIu64 " bytes, and the copy on %s has %" PRIu64, file->size,
              places_name(of->options->places, other->place), other->size);
    else if (file->md5[0] && other->md5[0] && strcmp(file->md5, other->md5) != 0)
        found(of, PROBLEM_MD5, place, file->generation, "its MD5 is %s, of the copy on %s it is %s",
              file->md5, places_name(of->options->places, other->place), other->md5);
}

/* The first sound copy is what the others are held against. */
static void check_copies(struct comparison *of)
{
    const struct record *record = &of->info->record;
    const struct scan_file *sound = NULL;
    for (size_t i = 0; i < record->place_count; i++) {
        const char *place = record->places[i];
        if (is_unseen(of, place))
            continue;
        const struct scan_file *file = copy_at(of, place);
        if (!file)
            found(of, PROBLEM_MISSING, place, record->generation, "the copy is not there");
        else if (check_alone(of, file, place)) {
            if (sound)
                check_beside(of, file, place, sound);
            else
                sound = file;
        }
    }
    if (record->few_copies)
        found(of, PROBLEM_FEW, "", record->generation, "%zu copies, fewer than wanted",
              record->place_count);
}

/* New versions have higher generations than any tombstone, so one that reaches the live version
 * is left over from a lost index. */
static void check_tombstones(struct comparison *of)
{
    const struct record *record = &of->info->record;
    for (size_t i = 0; i < of->group->tombstone_count; i++) {
        const struct scan_tombstone *tombstone = &of->group->tombstones[i];
        if (tombstone->generation >= record->generation)
            found(of, PROBLEM_TOMBSTONE, places_name(of->options->places, tombstone->place),
                  record->generation,
                  "its tombstone covers generation %" PRIu64 ": a rebuild would lose the value",
                  tombstone->generation);
    }
}

/* Only a visible version has copies to be missed; files are looked at in any case. */
enum status compare_run(const struct compare_options *options, const struct info *info,
                        const struct scan_group *group, struct findings *findings)
{
    struct comparison of = {options, info, group, findings, ST_OK};
    if (is_visible(info)) {
        check_copies(&of);
        check_tombstones(&of);
    }
    for (size_t i = 0; i < group->file_count; i++) {
        const struct scan_file *file = &group->files[i];
        if (!is_known(&of, file))
            found(&of, PROBLEM_EXTRA, places_name(options->places, file->place), file->generation,
                  "%" PRIu64 " bytes that the index does not know of", file->size);
    }
    return of.st;
}
