/*
 * Small files, written so that a crash at any point leaves the old one or the new one.
 *
 * The order is what counts: the content is synced before the name points to it, or a power loss
 * could leave an empty file under the right name; and the directory is synced after the rename,
 * which is else gone after a power loss on ext4 and XFS. A failed fsync is not repeated: the kernel
 * may have dropped the pages by then, and say that all is well.
 */
#include "common/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"

/* So that a wrong path (a value, a device) given as a config file does not fill the memory. */
enum { READ_MAX = 1024 * 1024 };

/* write() may take less than it is given, where a signal or a disk that fills comes between; 0 for
 * a length above 0 would make this loop for ever, so it counts as an error. */
static enum status write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? status_of_errno(errno) : ST_IO;
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd) ? status_of_errno(errno) : ST_OK;
}

/* O_NOFOLLOW: a link in the place of the temp file would lead the writing elsewhere. A name that
 * was cut off to make that of the temp file would be another file's temp file, too. */
enum status durable_write(int dir_fd, const char *name, const void *data, size_t len)
{
    char temp[256];
    if (snprintf(temp, sizeof temp, "%s.new", name) >= (int)sizeof temp)
        return ST_INTERNAL;
    int fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return status_of_errno(errno);
    enum status st = write_all(fd, data, len);
    if (close(fd) && !st)
        st = status_of_errno(errno);
    if (!st && renameat(dir_fd, temp, dir_fd, name))
        st = status_of_errno(errno);
    if (st) {
        (void)unlinkat(dir_fd, temp, 0);
        return st;
    }
    return fsync(dir_fd) ? status_of_errno(errno) : ST_OK;
}

enum status durable_read(int dir_fd, const char *name, struct buf *out)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return status_of_errno(errno);
    enum status st = ST_OK;
    char piece[4096];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            st = status_of_errno(errno);
        if (n <= 0)
            break;
        buf_add(out, piece, (size_t)n);
        if (out->len > READ_MAX) {
            st = ST_CORRUPT;
            break;
        }
    }
    (void)close(fd); /* it was only read */
    if (!st && !buf_ok(out))
        st = ST_NO_MEMORY;
    return st;
}

enum status durable_mkdir(int dir_fd, const char *name)
{
    if (mkdirat(dir_fd, name, 0755) == 0)
        return fsync(dir_fd) ? status_of_errno(errno) : ST_OK;
    if (errno != EEXIST)
        return status_of_errno(errno);
    /* EEXIST also stands for a file of that name. */
    struct stat is;
    if (fstatat(dir_fd, name, &is, 0))
        return status_of_errno(errno);
    return S_ISDIR(is.st_mode) ? ST_OK : ST_IO;
}

/* flock() and not fcntl(): a lock of the latter is lost as soon as anything in the process closes
 * any descriptor of the file. The file itself is never removed: another process could lock the
 * removed one and a third the new one. */
int durable_lock(int dir_fd, const char *name, enum status *st)
{
    int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        *st = status_of_errno(errno);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        *st = errno == EWOULDBLOCK ? ST_LOCKED : status_of_errno(errno);
        (void)close(fd);
        return -1;
    }
    *st = ST_OK;
    return fd;
}

/* From the kernel, which waits until it has entropy: two volumes with one identity would pass for
 * one disk. */
enum status durable_new_identity(char id[IDENTITY_SIZE + 1])
{
    unsigned char bytes[IDENTITY_SIZE / 2];
    size_t got = 0;
    while (got < sizeof bytes) {
        ssize_t n = getrandom(bytes + got, sizeof bytes - got, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ST_IO;
        got += (size_t)n;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return ST_OK;
}
