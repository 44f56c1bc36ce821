/*
 * What the syncer's tests share: a disk that knows which files are durable, and a file of each
 * writer on it.
 */
#ifndef LARDER_TESTS_UNIT_SYNCER_FIXTURE_H
#define LARDER_TESTS_UNIT_SYNCER_FIXTURE_H

#include "volume/syncer.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "volume/disk.h"

enum { WRITERS = 24 };

/* A disk that knows which files are durable: what was written before a sync that began later. */
static struct {
    pthread_mutex_t lock;
    unsigned written[WRITERS], durable[WRITERS]; /* the last value of each writer */
    int fds[WRITERS];
    dev_t devices[WRITERS]; /* of the files */
    unsigned alls, syncs;
    int all_error, own_error; /* errno of the next syncfs; of the bytes of writer 0 */
    dev_t all_error_on;       /* 0, or the only device where it is met */
    int refused_fd;           /* its fsync says EIO */
    bool lead_fails;          /* the fsync behind a syncfs says EIO */
    bool held;                /* all syncs wait */
    enum disk_sharing sharing;
    uint64_t file_system;
} disk_state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct disk disk;
static struct syncer *syncer;

static inline void lock(void)
{
    (void)pthread_mutex_lock(&disk_state.lock);
}

static inline void unlock(void)
{
    (void)pthread_mutex_unlock(&disk_state.lock);
}

/* With the lock held. */
static inline void wait_while_held(void)
{
    while (disk_state.held) {
        unlock();
        (void)usleep(500);
        lock();
    }
}

static inline int fake_sync(int fd)
{
    int result = 0;
    (void)usleep(500);
    lock();
    wait_while_held();
    disk_state.syncs++;
    for (unsigned i = 0; i < WRITERS; i++)
        if (disk_state.fds[i] == fd)
            disk_state.durable[i] = disk_state.written[i];
    if (disk_state.lead_fails || fd == disk_state.refused_fd) {
        errno = EIO;
        result = -1;
    }
    unlock();
    return result;
}

static inline dev_t device_of(int fd)
{
    struct stat is;
    return fstat(fd, &is) ? 0 : is.st_dev;
}

/* What was written before it began becomes durable, what is written meanwhile does not, nor what is
 * on another file system. */
static inline int fake_sync_all(int fd)
{
    unsigned seen[WRITERS];
    dev_t device = device_of(fd);
    lock();
    disk_state.alls++;
    for (unsigned i = 0; i < WRITERS; i++)
        seen[i] = disk_state.devices[i] == device ? disk_state.written[i] : 0;
    wait_while_held();
    unlock();
    (void)usleep(500);
    lock();
    bool fails = disk_state.all_error_on == 0 || disk_state.all_error_on == device;
    errno = fails ? disk_state.all_error : 0;
    for (unsigned i = 0; i < WRITERS && !errno; i++)
        if (disk_state.durable[i] < seen[i])
            disk_state.durable[i] = seen[i];
    unlock();
    return errno ? -1 : 0;
}

static inline int fake_written(int fd)
{
    lock();
    int err = fd == disk_state.fds[0] ? disk_state.own_error : 0;
    unlock();
    errno = err;
    return err ? -1 : 0;
}

static inline enum disk_sharing fake_sharing(int fd)
{
    (void)fd;
    return disk_state.sharing;
}

static inline uint64_t fake_file_system(int fd)
{
    (void)fd;
    return disk_state.file_system;
}

/* A file of its own in the directory. -1: it is not to be had there. */
static inline int make_file(const char *directory)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s/larder-syncer-XXXXXX", directory);
    int fd = mkstemp(name);
    if (fd >= 0)
        ck_assert_int_eq(unlink(name), 0);
    return fd;
}

/* The writer's file is this one from now on. */
static inline void use_file(unsigned writer, int fd)
{
    ck_assert_int_ge(fd, 0);
    disk_state.fds[writer] = fd;
    disk_state.devices[writer] = device_of(fd);
}

static inline void setup(void)
{
    disk = disk_real;
    disk.file_system = fake_file_system;
    disk_state.file_system = 1;
    disk.sync = fake_sync;
    disk.sync_all = fake_sync_all;
    disk.written = fake_written;
    disk.sharing = fake_sharing;
    disk_state.alls = disk_state.syncs = 0;
    disk_state.all_error = disk_state.own_error = 0;
    disk_state.all_error_on = 0;
    disk_state.refused_fd = -1;
    disk_state.lead_fails = disk_state.held = false;
    disk_state.sharing = DISK_SHARES_ALL;
    for (unsigned i = 0; i < WRITERS; i++) {
        disk_state.written[i] = disk_state.durable[i] = 0;
        use_file(i, make_file("/tmp"));
    }
    syncer = syncer_new(&disk);
    ck_assert_ptr_nonnull(syncer);
}

static inline void teardown(void)
{
    syncer_free(syncer);
    for (unsigned i = 0; i < WRITERS; i++)
        (void)close(disk_state.fds[i]);
}

#endif
