/* What tells one file, and one state of it, from another. */
#ifndef LARDER_VOLUME_TRUSTED_FILE_H
#define LARDER_VOLUME_TRUSTED_FILE_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Which file, and in which state. */
struct trusted_file {
    uint64_t device, inode; /* inode 0: none */
    uint64_t changed_ns;    /* its ctime */
    uint64_t size;
};

/* What fstat said before the value was read, or after it was written. */
struct trusted_file trusted_identify(dev_t device, ino_t inode, struct timespec changed,
                                     uint64_t size);

#endif
