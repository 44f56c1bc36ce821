/*
 * The table as the kernel has it, and the same without syncs. Thin on purpose: what a failure means
 * is for the callers, who know what they were doing.
 */
#include "volume/disk.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/attr.h"

static int real_open(int dir, const char *path, int flags, mode_t mode)
{
    return openat(dir, path, flags | O_CLOEXEC, mode);
}

static int real_open_cached(int dir, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_CACHED};
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static ssize_t real_read(int fd, void *to, size_t len, uint64_t offset)
{
    return pread(fd, to, len, (off_t)offset);
}

static ssize_t real_read_cached(int fd, void *to, size_t len, uint64_t offset)
{
    struct iovec part = {to, len};
    return preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT);
}

/* O_DIRECT (open(2)). A file system that cannot do it says EINVAL, here or only at the read. */
static int real_bypass(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    return fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT);
}

/* With len 0 to the end of the file. Pages that are dirty, mapped or in use stay. */
static void real_forget(int fd, uint64_t offset, uint64_t len)
{
    (void)posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED);
}

/* cachestat(2), Linux 6.5; the C library of Debian 12 does not know it. Its layout is that of
 * linux/mman.h. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

static int real_cached(int fd, uint64_t offset, uint64_t len)
{
    struct {
        uint64_t offset, len;
    } range = {offset, len};
    struct {
        uint64_t cached, dirty, written_back, evicted, recently_evicted;
    } pages = {0};
    if (len == 0)
        return 1;
    if (syscall(SYS_cachestat, fd, &range, &pages, 0))
        return -1;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return pages.cached >= (offset + len - 1) / page - offset / page + 1;
}

/* Only begins to write: it says nothing of the file's size or place, and no flush goes to the disk,
 * so an fsync must follow all the same (sync_file_range(2) warns of that). */
static int real_spread(int fd, uint64_t offset, uint64_t len)
{
    return sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

/* Which is faster was measured (DESIGN, 'NOTES'): XFS's fsyncs by several threads share writes of
 * its log. Of others is not known that their syncfs makes every file durable: FUSE's, by default,
 * does not even ask the server. */
static enum disk_sharing real_sharing(int fd)
{
    struct statfs is;
    if (fstatfs(fd, &is))
        return DISK_SHARES_NEVER;
    if (is.f_type == EXT4_SUPER_MAGIC)
        return DISK_SHARES_ALL;
    return is.f_type == XFS_SUPER_MAGIC ? DISK_SHARES_THREAD : DISK_SHARES_NEVER;
}

/* ext4's and XFS's fsid are made of their UUID. */
static uint64_t real_file_system(int fd)
{
    struct statfs is;
    uint64_t id = 0;
    if (fstatfs(fd, &is))
        return 0;
    memcpy(&id, &is.f_fsid, sizeof is.f_fsid < sizeof id ? sizeof is.f_fsid : sizeof id);
    return id ^ (uint64_t)is.f_type;
}

static int real_written(int fd)
{
    return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE);
}

static int real_unlink(int dir, const char *path)
{
    return unlinkat(dir, path, 0);
}

/* What is asked is what stands there, not what a link points to: a link is never a value. */
static int real_stat_at(int dir, const char *path, struct stat *st)
{
    return fstatat(dir, path, st, AT_SYMLINK_NOFOLLOW);
}

static int real_set_attribute(int fd, const char *name, const void *value, size_t len)
{
    return fsetxattr(fd, name, value, len, 0);
}

const struct disk disk_real = {
    .open = real_open,
    .open_cached = real_open_cached,
    .close = close,
    .write = write,
    .read = real_read,
    .read_cached = real_read_cached,
    .bypass = real_bypass,
    .forget = real_forget,
    .cached = real_cached,
    .spread = real_spread,
    .sync = fsync,
    .sync_all = syncfs,
    .file_system = real_file_system,
    .sharing = real_sharing,
    .written = real_written,
    .rename = renameat,
    .unlink = real_unlink,
    .mkdir = mkdirat,
    .stat = fstat,
    .stat_at = real_stat_at,
    .set_attribute = real_set_attribute,
    .attribute = fgetxattr,
};

static int unsynced_spread(UNUSED int fd, UNUSED uint64_t offset, UNUSED uint64_t len)
{
    return 0;
}

/* Says yes, as a disk would whose cache survives everything. */
static int unsynced_sync(UNUSED int fd)
{
    return 0;
}

const struct disk disk_unsynced = {
    .open = real_open,
    .open_cached = real_open_cached,
    .close = close,
    .write = write,
    .read = real_read,
    .read_cached = real_read_cached,
    .bypass = real_bypass,
    .forget = real_forget,
    .cached = real_cached,
    .spread = unsynced_spread,
    .sync = unsynced_sync,
    .rename = renameat,
    .unlink = real_unlink,
    .mkdir = mkdirat,
    .stat = fstat,
    .stat_at = real_stat_at,
    .set_attribute = real_set_attribute,
    .attribute = fgetxattr,
};
