/*
 * The lock is LevelDB's own: fcntl on LOCK. It works for a damaged index as well, which LevelDB
 * would not open, and it goes with the process, however that ends.
 *
 * Two traps. Closing any descriptor of a file drops this process's fcntl locks on it, so LOCK may
 * be opened nowhere else in this process, neither by LevelDB. And between a look at the directory
 * and its lock others may have begun, and ended: what was seen before counts only if it is seen
 * again with the lock held.
 */
#include "tools/larder/indexdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/larder/say.h"

struct indexdir {
    char *path;      /* without '/' at its end */
    char *lock_path; /* of LOCK in it */
    int lock;        /* descriptor that holds the lock, or -1 */
    bool made;       /* it was not there */
    bool fresh;      /* no index is in it */
};

/* What a look into the directory finds. */
struct content {
    bool lock;  /* LOCK, which is also what a run that was killed leaves */
    bool diary; /* LevelDB's diary: it begins one before it finds that it is refused */
    bool index; /* files of an index, also where the lock is all that is left of them */
    bool other; /* anything but lock and diary */
};

static bool is_index_file(const char *name)
{
    size_t len = strlen(name);
    return strcmp(name, "CURRENT") == 0 || strncmp(name, "MANIFEST-", 9) == 0 ||
           (len > 4 &&
            (strcmp(name + len - 4, ".ldb") == 0 || strcmp(name + len - 4, ".sst") == 0));
}

static void note(struct content *content, const char *name)
{
    bool lock = strcmp(name, "LOCK") == 0;
    bool diary = strcmp(name, "LOG") == 0 || strcmp(name, "LOG.old") == 0;
    content->lock = content->lock || lock;
    content->diary = content->diary || diary;
    content->index = content->index || lock || is_index_file(name);
    content->other = content->other || !(lock || diary);
}

static enum status look_into(const char *dir, struct content *content)
{
    *content = (struct content){0};
    DIR *list = opendir(dir);
    if (!list)
        return status_of_errno(errno);
    errno = 0;
    const struct dirent *entry;
    while ((entry = readdir(list)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            note(content, entry->d_name);
    int why = errno;
    (void)closedir(list);
    errno = why;
    return why ? status_of_errno(why) : ST_OK;
}

/* Anything that is no index is refused: a slip in --db must not move somebody's directory away. Nor
 * is a link followed: the swap would replace the link. */
static enum status look(struct indexdir *held)
{
    struct stat there;
    struct content content;
    if (lstat(held->path, &there) != 0) {
        say_error("could not look at %s: %s", held->path, strerror(errno));
        return status_of_errno(errno);
    }
    enum status st = S_ISDIR(there.st_mode) ? look_into(held->path, &content) : ST_EXISTS;
    if (!st && (content.other || content.diary) && !content.index)
        st = ST_EXISTS;
    if (st == ST_EXISTS)
        say_error(
            "%s is there, and cannot be read as an index, so it will not be replaced; move it "
            "away, or give --db another name",
            held->path);
    else if (st)
        say_error("could not read the directory %s: %s", held->path, strerror(errno));
    else
        held->fresh = !content.other;
    return st;
}

/* Whether the file that is locked still has the name LOCK: another command may have been there
 * first, and have put its index into this place, or removed the directory that it had made. */
static bool is_named(const struct indexdir *held)
{
    struct stat named;
    struct stat open_one;
    return fstat(held->lock, &open_one) == 0 && stat(held->lock_path, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

static enum status refuse_locked(const struct indexdir *held)
{
    say_error("the index %s is in use: stop its master first, or wait for the end of the other "
              "rebuild or restore",
              held->path);
    return ST_LOCKED;
}

static enum status lock(struct indexdir *held)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(held->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 && errno == ENOENT) /* the directory is gone: another command had made it */
        return refuse_locked(held);
    if (fd < 0 || fcntl(fd, F_SETLK, &whole) != 0) {
        int why = errno;
        if (fd >= 0)
            (void)close(fd); /* its lock is another's, so it is not ours to remove */
        if (why == EAGAIN || why == EACCES)
            return refuse_locked(held);
        say_error("could not lock the index %s: %s: %s", held->path, held->lock_path,
                  strerror(why));
        return status_of_errno(why);
    }
    held->lock = fd;
    return is_named(held) ? ST_OK : refuse_locked(held);
}

/* Seen before the lock, so that nothing is made in a directory that is no index; and once more
 * with it. */
static enum status take(struct indexdir *held)
{
    held->made = mkdir(held->path, 0755) == 0;
    if (!held->made && errno != EEXIST) {
        int why = errno;
        say_error("could not make %s: %s", held->path, strerror(why));
        return status_of_errno(why);
    }
    enum status st = look(held);
    if (!st)
        st = lock(held);
    return st ? st : look(held);
}

enum status indexdir_hold(struct indexdir **held, const char *dir)
{
    *held = NULL;
    struct indexdir *new = calloc(1, sizeof *new);
    size_t len = strlen(dir);
    if (!new)
        return ST_NO_MEMORY;
    while (len > 1 && dir[len - 1] == '/')
        len--;
    new->lock = -1;
    new->path = strndup(dir, len);
    if (new->path && asprintf(&new->lock_path, "%s/LOCK", new->path) < 0)
        new->lock_path = NULL;
    enum status st = new->lock_path ? take(new) : ST_NO_MEMORY;
    if (st) {
        indexdir_release(new, true);
        return st;
    }
    *held = new;
    return ST_OK;
}

const char *indexdir_path(const struct indexdir *held)
{
    return held->path;
}

bool indexdir_is_fresh(const struct indexdir *held)
{
    return held->fresh;
}

/* In a fresh one: our lock, and what masters have left that were refused. The name of the lock goes
 * last, and while it is held: who has opened it meanwhile finds that out (is_named). */
static void empty(const struct indexdir *held)
{
    static const char *const names[] = {"LOG", "LOG.old", "LOCK"};
    int dir = open(held->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlinkat(dir, names[i], 0);
    (void)close(dir);
}

/* After a swap the name of the lock is that of another one, and not touched. */
void indexdir_release(struct indexdir *held, bool failed)
{
    if (!held)
        return;
    if (failed && held->lock_path && held->fresh && held->lock >= 0 && is_named(held))
        empty(held);
    if (failed && held->made)
        (void)rmdir(held->path); /* only where it is empty, so never another's */
    if (held->lock >= 0)
        (void)close(held->lock);
    free(held->lock_path);
    free(held->path);
    free(held);
}
