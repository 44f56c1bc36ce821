/*
 * Placement: rendezvous hashing as minikeyvalue does it, byte for byte. For each volume name V,
 * score = MD5(key + V); the volumes in descending score, the first N hold the key.
 */
#ifndef LARDER_COMMON_PLACEMENT_H
#define LARDER_COMMON_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/key.h"
#include "common/md5.h"
#include "common/status.h"

enum {
    VOLUME_NAME_MAX = 255,  /* bytes; a DNS name alone has at most 253 */
    PLACEMENT_BEST_MAX = 16 /* as many as --replicas may be */
};

/* Disks of a volume: sv00 to svFFF, the names that a volume takes for subvolumes. With more, a
 * value would be placed where every volume refuses it. */
enum { PLACEMENT_SUBVOLUMES_MAX = 0x1000 };

/* A place for a copy: a volume, and below it the subvolume. */
struct place {
    size_t volume;                   /* its position in the list that was given */
    char name[VOLUME_NAME_MAX + 16]; /* "host:port[/path]" and, with subvolumes > 1, "/svXX" */
};

/*
 * All `count` volumes in the order in which they take copies of `key`, into places[0..count-1],
 * which the caller has room for. `subvolumes` >= 1 is the number of disks a volume; with 1 there is
 * no "/svXX". ST_NO_MEMORY or ST_INTERNAL where MD5 failed. Any thread. The order depends on the
 * names alone, not on that of the list, so each master computes the same, and a new volume only
 * takes the keys over that it ranks high for.
 */
enum status placement_rank(const struct key *key, const char *const *volumes, size_t count,
                           unsigned subvolumes, struct place *places) MUST_CHECK;

/* Of the volumes that were offered so far, the few that take copies. */
struct placement_best {
    size_t most;  /* so many are wanted, PLACEMENT_BEST_MAX at most */
    size_t count; /* so many are there */
    struct {
        unsigned char score[MD5_SIZE];
        const char *volume; /* the caller's */
        size_t len;
    } list[PLACEMENT_BEST_MAX];
};

/* The same order, where no more than its beginning is asked for, and nothing is allocated: offer
 * the volumes one by one, `best` being {.most = N} before the first. The names stay the caller's,
 * and must outlive `best`. ST_NO_MEMORY or ST_INTERNAL where MD5 failed. */
enum status placement_offer(struct placement_best *best, const struct key *key, const char *volume,
                            size_t len) MUST_CHECK;
/* True where `place` is the i-th of them. */
bool placement_is(const struct placement_best *best, size_t i, unsigned subvolumes,
                  const char *place) MUST_CHECK;

/*
 * Normalizes a volume's name as an operator may write it: "http://" and trailing '/' removed.
 * Refuses (ST_BAD_REQUEST) what has another scheme, a comma, '?', '#', '@', white space or control
 * bytes, an empty path component, '.' or '..', no port, or is longer than VOLUME_NAME_MAX.
 */
enum status placement_volume_name(const char *text, size_t len,
                                  char name[VOLUME_NAME_MAX + 1]) MUST_CHECK;

#endif
