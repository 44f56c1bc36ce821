/*
 * A round is one syncfs. Who finds none under way leads the next: he takes its number, lets go of
 * the lock, and syncs; who comes meanwhile may have written too late for it, and waits for the one
 * after it, which the first of them to wake leads. So a group is whatever came during one round,
 * and nobody waits for more than two.
 *
 * What syncfs says is not enough to be believed (fs/sync.c, fs/ext4/super.c):
 * - Errors of writing back data it tells only as far as they came after its descriptor was opened.
 *   So everybody asks for those of his own file (disk->written), whose descriptor is older than
 *   its data.
 * - On a file system that is shut down, or whose journal was aborted, ext4's has been seen to say
 *   yes. Its fsync never does, and both states last. (XFS's syncfs says so itself.) So the leader's
 *   fsync of his own file follows: if it succeeds, the journal still stood when the syncfs was
 *   over. It finds everything done, and costs a flush at most.
 *
 * Errors: the first one stays, for whoever comes later; another file system does not inherit it
 * with the device number, and a restart forgets it, as it does the
 * subvolume's own (subvolume_sync_error()).
 */
#include "volume/syncer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/planted.h"
#include "common/thread.h"
#include "volume/disk.h"

enum {
    FILE_SYSTEMS = 64, /* beyond these: fsyncs */
    ENOUGH = 4,     /* so many at once are worth a syncfs: with 3, fsyncs were 1.2 times as fast */
    SLOW_MS = 1000, /* a round that took longer has waited for the data of others: */
    AVOID_MS = 10000, /* for so long there is none */
    LOOK_MS = 1000    /* who waits looks by himself whether a round is to be led */
};

/* A file system. */
struct group {
    dev_t device;
    uint64_t file_system;              /* disk->file_system */
    atomic_int sharing;                /* enum disk_sharing */
    unsigned inside;                   /* files that are synced now, alone or in a round */
    uint64_t begun, done;              /* numbers of rounds; equal while none is under way */
    atomic_uint_least64_t avoid_until; /* loop_now_ms() */
    int failed;                        /* errno of the first failure */
    pthread_cond_t over[2];            /* [n % 2]: round n is over, or is to be led */
};

struct syncer {
    const struct disk *disk;
    bool usable;          /* the kernel's syncfs tells errors */
    atomic_uint large;    /* large values that are being written */
    pthread_mutex_t lock; /* guards what follows, but for those who only look (atomics) */
    atomic_uint count;
    struct group groups[FILE_SYSTEMS];
};

/* Since 5.17 syncfs returns what the file system's own sync_fs returns (vfs: make sync_filesystem
 * return errors from ->sync_fs). */
static bool kernel_tells_errors(void)
{
    struct utsname name;
    unsigned major = 0;
    unsigned minor = 0;
    if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
        return false;
    return major > 5 || (major == 5 && minor >= 17);
}

struct syncer *syncer_new(const struct disk *disk)
{
    struct syncer *syncer = calloc(1, sizeof *syncer);
    if (!syncer)
        return NULL;
    if (pthread_mutex_init(&syncer->lock, NULL)) {
        free(syncer);
        return NULL;
    }
    syncer->disk = disk;
    /* A planted fault is an fsync that is forgotten: nobody else's syncfs is to make up for it. */
    syncer->usable = disk->sync_all && kernel_tells_errors() && !planted("skip-fsync") &&
                     !planted("skip-dir-fsync");
    return syncer;
}

void syncer_free(struct syncer *syncer)
{
    if (!syncer)
        return;
    for (unsigned i = 0; i < syncer->count; i++)
        for (unsigned n = 0; n < 2; n++)
            (void)pthread_cond_destroy(&syncer->groups[i].over[n]);
    (void)pthread_mutex_destroy(&syncer->lock);
    free(syncer);
}

/* NULL: nothing is known of it. */
static struct group *find_group(struct syncer *syncer, dev_t device)
{
    unsigned count = atomic_load(&syncer->count);
    for (unsigned i = 0; i < count; i++)
        if (syncer->groups[i].device == device)
            return &syncer->groups[i];
    return NULL;
}

/* Whether any of its files may have a syncfs for now. */
static bool may_share(const struct group *group)
{
    return atomic_load(&group->sharing) != DISK_SHARES_NEVER &&
           loop_now_ms() >= atomic_load(&group->avoid_until);
}

bool syncer_takes_many(struct syncer *syncer, dev_t device)
{
    if (!syncer->disk->sync_all)
        return true; /* nothing is synced */
    if (!syncer->usable || atomic_load(&syncer->large) > 0)
        return false;
    const struct group *group = find_group(syncer, device);
    return !group || may_share(group);
}

void syncer_large_begins(struct syncer *syncer)
{
    atomic_fetch_add(&syncer->large, 1);
}

void syncer_large_ends(struct syncer *syncer)
{
    atomic_fetch_sub(&syncer->large, 1);
}

/* With the lock held. The group of a device number, whatever file system has it by now: what was
 * known of the one before, its failure too, is no longer true. NULL where somebody is still in
 * that.
 */
static struct group *renew(const struct syncer *syncer, struct group *group, int fd,
                           uint64_t file_system)
{
    if (group->file_system == file_system || file_system == 0) /* 0: it does not tell */
        return group;
    if (group->inside)
        return NULL;
    group->file_system = file_system;
    atomic_store(&group->sharing, (int)syncer->disk->sharing(fd));
    group->failed = 0;
    atomic_store(&group->avoid_until, 0);
    return group;
}

/* With the lock held. The group of a file system, made at its first use; NULL where there is no
 * room. They are never taken away: a device number is used again by the next that is mounted. */
static struct group *group_of(struct syncer *syncer, int fd, dev_t device, uint64_t file_system)
{
    struct group *group = find_group(syncer, device);
    if (group)
        return renew(syncer, group, fd, file_system);
    if (syncer->count == FILE_SYSTEMS)
        return NULL;
    group = &syncer->groups[syncer->count];
    *group = (struct group){.device = device, .file_system = file_system};
    atomic_store(&group->sharing, (int)syncer->disk->sharing(fd));
    if (!thread_condition_init(&group->over[0]))
        return NULL;
    if (!thread_condition_init(&group->over[1])) {
        (void)pthread_cond_destroy(&group->over[0]);
        return NULL;
    }
    syncer->count++;
    return group;
}

/* Leads a round, with the lock held before and after, and not meanwhile. */
static void lead(struct syncer *syncer, struct group *group, int fd)
{
    uint64_t round = ++group->begun;
    (void)pthread_mutex_unlock(&syncer->lock);
    uint64_t began = loop_now_ms();
    int err = syncer->disk->sync_all(fd) || syncer->disk->sync(fd) ? errno : 0;
    uint64_t now = loop_now_ms();
    (void)pthread_mutex_lock(&syncer->lock);
    if (err && !group->failed)
        group->failed = err;
    if (now - began > SLOW_MS) {
        atomic_store(&group->avoid_until, now + AVOID_MS);
        log_event(LOG_INFO, "syncer", "event=slow-syncfs milliseconds=%llu fsync_instead_ms=%d",
                  (unsigned long long)(now - began), AVOID_MS);
    }
    group->done = round;
    (void)pthread_cond_broadcast(&group->over[round % 2]);
    (void)pthread_cond_signal(&group->over[(round + 1) % 2]); /* leads the next */
}

/* With the lock held. Until a round is over, and not longer than a moment: glibc before 2.41 can
 * lose a signal (its bug 25847), and then nobody would lead the next. */
static void wait_for_round(struct syncer *syncer, pthread_cond_t *over)
{
    const struct timespec until = thread_time(LOOK_MS);
    (void)thread_wait(over, &syncer->lock, &until);
}

/* With the lock held. Takes part in the first round that begins from now on. */
static int take_part(struct syncer *syncer, struct group *group, int fd)
{
    uint64_t mine = group->begun + 1;
    while (group->done < mine) {
        if (group->begun == group->done)
            lead(syncer, group, fd);
        else
            wait_for_round(syncer, &group->over[mine % 2]);
    }
    return group->failed;
}

/* With the lock held. On a file system whose fsyncs share by themselves only one thread's own files
 * count: those of several threads are shared already. */
static bool is_worth_it(const struct syncer *syncer, const struct group *group, unsigned own)
{
    bool all = atomic_load(&group->sharing) == DISK_SHARES_ALL;
    return (all ? group->inside : own) >= ENOUGH && atomic_load(&syncer->large) == 0 &&
           may_share(group);
}

/* Errors that say that the call is not for such a file, or not allowed here (seccomp: EPERM); then
 * only an fsync tells. */
static bool cannot_tell(int err)
{
    return err == ENOSYS || err == EPERM || err == EINVAL || err == ESPIPE || err == EOPNOTSUPP;
}

/* One's own part of what syncfs leaves open. */
static int check_own(const struct disk *disk, int fd, bool regular)
{
    if (!regular || disk->written(fd) == 0)
        return 0;
    return cannot_tell(errno) ? disk->sync(fd) : -1;
}

/* By fsyncs of their own. */
static void sync_each(const struct disk *disk, struct syncer_file *files, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        files[i].err = disk->sync(files[i].fd) ? errno : 0;
}

/* After a syncfs for all of them: what it leaves open, see the top. */
static void check_each(const struct disk *disk, struct syncer_file *files, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct stat is;
        bool regular = fstat(files[i].fd, &is) || S_ISREG(is.st_mode);
        files[i].everything = true;
        files[i].err = check_own(disk, files[i].fd, regular) ? errno : 0;
    }
}

static void fail_each(struct syncer_file *files, unsigned count, int err)
{
    for (unsigned i = 0; i < count; i++)
        files[i].err = err;
}

/* With the lock held before and after, and not meanwhile: files of the group's file system. */
static void sync_together(struct syncer *syncer, struct group *group, struct syncer_file *files,
                          unsigned count)
{
    group->inside += count;
    bool everything = is_worth_it(syncer, group, count);
    int err = everything ? take_part(syncer, group, files[0].fd) : group->failed;
    (void)pthread_mutex_unlock(&syncer->lock);
    if (err)
        fail_each(files, count, err);
    else if (everything)
        check_each(syncer->disk, files, count);
    else
        sync_each(syncer->disk, files, count);
    (void)pthread_mutex_lock(&syncer->lock);
    group->inside -= count;
}

/* How many files from the first on are of its file system. 0: that cannot be told of the first. */
static unsigned count_alike(const struct syncer_file *files, unsigned count, dev_t *device)
{
    unsigned alike = 0;
    struct stat is;
    for (; alike < count && fstat(files[alike].fd, &is) == 0; alike++) {
        if (alike > 0 && is.st_dev != *device)
            break;
        *device = is.st_dev;
    }
    return alike;
}

/* Files of one file system. */
static void sync_alike(struct syncer *syncer, struct syncer_file *files, unsigned count,
                       dev_t device)
{
    /* Before the lock: one that hangs must not stop the syncs of the others. */
    uint64_t (*file_system_of)(int fd) = syncer->disk->file_system;
    uint64_t file_system = file_system_of ? file_system_of(files[0].fd) : 0;
    (void)pthread_mutex_lock(&syncer->lock);
    struct group *group = group_of(syncer, files[0].fd, device, file_system);
    if (group)
        sync_together(syncer, group, files, count);
    (void)pthread_mutex_unlock(&syncer->lock);
    if (!group)
        sync_each(syncer->disk, files, count);
}

void syncer_sync_many(struct syncer *syncer, struct syncer_file *files, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        files[i].everything = false;
    while (count > 0) {
        dev_t device = 0;
        unsigned alike = syncer->usable ? count_alike(files, count, &device) : 0;
        if (alike > 0)
            sync_alike(syncer, files, alike, device);
        else
            sync_each(syncer->disk, files, alike = syncer->usable ? 1 : count);
        files += alike;
        count -= alike;
    }
}

int syncer_sync(struct syncer *syncer, int fd, bool *everything)
{
    struct syncer_file file = {.fd = fd};
    syncer_sync_many(syncer, &file, 1);
    *everything = file.everything;
    errno = file.err;
    return file.err ? -1 : 0;
}
