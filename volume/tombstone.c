/*
 * A tombstone is replaced like a value: temp file, fsync, rename, fsync of the directories
 * (parents.c). But it must first be read, since only a larger generation may replace it: two
 * DELETEs of one key, each with its own generation, must leave the larger. So whoever reads and
 * replaces holds the key's lock in between (begin, end).
 */
#include "volume/tombstone.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/key.h"
#include "common/log.h"
#include "common/name.h"
#include "common/planted.h"
#include "volume/disk.h"
#include "volume/parents.h"
#include "volume/subvolume.h"

/* Where a key's tombstone stands: under the name of its generation 0, whatever was deleted. So
 * there is one a key, and its name tells the key after the loss of an index. */
static enum status tombstone_path(struct buf *path, const struct key *key)
{
    buf_adds(path, ".larder/tombstones");
    enum status st = name_path(path, key, 0, NAMING_LARDER);
    return st ? st : buf_ok(path) ? ST_OK : ST_NO_MEMORY;
}

/* A decimal number and a newline, and nothing else. */
enum status tombstone_read(int dir_fd, const char *path, uint64_t *generation)
{
    struct buf text = BUF_INIT;
    enum status st = durable_read(dir_fd, path, &text);
    const char *digits = buf_text(&text);
    if (!st) {
        char *rest;
        errno = 0;
        *generation = strtoull(digits, &rest, 10);
        if (digits[0] < '0' || digits[0] > '9' || errno || strcmp(rest, "\n") != 0)
            st = ST_CORRUPT;
    }
    buf_free(&text);
    return st;
}

/* An operation on the tombstone of one key; on the stack, from begin() to end(). */
struct work {
    const struct store_at *at;
    struct subvolume *sub;
    int root; /* the subvolume's directory */
    struct buf path;
};

/* Notes and logs an error; the status for the client. */
static enum status failed(const struct work *work, const char *doing, int err)
{
    return subvolume_error(work->sub, work->at->request, doing, buf_text(&work->path), err);
}

/* Locks the tombstone: between reading and replacing it no other may do the same. After any result
 * but ST_OK there is nothing to end. */
static enum status begin(struct work *work, const struct store_at *at, const struct key *key,
                         bool make)
{
    *work = (struct work){.at = at, .root = -1, .path = BUF_INIT};
    enum status st = tombstone_path(&work->path, key);
    if (st)
        goto fail;
    work->root = store_enter(at, SUBVOLUME_DELETE, &work->sub, &st);
    /* A disk that has no directory yet gets one: the deletion must be kept all the same. */
    if (work->root < 0 && st == ST_NOT_FOUND && make)
        work->root = store_enter(at, SUBVOLUME_WRITE, &work->sub, &st);
    if (work->root < 0)
        goto fail;
    subvolume_lock(work->sub, buf_text(&work->path));
    return ST_OK;

fail:
    buf_free(&work->path);
    return st;
}

/* In the reverse order of begin(). */
static void end(struct work *work)
{
    subvolume_unlock(work->sub, buf_text(&work->path));
    (void)subvolume_disk(work->sub)->close(work->root);
    buf_free(&work->path);
}

static enum status write_temp(const struct work *work, int fd, uint64_t generation)
{
    const struct disk *disk = subvolume_disk(work->sub);
    char line[32];
    size_t len = (size_t)snprintf(line, sizeof line, "%" PRIu64 "\n", generation);
    for (size_t done = 0; done < len;) {
        ssize_t n = disk->write(fd, line + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(work, "write", n < 0 ? errno : EIO);
        done += (size_t)n;
    }
    if (disk->sync(fd))
        return subvolume_sync_error(work->sub, work->at->request, "fsync", buf_text(&work->path),
                                    errno);
    return ST_OK;
}

/* Makes the temp file, with its content on the disk. The directory for temp files may be missing on
 * a disk that was never written to; it needs no fsync, since what matters leaves it. */
static enum status make_temp(const struct work *work, char name[SUBVOLUME_TEMP_NAME],
                             uint64_t generation)
{
    const struct disk *disk = subvolume_disk(work->sub);
    subvolume_temp_name(work->sub, name);
    int fd = disk->open(work->root, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
    if (fd < 0 && errno == ENOENT) {
        (void)disk->mkdir(work->root, ".larder", 0755); /* the open that follows tells */
        (void)disk->mkdir(work->root, ".larder/tmp", 0755);
        fd = disk->open(work->root, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
    }
    if (fd < 0)
        return failed(work, "make a temp file", errno);
    enum status st = write_temp(work, fd, generation);
    if (disk->close(fd) && !st)
        st = failed(work, "close", errno);
    if (st && disk->unlink(work->root, name))
        (void)failed(work, "remove the temp file", errno);
    return st;
}

/* Puts a new tombstone in the place of what is there. Where only the last fsync fails the new one
 * may be there or not: no answer says that it is. */
static enum status replace(const struct work *work, uint64_t generation)
{
    const struct disk *disk = subvolume_disk(work->sub);
    const char *path = buf_text(&work->path);
    char temp[SUBVOLUME_TEMP_NAME];
    struct parents p;
    enum status st = make_temp(work, temp, generation);
    if (st)
        return st;
    st = parents_open(&p, work->sub, work->root, path, true, work->at->request);
    bool renamed = false;
    if (!st) {
        st = store_pass_fence(work->at);
        renamed = !st && disk->rename(work->root, temp, p.fd, parents_name(path)) == 0;
        if (!st && !renamed)
            st = failed(work, "rename", errno);
        enum status closed = parents_close(&p, renamed);
        if (closed)
            st = closed;
    }
    if (!renamed && disk->unlink(work->root, temp))
        (void)failed(work, "remove the temp file", errno);
    return st;
}

/* Held from the reading to the end of the replacing. A tombstone that says nothing (damaged) is
 * replaced: what is asked for now is known for certain. */
enum status tombstone_put(const struct store_at *at, const struct key *key, uint64_t generation)
{
    struct work work;
    uint64_t before;
    if (planted("forget-tombstone"))
        return ST_OK;
    enum status st = begin(&work, at, key, true);
    if (st)
        return st;
    st = tombstone_read(work.root, buf_text(&work.path), &before);
    if (st == ST_NOT_FOUND || st == ST_CORRUPT || (st == ST_OK && before < generation))
        st = replace(&work, generation);
    else if (st)
        log_event(LOG_ERROR, "tombstone", "request=%s path=\"%s\" doing=read error=\"%s\"",
                  at->request, buf_text(&work.path), status_text(st));
    end(&work);
    return st;
}

/* The file's directories stay, as those of values. */
enum status tombstone_drop(const struct store_at *at, const struct key *key)
{
    struct work work;
    struct parents p;
    enum status st = begin(&work, at, key, false);
    if (st)
        return st;
    const char *path = buf_text(&work.path);
    st = parents_open(&p, work.sub, work.root, path, false, at->request);
    if (!st) {
        st = store_pass_fence(at);
        if (!st && subvolume_disk(work.sub)->unlink(p.fd, parents_name(path)))
            st = errno == ENOENT ? ST_NOT_FOUND : failed(&work, "unlink", errno);
        /* Also where it was gone: as store_delete(). */
        enum status closed = parents_close(&p, st == ST_OK || st == ST_NOT_FOUND);
        if (closed)
            st = closed;
    }
    end(&work);
    return st;
}
