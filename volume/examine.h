/*
 * Whether a value is what it was: read whole, and compared with its attributes. Blocks; any thread,
 * one buffer each. Nothing on the disk is changed. That the value could not be opened is noted by
 * store_open() (subvolume_error); what a read has met, `err`, is the caller's to note, at the right
 * moment (damage.c).
 */
#ifndef LARDER_VOLUME_EXAMINE_H
#define LARDER_VOLUME_EXAMINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/attr.h"
#include "volume/store.h"

enum examine_result {
    EXAMINE_GOOD,    /* or without attributes, and readable */
    EXAMINE_DAMAGED, /* twice */
    EXAMINE_GONE,    /* deleted or replaced meanwhile, or no value */
    EXAMINE_STOPPED, /* by `pause` */
    EXAMINE_LATER    /* the disk is away, or memory or descriptors are short */
};

/* Bytes. A step is what is read between two pauses. O_DIRECT wants memory, place and length in
 * multiples of the disk's block: 4096 serves those of 512, too. */
enum { EXAMINE_STEP = 1024 * 1024, EXAMINE_ALIGNMENT = 4096, EXAMINE_REASON = 200 };

struct examine {
    /* The caller's: */
    const struct store_at *at;
    char *buffer; /* of EXAMINE_STEP bytes, aligned to EXAMINE_ALIGNMENT */
    /* Called after each step with the bytes that were read; may wait. Nothing of the disk is open
     * then. False: give up. */
    bool (*pause)(void *arg, uint64_t bytes);
    void *arg;
    /* What was found: */
    uint64_t bytes; /* of the value */
    dev_t device;   /* these two say which file was examined; 0 where it could not be opened */
    ino_t inode;
    int err;                     /* a read failed with it, once at least; else 0 */
    char reason[EXAMINE_REASON]; /* of EXAMINE_DAMAGED: for people */
};

/* Fills what was found. Damage is EXAMINE_DAMAGED only where two readings agree; one wrong reading
 * is logged. A value without MD5 and size is good where it can be read. */
enum examine_result examine_value(struct examine *examine) MUST_CHECK;

#endif
