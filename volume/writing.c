#include "volume/writing.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/planted.h"
#include "volume/digests.h"
#include "volume/disk.h"
#include "volume/parents.h"
#include "volume/subvolume.h"
#include "volume/syncer.h"

/* A big value goes to the disk while it arrives, so that the fsync at its end does not take long.
 */
enum {
    SPREAD_BYTES = 2 * 1024 * 1024,
    LARGE = 256 * 1024, /* what is larger keeps others from waiting for it: see syncer.h */
    SINGLE = 64 * 1024, /* so many bytes are hashed at once: no look whether others have some */
    RENAME_TRIES = 3
};

struct writing {
    const struct store_at *at; /* the caller's */
    struct subvolume *sub;
    const struct disk *disk;
    int root; /* the subvolume's directory */
    int fd;   /* the temp file; -1 once it is closed */
    char temp[SUBVOLUME_TEMP_NAME];
    bool has_temp; /* it is there, to be removed */
    bool direct;   /* past the page cache */
    struct md5_run md5;
    uint64_t written;
    bool large;             /* the syncer knows */
    uint64_t spread;        /* bytes that are on their way to the disk */
    struct stat is;         /* of the temp file, when it was complete; st_ino 0: not known */
    bool ready;             /* complete, synced and closed: may be put in its place */
    struct parents parents; /* while it is being put there: */
    bool placing;           /* they are open */
};

static enum status failed(struct writing *w, const char *doing, int err)
{
    return subvolume_error(w->sub, w->at->request, doing, w->at->file, err);
}

/* --- Beginning --- */

/* The directory for temp files of a subvolume that has none yet. It needs no fsync: what matters
 * leaves it. */
static void make_temp_directory(const struct writing *w)
{
    (void)w->disk->mkdir(w->root, ".larder", 0755); /* the open that follows tells */
    (void)w->disk->mkdir(w->root, ".larder/tmp", 0755);
}

static enum status open_temp(struct writing *w)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    subvolume_temp_name(w->sub, w->temp);
    w->fd = w->disk->open(w->root, w->temp, flags, 0644);
    if (w->fd < 0 && errno == ENOENT) {
        make_temp_directory(w);
        w->fd = w->disk->open(w->root, w->temp, flags, 0644);
    }
    if (w->fd < 0)
        return failed(w, "make a temp file", errno);
    w->has_temp = true;
    return ST_OK;
}

enum status writing_begin(struct writing **writing, const struct store_at *at)
{
    enum status st = ST_NO_MEMORY;
    struct writing *w = calloc(1, sizeof *w);
    if (!w)
        return ST_NO_MEMORY;
    w->at = at;
    md5_run_begin(&w->md5);
    w->root = store_enter(at, SUBVOLUME_WRITE, &w->sub, &st);
    if (w->root < 0)
        goto no_root;
    w->disk = subvolume_disk(w->sub);
    st = open_temp(w);
    if (st)
        goto no_temp;
    *writing = w;
    return ST_OK;

no_temp:
    (void)w->disk->close(w->root);
no_root:
    free(w);
    return st;
}

/* --- Adding --- */

void writing_bypass_cache(struct writing *w)
{
    w->direct = w->disk->bypass(w->fd, true) == 0;
}

/* Through the page cache from here on. */
static void end_direct(struct writing *w)
{
    (void)w->disk->bypass(w->fd, false); /* where that fails, so does the write that follows */
    w->direct = false;
}

/* O_DIRECT takes whole blocks from memory that begins at one; the rest of a value is none. */
static bool is_in_blocks(const void *data, size_t len)
{
    return ((uintptr_t)data | len) % WRITING_BLOCK == 0;
}

static enum status write_all(struct writing *w, const char *data, size_t len)
{
    while (len > 0) {
        if (w->direct && !is_in_blocks(data, len))
            end_direct(w);
        ssize_t n = w->disk->write(w->fd, data, len);
        if (n < 0 && errno == EINVAL && w->direct) { /* a file system that cannot do it */
            end_direct(w);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(w, "write", n < 0 ? errno : EIO);
        data += n;
        len -= (size_t)n;
        w->written += (uint64_t)n;
    }
    return ST_OK;
}

/* Writes and hashes; many bytes together with those of others, if there are any. */
static enum status write_and_hash(struct writing *w, const void *data, size_t len)
{
    struct digests *digests = subvolume_digests(w->sub);
    struct digests_part part = {.more = {&w->md5, data, len}};
    if (len <= SINGLE) {
        md5_run_add(&part.more);
        return write_all(w, data, len);
    }
    digests_offer(digests, &part);
    enum status st = write_all(w, data, len);
    digests_collect(digests, &part);
    return st;
}

enum status writing_add(struct writing *w, const void *data, size_t len)
{
    if (!w->large && w->written + len > LARGE) {
        w->large = true;
        syncer_large_begins(subvolume_syncer(w->sub));
    }
    enum status st = write_and_hash(w, data, len);
    if (st || w->direct || w->written - w->spread < SPREAD_BYTES)
        return st;
    if (w->disk->spread(w->fd, w->spread, w->written - w->spread) && errno != ENOSYS &&
        errno != EINVAL && errno != ESPIPE && errno != EOPNOTSUPP && errno != EPERM)
        return failed(w, "sync_file_range", errno);
    w->spread = w->written;
    return ST_OK;
}

/* --- Finishing --- */

/* Sets *supported to false where the file system has no attributes: a value is good without. */
static enum status set_attribute(struct writing *w, const char *name, const char *text,
                                 bool *supported)
{
    if (!*supported || w->disk->set_attribute(w->fd, name, text, strlen(text)) == 0)
        return ST_OK;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return failed(w, "set attribute", errno);
    *supported = false;
    return ST_OK;
}

/* The order is for ext4: an inode of 256 bytes has room for the first two, and what comes last
 * takes a block. With the digest first the other two went there one after the other, where files of
 * the same size and time shared a block: for each file a block was taken, and given back. */
static enum status set_attributes(struct writing *w, const struct writing_end *end)
{
    char number[32];
    bool supported = true;
    (void)snprintf(number, sizeof number, "%" PRIu64, w->written);
    enum status st = set_attribute(w, "user.larder.size", number, &supported);
    if (!st) {
        (void)snprintf(number, sizeof number, "%" PRIu64, loop_wall_ms());
        st = set_attribute(w, "user.larder.created", number, &supported);
    }
    if (!st)
        st = set_attribute(w, "user.larder.md5", end->md5, &supported);
    /* The usual type is what a value without one has: on ext4 the attribute is 5 of 90 us. */
    if (!st && end->type && strcmp(end->type, STORE_TYPE_USUAL) != 0 &&
        strlen(end->type) <= STORE_TYPE_MAX)
        st = set_attribute(w, "user.larder.type", end->type, &supported);
    return st;
}

static enum status check_digest(struct writing *w, struct writing_end *end)
{
    unsigned char digest[MD5_SIZE];
    md5_run_end(&w->md5, digest);
    md5_hex(digest, end->md5);
    return end->expected && strcmp(end->expected, end->md5) != 0 ? ST_DIGEST : ST_OK;
}

/* What is to be moved is all on the disk by now; which file it is, for identify(). */
static enum status close_file(struct writing *w)
{
    if (fstat(w->fd, &w->is))
        w->is.st_ino = 0;
    int fd = w->fd;
    w->fd = -1;
    return w->disk->close(fd) ? failed(w, "close", errno) : ST_OK;
}

/* All of each file, with its attributes, onto the disk. */
static void sync_files(struct writing_last *list, unsigned count)
{
    struct syncer_file files[WRITING_MANY];
    struct writing_last *whose[WRITING_MANY];
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        if (!list[i].result) {
            files[n].fd = list[i].value->fd;
            files[n].err = 0;
            whose[n++] = &list[i];
        }
    if (n > 0 && !planted("skip-fsync"))
        syncer_sync_many(subvolume_syncer(whose[0]->value->sub), files, n);
    for (unsigned i = 0; i < n; i++) {
        struct writing *w = whose[i]->value;
        whose[i]->result = files[i].err ? subvolume_sync_error(w->sub, w->at->request, "fsync",
                                                               w->at->file, files[i].err)
                                        : close_file(w);
        w->ready = whose[i]->result == ST_OK;
    }
}

/* Moves the temp file into the open directory. */
static enum status rename_into(struct writing *w, const struct parents *p, bool *replaced)
{
    const char *name = parents_name(w->at->file);
    struct stat is;
    *replaced = false;
    if (w->disk->stat_at(p->fd, name, &is) == 0) {
        if (S_ISDIR(is.st_mode))
            return ST_CONFLICT;
        *replaced = true;
    } else if (errno != ENOENT) {
        return failed(w, "stat", errno);
    }
    subvolume_hold_names(w->sub, true);
    int renamed = w->disk->rename(w->root, w->temp, p->fd, name);
    subvolume_release_names(w->sub);
    if (renamed == 0) {
        w->has_temp = false;
        return ST_OK;
    }
    if (errno == ENOENT)
        return ST_NOT_FOUND;
    if (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST)
        return ST_CONFLICT;
    return failed(w, "rename", errno);
}

/* The file under the value's name: ours, unless another has been renamed there meanwhile. The
 * rename has changed its ctime. Plain calls: nothing durable depends on them. */
static void identify(const struct writing *w, const struct parents *p, struct trusted_file *stored)
{
    struct stat is;
    stored->inode = 0;
    if (w->is.st_ino != 0 &&
        fstatat(p->fd, parents_name(w->at->file), &is, AT_SYMLINK_NOFOLLOW) == 0 &&
        is.st_ino == w->is.st_ino && is.st_dev == w->is.st_dev)
        *stored = trusted_identify(is.st_dev, is.st_ino, is.st_ctim, (uint64_t)is.st_size);
}

/* ST_NOT_FOUND: somebody has removed the directory between the open and the rename. Whatever it
 * is, w->parents is to be closed if w->placing is set. */
static enum status put_in_place(struct writing *w, struct writing_end *end)
{
    enum status st = parents_open(&w->parents, w->sub, w->root, w->at->file, true, w->at->request);
    w->placing = st == ST_OK;
    if (!st)
        st = store_pass_fence(w->at);
    if (!st)
        st = rename_into(w, &w->parents, &end->replaced);
    if (!st)
        identify(w, &w->parents, &end->stored);
    return st;
}

/* Makes durable where they are now, or that they are nowhere. */
static void close_parents(struct writing_last *list, unsigned count)
{
    struct parents_closing closings[WRITING_MANY];
    struct writing_last *whose[WRITING_MANY];
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        struct writing *w = list[i].value;
        if (!w->placing)
            continue;
        w->placing = false;
        closings[n] =
            (struct parents_closing){.parents = &w->parents, .changed = list[i].result == ST_OK};
        whose[n++] = &list[i];
    }
    parents_close_many(closings, n);
    for (unsigned i = 0; i < n; i++)
        if (closings[i].result)
            whose[i]->result = closings[i].result;
}

/* Those that are synced, to their places. */
static void put_all_in_place(struct writing_last *list, unsigned count)
{
    for (int tries = 0; tries < RENAME_TRIES; tries++) {
        for (unsigned i = 0; i < count; i++)
            if (list[i].value->ready && (tries == 0 || list[i].result == ST_NOT_FOUND))
                list[i].result = put_in_place(list[i].value, list[i].end);
        close_parents(list, count);
    }
    for (unsigned i = 0; i < count; i++)
        if (list[i].value->ready && list[i].result == ST_NOT_FOUND) {
            (void)failed(list[i].value, "rename", ENOENT);
            list[i].result = ST_CONFLICT;
        }
}

static void free_writing(struct writing *w)
{
    if (w->fd >= 0)
        (void)w->disk->close(w->fd); /* what matters was synced */
    if (w->has_temp && w->disk->unlink(w->root, w->temp))
        (void)failed(w, "remove the temp file", errno);
    (void)w->disk->close(w->root);
    if (w->large)
        syncer_large_ends(subvolume_syncer(w->sub));
    free(w);
}

void writing_finish_many(struct writing_last *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct writing_last *last = &list[i];
        last->end->stored.inode = 0;
        last->result = check_digest(last->value, last->end);
        if (!last->result)
            last->result = set_attributes(last->value, last->end);
    }
    sync_files(list, count);
    put_all_in_place(list, count);
    for (unsigned i = 0; i < count; i++) {
        if (!list[i].result)
            subvolume_note_written(list[i].value->sub, list[i].value->written);
        free_writing(list[i].value);
        list[i].value = NULL;
    }
}

enum status writing_finish(struct writing *w, struct writing_end *end)
{
    struct writing_last last = {.value = w, .end = end};
    writing_finish_many(&last, 1);
    return last.result;
}

void writing_abort(struct writing *w)
{
    if (w)
        free_writing(w);
}
