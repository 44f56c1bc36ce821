/*
 * What subvolume_use.c (states, errors, space) and subvolume_look.c (looking at the disk) share;
 * nobody else's business.
 *
 * Locks: `lock` is the last of all, and may be taken with any other held. `check_lock` is held
 * while a disk is looked at, `names` over a stat and a rename, one of `locks` over the replacing of
 * a tombstone; none of these is taken with another of them held.
 */
#ifndef LARDER_VOLUME_SUBVOLUME_STATE_H
#define LARDER_VOLUME_SUBVOLUME_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "volume/identity.h"
#include "volume/parents_set.h"
#include "volume/subvolume.h"
#include "volume/subvolume_home.h"

enum { SUBVOLUME_LOCKS = 16 };

struct subvolume {
    const struct subvolume_home *home;
    unsigned index;
    char name[PATH_SUBVOLUME_NAME];
    struct parents_set parents;
    pthread_mutex_t locks[SUBVOLUME_LOCKS];
    pthread_rwlock_t names;      /* subvolume_hold_names(): read by those who put */
    atomic_uint_least64_t temps; /* names given to temp files */
    pthread_mutex_t check_lock;  /* held by the one that looks at the disk, while it blocks */
    pthread_mutex_t lock;        /* guards what follows; never held over a call on a disk */
    char id[IDENTITY_SIZE + 1];  /* that it must have; "" where it has none yet */
    bool claimed;                /* the identity is on the disk */
    bool present;                /* the last check found it */
    bool was_present;            /* any did */
    bool refused;           /* the last check found something, and no disk that may be used here */
    bool failed;            /* an I/O error, a failed fsync: until the restart */
    bool mounted_read_only; /* or an operation has said EROFS since */
    bool full;              /* or one has said ENOSPC, EDQUOT */
    bool complained;        /* the last check found something wrong, and has logged it */
    dev_t device;           /* these two say which directory the last check saw */
    ino_t inode;
    uint64_t free, total, used, files, errors, quarantined;
    uint64_t checking_since; /* 0: nobody looks */
    enum subvolume_state state;
};

/* The one place that says which state follows from what is known. With the lock held. */
enum subvolume_state subvolume_evaluate(struct subvolume *sub);
/* Errors of the disk itself or of the file system on it, not of what was asked for. */
bool subvolume_is_disk_error(int err);
/* Whether so much free space is too little. One that was full must have a little more than the
 * reserve, so that it does not change its mind with every value. With the lock held. */
bool subvolume_has_no_room(const struct subvolume *sub, uint64_t free);

#endif
