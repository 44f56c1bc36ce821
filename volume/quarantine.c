/*
 * Operations on one subvolume's quarantine. Each enters the subvolume, and closes it again (begin,
 * end), so that nothing of the disk stays open.
 *
 * Two races shape it. A PUT may replace the value while it is moved away: so the file at the path
 * is compared with the one that was examined, and moved, under subvolume_hold_names(), which keeps
 * every rename to a value's name out for that moment. And a crash may come anywhere: so the note is
 * durable first, then the value moves, then both directories are synced. A note without its value
 * means that the value stands where it was.
 */
#include "volume/quarantine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "volume/disk.h"
#include "volume/parents.h"
#include "volume/quarantine_names.h"
#include "volume/subvolume.h"

/* An operation on the quarantine of a subvolume; on the stack of its thread, from begin() to
 * end(). */
struct work {
    const struct store_at *at;
    struct subvolume *sub;
    const struct disk *disk;
    int root; /* the subvolume's directory */
    int fd;   /* the quarantine's */
};

/* Notes and logs an error; the status for whoever asked. */
static enum status failed(const struct work *work, const char *doing, int err)
{
    return subvolume_error(work->sub, work->at->request, doing, work->at->file, err);
}

static enum status sync_directory(const struct work *work)
{
    if (work->disk->sync(work->fd) == 0)
        return ST_OK;
    return subvolume_sync_error(work->sub, work->at->request, "fsync", QUARANTINE_DIRECTORY, errno);
}

/* durable_mkdir() has no errno left: its fsync may have failed, so what is not known is an error of
 * the disk. */
static int errno_of(enum status st)
{
    return st == ST_NO_SPACE ? ENOSPC : st == ST_READ_ONLY ? EROFS : EIO;
}

/* The quarantine, and .larder, are made where missing: durably, before anything is in them. */
static enum status make_directory(const struct work *work)
{
    enum status st = durable_mkdir(work->root, ".larder");
    int own = st ? -1 : work->disk->open(work->root, ".larder", O_RDONLY | O_DIRECTORY, 0);
    if (own < 0)
        return st ? failed(work, "make .larder for", errno_of(st))
                  : failed(work, "open .larder for", errno);
    if (work->disk->mkdir(own, "quarantine", 0755) && errno != EEXIST)
        st = failed(work, "make a quarantine for", errno);
    else if (work->disk->sync(own))
        st = subvolume_sync_error(work->sub, work->at->request, "fsync", ".larder", errno);
    (void)work->disk->close(own);
    return st;
}

/* Enters the subvolume and opens its quarantine, which `make` makes. After any result but ST_OK
 * there is nothing to end. `use` is what the subvolume must allow: SUBVOLUME_DELETE for what
 * writes, since little room is needed. */
static enum status begin(struct work *work, const struct store_at *at, int use, bool make)
{
    enum status st;
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    *work = (struct work){.at = at, .fd = -1};
    work->root = store_enter(at, use, &work->sub, &st);
    if (work->root < 0)
        return st;
    work->disk = subvolume_disk(work->sub);
    work->fd = work->disk->open(work->root, QUARANTINE_DIRECTORY, flags, 0);
    if (work->fd < 0 && errno == ENOENT && make) {
        st = make_directory(work);
        if (!st)
            work->fd = work->disk->open(work->root, QUARANTINE_DIRECTORY, flags, 0);
    }
    if (work->fd >= 0)
        return ST_OK;
    if (!st)
        st = errno == ENOENT ? ST_NOT_FOUND : failed(work, "open the quarantine for", errno);
    (void)work->disk->close(work->root);
    return st;
}

static void end(const struct work *work)
{
    (void)work->disk->close(work->fd);
    (void)work->disk->close(work->root);
}

/* --- Names --- */

/* The time sorts them, for people, and tells those of one process from another's; the count tells
 * two of one millisecond apart. */
static void make_id(char id[QUARANTINE_ID])
{
    static atomic_uint count;
    (void)snprintf(id, QUARANTINE_ID, "%012" PRIx64 "-%x", loop_wall_ms(),
                   atomic_fetch_add(&count, 1));
}

static void note_name(const char *id, const char *suffix, char name[QUARANTINE_FILE_NAME])
{
    (void)snprintf(name, QUARANTINE_FILE_NAME, "%s%s", id, suffix);
}

/* --- Taking --- */

/* The note's content, onto the disk. */
static enum status write_all(const struct work *work, int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = work->disk->write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(work, "note the damage of", n < 0 ? errno : EIO);
        data += n;
        len -= (size_t)n;
    }
    if (work->disk->sync(fd))
        return subvolume_sync_error(work->sub, work->at->request, "fsync", QUARANTINE_DIRECTORY,
                                    errno);
    return ST_OK;
}

/* Where that fails the note stays, and the next scan examines a value that is good, or gone: no
 * harm. */
static void drop_note(const struct work *work, const char *name)
{
    if (work->disk->unlink(work->fd, name))
        (void)failed(work, "remove the note on", errno);
}

/* Writes ID.untold, and makes it durable. */
static enum status write_note(const struct work *work, const struct quarantine_entry *entry,
                              const char *name)
{
    struct buf text = BUF_INIT;
    enum status st = ST_NO_MEMORY;
    buf_adds(&text, "{\"path\": ");
    json_add_string(&text, work->at->file, strlen(work->at->file));
    buf_adds(&text, ", \"reason\": ");
    json_add_string(&text, entry->reason, strlen(entry->reason));
    buf_addf(&text, ", \"found\": %" PRIu64 "}\n", loop_wall_ms());
    if (!buf_ok(&text))
        goto no_text;
    int fd = work->disk->open(work->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
    if (fd < 0) {
        st = failed(work, "note the damage of", errno);
        goto no_text;
    }
    st = write_all(work, fd, text.data, text.len);
    if (work->disk->close(fd) && !st)
        st = failed(work, "close the note on", errno);
    if (!st)
        st = sync_directory(work);
    if (st)
        drop_note(work, name);
no_text:
    buf_free(&text);
    return st;
}

/* Moves the value, if it is still the one that was examined. */
static enum status move_value(const struct work *work, const struct parents *p,
                              const struct quarantine_entry *entry)
{
    const char *file = parents_name(work->at->file);
    char name[QUARANTINE_FILE_NAME];
    struct stat is;
    enum status st = ST_OK;
    quarantine_names_value(entry->id, strlen(entry->id), work->at->file, name);
    /* From here to the release no PUT puts another file in its place. */
    subvolume_hold_names(work->sub, false);
    bool known = work->disk->stat_at(p->fd, file, &is) == 0;
    if (!known)
        st = errno == ENOENT ? ST_NOT_FOUND : ST_IO;
    else if (entry->inode && (is.st_dev != entry->device || is.st_ino != entry->inode))
        st = ST_NOT_FOUND;
    else if (work->disk->rename(p->fd, file, work->fd, name))
        st = errno == ENOENT ? ST_NOT_FOUND : ST_IO;
    int err = errno;
    subvolume_release_names(work->sub);
    return st == ST_IO ? failed(work, "move to the quarantine", err) : st;
}

/* The note is removed again where the value has not moved, by whatever failed or because another
 * has taken its place; once it has moved, the note stays with it. */
enum status quarantine_take(const struct store_at *at, struct quarantine_entry *entry)
{
    struct work work;
    struct parents p;
    char note[QUARANTINE_FILE_NAME];
    enum status st = begin(&work, at, SUBVOLUME_DELETE, true);
    if (st)
        return st;
    make_id(entry->id);
    note_name(entry->id, QUARANTINE_UNTOLD, note);
    st = write_note(&work, entry, note);
    if (st)
        goto no_note;
    st = parents_open(&p, work.sub, work.root, at->file, false, at->request);
    if (!st) {
        st = move_value(&work, &p, entry);
        /* Two directories have changed: the one that it went to is synced here, the one that it
         * left by parents_close(). */
        bool moved = !st;
        if (moved) {
            subvolume_add_quarantined(work.sub);
            st = sync_directory(&work);
        }
        enum status closed = parents_close(&p, moved);
        st = st ? st : closed;
        if (moved)
            goto no_note; /* the note belongs to it from here on, durable or not */
    }
    drop_note(&work, note);
no_note:
    end(&work);
    return st;
}

/* --- Afterwards --- */

/* A rename, so there is always one of the two notes. */
enum status quarantine_told(const struct store_at *at, const char *id)
{
    struct work work;
    char from[QUARANTINE_FILE_NAME], to[QUARANTINE_FILE_NAME];
    enum status st = begin(&work, at, SUBVOLUME_DELETE, false);
    if (st)
        return st;
    note_name(id, QUARANTINE_UNTOLD, from);
    note_name(id, QUARANTINE_TOLD, to);
    if (work.disk->rename(work.fd, from, work.fd, to))
        st = errno == ENOENT ? ST_NOT_FOUND : failed(&work, "mark as told", errno);
    else
        st = sync_directory(&work);
    end(&work);
    return st;
}

enum status quarantine_drop(const struct store_at *at, const char *id)
{
    struct work work;
    char name[QUARANTINE_FILE_NAME];
    enum status st = begin(&work, at, SUBVOLUME_DELETE, false);
    if (st)
        return st;
    note_name(id, QUARANTINE_UNTOLD, name);
    drop_note(&work, name);
    st = sync_directory(&work);
    end(&work);
    return st;
}

/* The path that a note tells; "" where it tells none. */
static void read_path(const struct work *work, const char *note, struct buf *path)
{
    struct buf text = BUF_INIT;
    buf_clear(path);
    enum status st = durable_read(work->fd, note, &text);
    struct json *json = st ? NULL : json_parse(buf_text(&text), text.len, NULL);
    const char *told_path = json_text(json_member(json, "path"));
    if (told_path)
        buf_adds(path, told_path);
    else
        log_event(LOG_ERROR, "scrub",
                  "subvolume=\"%s\" note=\"%s\" error=\"a note in quarantine cannot be read: %s\"",
                  subvolume_name(work->sub), note, status_text(st ? st : ST_CORRUPT));
    json_free(json);
    buf_free(&text);
}

/* Tells `found` of one note, and whether its value is there, under the name that id and path make.
 * Where the path cannot be read nobody can tell, and it counts as there: it is left to people. */
static bool scan_note(const struct work *work, const char *note, struct buf *path,
                      bool (*found)(void *arg, const char *id, const char *path, bool there),
                      void *arg)
{
    char id[QUARANTINE_ID], name[QUARANTINE_FILE_NAME];
    struct stat is;
    size_t len = strlen(note) - (sizeof QUARANTINE_UNTOLD - 1);
    if (len >= sizeof id)
        return true; /* not one of ours */
    memcpy(id, note, len);
    id[len] = '\0';
    read_path(work, note, path);
    quarantine_names_value(id, len, buf_text(path), name);
    bool there = path->len == 0 || work->disk->stat_at(work->fd, name, &is) == 0;
    return found(arg, id, buf_text(path), there);
}

/* All names are read, also after `found` has had enough: the number of values is counted on the
 * way. */
enum status quarantine_scan(const struct store_at *at,
                            bool (*found)(void *arg, const char *id, const char *path, bool there),
                            void *arg)
{
    struct work work;
    struct buf path = BUF_INIT;
    uint64_t values = 0;
    bool more = true;
    enum status st = begin(&work, at, SUBVOLUME_READ, false);
    if (st)
        return st == ST_NOT_FOUND ? ST_OK : st;
    DIR *dir = quarantine_names_list(work.fd, ".");
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        values += quarantine_names_is_value(entry->d_name);
        if (more && quarantine_names_is_untold(entry->d_name))
            more = scan_note(&work, entry->d_name, &path, found, arg);
    }
    if (dir) {
        (void)closedir(dir);
        subvolume_set_quarantined(work.sub, values);
    }
    buf_free(&path);
    end(&work);
    return dir ? ST_OK : ST_NO_MEMORY;
}
