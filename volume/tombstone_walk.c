/*
 * Directories are kept open while the answer leaves, one a level, as that of a listing is. Nothing
 * is sorted. What cannot be read ends the walk with an error, so the connection is cut: a rebuild
 * that missed a tombstone would bring a deleted key back.
 */
#include "volume/tombstone_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/log.h"
#include "volume/disk.h"
#include "volume/subvolume.h"
#include "volume/tombstone.h"

/* aa, bb, and the directories of a name of the longest key: 8 are enough. */
enum { DEPTH_MAX = 16, PIECE_BYTES = 64 * 1024 };

struct tombstone_walk {
    const struct store_at *at; /* the caller's */
    struct subvolume *sub;
    DIR *stack[DEPTH_MAX];      /* from .larder/tombstones down; empty at the end */
    size_t path_len[DEPTH_MAX]; /* of each one's own part of `path` */
    unsigned depth;
    struct buf path; /* of the innermost, "aa/bb/" */
    bool begun;      /* the head of the answer is out */
    bool any;
};

/* Goes down into a directory, whose descriptor it takes over. */
static enum status push(struct tombstone_walk *walk, int fd)
{
    if (walk->depth == DEPTH_MAX) {
        (void)close(fd);
        log_event(LOG_WARN, "tombstone", "path=\"%s\" error=\"too deep, passed over\"",
                  buf_text(&walk->path));
        return ST_OK;
    }
    DIR *dir = fdopendir(fd);
    if (!dir) {
        (void)close(fd);
        return ST_NO_MEMORY;
    }
    walk->stack[walk->depth] = dir;
    walk->path_len[walk->depth] = walk->path.len;
    walk->depth++;
    return ST_OK;
}

/* Leaves the innermost directory. */
static void pop(struct tombstone_walk *walk)
{
    (void)closedir(walk->stack[--walk->depth]);
}

enum status tombstone_walk_begin(struct tombstone_walk **walk, const struct store_at *at)
{
    enum status st;
    struct tombstone_walk *w = calloc(1, sizeof *w);
    if (!w)
        return ST_NO_MEMORY;
    w->at = at;
    *walk = w;
    int root = store_enter(at, SUBVOLUME_READ, &w->sub, &st);
    if (root < 0) {
        if (st == ST_NOT_FOUND) /* nothing was ever written there */
            return ST_OK;
        tombstone_walk_free(w);
        return st;
    }
    int fd = openat(root, ".larder/tombstones", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 ? errno : 0;
    (void)subvolume_disk(w->sub)->close(root);
    if (fd >= 0)
        st = push(w, fd);
    else if (err != ENOENT)
        st = subvolume_error(w->sub, at->request, "open", ".larder/tombstones", err);
    if (st)
        tombstone_walk_free(w);
    return st;
}

static void add_tombstone(struct tombstone_walk *walk, struct buf *out, uint64_t generation)
{
    buf_adds(out, walk->any ? ",\n{\"path\": " : "\n{\"path\": ");
    json_add_string(out, walk->path.data, walk->path.len);
    buf_addf(out, ", \"generation\": %" PRIu64 "}", generation);
    walk->any = true;
}

/* One entry of the innermost directory; walk->path ends with its name. Opened as a directory to
 * begin with: readdir need not tell what it is. */
static enum status visit(struct tombstone_walk *walk, struct buf *out, const char *name)
{
    int dir = dirfd(walk->stack[walk->depth - 1]);
    uint64_t generation;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        buf_addc(&walk->path, '/');
        return push(walk, fd);
    }
    if (errno == ENOENT)
        return ST_OK;
    if (errno != ENOTDIR)
        return subvolume_error(walk->sub, walk->at->request, "open", buf_text(&walk->path), errno);
    enum status st = tombstone_read(dir, name, &generation);
    if (st == ST_NOT_FOUND)
        return ST_OK; /* dropped meanwhile */
    if (st == ST_CORRUPT) {
        /* That something was deleted is all that it says: the first version, at least. */
        log_event(LOG_ERROR, "tombstone", "path=\"%s\" error=\"no number in it, taken as 0\"",
                  buf_text(&walk->path));
        generation = 0;
        st = ST_OK;
    }
    if (!st)
        add_tombstone(walk, out, generation);
    return st;
}

/* The next entry, or the end of a directory. */
static enum status step(struct tombstone_walk *walk, struct buf *out)
{
    DIR *dir = walk->stack[walk->depth - 1];
    buf_truncate(&walk->path, walk->path_len[walk->depth - 1]);
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (!entry && errno)
        return subvolume_error(walk->sub, walk->at->request, "readdir", buf_text(&walk->path),
                               errno);
    if (!entry) {
        pop(walk);
        return ST_OK;
    }
    if (entry->d_name[0] == '.')
        return ST_OK;
    buf_adds(&walk->path, entry->d_name);
    return buf_ok(&walk->path) ? visit(walk, out, entry->d_name) : ST_NO_MEMORY;
}

/* A piece ends with the entry that makes it so long. An empty stack to begin with is a subvolume
 * without tombstones: an empty list. */
enum status tombstone_walk_next(struct tombstone_walk *walk, struct buf *out, bool *more)
{
    enum status st = ST_OK;
    if (!walk->begun)
        buf_adds(out, "{\"tombstones\": [");
    walk->begun = true;
    while (!st && walk->depth > 0 && out->len < PIECE_BYTES)
        st = step(walk, out);
    *more = walk->depth > 0;
    if (!*more)
        buf_adds(out, "]}\n");
    return st ? st : buf_ok(out) ? ST_OK : ST_NO_MEMORY;
}

void tombstone_walk_free(struct tombstone_walk *walk)
{
    if (!walk)
        return;
    while (walk->depth > 0)
        pop(walk);
    buf_free(&walk->path);
    free(walk);
}
