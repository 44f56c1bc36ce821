/*
 * Identities are small files: `.larder/id` on the disk, and `DIR/.larder/subvolumes/svXX` for what
 * must be there. Only a disk and a record that agree are the disk that it was; the table in
 * DESIGN.md ('Subvolumes') has all four cases. Nothing is kept in memory here: the caller
 * (subvolume_look.c) sees to it that one thread at a time looks at a subvolume.
 */
#include "volume/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "volume/path.h"
#include "volume/subvolume_home.h"

enum status identity_read(int dir_fd, const char *file, char id[IDENTITY_SIZE + 1])
{
    struct buf text = BUF_INIT;
    enum status st = durable_read(dir_fd, file, &text);
    size_t len = strspn(buf_text(&text), "0123456789abcdef");
    if (!st && (len != IDENTITY_SIZE || strspn(buf_text(&text) + len, "\r\n ") + len != text.len))
        st = ST_CORRUPT;
    if (!st) {
        memcpy(id, text.data, IDENTITY_SIZE);
        id[IDENTITY_SIZE] = '\0';
    }
    buf_free(&text);
    return st;
}

/* With a newline, for people with `cat`; identity_read() takes it without, too. */
static enum status write_id(int dir_fd, const char *file, const char *id)
{
    char line[IDENTITY_SIZE + 1];
    memcpy(line, id, IDENTITY_SIZE);
    line[IDENTITY_SIZE] = '\n';
    return durable_write(dir_fd, file, line, sizeof line);
}

/* True where DIR knows this identity under another name: a copied disk, or one mounted twice. Two
 * subvolumes on one disk would each believe that they keep a copy of their own. What cannot be read
 * does not count: adopting goes on only for want of a reason against it. Nor does what is no
 * record: a process that was killed while it wrote one has left its temp file, with this very
 * identity. */
static bool is_recorded(const struct subvolume_home *home, const char *name, const char *id)
{
    bool found = false;
    int fd = openat(home->records_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        (void)close(fd);
    const struct dirent *entry;
    while (dir && !found && (entry = readdir(dir))) {
        char other[IDENTITY_SIZE + 1];
        found = path_subvolume(entry->d_name, strlen(entry->d_name)) != 0 &&
                strcmp(entry->d_name, name) != 0 &&
                !identity_read(home->records_fd, entry->d_name, other) && !strcmp(other, id);
    }
    if (dir)
        (void)closedir(dir);
    return found;
}

/* A disk that bears an identity which DIR does not know: it came from elsewhere, or DIR is new.
 * With the record written, it must be there from now on; without, it is not used: it could not be
 * told from another the next time. */
static bool adopt(const struct subvolume_home *home, const char *name, const char *id,
                  enum log_level level)
{
    if (is_recorded(home, name, id)) {
        log_event(level, "subvolume",
                  "subvolume=\"%s\" id=%s error=\"another subvolume has this identity\" "
                  "advice=\"a disk that is mounted twice, or was copied: unmount one of them\"",
                  name, id);
        return false;
    }
    enum status st = write_id(home->records_fd, name, id);
    log_event(st ? level : LOG_INFO, "subvolume",
              "subvolume=\"%s\" id=%s doing=\"remember the identity\" result=\"%s\"", name, id,
              status_text(st));
    return st == ST_OK;
}

/* What the disk bears, against what it must bear; `id` is what it bears, "" for none. An identity
 * that is damaged, or may not be read, counts as a wrong one: nothing is written to a disk that
 * cannot be told. Rights say nothing of the disk, and are looked at again by every look; an I/O
 * error is remembered against it. */
static enum identity_result compare(int fd, const struct subvolume_home *home, const char *name,
                                    const char *expected, enum log_level level,
                                    char id[IDENTITY_SIZE + 1])
{
    id[0] = '\0';
    errno = 0;
    enum status st = identity_read(fd, ".larder/id", id);
    bool refused = st == ST_IO && (errno == EACCES || errno == EPERM);
    if (st == ST_BUSY || st == ST_NO_MEMORY)
        return IDENTITY_UNKNOWN;
    if (st && st != ST_NOT_FOUND) {
        log_event(
            level, "subvolume", "subvolume=\"%s\" doing=\"read .larder/id\" error=\"%s\"", name,
            refused ? "this process may not read it; see to its owner and mode" : status_text(st));
        return st == ST_IO && !refused ? IDENTITY_UNREADABLE : IDENTITY_WRONG;
    }
    if (!strcmp(id, expected))
        return IDENTITY_RIGHT;
    if (expected[0] == '\0')
        return adopt(home, name, id, level) ? IDENTITY_RIGHT : IDENTITY_WRONG;
    log_event(
        level, "subvolume",
        "subvolume=\"%s\" expected=%s found=\"%s\" error=\"the disk is away, or another one\" "
        "advice=\"mount it; to begin anew with this one, stop and remove %s/.larder/"
        "subvolumes/%s\"",
        name, expected, id, home->dir, name);
    return IDENTITY_WRONG;
}

/* Two calls that also tell whether the file system answers at all; then the identity. */
enum identity_result identity_look(int fd, const struct subvolume_home *home, const char *name,
                                   const char *expected, enum log_level level,
                                   struct identity_look *look)
{
    struct stat st;
    struct statvfs room;
    if (fstat(fd, &st) || fstatvfs(fd, &room)) {
        log_event(level, "subvolume", "subvolume=\"%s\" doing=statvfs error=\"%s\"", name,
                  strerror(errno));
        return IDENTITY_UNREADABLE;
    }
    look->device = st.st_dev;
    look->inode = st.st_ino;
    /* f_bavail is what is left to us; f_bfree also counts what is kept for root. Some file systems
     * have no fixed number of inodes and say 0 files. */
    look->free = (uint64_t)room.f_bavail * room.f_frsize;
    look->total = (uint64_t)room.f_blocks * room.f_frsize;
    look->used = (uint64_t)(room.f_blocks - room.f_bfree) * room.f_frsize;
    look->files = room.f_files > room.f_ffree ? room.f_files - room.f_ffree : 0;
    look->no_inodes = room.f_files > 0 && room.f_favail == 0;
    look->mounted_read_only = (room.f_flag & ST_RDONLY) != 0;
    return compare(fd, home, name, expected, level, look->id);
}

enum status identity_claim(int fd, const struct subvolume_home *home, const char *name,
                           char id[IDENTITY_SIZE + 1])
{
    enum status st = durable_new_identity(id);
    if (!st)
        st = durable_mkdir(fd, ".larder");
    if (st)
        return st;
    int own = openat(fd, ".larder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0)
        return status_of_errno(errno);
    st = durable_mkdir(own, "tmp");
    if (!st)
        st = write_id(own, "id", id);
    if (!st && name[0])
        st = write_id(home->records_fd, name, id);
    (void)close(own);
    return st;
}

/* Not those of this process: a disk may come back while a PUT is on its way to it. */
void identity_clear_temp(int fd, const char *prefix)
{
    int tmp = openat(fd, ".larder/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = tmp < 0 ? NULL : fdopendir(tmp);
    if (!dir && tmp >= 0)
        (void)close(tmp);
    /* One that is removed while its directory is read does not disturb readdir(3). */
    unsigned removed = 0;
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || !strncmp(entry->d_name, prefix, strlen(prefix)))
            continue;
        if (unlinkat(tmp, entry->d_name, 0))
            log_event(LOG_WARN, "subvolume", "doing=\"remove temp file %s\" error=\"%s\"",
                      entry->d_name, strerror(errno));
        else
            removed++;
    }
    if (removed > 0)
        log_event(LOG_INFO, "subvolume", "temp_files_removed=%u", removed);
    if (dir)
        (void)closedir(dir);
}
