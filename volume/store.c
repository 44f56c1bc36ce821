/*
 * Values as files: opening, describing, removing, marking. Writing them is writing.c's.
 *
 * What every operation does the same way: it enters its subvolume (which says whether that may be
 * used so now, and gives its directory), works by descriptors below that directory, and hands every
 * errno to subvolume_error(), which decides whether the disk is to blame and what the client is
 * told. A path is never walked from the root of the file system: a disk that was mounted over it,
 * or taken away, cannot be mistaken for the one that is meant.
 *
 * Everything blocks, and runs on the pool, but store_open_now(), which runs on loops, and therefore
 * gives nothing that was not verified before (trusted.h).
 */
#include "volume/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/loop.h"
#include "volume/disk.h"
#include "volume/fence.h"
#include "volume/parents.h"
#include "volume/subvolume.h"
#include "volume/subvolumes.h"
#include "volume/trusted.h"

/* The descriptor is the caller's, who closes it by the subvolume's disk. */
int store_enter(const struct store_at *at, int use, struct subvolume **sub, enum status *st)
{
    *sub = subvolumes_get(at->all, at->subvolume);
    if (*sub)
        return subvolume_enter(*sub, (enum subvolume_use)use, at->request, st);
    *st = ST_NO_MEMORY;
    return -1;
}

/* The request was let in long ago, it may be: an upload takes its time, a job waits for a disk that
 * is slow. Who sent it may be no writer any more, and the next one may have put a newer value
 * there, or removed what was left. */
enum status store_pass_fence(const struct store_at *at)
{
    return !at->fence || fence_holds(at->fence, at->term, loop_now_ms()) ? ST_OK : ST_NOT_WRITER;
}

/* --- Attributes --- */

/* One attribute as text; "" where there is none. None is also one that is longer than any of ours
 * (ERANGE), or that this file system or its rights do not give: a value that was put there by other
 * means is one all the same. */
static enum status read_attribute(struct subvolume *sub, int fd, const struct store_at *at,
                                  const char *name, char *to, size_t max)
{
    to[0] = '\0';
    ssize_t len = subvolume_disk(sub)->attribute(fd, name, to, max - 1);
    if (len >= 0) {
        to[len] = '\0';
        return ST_OK;
    }
    if (errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE || errno == EPERM)
        return ST_OK;
    return subvolume_error(sub, at->request, "read attributes", at->file, errno);
}

/* Digits to the end; a sign, or white space, as strtoull() would take it, is no number of ours. Nor
 * is one that readers of JSON would refuse, and with it the listing that it stands in. */
static bool read_decimal(const char *text, uint64_t *number)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *number <= INT64_MAX;
}

/* A type goes out as a header, so it must be one. */
static bool is_header_text(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

/* `broken` is for the scrub: a digest that cannot be one is damage, where none at all is not. */
enum status store_read_attributes(struct subvolume *sub, int fd, const struct store_at *at,
                                  struct store_attributes *attributes)
{
    char text[64];
    memset(attributes, 0, sizeof *attributes);
    enum status st = read_attribute(sub, fd, at, "user.larder.md5", text, sizeof text);
    if (!st && text[0] && (strlen(text) != MD5_HEX || md5_parse(text, attributes->md5))) {
        attributes->md5[0] = '\0';
        attributes->broken = true;
    }
    if (!st)
        st = read_attribute(sub, fd, at, "user.larder.size", text, sizeof text);
    if (!st)
        attributes->has_size = read_decimal(text, &attributes->size);
    attributes->broken = attributes->broken || (text[0] && !st && !attributes->has_size);
    if (!st)
        st = read_attribute(sub, fd, at, "user.larder.created", text, sizeof text);
    if (!st && !read_decimal(text, &attributes->created))
        attributes->created = 0;
    if (!st)
        st = read_attribute(sub, fd, at, "user.larder.unlinked", text, sizeof text);
    if (!st)
        attributes->unlinked = text[0] == '1';
    return st;
}

/* Apart, because a listing does without: reading an attribute costs as much as opening the file. */
static enum status read_type(struct subvolume *sub, int fd, const struct store_at *at, char *type)
{
    enum status st = read_attribute(sub, fd, at, "user.larder.type", type, STORE_TYPE_MAX + 1);
    if (!st && !is_header_text(type))
        type[0] = '\0';
    return st;
}

/* --- Reading --- */

/* Opens the file, if it is one. -1 and *st. A link is not followed, and a pipe not waited for. */
static int open_file(struct subvolume *sub, int root, const struct store_at *at, struct stat *is,
                     enum status *st)
{
    const struct disk *disk = subvolume_disk(sub);
    *st = ST_OK;
    int fd = disk->open(root, at->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0) {
        bool nothing =
            errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG;
        *st = nothing ? ST_NOT_FOUND : subvolume_error(sub, at->request, "open", at->file, errno);
        return -1;
    }
    if (disk->stat(fd, is))
        *st = subvolume_error(sub, at->request, "stat", at->file, errno);
    else if (S_ISDIR(is->st_mode))
        *st = ST_CONFLICT;
    else if (!S_ISREG(is->st_mode))
        *st = ST_NOT_FOUND;
    if (!*st)
        return fd;
    (void)disk->close(fd);
    return -1;
}

/* A file of another size than its attribute says was torn by a crash or cut by a file system. It is
 * shown as missing, so that a reader is sent to another copy, and told to the log each time. */
static bool has_right_size(const struct store_at *at, const struct store_value *value)
{
    const struct store_attributes *attributes = &value->attributes;
    if (!attributes->has_size || attributes->size == value->size)
        return true;
    log_event(LOG_ERROR, "store",
              "request=%s subvolume=%u path=\"%s\" size=%" PRIu64 " expected=%" PRIu64
              " error=\"the value is damaged, and treated as missing\"",
              at->request, at->subvolume, at->file, value->size, attributes->size);
    return false;
}

/* What identifies the file, and this state of it, is taken from the descriptor and not from its
 * name, which may be another's by now. */
static void describe(struct store_value *value, const struct stat *is)
{
    value->size = (uint64_t)is->st_size;
    value->modified = is->st_mtime;
    value->device = is->st_dev;
    value->inode = is->st_ino;
    value->changed = is->st_ctim;
}

struct trusted_file store_identify(const struct store_value *value)
{
    return trusted_identify(value->device, value->inode, value->changed, value->size);
}

/* A damaged value is not open afterwards, though `value` describes it. */
enum status store_open(const struct store_at *at, struct store_value *value)
{
    struct subvolume *sub;
    enum status st;
    value->damaged = false;
    int root = store_enter(at, SUBVOLUME_READ, &sub, &st);
    if (root < 0)
        return st;
    if (at->file[0] == '\0') {
        (void)subvolume_disk(sub)->close(root);
        return ST_CONFLICT;
    }
    struct stat is;
    value->fd = open_file(sub, root, at, &is, &st);
    (void)subvolume_disk(sub)->close(root);
    if (value->fd < 0)
        return st;
    describe(value, &is);
    st = store_read_attributes(sub, value->fd, at, &value->attributes);
    if (!st)
        st = read_type(sub, value->fd, at, value->attributes.type);
    value->damaged = !st && !has_right_size(at, value);
    if (value->damaged)
        st = ST_NOT_FOUND;
    if (st)
        (void)subvolume_disk(sub)->close(value->fd);
    return st;
}

/* The attributes are those of the file in this very state, or it is not found. It was opened by way
 * of the right disk once, and its device and inode say that it is that file still. */
static bool is_known(const struct disk *disk, struct trusted *trusted, struct store_value *value)
{
    struct stat is;
    if (disk->stat(value->fd, &is) || !S_ISREG(is.st_mode))
        return false;
    describe(value, &is);
    struct trusted_file file = store_identify(value);
    return trusted_attributes(trusted, &file, &value->attributes);
}

bool store_open_now(const struct store_at *at, struct trusted *trusted, struct store_value *value)
{
    struct subvolume *sub = subvolumes_find(at->all, at->subvolume);
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    value->damaged = false;
    value->fd = sub && at->file[0] ? subvolume_open_now(sub, at->file, flags) : -1;
    if (value->fd < 0)
        return false;
    const struct disk *disk = subvolume_disk(sub);
    if (is_known(disk, trusted, value))
        return true;
    (void)disk->close(value->fd);
    return false;
}

/* --- Removing --- */

/* By the last part of the name within its open directory. EISDIR is what Linux says of a directory;
 * other systems say EPERM. */
static enum status remove_in(struct subvolume *sub, const struct parents *p,
                             const struct store_at *at)
{
    if (subvolume_disk(sub)->unlink(p->fd, parents_name(at->file)) == 0)
        return ST_OK;
    switch (errno) {
    case ENOENT:
    case ENAMETOOLONG:
        return ST_NOT_FOUND;
    case EISDIR:
        return ST_CONFLICT;
    default:
        return subvolume_error(sub, at->request, "unlink", at->file, errno);
    }
}

/* The directory is synced before it is told: a value that comes back after a power failure would be
 * one that a client has seen deleted. */
enum status store_delete(const struct store_at *at)
{
    struct subvolume *sub;
    struct parents p;
    enum status st;
    int root = store_enter(at, SUBVOLUME_DELETE, &sub, &st);
    if (root < 0)
        return st;
    st = at->file[0] ? parents_open(&p, sub, root, at->file, false, at->request) : ST_CONFLICT;
    if (!st) {
        st = store_pass_fence(at);
        if (!st)
            st = remove_in(sub, &p, at);
        /* Also where it was gone already: another may have removed it without an fsync yet. */
        enum status closed = parents_close(&p, st == ST_OK || st == ST_NOT_FOUND);
        if (closed)
            st = closed;
    }
    (void)subvolume_disk(sub)->close(root);
    return st;
}

/* Durably. */
static enum status mark_unlinked(struct subvolume *sub, int fd, const struct store_at *at)
{
    const struct disk *disk = subvolume_disk(sub);
    if (disk->set_attribute(fd, "user.larder.unlinked", "1", 1))
        return errno == EOPNOTSUPP
                   ? ST_NOT_IMPLEMENTED
                   : subvolume_error(sub, at->request, "set attribute", at->file, errno);
    if (disk->sync(fd))
        return subvolume_sync_error(sub, at->request, "fsync", at->file, errno);
    return ST_OK;
}

/* The mark is for an index made anew from volumes; the file stays. An fsync that failed earlier on
 * this disk is a failure here as well: what it has synced since may be lost (subvolume_failed()).
 */
enum status store_unlink(const struct store_at *at)
{
    struct subvolume *sub;
    struct stat is;
    enum status st;
    int root = store_enter(at, SUBVOLUME_DELETE, &sub, &st);
    if (root < 0)
        return st;
    const struct disk *disk = subvolume_disk(sub);
    int fd = at->file[0] ? open_file(sub, root, at, &is, &st) : -1;
    if (!at->file[0])
        st = ST_CONFLICT;
    if (fd >= 0) {
        st = store_pass_fence(at);
        if (!st)
            st = mark_unlinked(sub, fd, at);
        (void)disk->close(fd);
    }
    (void)disk->close(root);
    if (!st && subvolume_failed(sub))
        st = ST_IO;
    return st;
}
