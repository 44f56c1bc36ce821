/*
 * A vote among the copies of one version. Each copy is compared with each: there are a handful.
 *
 * The MD5 is found first, then the size among the copies of that MD5, so that both come from the
 * same copies, and last the naming among those that have both.
 */
#include "tools/larder/content.h"

#include <string.h>

#include "tools/larder/scan.h"

/* What decides between copies of one generation. */
struct kind {
    const struct scan_file *first; /* the best placed one of them */
    size_t copies;
    uint64_t newest; /* when the newest of them was made */
};

bool content_is_sound(const struct scan_file *file)
{
    return file->size > 0 && (!file->has_expected || file->expected == file->size);
}

bool content_any_sound(const struct version *version)
{
    for (size_t i = 0; i < version->count; i++)
        if (content_is_sound(&version->files[i]))
            return true;
    return false;
}

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
    if (!content_is_sound(file))
        return false;
    return by_size ? !*md5 || strcmp(file->md5, md5) == 0 : file->md5[0] != 0;
}

/* The kind that most copies are of; its `first` is NULL where no copy takes part. *kinds is how
 * many different ones there are. A kind is counted at its first copy, which is its best placed one,
 * so a full tie goes to placement. */
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

/* A copy without an MD5 is judged by its size alone: a plain server cannot tell more. */
bool content_is_of(const struct content *content, const struct scan_file *file)
{
    if (!content_is_sound(file) || file->size != content->size)
        return false;
    return !content->md5[0] || !file->md5[0] || strcmp(file->md5, content->md5) == 0;
}

/* The naming that more of the good copies have; larder's where it is the same. */
static enum naming choose_naming(const struct version *version, const struct content *content)
{
    size_t old = 0;
    size_t ours = 0;
    for (size_t i = 0; i < version->count; i++) {
        if (!content_is_of(content, &version->files[i]))
            continue;
        if (version->files[i].naming == NAMING_MKV)
            old++;
        else
            ours++;
    }
    return old > ours ? NAMING_MKV : NAMING_LARDER;
}

static bool any_has_md5(const struct version *version, const char *md5)
{
    for (size_t i = 0; i < version->count; i++)
        if (takes_part(&version->files[i], false, "") && strcmp(version->files[i].md5, md5) == 0)
            return true;
    return false;
}

struct content content_choose(const struct version *version, const char *known, bool *conflict)
{
    struct content content = {"", 0, NAMING_LARDER};
    unsigned kinds;
    struct kind kind = majority(version, false, "", &kinds);
    *conflict = kinds > 1;
    if (*known && any_has_md5(version, known))
        content.md5 = known; /* what a client was told outweighs any number of copies */
    else if (kind.first)
        content.md5 = kind.first->md5;
    kind = majority(version, true, content.md5, &kinds);
    *conflict = *conflict || kinds > 1;
    if (kind.first) /* there is one: this version has a sound copy */
        content.size = kind.first->size;
    content.naming = choose_naming(version, &content);
    return content;
}
