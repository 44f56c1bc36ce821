/*
 * A subvolume: one directory that may be a disk of its own. Who it is, in which state it is, how
 * much room it has, and what went wrong on it. No descriptor of it stays open between operations,
 * so that it can be unmounted and mounted at any time; each operation enters it anew. Any thread;
 * only subvolume_check(), _enter() and what waits for locks may block, so loops call the others.
 */
#ifndef LARDER_VOLUME_SUBVOLUME_H
#define LARDER_VOLUME_SUBVOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/attr.h"
#include "common/durable.h"
#include "common/status.h"
#include "volume/path.h"

struct disk;
struct digests;
struct syncer;
struct parents_set;
struct subvolume;
struct subvolume_home;

/* From best to worst. */
enum subvolume_state {
    SUBVOLUME_UP,
    SUBVOLUME_FULL,      /* no new values: below the reserve, or the disk said so */
    SUBVOLUME_READ_ONLY, /* after an I/O error (until a restart), or mounted read-only */
    SUBVOLUME_MISSING    /* gone, another disk, or it does not answer */
};

enum subvolume_use {
    SUBVOLUME_READ,
    SUBVOLUME_DELETE, /* writes, but needs no room */
    SUBVOLUME_WRITE   /* makes the subvolume, and gives it an identity, where it has none */
};

/* A copy of what is known of it, all of one moment. */
struct subvolume_report {
    char name[PATH_SUBVOLUME_NAME];
    enum subvolume_state state;
    uint64_t free, total; /* bytes */
    uint64_t used, files; /* bytes and files of its file system, whosever they are */
    uint64_t errors;      /* since the start */
    uint64_t quarantined; /* values that were set aside as damaged */
    dev_t device;         /* tells subvolumes that share a file system */
    bool present;         /* false: nothing was ever seen of it */
};

/* `recorded` is the identity that DIR/.larder/subvolumes says it must have, "" without one. Copied;
 * `home` must outlive it. Nothing of the disk is looked at yet: it counts as missing until then.
 * NULL: no memory. */
struct subvolume *subvolume_new(const struct subvolume_home *home, unsigned index,
                                const char *recorded) MUST_CHECK;
/* Nobody may use it any more. NULL is fine. */
void subvolume_free(struct subvolume *sub);

/*
 * Looks at the disk: identity, room, mounted read-only. Blocks. Where another thread is looking
 * already it waits with `wait`, and returns at once without. The first look at a disk also removes
 * the temp files of dead processes, and makes durable what those left in memory.
 */
void subvolume_check(struct subvolume *sub, bool wait);

/* By what is known; missing, too, where a look has been stuck for 10 s. */
enum subvolume_state subvolume_state(struct subvolume *sub);
void subvolume_report(struct subvolume *sub, struct subvolume_report *report);
/* Its file system's, as far as it was seen; 0: not yet, or it is away, or a look at it takes long.
 */
dev_t subvolume_device(struct subvolume *sub);
const char *subvolume_state_text(enum subvolume_state state);

/* Whether an operation may go on, by what is known: does not touch the disk. `bytes` is the length
 * of the value that is to be written, 0 where it is not known. ST_UNAVAILABLE (missing),
 * ST_READ_ONLY, ST_NO_SPACE. */
enum status subvolume_admit(struct subvolume *sub, enum subvolume_use use,
                            uint64_t bytes) MUST_CHECK;

/*
 * Opens the subvolume's directory for one operation, after making sure that it is the one that it
 * was. Blocks. The descriptor (the caller closes it, by the disk's close), or -1 with *st set: as
 * subvolume_admit(), and ST_NOT_FOUND where there is no such directory.
 */
int subvolume_enter(struct subvolume *sub, enum subvolume_use use, const char *request,
                    enum status *st) MUST_CHECK;

/* Opens a file below it for reading, without waiting for anything but other threads' short
 * look-ups: -1 where that cannot be done, whatever the reason. Does not look at the directory: the
 * caller must know the file itself, by its device and inode. */
int subvolume_open_now(struct subvolume *sub, const char *file, int flags) MUST_CHECK;

/*
 * Notes and logs that an operation failed with errno `err`. An I/O error makes the subvolume
 * read-only until the restart; ENOSPC and EROFS until a check finds otherwise. Returns the status
 * for the client. `doing` is a verb ("write"), `path` is below the subvolume.
 */
enum status subvolume_error(struct subvolume *sub, const char *request, const char *doing,
                            const char *path, int err);

/* The same for a failed fsync, whatever its errno: afterwards the kernel may report success for
 * data that it has dropped, so nothing is written to this disk any more. */
enum status subvolume_sync_error(struct subvolume *sub, const char *request, const char *doing,
                                 const char *path, int err);

/* True after an I/O error or a failed fsync: nothing may be acknowledged any more, also of what
 * other threads have synced. */
bool subvolume_failed(struct subvolume *sub);

const struct disk *subvolume_disk(const struct subvolume *sub);
/* What its fsyncs of small values go through. */
struct syncer *subvolume_syncer(const struct subvolume *sub);
/* Where those who write meet, to hash two values at a time. */
struct digests *subvolume_digests(const struct subvolume *sub);
const char *subvolume_name(const struct subvolume *sub);
/* The directories that are being made in it now. */
struct parents_set *subvolume_parents(struct subvolume *sub);
/* A name for a temp file, below the subvolume; unique. */
enum { SUBVOLUME_TEMP_NAME = 64 };
void subvolume_temp_name(struct subvolume *sub, char name[SUBVOLUME_TEMP_NAME]);

/*
 * Between looking at a file and moving it away nobody may put another in its place: what is renamed
 * to a value's name is renamed while it is held by `putting`, what is moved away while it is held
 * without. Any number may put at a time. Never held over anything but a stat and a rename.
 */
void subvolume_hold_names(struct subvolume *sub, bool putting);
void subvolume_release_names(struct subvolume *sub);

/* A value of so many bytes was written: there is less room, also before the next check. */
void subvolume_note_written(struct subvolume *sub, uint64_t bytes);

/* How many values are in quarantine now: sets the number, or adds to it. */
void subvolume_set_quarantined(struct subvolume *sub, uint64_t number);
void subvolume_add_quarantined(struct subvolume *sub);

/* Locks one of a few locks, chosen by `path`: for what reads a file, decides, and replaces it. Two
 * paths may share one; never hold two. */
void subvolume_lock(struct subvolume *sub, const char *path);
void subvolume_unlock(struct subvolume *sub, const char *path);

#endif
