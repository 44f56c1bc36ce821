/*
 * A stack of levels, one a directory from the subvolume down to where we are. A level has the next
 * names of its directory, sorted, and no descriptor: a directory is opened, read whole and closed
 * for each batch, which keeps the smallest names that come after the last one visited.
 *
 * Invariant: whatever is visited is greater than all that was visited before, in the order of
 * paths. A name that is made behind that place waits for the next round; one that goes away is
 * passed over when it is opened.
 *
 * Going on after a path: each component of it says where its level begins. The directories on the
 * way are entered again (`inclusive`), the last component is not visited again.
 */
#include "volume/scrub_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/grow.h"
#include "common/log.h"
#include "volume/disk.h"
#include "volume/path.h"
#include "volume/store.h"
#include "volume/subvolume.h"

/* aa, bb, and the directories of a name of the longest key: 8 are enough. A directory's names come
 * in batches; a larger one is read again for each. */
enum { DEPTH_MAX = 16, BATCH = 4096 };

/* A directory that we are in. Its names are ours. */
struct level {
    char **names; /* sorted, of this batch; the first byte of each is its type */
    size_t count, cap, next;
    bool complete;   /* no more after this batch */
    char *after;     /* names up to this one are done */
    bool inclusive;  /* but this one is not: it is on the way to where we left off */
    size_t path_len; /* of the directory, with a '/' at its end */
};

struct scrub_walk {
    struct subvolumes *all;
    unsigned subvolume;
    struct level levels[DEPTH_MAX];
    unsigned depth;
    bool begun;       /* the subvolume's own level was pushed */
    struct buf path;  /* of what was visited last; each level knows how much of it is its own */
    char *resume;     /* where we left off, ours; NULL: from the beginning */
    const char *rest; /* of it, below the innermost level; NULL once we are there */
};

/* --- Names --- */

/* Neither links nor pipes and the like ('-') are values. */
static char type_of(const struct dirent *entry)
{
    if (entry->d_type == DT_DIR)
        return 'd';
    if (entry->d_type == DT_REG)
        return 'f';
    return entry->d_type == DT_UNKNOWN ? '?' : '-';
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a + 1, *(char *const *)b + 1);
}

static void drop_names(struct level *level, size_t from)
{
    for (size_t i = from; i < level->count; i++)
        free(level->names[i]);
    level->count = from;
}

/* Sorts, and keeps the first ones of more than a batch. */
static void sort_names(struct level *level)
{
    if (level->count > 0)
        qsort(level->names, level->count, sizeof *level->names, by_name);
    if (level->count > BATCH) {
        drop_names(level, BATCH);
        level->complete = false;
    }
}

/* Whether a name is still to be visited, as far as this batch goes. */
static bool is_wanted(const struct level *level, const char *name)
{
    int order = level->after ? strcmp(name, level->after) : 1;
    return order > 0 || (order == 0 && level->inclusive);
}

static enum status add_name(struct level *level, char type, const char *name)
{
    char **names = grow_list((void *)level->names, level->count, &level->cap, sizeof *names);
    if (!names)
        return ST_NO_MEMORY;
    level->names = names;
    size_t len = strlen(name);
    char *copy = malloc(len + 2);
    if (!copy)
        return ST_NO_MEMORY;
    copy[0] = type;
    memcpy(copy + 1, name, len + 1);
    level->names[level->count++] = copy;
    /* Twice a batch before anything is thrown away: sorting at every name too many would take the
     * square of the time. */
    if (level->count == (size_t)2 * BATCH)
        sort_names(level);
    return ST_OK;
}

/* What is ours, and the disks below DIR, are no values of this subvolume. */
static bool is_passed_over(const struct scrub_walk *walk, const char *name)
{
    if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, ".larder"))
        return true;
    return walk->subvolume == 0 && walk->depth == 1 && path_subvolume(name, strlen(name)) != 0;
}

/* --- Levels --- */

/* Leaves the innermost directory. */
static void pop(struct scrub_walk *walk)
{
    struct level *level = &walk->levels[--walk->depth];
    drop_names(level, 0);
    free(level->names);
    free(level->after);
    *level = (struct level){.names = NULL};
}

/* Goes down into the directory of walk->path, which ends in '/' (or is empty, at the root). */
static enum status push(struct scrub_walk *walk)
{
    struct level *level = &walk->levels[walk->depth];
    if (walk->rest) {
        size_t len = strcspn(walk->rest, "/");
        level->after = strndup(walk->rest, len);
        if (!level->after)
            return ST_NO_MEMORY;
        level->inclusive = walk->rest[len] == '/';
        walk->rest = level->inclusive ? walk->rest + len + 1 : NULL;
    }
    level->path_len = walk->path.len;
    walk->depth++;
    return ST_OK;
}

/* All names of the directory that come after what was visited, as far as a batch goes. ST_IO with
 * errno: not all could be read. */
static enum status read_names(struct scrub_walk *walk, struct level *level, DIR *dir)
{
    enum status st = ST_OK;
    const struct dirent *entry;
    errno = 0;
    while (!st && (entry = readdir(dir))) {
        if (is_wanted(level, entry->d_name) && !is_passed_over(walk, entry->d_name))
            st = add_name(level, type_of(entry), entry->d_name);
        errno = 0;
    }
    if (!st && errno)
        st = ST_IO;
    return st;
}

/* Opens the directory of the innermost level. NULL and ST_OK: it is gone, or cannot be read. */
static DIR *open_level(const struct scrub_walk *walk, const struct level *level,
                       struct subvolume **sub, enum status *st)
{
    struct store_at at = {
        .all = walk->all, .subvolume = walk->subvolume, .file = "", .request = "scrub"};
    int root = store_enter(&at, SUBVOLUME_READ, sub, st);
    if (root < 0)
        return NULL;
    const char *path = level->path_len > 0 ? buf_text(&walk->path) : ".";
    int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int err = errno;
    (void)subvolume_disk(*sub)->close(root);
    *st = ST_OK;
    if (dir)
        return dir;
    if (fd >= 0)
        (void)close(fd);
    if (err == EMFILE || err == ENFILE || err == ENOMEM)
        *st = ST_NO_MEMORY;
    else if (err != ENOENT && err != ENOTDIR && err != ELOOP)
        (void)subvolume_error(*sub, "scrub", "open", path, err);
    return NULL;
}

/* Reads the next batch of the innermost level. */
static enum status load(struct scrub_walk *walk, struct level *level)
{
    struct subvolume *sub;
    enum status st;
    buf_truncate(&walk->path, level->path_len);
    /* What was visited of the batch before is what the next one comes after. */
    if (level->count > 0) {
        free(level->after);
        level->after = strdup(level->names[level->count - 1] + 1);
        level->inclusive = false;
        if (!level->after)
            return ST_NO_MEMORY;
    }
    DIR *dir = open_level(walk, level, &sub, &st);
    if (st)
        return st;
    drop_names(level, 0);
    level->next = 0;
    level->complete = true;
    if (!dir)
        return ST_OK;
    st = read_names(walk, level, dir);
    if (st == ST_IO) {
        /* What was read of it is visited, the rest cannot be. */
        (void)subvolume_error(sub, "scrub", "readdir", buf_text(&walk->path), errno);
        st = ST_OK;
    }
    (void)closedir(dir);
    if (st) {
        drop_names(level, 0);
        level->complete = false;
        return st;
    }
    sort_names(level);
    return ST_OK;
}

/* Nothing is opened before the first scrub_walk_next(). */
struct scrub_walk *scrub_walk_new(struct subvolumes *all, unsigned subvolume, const char *after)
{
    struct scrub_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return NULL;
    walk->all = all;
    walk->subvolume = subvolume;
    if (after) {
        walk->resume = strdup(after);
        walk->rest = walk->resume;
        if (!walk->resume) {
            free(walk);
            return NULL;
        }
    }
    return walk;
}

void scrub_walk_free(struct scrub_walk *walk)
{
    if (!walk)
        return;
    while (walk->depth > 0)
        pop(walk);
    buf_free(&walk->path);
    free(walk->resume);
    free(walk);
}

/* --- Walking --- */

/* Where the file system does not tell with the name. */
static char look_up_type(const struct scrub_walk *walk)
{
    struct store_at at = {
        .all = walk->all, .subvolume = walk->subvolume, .file = "", .request = "scrub"};
    struct subvolume *sub;
    struct stat is;
    enum status st;
    int root = store_enter(&at, SUBVOLUME_READ, &sub, &st);
    if (root < 0)
        return '-';
    int failed = subvolume_disk(sub)->stat_at(root, buf_text(&walk->path), &is);
    (void)subvolume_disk(sub)->close(root);
    if (failed)
        return 'f'; /* whoever examines it will see what is wrong */
    return S_ISDIR(is.st_mode) ? 'd' : S_ISREG(is.st_mode) ? 'f' : '-';
}

/* Takes the next name of the innermost level. True where it is a file: walk->path is its path. */
static bool visit(struct scrub_walk *walk, struct level *level, enum status *st)
{
    const char *name = level->names[level->next];
    *st = ST_OK;
    buf_truncate(&walk->path, level->path_len);
    buf_adds(&walk->path, name + 1);
    if (!buf_ok(&walk->path)) {
        buf_free(&walk->path); /* the walk cannot go on from here; a new one can */
        *st = ST_NO_MEMORY;
        return false;
    }
    level->next++;
    /* The first name that is not on the way to the old place ends the going on: from there all are
     * new. */
    bool on_the_way = level->inclusive && level->after && !strcmp(name + 1, level->after);
    if (!on_the_way)
        walk->rest = NULL;
    char type = name[0] == '?' ? look_up_type(walk) : name[0];
    if (type == 'd' && walk->depth < DEPTH_MAX && walk->path.len < PATH_LIMIT) {
        buf_addc(&walk->path, '/');
        *st = buf_ok(&walk->path) ? push(walk) : ST_NO_MEMORY;
    }
    return type == 'f';
}

/* Depth first: a directory's own level is on top of the stack before the next name beside it. */
enum status scrub_walk_next(struct scrub_walk *walk, const char **path)
{
    enum status st = walk->begun ? ST_OK : push(walk);
    walk->begun = walk->begun || !st;
    *path = NULL;
    while (!st && walk->depth > 0) {
        struct level *level = &walk->levels[walk->depth - 1];
        if (level->next < level->count) {
            if (visit(walk, level, &st)) {
                *path = buf_text(&walk->path);
                return ST_OK;
            }
        } else if (level->complete) {
            pop(walk);
        } else {
            st = load(walk, level);
        }
    }
    return st;
}
