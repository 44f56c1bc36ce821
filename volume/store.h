/*
 * Values on the disk: everything here blocks, and runs on the pool.
 */
#ifndef LARDER_VOLUME_STORE_H
#define LARDER_VOLUME_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "common/attr.h"
#include "common/status.h"
#include "volume/attributes.h"
#include "volume/trusted_file.h"

struct fence;
struct subvolumes;
struct subvolume;
struct trusted;

/* What an operation works on; the strings are the caller's. */
struct store_at {
    struct subvolumes *all;
    unsigned subvolume;        /* index, see struct path */
    const char *file;          /* below the subvolume */
    const char *request;       /* its id, for the log */
    const struct fence *fence; /* NULL: what is changed is not changed for a master */
    uint64_t term;             /* of that master; see volume/fence.h */
};

struct store_value {
    int fd; /* the caller's */
    uint64_t size;
    time_t modified; /* unix seconds */
    dev_t device;    /* these two say which file it is, should another take its place */
    ino_t inode;
    struct timespec changed; /* its ctime: any change of bytes or attributes moves it */
    bool damaged;            /* its size is not the one that it must have; nothing is open then */
    struct store_attributes attributes;
};

/* Which file it is, and in which state, to the table of those that were verified. */
struct trusted_file store_identify(const struct store_value *value);

/* Enters the subvolume of `at`, see subvolume_enter(). A subvolume that is not known is made (in
 * memory). */
int store_enter(const struct store_at *at, int use, struct subvolume **sub,
                enum status *st) MUST_CHECK;

/* The last question before anything is changed under a name of the store (rename, unlink, an
 * attribute): ST_NOT_WRITER where it would be done for a master that another has followed
 * meanwhile. Nothing has been changed then. */
enum status store_pass_fence(const struct store_at *at) MUST_CHECK;

/* Reads what attributes there are, but for the type, which stays ""; what cannot be read or
 * understood counts as not there, but for an I/O error. */
enum status store_read_attributes(struct subvolume *sub, int fd, const struct store_at *at,
                                  struct store_attributes *attributes) MUST_CHECK;

/* Opens a value. ST_NOT_FOUND without one, or where its size is not the one that it must have
 * (logged, and value->damaged); ST_CONFLICT where it is a directory. */
enum status store_open(const struct store_at *at, struct store_value *value) MUST_CHECK;

/* The same without waiting for a disk, for a loop: a value that `trusted` knows with its
 * attributes. False where anything is missing for that; nothing is open then. */
bool store_open_now(const struct store_at *at, struct trusted *trusted,
                    struct store_value *value) MUST_CHECK;

/* Removes it, durably. ST_NOT_FOUND (that, too, is durable); ST_CONFLICT for a directory;
 * ST_NOT_WRITER. */
enum status store_delete(const struct store_at *at) MUST_CHECK;

/* Marks it as unlinked, durably. ST_NOT_FOUND; ST_NOT_IMPLEMENTED without attributes;
 * ST_NOT_WRITER. */
enum status store_unlink(const struct store_at *at) MUST_CHECK;

#endif
