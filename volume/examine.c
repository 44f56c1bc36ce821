/*
 * A value is read once past the page cache: what counts is what the disk has, and the cache is for
 * readers. Where that cannot be done it goes through the cache, which is told after every step to
 * forget it. What looks damaged is read a second time, through an emptied cache, the way a reader
 * would get it: one wrong read is no wrong value.
 *
 * The file is opened anew for every step, and closed before the pause, so that a disk can be
 * unmounted while its scrub waits. So each step makes sure that it still reads the file of the
 * first: a PUT renames another one to the same path, and half of each would be 'damage'.
 */
#include "volume/examine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "volume/disk.h"
#include "volume/subvolume.h"
#include "volume/subvolumes.h"

/* One reading of a value. */
struct reading {
    struct examine *examine;
    struct subvolume *sub;
    const struct disk *disk;
    bool direct; /* past the page cache */
    bool first;  /* no step has been made yet: the file may be any */
    uint64_t size;
    struct store_attributes attributes;
    struct md5 *md5;
};

/* With `err`: why it could not be read. Else the reason stands there already. */
static enum examine_result damaged(struct examine *examine, int err)
{
    examine->err = err ? err : examine->err;
    if (err)
        (void)snprintf(examine->reason, sizeof examine->reason, "it cannot be read: %s",
                       strerror(err));
    return EXAMINE_DAMAGED;
}

/* What it means that a value cannot be opened. store_open() has compared the size already. What is
 * short (descriptors, memory) or away passes. ST_IO stands for many errors; the value's are those
 * that the disk has failed with. A file that we may not open, say, says nothing of its disk, and
 * must not make it read-only. */
static enum examine_result not_opened(struct examine *examine, struct subvolume *sub,
                                      const struct store_value *value, enum status st)
{
    if (value->damaged) {
        examine->device = value->device;
        examine->inode = value->inode;
        examine->bytes = value->size;
        (void)snprintf(examine->reason, sizeof examine->reason,
                       "it has %" PRIu64 " bytes, and should have %" PRIu64, value->size,
                       value->attributes.size);
        return EXAMINE_DAMAGED;
    }
    if (st == ST_NOT_FOUND || st == ST_CONFLICT)
        return EXAMINE_GONE;
    return st == ST_IO && subvolume_failed(sub) ? damaged(examine, EIO) : EXAMINE_LATER;
}

/* The file of the first step, or the one that should be it. The size counts too: nothing of
 * larder's appends to a value, but others may. */
static bool is_same(struct reading *r, const struct store_value *value)
{
    struct examine *examine = r->examine;
    if (r->first) {
        examine->device = value->device;
        examine->inode = value->inode;
        examine->bytes = r->size = value->size;
        r->attributes = value->attributes;
        r->first = false;
    }
    return examine->device == value->device && examine->inode == value->inode &&
           r->size == value->size;
}

/* The last read of a file that is no multiple of the block is short, which O_DIRECT allows; only
 * its place and the room for it must be aligned. */
static ssize_t read_some(struct reading *r, int fd, uint64_t offset)
{
    ssize_t n;
    if (r->direct && r->disk->bypass(fd, true))
        r->direct = false; /* not on this file system */
    do
        n = r->disk->read(fd, r->examine->buffer, EXAMINE_STEP, offset);
    while (n < 0 && errno == EINTR);
    if (n >= 0 || !r->direct || errno != EINVAL)
        return n;
    /* It wants to be read in another alignment. */
    r->direct = false;
    (void)r->disk->bypass(fd, false);
    return r->disk->read(fd, r->examine->buffer, EXAMINE_STEP, offset);
}

/* Reads the step at `offset`; *got is its length. */
static enum examine_result read_step(struct reading *r, uint64_t offset, size_t *got)
{
    struct store_value value;
    struct examine *examine = r->examine;
    *got = 0;
    enum status st = store_open(examine->at, &value);
    if (st)
        return not_opened(examine, r->sub, &value, st);
    enum examine_result result = is_same(r, &value) ? EXAMINE_GOOD : EXAMINE_GONE;
    if (result == EXAMINE_GOOD && value.size > 0) {
        ssize_t n = read_some(r, value.fd, offset);
        if (n < 0)
            result = errno == ENOMEM ? EXAMINE_LATER : damaged(examine, errno);
        else if (n == 0)
            result = EXAMINE_GONE; /* it became shorter now: not by us, and the next round sees */
        else
            *got = (size_t)n;
        if (!r->direct)
            r->disk->forget(value.fd, offset, EXAMINE_STEP);
    }
    (void)r->disk->close(value.fd);
    return result;
}

/* Broken attributes are looked at only now, behind the reading: an I/O error would say more. */
static enum examine_result compare(struct reading *r)
{
    struct examine *examine = r->examine;
    unsigned char digest[MD5_SIZE];
    char hex[MD5_HEX + 1];
    if (md5_finish(r->md5, digest))
        return EXAMINE_LATER;
    md5_hex(digest, hex);
    if (r->attributes.broken) {
        (void)snprintf(examine->reason, sizeof examine->reason,
                       "an attribute that says what it should be is damaged itself");
        return EXAMINE_DAMAGED;
    }
    /* Without an MD5 to compare with, that it could be read is all there is to know. */
    if (!r->attributes.md5[0] || !strcmp(r->attributes.md5, hex))
        return EXAMINE_GOOD;
    (void)snprintf(examine->reason, sizeof examine->reason, "its MD5 is %s, and should be %s", hex,
                   r->attributes.md5);
    return EXAMINE_DAMAGED;
}

/* A value of no bytes is one step, too: that opens it. */
static enum examine_result read_all(struct reading *r)
{
    struct examine *examine = r->examine;
    enum examine_result result;
    uint64_t offset = 0;
    do {
        size_t got;
        result = read_step(r, offset, &got);
        if (result != EXAMINE_GOOD)
            return result;
        md5_update(r->md5, examine->buffer, got);
        offset += got;
        if (!examine->pause(examine->arg, got))
            return EXAMINE_STOPPED;
    } while (offset < r->size);
    return compare(r);
}

/* One reading from the first byte to the comparison, with a digest of its own. */
static enum examine_result read_once(struct examine *examine, struct subvolume *sub, bool direct)
{
    struct reading r = {.examine = examine,
                        .sub = sub,
                        .disk = subvolume_disk(sub),
                        .direct = direct,
                        .first = true};
    r.md5 = md5_new();
    if (!r.md5)
        return EXAMINE_LATER;
    enum examine_result result = read_all(&r);
    md5_free(r.md5);
    return result;
}

/* Empties the page cache of the value, as far as nobody is reading it: a second reading of what the
 * cache has would agree with nothing but the first. */
static void forget(const struct examine *examine, const struct disk *disk)
{
    struct store_value value;
    if (store_open(examine->at, &value))
        return;
    disk->forget(value.fd, 0, 0);
    (void)disk->close(value.fd);
}

/* `err` stays from the first reading also where the second is good: the disk has failed to read. */
enum examine_result examine_value(struct examine *examine)
{
    struct subvolume *sub = subvolumes_find(examine->at->all, examine->at->subvolume);
    if (!sub)
        return EXAMINE_GONE;
    examine->bytes = 0;
    examine->device = 0;
    examine->inode = 0;
    examine->err = 0;
    examine->reason[0] = '\0';
    enum examine_result result = read_once(examine, sub, true);
    if (result != EXAMINE_DAMAGED)
        return result;
    forget(examine, subvolume_disk(sub));
    result = read_once(examine, sub, false);
    if (result == EXAMINE_GOOD)
        log_event(LOG_WARN, "scrub",
                  "subvolume=\"%s\" path=\"%s\" error=\"read wrongly once, and rightly then: %s\" "
                  "advice=\"check the disk, its cable, and the memory\"",
                  subvolume_name(sub), examine->at->file, examine->reason);
    return result;
}
