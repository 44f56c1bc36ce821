/*
 * A subvolume while it is used: its state, its errors, its room, its locks. By what is known of it:
 * nothing here touches the disk.
 *
 * The state is never set but by subvolume_evaluate(), which derives it from what is known. An error
 * that says that the disk (or what the kernel believes of it) is broken stays until a restart; what
 * is about room or mounting is found anew by every look.
 */
#include <errno.h>
#include <fcntl.h>
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
#include "volume/parents_set.h"
#include "volume/subvolume_state.h"

/* A check that takes longer than this stands before a disk that hangs. */
enum {
    LOOK_SLOW_MS = 2000,    /* a look that takes longer may be one that hangs */
    CHECK_STUCK_MS = 10000, /* one that takes longer does */
    BLOCK = 4096
};

/* Those who put go on without end: who moves away must not wait for all of them. */
static bool init_names(struct subvolume *sub)
{
    pthread_rwlockattr_t kind;
    if (pthread_rwlockattr_init(&kind))
        return false;
    (void)pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    bool made = pthread_rwlock_init(&sub->names, &kind) == 0;
    (void)pthread_rwlockattr_destroy(&kind);
    return made;
}

/* False where the system has no room for them: none is left to destroy. */
static bool init_locks(struct subvolume *sub)
{
    unsigned made = 0;
    if (pthread_mutex_init(&sub->check_lock, NULL))
        return false;
    if (pthread_mutex_init(&sub->lock, NULL))
        goto no_lock;
    for (; made < SUBVOLUME_LOCKS; made++)
        if (pthread_mutex_init(&sub->locks[made], NULL))
            goto no_locks;
    if (!init_names(sub))
        goto no_locks;
    if (parents_set_init(&sub->parents))
        return true;
    (void)pthread_rwlock_destroy(&sub->names);
no_locks:
    while (made > 0)
        (void)pthread_mutex_destroy(&sub->locks[--made]);
    (void)pthread_mutex_destroy(&sub->lock);
no_lock:
    (void)pthread_mutex_destroy(&sub->check_lock);
    return false;
}

/* MISSING until the first look has found it. */
struct subvolume *subvolume_new(const struct subvolume_home *home, unsigned index,
                                const char *recorded)
{
    struct subvolume *sub = calloc(1, sizeof *sub);
    if (!sub)
        return NULL;
    sub->home = home;
    sub->index = index;
    sub->state = SUBVOLUME_MISSING;
    path_subvolume_name(index, sub->name);
    (void)snprintf(sub->id, sizeof sub->id, "%s", recorded);
    if (!init_locks(sub)) {
        free(sub);
        return NULL;
    }
    return sub;
}

void subvolume_free(struct subvolume *sub)
{
    if (!sub)
        return;
    for (unsigned i = 0; i < SUBVOLUME_LOCKS; i++)
        (void)pthread_mutex_destroy(&sub->locks[i]);
    parents_set_destroy(&sub->parents);
    (void)pthread_rwlock_destroy(&sub->names);
    (void)pthread_mutex_destroy(&sub->lock);
    (void)pthread_mutex_destroy(&sub->check_lock);
    free(sub);
}

const struct disk *subvolume_disk(const struct subvolume *sub)
{
    return sub->home->disk;
}

struct digests *subvolume_digests(const struct subvolume *sub)
{
    return sub->home->digests;
}

struct syncer *subvolume_syncer(const struct subvolume *sub)
{
    return sub->home->syncer;
}

const char *subvolume_name(const struct subvolume *sub)
{
    return sub->name;
}

struct parents_set *subvolume_parents(struct subvolume *sub)
{
    return &sub->parents;
}

/* The prefix is this process's, so that temp files of a dead one can be told and removed; the
 * number is unique in it. */
void subvolume_temp_name(struct subvolume *sub, char name[SUBVOLUME_TEMP_NAME])
{
    (void)snprintf(name, SUBVOLUME_TEMP_NAME, ".larder/tmp/%s-%llx", sub->home->temp_prefix,
                   (unsigned long long)atomic_fetch_add(&sub->temps, 1));
}

/* Bernstein's hash (5381, 33): any would do that spreads paths over a few locks. */
static pthread_mutex_t *lock_of(struct subvolume *sub, const char *path)
{
    unsigned hash = 5381;
    for (; *path; path++)
        hash = hash * 33 + (unsigned char)*path;
    return &sub->locks[hash % SUBVOLUME_LOCKS];
}

void subvolume_lock(struct subvolume *sub, const char *path)
{
    (void)pthread_mutex_lock(lock_of(sub, path));
}

void subvolume_unlock(struct subvolume *sub, const char *path)
{
    (void)pthread_mutex_unlock(lock_of(sub, path));
}

/* A lock for readers and writers the other way round: many put at once, one moves away alone. */
void subvolume_hold_names(struct subvolume *sub, bool putting)
{
    if (putting)
        (void)pthread_rwlock_rdlock(&sub->names);
    else
        (void)pthread_rwlock_wrlock(&sub->names);
}

void subvolume_release_names(struct subvolume *sub)
{
    (void)pthread_rwlock_unlock(&sub->names);
}

void subvolume_set_quarantined(struct subvolume *sub, uint64_t number)
{
    (void)pthread_mutex_lock(&sub->lock);
    sub->quarantined = number;
    (void)pthread_mutex_unlock(&sub->lock);
}

void subvolume_add_quarantined(struct subvolume *sub)
{
    (void)pthread_mutex_lock(&sub->lock);
    sub->quarantined++;
    (void)pthread_mutex_unlock(&sub->lock);
}

/* --- The state --- */

const char *subvolume_state_text(enum subvolume_state state)
{
    static const char *const texts[] = {"up", "full", "read-only", "missing"};
    return texts[state];
}

/* The worst that applies; every change is logged, once. One that was never there and has failed all
 * the same (its directory could not be made, say) is read-only, so that it is reported and takes no
 * writes, and not missing, as if a disk were away. */
enum subvolume_state subvolume_evaluate(struct subvolume *sub)
{
    enum subvolume_state state = SUBVOLUME_UP;
    bool never_there = !sub->was_present && !sub->id[0];
    if (!sub->present && !(never_there && sub->failed))
        state = SUBVOLUME_MISSING;
    else if (sub->failed || sub->mounted_read_only)
        state = SUBVOLUME_READ_ONLY;
    else if (sub->full)
        state = SUBVOLUME_FULL;
    if (state != sub->state)
        log_event(state == SUBVOLUME_UP ? LOG_INFO : LOG_WARN, "subvolume",
                  "subvolume=\"%s\" state=%s was=%s free=%llu", sub->name,
                  subvolume_state_text(state), subvolume_state_text(sub->state),
                  (unsigned long long)sub->free);
    sub->state = state;
    return state;
}

/* With the lock held. A disk that hangs is as good as away, whatever was known of it before. Asked
 * at every use, since nobody is left to note it: the thread that looks is the one that hangs. */
static enum subvolume_state state_now(const struct subvolume *sub)
{
    if (sub->checking_since != 0 && loop_now_ms() - sub->checking_since > CHECK_STUCK_MS)
        return SUBVOLUME_MISSING;
    return sub->state;
}

enum subvolume_state subvolume_state(struct subvolume *sub)
{
    (void)pthread_mutex_lock(&sub->lock);
    enum subvolume_state state = state_now(sub);
    (void)pthread_mutex_unlock(&sub->lock);
    return state;
}

/* For those who have written or synced, and ask before they acknowledge whether another has met an
 * error meanwhile. */
bool subvolume_failed(struct subvolume *sub)
{
    (void)pthread_mutex_lock(&sub->lock);
    bool failed = sub->failed;
    (void)pthread_mutex_unlock(&sub->lock);
    return failed;
}

void subvolume_report(struct subvolume *sub, struct subvolume_report *report)
{
    (void)snprintf(report->name, sizeof report->name, "%s", sub->name);
    (void)pthread_mutex_lock(&sub->lock);
    report->state = state_now(sub);
    report->free = sub->free;
    report->total = sub->total;
    report->used = sub->used;
    report->files = sub->files;
    report->errors = sub->errors;
    report->quarantined = sub->quarantined;
    report->device = sub->device;
    report->present = sub->was_present || sub->id[0] || sub->failed || sub->refused;
    (void)pthread_mutex_unlock(&sub->lock);
}

dev_t subvolume_device(struct subvolume *sub)
{
    (void)pthread_mutex_lock(&sub->lock);
    bool hangs = sub->checking_since != 0 && loop_now_ms() - sub->checking_since > LOOK_SLOW_MS;
    dev_t device = hangs ? 0 : sub->device;
    (void)pthread_mutex_unlock(&sub->lock);
    return device;
}

/* With the lock held. In bytes. Room that is left for what must always be possible: tombstones,
 * notes on damage, directories, and the file system's own needs. */
static uint64_t reserve_of(const struct subvolume *sub)
{
    const uint64_t most = 1ULL << 30;
    if (sub->home->reserve != SUBVOLUME_RESERVE_USUAL)
        return sub->home->reserve;
    return sub->total / 20 < most ? sub->total / 20 : most;
}

/* 1/16 of the reserve is the gap between becoming full and being so no more. */
bool subvolume_has_no_room(const struct subvolume *sub, uint64_t free)
{
    uint64_t reserve = reserve_of(sub);
    return free < reserve || (sub->full && free - reserve < reserve / 16);
}

/* Room is looked at once a second, and a fast client could fill a disk in less. */
void subvolume_note_written(struct subvolume *sub, uint64_t bytes)
{
    uint64_t taken = (bytes + BLOCK - 1) / BLOCK * BLOCK;
    (void)pthread_mutex_lock(&sub->lock);
    sub->free = sub->free > taken ? sub->free - taken : 0;
    if (sub->present && subvolume_has_no_room(sub, sub->free)) {
        sub->full = true;
        (void)subvolume_evaluate(sub);
    }
    (void)pthread_mutex_unlock(&sub->lock);
}

/* By what is known, so that a request for a disk that is away, full or broken is answered before
 * its body, on the loop. */
enum status subvolume_admit(struct subvolume *sub, enum subvolume_use use, uint64_t bytes)
{
    (void)pthread_mutex_lock(&sub->lock);
    enum subvolume_state state = state_now(sub);
    /* One that was never there is no disk that is away: a write makes it. */
    bool absent = state == SUBVOLUME_MISSING && !sub->id[0] && !sub->was_present && !sub->refused;
    /* Whether the value, by its announced length, would go below the reserve. */
    bool fits = absent || (bytes <= sub->free && sub->free - bytes >= reserve_of(sub));
    (void)pthread_mutex_unlock(&sub->lock);
    if (state == SUBVOLUME_MISSING && !absent)
        return ST_UNAVAILABLE;
    if (use != SUBVOLUME_READ && state == SUBVOLUME_READ_ONLY)
        return ST_READ_ONLY;
    if (use == SUBVOLUME_WRITE && (state == SUBVOLUME_FULL || !fits))
        return ST_NO_SPACE;
    return ST_OK;
}

/* --- Errors --- */

/* EUCLEAN is what ext4 and XFS say of damaged structures, EBADMSG and EILSEQ of checksums. */
bool subvolume_is_disk_error(int err)
{
    return err == EIO || err == EUCLEAN || err == EBADMSG || err == ENXIO || err == ENODEV ||
           err == EREMOTEIO || err == ESHUTDOWN || err == EILSEQ || err == ENOTRECOVERABLE;
}

/* Notes what follows from an error. A full disk is no error of it, so it is not counted, unless it
 * was met by an fsync. */
static void note_error(struct subvolume *sub, bool failed, int err)
{
    bool no_space = err == ENOSPC || err == EDQUOT;
    (void)pthread_mutex_lock(&sub->lock);
    sub->failed = sub->failed || failed;
    sub->full = sub->full || no_space;
    sub->mounted_read_only = sub->mounted_read_only || err == EROFS;
    if (failed || !no_space)
        sub->errors++;
    (void)subvolume_evaluate(sub);
    (void)pthread_mutex_unlock(&sub->lock);
}

/* The one line on an error of a disk: what was being done, to what, why it failed, and what to do
 * where that is for people. */
static void log_error(const struct subvolume *sub, const char *request, const char *doing,
                      const char *path, int err, bool failed)
{
    log_event(failed ? LOG_ERROR : LOG_WARN, "subvolume",
              "request=%s subvolume=\"%s\" doing=\"%s\" path=\"%s\" error=\"%s\"%s", request,
              sub->name, doing, path, strerror(err),
              failed ? " advice=\"no more writes to this disk until a restart: check it\"" : "");
}

/* EFBIG: the value is larger than the file system, or a limit of the process, allows. */
enum status subvolume_error(struct subvolume *sub, const char *request, const char *doing,
                            const char *path, int err)
{
    bool failed = subvolume_is_disk_error(err);
    log_error(sub, request, doing, path, err, failed);
    note_error(sub, failed, err);
    if (err == EFBIG)
        return ST_TOO_LARGE;
    enum status st = status_of_errno(err);
    return st ? st : ST_IO;
}

/* A client is told of a full disk as such, though it is as bad for the disk: with delayed
 * allocation ENOSPC may come as late as here, and the pages are dropped. */
enum status subvolume_sync_error(struct subvolume *sub, const char *request, const char *doing,
                                 const char *path, int err)
{
    log_error(sub, request, doing, path, err, true);
    note_error(sub, true, err);
    return status_of_errno(err) == ST_NO_SPACE ? ST_NO_SPACE : ST_IO;
}
