/*
 * The disk of a volume, whose calls can be made to fail: the k-th of them, or those on a certain
 * file. It knows what a power loss would take, which files are open, and how often a sync was asked
 * for.
 */
#ifndef LARDER_TESTS_FLOW_VOLUME_FAULTS_H
#define LARDER_TESTS_FLOW_VOLUME_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/attr.h"
#include "tests/unit/suite.h"
#include "volume/disk.h"

enum fault_kind {
    FAULT_ERROR, /* the call fails with `err` */
    FAULT_SHORT, /* a write takes only a part; other calls are let through */
};

static struct {
    pthread_mutex_t lock;
    bool armed;
    enum fault_kind kind;
    int err;
    unsigned at;        /* the call that fails, from 1 */
    unsigned calls;     /* so far */
    char failed[32];    /* the name of the call that did; "" */
    ino_t unreadable;   /* a file whose every read fails; 0: none */
    const char *locked; /* the end of a path that may not be opened (EACCES); NULL: none */
    bool uncached;      /* no file is in the page cache */
    bool renamed;       /* a value was put in its place */
    int open_files;     /* opened and not closed again */
    unsigned syncs;     /* that were asked for */
    unsigned bypasses;  /* files that were to be written or read past the page cache */
    ino_t dirty[256];   /* files and directories with changes that a power loss would take */
    size_t dirty_count;
} faults = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void faults_reset(void)
{
    (void)pthread_mutex_lock(&faults.lock);
    faults.armed = faults.renamed = false;
    faults.unreadable = 0;
    faults.locked = NULL;
    faults.uncached = false;
    faults.kind = FAULT_ERROR;
    faults.calls = faults.at = faults.syncs = faults.bypasses = 0;
    faults.failed[0] = 0;
    faults.open_files = 0;
    faults.dirty_count = 0;
    (void)pthread_mutex_unlock(&faults.lock);
}

static inline void faults_arm(enum fault_kind kind, int err, unsigned at)
{
    faults_reset();
    (void)pthread_mutex_lock(&faults.lock); /* a thread of the scrub may be at a disk */
    faults.kind = kind;
    faults.err = err;
    faults.at = at;
    faults.armed = true;
    (void)pthread_mutex_unlock(&faults.lock);
}

static inline void faults_disarm(void)
{
    (void)pthread_mutex_lock(&faults.lock);
    faults.armed = false;
    (void)pthread_mutex_unlock(&faults.lock);
}

/* Counts a call; true (errno set) where it is the one that fails. */
static inline bool fault_now(const char *name)
{
    bool now = false;
    (void)pthread_mutex_lock(&faults.lock);
    if (faults.armed && ++faults.calls == faults.at &&
        (faults.kind == FAULT_ERROR || strcmp(name, "write") == 0)) {
        (void)snprintf(faults.failed, sizeof faults.failed, "%s", name);
        now = true;
    }
    int err = now && faults.kind == FAULT_ERROR ? faults.err : 0;
    (void)pthread_mutex_unlock(&faults.lock);
    if (err)
        errno = err;
    return now;
}

static inline void make_dirty(int dir, const char *path)
{
    struct stat st;
    if (fstatat(dir, path, &st, AT_EMPTY_PATH))
        return;
    (void)pthread_mutex_lock(&faults.lock);
    ck_assert_uint_lt(faults.dirty_count, sizeof faults.dirty / sizeof faults.dirty[0]);
    faults.dirty[faults.dirty_count++] = st.st_ino;
    (void)pthread_mutex_unlock(&faults.lock);
}

static inline void make_clean(int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return;
    (void)pthread_mutex_lock(&faults.lock);
    size_t kept = 0;
    for (size_t i = 0; i < faults.dirty_count; i++)
        if (faults.dirty[i] != st.st_ino)
            faults.dirty[kept++] = faults.dirty[i];
    faults.dirty_count = kept;
    (void)pthread_mutex_unlock(&faults.lock);
}

static inline void count_open(int by)
{
    (void)pthread_mutex_lock(&faults.lock);
    faults.open_files += by;
    (void)pthread_mutex_unlock(&faults.lock);
}

static inline bool is_locked(const char *path)
{
    (void)pthread_mutex_lock(&faults.lock);
    const char *locked = faults.locked;
    (void)pthread_mutex_unlock(&faults.lock);
    size_t len = strlen(path), end = locked ? strlen(locked) : 0;
    return locked && len >= end && !strcmp(path + len - end, locked);
}

/* --- the disk's calls --- */

static inline int twin_open(int dir, const char *path, int flags, mode_t mode)
{
    if (is_locked(path)) {
        errno = EACCES;
        return -1;
    }
    if (fault_now("open"))
        return -1;
    int fd = disk_real.open(dir, path, flags, mode);
    count_open(fd >= 0);
    return fd;
}

static inline int twin_open_cached(int dir, const char *path, int flags)
{
    int fd = disk_real.open_cached(dir, path, flags);
    count_open(fd >= 0);
    return fd;
}

/* As Linux: the descriptor is gone, whatever the result. */
static inline int twin_close(int fd)
{
    bool fails = fault_now("close");
    int saved = errno;
    int result = close(fd);
    count_open(-1);
    errno = saved;
    return fails ? -1 : result;
}

static inline ssize_t twin_write(int fd, const void *data, size_t len)
{
    if (fault_now("write")) {
        if (faults.kind == FAULT_ERROR)
            return -1;
        len = len / 2 ? len / 2 : len;
    }
    make_dirty(fd, "");
    return write(fd, data, len);
}

static inline ssize_t twin_read(int fd, void *to, size_t len, uint64_t offset)
{
    struct stat st;
    (void)pthread_mutex_lock(&faults.lock);
    ino_t unreadable = faults.unreadable;
    (void)pthread_mutex_unlock(&faults.lock);
    if (unreadable && fstat(fd, &st) == 0 && st.st_ino == unreadable) {
        errno = EIO;
        return -1;
    }
    return fault_now("read") ? -1 : disk_real.read(fd, to, len, offset);
}

static inline bool is_uncached(void)
{
    (void)pthread_mutex_lock(&faults.lock);
    bool uncached = faults.uncached;
    (void)pthread_mutex_unlock(&faults.lock);
    return uncached;
}

static inline ssize_t twin_read_cached(int fd, void *to, size_t len, uint64_t offset)
{
    if (!is_uncached())
        return disk_real.read_cached(fd, to, len, offset);
    errno = EAGAIN;
    return -1;
}

/* Reading beside the page cache first waits until the file is on the disk. */
static bool through_cache; /* set by a test before it starts a volume: it is read as all else is */

static inline int twin_bypass(int fd, bool on)
{
    (void)pthread_mutex_lock(&faults.lock);
    faults.bypasses += on;
    (void)pthread_mutex_unlock(&faults.lock);
    return through_cache ? 0 : disk_real.bypass(fd, on);
}

static inline void twin_forget(int fd, uint64_t offset, uint64_t len)
{
    disk_real.forget(fd, offset, len);
}

static inline int twin_cached(int fd, uint64_t offset, uint64_t len)
{
    return is_uncached() ? 0 : disk_real.cached(fd, offset, len);
}

static inline int twin_spread(int fd, uint64_t offset, uint64_t len)
{
    return fault_now("spread") ? -1 : disk_real.spread(fd, offset, len);
}

/* What matters is that it was asked for: waiting for a real disk would only take time. */
static inline int twin_sync(int fd)
{
    faults.syncs++;
    if (fault_now("sync"))
        return -1;
    make_clean(fd);
    return 0;
}

static inline int twin_sync_all(int fd UNUSED)
{
    faults.syncs++;
    if (fault_now("sync_all"))
        return -1;
    (void)pthread_mutex_lock(&faults.lock);
    faults.dirty_count = 0;
    (void)pthread_mutex_unlock(&faults.lock);
    return 0;
}

static inline enum disk_sharing twin_sharing(int fd UNUSED)
{
    return DISK_SHARES_ALL;
}

static inline int twin_written(int fd UNUSED)
{
    return fault_now("written") ? -1 : 0;
}

static inline int twin_rename(int from_dir, const char *from, int to_dir, const char *to)
{
    if (fault_now("rename") || disk_real.rename(from_dir, from, to_dir, to))
        return -1;
    faults.renamed = true;
    make_dirty(to_dir, "");
    return 0;
}

static inline int twin_unlink(int dir, const char *path)
{
    if (fault_now("unlink") || disk_real.unlink(dir, path))
        return -1;
    if (!strstr(path, ".larder/tmp/"))
        make_dirty(dir, "");
    return 0;
}

static inline int twin_mkdir(int dir, const char *path, mode_t mode)
{
    char above[PATH_MAX];
    if (fault_now("mkdir") || disk_real.mkdir(dir, path, mode))
        return -1;
    (void)snprintf(above, sizeof above, "%s/..", path);
    make_dirty(dir, above);
    return 0;
}

static inline int twin_stat(int fd, struct stat *st)
{
    return fault_now("stat") ? -1 : fstat(fd, st);
}

static inline int twin_stat_at(int dir, const char *path, struct stat *st)
{
    return fault_now("stat_at") ? -1 : disk_real.stat_at(dir, path, st);
}

static inline int twin_set_attribute(int fd, const char *name, const void *value, size_t len)
{
    if (fault_now("set_attribute"))
        return -1;
    make_dirty(fd, "");
    return disk_real.set_attribute(fd, name, value, len);
}

static inline ssize_t twin_attribute(int fd, const char *name, void *to, size_t max)
{
    return fault_now("attribute") ? -1 : disk_real.attribute(fd, name, to, max);
}

static const struct disk twin = {
    .open = twin_open,
    .open_cached = twin_open_cached,
    .close = twin_close,
    .write = twin_write,
    .read = twin_read,
    .read_cached = twin_read_cached,
    .bypass = twin_bypass,
    .forget = twin_forget,
    .cached = twin_cached,
    .spread = twin_spread,
    .sync = twin_sync,
    .sync_all = twin_sync_all,
    .sharing = twin_sharing,
    .written = twin_written,
    .rename = twin_rename,
    .unlink = twin_unlink,
    .mkdir = twin_mkdir,
    .stat = twin_stat,
    .stat_at = twin_stat_at,
    .set_attribute = twin_set_attribute,
    .attribute = twin_attribute,
};

#endif
