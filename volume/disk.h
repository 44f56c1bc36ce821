/*
 * The system calls by which values are kept. All that must be durable goes through this table, so
 * a test can put a twin in its place that fails the k-th call, or writes less than it was given.
 * One table a process, chosen at the start; any thread. Small files of our own (identities, the
 * scrub's position) go through common/durable.h instead.
 */
#ifndef LARDER_VOLUME_DISK_H
#define LARDER_VOLUME_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stat;

enum disk_sharing {
    DISK_SHARES_NEVER,  /* its syncfs may say yes to what is not durable; or nobody knows */
    DISK_SHARES_THREAD, /* for many of one thread: those of several share by themselves */
    DISK_SHARES_ALL     /* also for those of several threads */
};

/* Each member returns what the system call does, with errno set. Descriptors are made
 * close-on-exec. EINTR is the caller's to repeat. */
struct disk {
    int (*open)(int dir, const char *path, int flags, mode_t mode);
    /* For reading, where that needs nothing from a disk; else EAGAIN, or ENOSYS before Linux 5.12.
     */
    int (*open_cached)(int dir, const char *path, int flags);
    int (*close)(int fd);
    ssize_t (*write)(int fd, const void *data, size_t len);
    /* From `offset`, as pread(2): the descriptor's own place is not used. */
    ssize_t (*read)(int fd, void *to, size_t len, uint64_t offset);
    /* Only what is in the page cache: else fewer bytes, or EAGAIN; EOPNOTSUPP on some file systems.
     */
    ssize_t (*read_cached)(int fd, void *to, size_t len, uint64_t offset);
    /* Reads of this descriptor go past the page cache from now on, or (`on` false) through it. */
    int (*bypass)(int fd, bool on);
    /* These bytes of the file need not stay in the page cache. Advice: failures do not matter. */
    void (*forget)(int fd, uint64_t offset, uint64_t len);
    /* Whether all of these bytes are in the page cache: 1, 0, or -1 where the kernel (before 6.5)
     * or its rules do not tell. Never waits for a disk. */
    int (*cached)(int fd, uint64_t offset, uint64_t len);
    /* Starts to write these bytes of the file to the disk, and does not wait for it. */
    int (*spread)(int fd, uint64_t offset, uint64_t len);
    /* fsync(2), of files and of directories. */
    int (*sync)(int fd);
    /* syncfs(2): everything that was changed in the file system of `fd` before the call. NULL where
     * `sync` does nothing, so that nothing is opened for it. */
    int (*sync_all)(int fd);
    /* Tells the file system of `fd` from another that had its device number before; 0: not known.
     */
    uint64_t (*file_system)(int fd);
    /* For which files of the file system of `fd` one sync_all is as good as a `sync` of each, and
     * faster. */
    enum disk_sharing (*sharing)(int fd);
    /* After sync_all: 0 where all bytes of the file have been written, as far as the kernel has
     * heard since the descriptor was opened; an error of that file alone is no error of sync_all
     * where it was met before sync_all's own descriptor was opened. */
    int (*written)(int fd);
    int (*rename)(int from_dir, const char *from, int to_dir, const char *to);
    int (*unlink)(int dir, const char *path);
    int (*mkdir)(int dir, const char *path, mode_t mode);
    int (*stat)(int fd, struct stat *st);
    /* Does not follow a symbolic link in the last component. */
    int (*stat_at)(int dir, const char *path, struct stat *st);
    /* Of the value, by its full name ("user.larder.md5"); makes or replaces it. */
    int (*set_attribute)(int fd, const char *name, const void *value, size_t len);
    ssize_t (*attribute)(int fd, const char *name, void *to, size_t max);
};

extern const struct disk disk_real;

/* As disk_real, but sync and spread do nothing (--sync=none): for comparisons only, since a power
 * loss then takes acknowledged values with it. */
extern const struct disk disk_unsynced;

#endif
