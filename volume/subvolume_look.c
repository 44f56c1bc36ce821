/*
 * Looking at the disk of a subvolume: is it there, is it the one that it was; and going into it.
 *
 * The trap is a mount that is missing: its mount point is an empty directory, in which every value
 * is 'not found' and a PUT would be lost under the disk when it comes back. So a directory is
 * believed only while its device and inode are those of the last look that found the right
 * identity; every operation compares them (verify), and where they differ, looks first.
 *
 * Only one thread looks at a disk at a time (check_lock). What it finds is published at once, under
 * `lock`, so a look that hangs leaves the others what was known before, and `checking_since`, which
 * tells them after a while that the disk does not answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "volume/disk.h"
#include "volume/identity.h"
#include "volume/quarantine_names.h"
#include "volume/subvolume_state.h"

/* --- Looking at the disk --- */

static const char *directory_name(const struct subvolume *sub)
{
    return sub->index == 0 ? "." : sub->name;
}

/* DIR itself must still be what stands at its path: another disk may be mounted over it. */
static bool home_is_there(const struct subvolume_home *home)
{
    struct stat held, there;
    return fstat(home->dir_fd, &held) == 0 && stat(home->dir, &there) == 0 &&
           held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

/* What follows from a disk that is not there, or is there and `refused`, or that an I/O error keeps
 * from being looked at. A directory that nobody has made is nothing to complain of: what is wrong
 * with it later has not been said yet. */
static void publish_absent(struct subvolume *sub, bool refused, bool unreadable)
{
    (void)pthread_mutex_lock(&sub->lock);
    sub->present = false;
    sub->refused = refused;
    sub->complained = refused || sub->id[0] || sub->was_present;
    sub->failed = sub->failed || unreadable;
    sub->errors += unreadable;
    sub->device = 0;
    sub->inode = 0;
    if (!sub->id[0])
        sub->was_present = false; /* a directory that somebody removed: nothing is missing */
    (void)subvolume_evaluate(sub);
    (void)pthread_mutex_unlock(&sub->lock);
}

/* A look that found the right disk replaces what was known, but not `failed`: an fsync that failed
 * is not undone by a disk that looks well. */
static void publish(struct subvolume *sub, const struct identity_look *look)
{
    (void)pthread_mutex_lock(&sub->lock);
    (void)snprintf(sub->id, sizeof sub->id, "%s", look->id);
    sub->claimed = look->id[0] != '\0';
    sub->present = true;
    sub->was_present = true;
    sub->refused = false;
    sub->complained = false;
    sub->device = look->device;
    sub->inode = look->inode;
    sub->free = look->free;
    sub->total = look->total;
    sub->used = look->used;
    sub->files = look->files;
    sub->full = look->no_inodes || subvolume_has_no_room(sub, look->free);
    sub->mounted_read_only = look->mounted_read_only;
    (void)subvolume_evaluate(sub);
    (void)pthread_mutex_unlock(&sub->lock);
}

/* A disk that this process has not seen before. What a process that was killed left in memory may
 * be visible, and found by its master, and not be on the disk yet: so it is written now. */
static void first_look(struct subvolume *sub, int fd)
{
    identity_clear_temp(fd, sub->home->temp_prefix);
    subvolume_set_quarantined(sub, quarantine_names_count(fd));
    if (sub->home->sync && syncfs(fd))
        (void)subvolume_sync_error(sub, "-", "syncfs", directory_name(sub), errno);
}

/* What is expected of the disk, and which directory was seen the last time. The level: the first
 * look that finds something wrong says so to everybody, the next ones only to those who debug. */
static enum log_level recall(struct subvolume *sub, char expected[IDENTITY_SIZE + 1], dev_t *device,
                             ino_t *inode)
{
    (void)pthread_mutex_lock(&sub->lock);
    memcpy(expected, sub->id, IDENTITY_SIZE + 1);
    *device = sub->device;
    *inode = sub->inode;
    enum log_level level = sub->complained ? LOG_DEBUG : LOG_ERROR;
    (void)pthread_mutex_unlock(&sub->lock);
    return level;
}

/* What an operator can do about a directory that stands there and cannot be opened. */
static const char *open_advice(int err)
{
    if (err == EACCES || err == EPERM)
        return "see to owner and mode of it, and of what it is a link to";
    if (err == ENOTDIR || err == ELOOP)
        return "a subvolume must be a directory, or a link to one: move away what stands there";
    if (err == ENOENT)
        return "a link to nowhere: mount the disk that it is to lead to, or remove it";
    return "see to the disk and how it is mounted";
}

/* Such a link usually is one to a disk that is not mounted. (A directory would be one that a write
 * has made just now.) */
static bool is_link(const struct subvolume *sub)
{
    struct stat st;
    return fstatat(sub->home->dir_fd, directory_name(sub), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISLNK(st.st_mode);
}

/* The directory did not open, with errno `err`. Where there is none nothing was refused: a write
 * would make it, unless it must have a disk. All else is, or a master would take the subvolume for
 * one that is only to be made, and send write after write there. */
static enum identity_result not_opened(const struct subvolume *sub, int err, const char *expected,
                                       enum log_level level, bool *refused)
{
    if (err == EMFILE || err == ENFILE || err == ENOMEM)
        return IDENTITY_UNKNOWN;
    *refused = err != ENOENT || is_link(sub);
    if (*refused)
        log_event(level, "subvolume",
                  "subvolume=\"%s\" doing=\"open its directory\" error=\"%s\" advice=\"%s\"",
                  sub->name, strerror(err), open_advice(err));
    else if (expected[0] != '\0')
        log_event(level, "subvolume",
                  "subvolume=\"%s\" expected=%s error=\"its directory is gone\" advice=\"mount it; "
                  "to begin anew without it, stop and remove %s/.larder/subvolumes/%s\"",
                  sub->name, expected, sub->home->dir, sub->name);
    return subvolume_is_disk_error(err) ? IDENTITY_UNREADABLE : IDENTITY_WRONG;
}

/* Opens what is to be looked at. -1 and *result; *refused: something stands there all the same. */
static int open_to_look(const struct subvolume *sub, const char *expected, enum log_level level,
                        enum identity_result *result, bool *refused)
{
    *result = IDENTITY_WRONG;
    *refused = false;
    if (!home_is_there(sub->home))
        return -1;
    int fd = openat(sub->home->dir_fd, directory_name(sub), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        *result = not_opened(sub, errno, expected, level, refused);
    return fd;
}

/* A look that could not be made says nothing of the disk: what was known of it stays. */
static void postpone(struct subvolume *sub, enum log_level level)
{
    log_event(
        level, "subvolume",
        "subvolume=\"%s\" error=\"descriptors or memory are short, so the disk was not looked "
        "at\" advice=\"raise the limit (ulimit -n), or lower --max-connections\"",
        sub->name);
    (void)pthread_mutex_lock(&sub->lock);
    sub->complained = true;
    (void)pthread_mutex_unlock(&sub->lock);
}

/* With check_lock. The first look's syncfs comes before what it found is published, so nothing is
 * served from a disk that may still lose it. */
static void look_at_disk(struct subvolume *sub)
{
    char expected[IDENTITY_SIZE + 1];
    dev_t device;
    ino_t inode;
    struct identity_look look = {0};
    enum identity_result result;
    bool refused;
    enum log_level level = recall(sub, expected, &device, &inode);
    int fd = open_to_look(sub, expected, level, &result, &refused);
    if (fd >= 0)
        result = identity_look(fd, sub->home, sub->name, expected, level, &look);
    if (result == IDENTITY_RIGHT && (look.device != device || look.inode != inode))
        first_look(sub, fd);
    if (result == IDENTITY_RIGHT)
        publish(sub, &look);
    else if (result == IDENTITY_UNKNOWN)
        postpone(sub, level);
    else
        publish_absent(sub, refused || fd >= 0, result == IDENTITY_UNREADABLE);
    if (fd >= 0)
        (void)close(fd);
}

static void set_checking(struct subvolume *sub, uint64_t since)
{
    (void)pthread_mutex_lock(&sub->lock);
    sub->checking_since = since;
    (void)pthread_mutex_unlock(&sub->lock);
}

void subvolume_check(struct subvolume *sub, bool wait)
{
    if (wait)
        (void)pthread_mutex_lock(&sub->check_lock);
    else if (pthread_mutex_trylock(&sub->check_lock))
        return;
    set_checking(sub, loop_now_ms());
    look_at_disk(sub);
    set_checking(sub, 0);
    (void)pthread_mutex_unlock(&sub->check_lock);
}

/* --- Entering --- */

/* Gives a disk its identity, before the first value goes to it: on the disk first, so that a crash
 * leaves nothing that looks like a disk that went away. Under check_lock, or two first PUTs would
 * give it two. */
static enum status claim(struct subvolume *sub, int fd, const char *request)
{
    (void)pthread_mutex_lock(&sub->check_lock);
    char id[IDENTITY_SIZE + 1];
    (void)pthread_mutex_lock(&sub->lock);
    bool claimed = sub->claimed;
    (void)pthread_mutex_unlock(&sub->lock);
    enum status st = claimed ? ST_OK : identity_claim(fd, sub->home, sub->name, id);
    if (!claimed && !st) {
        (void)pthread_mutex_lock(&sub->lock);
        memcpy(sub->id, id, sizeof id);
        sub->claimed = true;
        (void)pthread_mutex_unlock(&sub->lock);
        log_event(LOG_INFO, "subvolume", "subvolume=\"%s\" id=%s new", sub->name, id);
    }
    (void)pthread_mutex_unlock(&sub->check_lock);
    if (st)
        log_event(LOG_ERROR, "subvolume",
                  "request=%s subvolume=\"%s\" doing=\"give it an identity\" error=\"%s\"", request,
                  sub->name, status_text(st));
    return st;
}

/* True where the descriptor is the directory that the last check saw. */
static bool is_known(struct subvolume *sub, const struct stat *st, bool *claimed)
{
    (void)pthread_mutex_lock(&sub->lock);
    bool known = sub->present && sub->device == st->st_dev && sub->inode == st->st_ino;
    *claimed = sub->claimed;
    (void)pthread_mutex_unlock(&sub->lock);
    return known;
}

/* -1 and *st. A write makes the directory where there is none; whether there may be none has been
 * seen to (subvolume_admit). */
static int open_directory(struct subvolume *sub, enum subvolume_use use, const char *request,
                          enum status *st)
{
    const struct disk *disk = sub->home->disk;
    const char *name = directory_name(sub);
    int fd = disk->open(sub->home->dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 && errno == ENOENT && use == SUBVOLUME_WRITE) {
        *st = durable_mkdir(sub->home->dir_fd, name);
        if (*st) {
            log_event(LOG_ERROR, "subvolume",
                      "request=%s subvolume=\"%s\" doing=mkdir error=\"%s\"", request, name,
                      status_text(*st));
            return -1;
        }
        fd = disk->open(sub->home->dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
    }
    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == ENOTDIR)
        *st = ST_NOT_FOUND;
    else
        *st = subvolume_error(sub, request, "open", name, errno);
    return -1;
}

/* Checks that the open directory is the right disk. What was admitted by what was known before is
 * admitted again after a new look. */
static enum status verify(struct subvolume *sub, int fd, enum subvolume_use use,
                          const char *request)
{
    struct stat st;
    bool claimed;
    if (sub->home->disk->stat(fd, &st))
        return subvolume_error(sub, request, "stat", directory_name(sub), errno);
    if (!is_known(sub, &st, &claimed)) {
        subvolume_check(sub, true);
        if (!is_known(sub, &st, &claimed))
            return ST_UNAVAILABLE;
        enum status admitted = subvolume_admit(sub, use, 0);
        if (admitted)
            return admitted;
    }
    return use == SUBVOLUME_WRITE && !claimed ? claim(sub, fd, request) : ST_OK;
}

/* The directory is opened first and compared then: a disk that is mounted or unmounted in between
 * is another directory, and this descriptor stays what it was. */
int subvolume_enter(struct subvolume *sub, enum subvolume_use use, const char *request,
                    enum status *st)
{
    *st = subvolume_admit(sub, use, 0);
    if (*st)
        return -1;
    int fd = open_directory(sub, use, request, st);
    if (fd < 0) {
        bool recorded;
        (void)pthread_mutex_lock(&sub->lock);
        recorded = sub->id[0] != '\0';
        (void)pthread_mutex_unlock(&sub->lock);
        /* It must have a disk: that there is no directory is no answer for its values. */
        if (*st == ST_NOT_FOUND && recorded) {
            subvolume_check(sub, true);
            *st = ST_UNAVAILABLE;
        }
        return -1;
    }
    *st = verify(sub, fd, use, request);
    if (!*st)
        return fd;
    (void)sub->home->disk->close(fd);
    return -1;
}

int subvolume_open_now(struct subvolume *sub, const char *file, int flags)
{
    char path[PATH_MAX];
    const struct disk *disk = sub->home->disk;
    if (subvolume_admit(sub, SUBVOLUME_READ, 0))
        return -1;
    int len = snprintf(path, sizeof path, "%s/%s", directory_name(sub), file);
    return len < (int)sizeof path ? disk->open_cached(sub->home->dir_fd, path, flags) : -1;
}
