/*
 * Who a disk is: the identity that it bears, compared with the one that DIR remembers for it, and
 * what else a look at it tells. Everything here blocks.
 */
#ifndef LARDER_VOLUME_IDENTITY_H
#define LARDER_VOLUME_IDENTITY_H

#include <stdint.h>
#include <sys/types.h>

#include "common/attr.h"
#include "common/durable.h"
#include "common/log.h"
#include "common/status.h"

enum identity_result {
    IDENTITY_RIGHT,
    IDENTITY_WRONG,      /* another disk, or none where there was one */
    IDENTITY_UNREADABLE, /* an I/O error */
    IDENTITY_UNKNOWN     /* descriptors or memory are short: nothing was learnt */
};

struct subvolume_home;

/* What a look found; all of it is set where the result is IDENTITY_RIGHT. */
struct identity_look {
    char id[IDENTITY_SIZE + 1]; /* "" where the disk bears none */
    dev_t device;
    ino_t inode;
    uint64_t free, total; /* bytes; free for new values */
    uint64_t used;        /* bytes that anything takes */
    uint64_t files;       /* of any kind, where the file system counts them */
    bool no_inodes;       /* none left, on a file system that counts them */
    bool mounted_read_only;
};

/*
 * Looks at the open directory of the subvolume `name`. `expected` is the identity that it must
 * have, "" where none is known: then the one that it bears is recorded, unless another subvolume
 * has it. What is wrong is logged at `level`: every second is too often for the same.
 */
enum identity_result identity_look(int fd, const struct subvolume_home *home, const char *name,
                                   const char *expected, enum log_level level,
                                   struct identity_look *look) MUST_CHECK;

/* Gives the disk a new identity, there and in DIR's records; `id` is set. For DIR itself (name "")
 * there is no record. Durable. A crash in between leaves a disk with an identity and no record,
 * which is adopted at the next look. */
enum status identity_claim(int fd, const struct subvolume_home *home, const char *name,
                           char id[IDENTITY_SIZE + 1]) MUST_CHECK;

/* Reads an identity from a file below `dir_fd`: 32 hex digits, and white space behind them at most.
 * ST_NOT_FOUND; ST_CORRUPT where it is none; others where it cannot be read. */
enum status identity_read(int dir_fd, const char *file, char id[IDENTITY_SIZE + 1]) MUST_CHECK;

/* Removes temp files below the subvolume's `fd` that do not begin with `prefix`: those of dead
 * processes. What cannot be removed is logged and stays. */
void identity_clear_temp(int fd, const char *prefix);

#endif
