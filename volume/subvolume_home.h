/* What a disk must know of the directory that it is in, to be told from others and to be used. */
#ifndef LARDER_VOLUME_SUBVOLUME_HOME_H
#define LARDER_VOLUME_SUBVOLUME_HOME_H

#include <stdbool.h>
#include <stdint.h>

struct digests;
struct disk;
struct syncer;

/* The smaller of 1 GiB and 5 % of the disk. */
#define SUBVOLUME_RESERVE_USUAL UINT64_MAX

/* What the subvolumes of one volume share; subvolumes.c owns it, and it outlives them. Not changed
 * once the first is made. */
struct subvolume_home {
    const char *dir;         /* as the operator wrote it */
    int dir_fd;              /* DIR, open for as long as the process lives */
    int records_fd;          /* DIR/.larder/subvolumes */
    const struct disk *disk; /* the caller's */
    struct digests *digests; /* MD5s two by two; subvolumes.c's */
    struct syncer *syncer;   /* shared fsyncs; subvolumes.c's */
    uint64_t reserve;        /* bytes that new values leave free, or SUBVOLUME_RESERVE_USUAL */
    bool sync;               /* false with --sync=none */
    char temp_prefix[20];    /* of this process's temp files */
};

#endif
