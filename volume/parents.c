/*
 * The trap: two PUTs to a new directory. The first makes aa/bb, and before it has synced aa, the
 * second finds aa/bb there, writes its file into it, syncs file and aa/bb, and answers 201. A power
 * loss now takes aa/bb from aa, and with it a value that was acknowledged.
 *
 * So whoever makes directories stands in the subvolume's set (parents_set.h) from before its first
 * mkdir until all of them are synced; and whoever is done with a directory waits, before it
 * answers, for those that were in the set by then and may have made a part of its path. A maker
 * whose own work fails syncs what it has made all the same. Where that fails, the subvolume has
 * failed, which those that waited see (subvolume_failed()).
 *
 * Where the whole file system was synced (syncer.h) after the file was put into the directory, all
 * of them are durable, whoever made them. (A directory by way of a link may be on another file
 * system than the one above; no value can be renamed there, so it is not `changed`.)
 *
 * The set's lock is held over no system call but the waiting. Nobody waits while in the set, so
 * there is no circle of waiting.
 */
#include "volume/parents.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/planted.h"
#include "common/thread.h"
#include "volume/disk.h"
#include "volume/parents_set.h"
#include "volume/path.h"
#include "volume/subvolume.h"
#include "volume/syncer.h"

enum { LOOK_MS = 1000 }; /* who waits looks by itself whether it still has to */

const char *parents_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Joins the set, before the first mkdir: whoever sees the directory sees this too. */
static void join(struct parents *p)
{
    struct parents_set *set = subvolume_parents(p->sub);
    (void)pthread_mutex_lock(&set->lock);
    p->number = ++set->number;
    p->next = set->first;
    set->first = p;
    p->making = true;
    (void)pthread_mutex_unlock(&set->lock);
}

/* Everybody is woken: which of them waited for this one nobody knows. */
static void leave(struct parents *p)
{
    struct parents_set *set = subvolume_parents(p->sub);
    (void)pthread_mutex_lock(&set->lock);
    struct parents **at = &set->first;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->making = false;
    (void)pthread_cond_broadcast(&set->gone);
    (void)pthread_mutex_unlock(&set->lock);
}

/* Two paths can share a directory where their first components are the same. Coarse: that makes
 * some wait for a stranger's fsync, but only in the moments in which directories are new. */
static bool may_share(const struct parents *a, const struct parents *b)
{
    size_t len = strcspn(a->path, "/");
    return len == strcspn(b->path, "/") && !memcmp(a->path, b->path, len);
}

static bool others_are_making(const struct parents_set *set, const struct parents *p, uint64_t last)
{
    for (const struct parents *other = set->first; other; other = other->next)
        if (other->number <= last && may_share(other, p))
            return true;
    return false;
}

/* Waits for those that were making directories when it began, not for ones that come later. Nobody
 * waits while in the set, so they do not wait for each other. It has to be waited for however long
 * it takes, as for an fsync of one's own; but not for a signal alone: glibc before 2.41 can lose
 * one (its bug 25847), and the next may never come. */
static void wait_for_others(struct parents *p)
{
    struct parents_set *set = subvolume_parents(p->sub);
    (void)pthread_mutex_lock(&set->lock);
    uint64_t last = set->number;
    while (others_are_making(set, p, last)) {
        const struct timespec until = thread_time(LOOK_MS);
        (void)thread_wait(&set->gone, &set->lock, &until);
    }
    (void)pthread_mutex_unlock(&set->lock);
}

/* Opens the first `len` bytes of the path; 0: the subvolume's directory. -1 and errno. */
static int open_part(const struct parents *p, size_t len)
{
    char part[PATH_LIMIT + 64];
    if (len == 0)
        return subvolume_disk(p->sub)->open(p->root, ".", O_RDONLY | O_DIRECTORY, 0);
    if (len >= sizeof part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(part, p->path, len);
    part[len] = '\0';
    return subvolume_disk(p->sub)->open(p->root, part, O_RDONLY | O_DIRECTORY, 0);
}

/* What a failed open or mkdir means: nothing there, something else there, or an error. */
static enum status open_failed(struct parents *p, const char *doing, int err)
{
    if (err == ENOENT)
        return ST_NOT_FOUND;
    if (err == ENOTDIR || err == ELOOP)
        return ST_CONFLICT;
    return subvolume_error(p->sub, p->request, doing, p->path, err);
}

/* The end of the component that begins at `from`. */
static size_t component_end(const struct parents *p, size_t from)
{
    const char *slash = memchr(p->path + from, '/', p->len - from);
    return slash ? (size_t)(slash - p->path) : p->len;
}

/* Makes every component; `there` is where the first new one begins, without the '/' before it. One
 * that exists by now was made by somebody else, who is in the set. */
static enum status make_all(struct parents *p)
{
    const struct disk *disk = subvolume_disk(p->sub);
    char part[PATH_LIMIT + 64];
    size_t end;
    p->there = p->len;
    for (size_t from = 0; from < p->len; from = end + 1) {
        end = component_end(p, from);
        memcpy(part, p->path, end);
        part[end] = '\0';
        if (disk->mkdir(p->root, part, 0755) == 0) {
            if (p->there == p->len)
                p->there = from > 0 ? from - 1 : 0;
        } else if (errno != EEXIST) {
            return open_failed(p, "mkdir", errno);
        }
    }
    return ST_OK;
}

/* For a fault suite that is to see that this file is needed. */
static bool forgets(void)
{
    return planted("skip-dir-fsync");
}

/* Syncs the made directories from the innermost to the one above the first: a journal takes all of
 * them with the first fsync. Whatever fails here is noted as a failure of the disk, also a want of
 * descriptors: others may have seen the directories, and learn only by that that they are not
 * durable. */
static enum status sync_made(struct parents *p)
{
    const struct disk *disk = subvolume_disk(p->sub);
    size_t len = p->len;
    while (len > p->there) {
        do
            len--;
        while (len > p->there && p->path[len] != '/');
        int fd = open_part(p, len);
        if (fd < 0 && errno == ENOENT)
            continue; /* removed again, behind our back: the rename will have noticed */
        if (fd < 0)
            return subvolume_sync_error(p->sub, p->request, "opendir", p->path, errno);
        int err = disk->sync(fd) ? errno : 0;
        (void)disk->close(fd); /* it was only synced */
        if (err)
            return subvolume_sync_error(p->sub, p->request, "fsync directory", p->path, err);
    }
    return ST_OK;
}

/* What it has made is durable from here on, or its disk has failed. */
static void settle_made(struct parents_closing *closing)
{
    struct parents *p = closing->parents;
    const struct disk *disk = subvolume_disk(p->sub);
    if (p->fd >= 0)
        (void)disk->close(p->fd); /* it was only synced */
    p->fd = -1;
    if (!p->making)
        return;
    if (!closing->result && !forgets() && !p->everything && disk->sync_all)
        closing->result = sync_made(p);
    leave(p);
}

enum status parents_open(struct parents *p, struct subvolume *sub, int root, const char *path,
                         bool make, const char *request)
{
    const char *slash = strrchr(path, '/');
    *p = (struct parents){.sub = sub, .request = request, .root = root, .path = path};
    p->len = slash ? (size_t)(slash - path) : 0;
    p->there = p->len;
    if (p->len >= PATH_LIMIT + 64)
        return ST_URI_TOO_LONG;
    p->fd = open_part(p, p->len);
    if (p->fd >= 0)
        return ST_OK;
    if (errno != ENOENT || !make)
        return open_failed(p, "opendir", errno);

    join(p);
    enum status st = make_all(p);
    if (!st) {
        p->fd = open_part(p, p->len);
        if (p->fd >= 0)
            return ST_OK;
        st = open_failed(p, "opendir", errno);
    }
    /* What was made must be durable even so: another may rely on it already. Nothing is to be
     * waited for: nothing is acknowledged, and this thread may have others open. */
    struct parents_closing closing = {.parents = p};
    settle_made(&closing);
    return closing.result ? closing.result : st;
}

/* Syncs and closes the directories themselves. From here on `everything` says of each whether all
 * is durable that was made in its file system before. All are in it that have something open. */
static void sync_changed(struct parents_closing *list, unsigned count)
{
    struct syncer_file files[PARENTS_MANY];
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        if (list[i].changed && !forgets())
            files[n++].fd = list[i].parents->fd;
    if (n > 0)
        syncer_sync_many(subvolume_syncer(list[0].parents->sub), files, n);
    n = 0;
    for (unsigned i = 0; i < count; i++) {
        struct parents *p = list[i].parents;
        if (!list[i].changed || forgets())
            continue;
        p->everything = files[n].everything;
        if (files[n].err)
            list[i].result =
                subvolume_sync_error(p->sub, p->request, "fsync directory", p->path, files[n].err);
        n++;
    }
}

/* All leave before the first of them waits: nobody waits while in the set. */
void parents_close_many(struct parents_closing *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        list[i].result = ST_OK;
    sync_changed(list, count);
    for (unsigned i = 0; i < count; i++)
        settle_made(&list[i]);
    for (unsigned i = 0; i < count; i++) {
        if (!list[i].parents->everything)
            wait_for_others(list[i].parents);
        if (!list[i].result && subvolume_failed(list[i].parents->sub))
            list[i].result = ST_IO;
    }
}

enum status parents_close(struct parents *p, bool changed)
{
    struct parents_closing closing = {.parents = p, .changed = changed && p->fd >= 0};
    parents_close_many(&closing, 1);
    return closing.result;
}
