/*
 * What is done about damaged values: examined, set aside, told. All of it blocks; one thread a
 * disk.
 */
#ifndef LARDER_VOLUME_DAMAGE_H
#define LARDER_VOLUME_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "volume/examine.h"

struct subvolumes;
struct tell;

/* What is needed for it; the caller's, who keeps it for the length of a call. */
struct damage {
    struct subvolumes *all;
    struct tell *tell; /* the thread that talks to masters */
    char *buffer;      /* as in struct examine, and the next two */
    bool (*pause)(void *arg, uint64_t bytes);
    void *arg;
};

/*
 * Examines a value. A damaged one goes into quarantine, and is to be told to a master; where the
 * disk takes no writes, or fails, it stays where it is and is told all the same. *bytes is its
 * length. Logs what it finds. EXAMINE_GONE also where another value has taken its place before it
 * could be moved away.
 */
enum examine_result damage_check(const struct damage *damage, unsigned subvolume, const char *path,
                                 uint64_t *bytes) MUST_CHECK;

/* Marks in the quarantine what masters have been told since the last call. */
void damage_mark_told(const struct damage *damage, unsigned subvolume);

/* Takes up what a restart or a crash left in the quarantine: tells what is untold; values that were
 * to be moved there, and were not, are given to `suspect`. */
void damage_resume(const struct damage *damage, unsigned subvolume,
                   void (*suspect)(void *arg, unsigned subvolume, const char *path));

#endif
