/*
 * From all files and tombstones that were found of a key to the record that the index should have
 * of it. Pure: no disk, no network.
 *
 *   1. The newest tombstone: versions up to its generation are deleted, their copies garbage.
 *   2. Of the rest, the highest generation of which any copy is sound is the version that readers
 *      see; copies of other generations are garbage. A copy is damaged where its size is not what
 *      its attribute says, or where it is empty (no value is).
 *   3. Where its copies differ, the MD5 that most of them have decides (where none has one, the
 *      size); with equal numbers the newer, then the one that placement puts first. The others
 *      count as damaged: garbage. The same for its naming.
 *   4. It is unlinked where any copy of it says so.
 *   5. Its places stand in the order of placement. Fewer volumes than --replicas: few copies.
 *   6. A tombstone with its holders stays in the record; the janitor knows when it may go.
 *
 * Where no copy of any version is sound, the newest version stays in the record with its damaged
 * copies: the key is not forgotten, and nothing is removed.
 *
 * What an index of an earlier time knows of the key helps: no version older than the one that it
 * shows can come back, nor one that it has deleted; and it has the MD5 and the state of its version
 * where the files cannot tell. But generation 0 is given again to a key that is gone altogether: a
 * file of generation 0 that was made after that index, of a key without a tombstone on any
 * volume, is of another version than the one that it knew, and nothing that it says counts for it.
 * Copies that were moved since look the same: an unlinked value of which no copy stayed can be seen
 * again, where plain servers, which keep no such state, have it.
 */
#ifndef LARDER_TOOLS_CHOOSE_H
#define LARDER_TOOLS_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/record.h"
#include "common/status.h"

struct chooser;
struct places;
struct scan_group;

struct choose_options {
    const char *const *volumes; /* all of them; must outlive the chooser, as must `places` */
    size_t volume_count;
    unsigned subvolumes;
    unsigned replicas; /* that each value should have */
    const struct places *places;
    uint64_t made_ms; /* when the earlier index was: unix ms; 0: not known, no file came after it */
    /* True for a place that was not looked at: a deleted key may have a copy there, which then is
     * put down as garbage. NULL: all were. */
    bool (*unseen)(const void *arg, const char *place);
    const void *unseen_arg;
};

struct choice {
    struct record record; /* the caller's */
    uint64_t size;        /* of the value */
    unsigned damaged;     /* copies of the chosen version that are not as they should be */
    bool conflict;        /* its copies differ in MD5 or size, and none of them is merely damaged */
    bool fell_back;       /* a newer version has damaged copies only */
    bool none_is_sound;   /* not even this one has a sound copy */
    bool laid_aside;      /* a newer one, or all that was left, is in quarantine; or it was deleted
                             after that, and nothing tells so */
};

struct chooser *chooser_new(const struct choose_options *options) MUST_CHECK;
void chooser_free(struct chooser *chooser);

/* Fills *choice, which record_free(&choice->record) clears afterwards, whatever this returns.
 * `known` is the record of an earlier time, NULL without one. ST_NO_MEMORY or ST_INTERNAL. The
 * group's files are put into another order. */
enum status chooser_run(struct chooser *chooser, struct scan_group *group,
                        const struct record *known, struct choice *choice) MUST_CHECK;

#endif
