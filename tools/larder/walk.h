/*
 * A walk over all places of the volumes, by many threads at once: every file that tells a key
 * becomes an entry of the scan, and every tombstone does. What tells no key is a stray: counted,
 * and the first of them remembered, never touched.
 */
#ifndef LARDER_TOOLS_WALK_H
#define LARDER_TOOLS_WALK_H

#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct walk;
struct roster;
struct scan;

enum { WALK_STRAYS_KEPT = 20, WALK_THREADS_MAX = 256 };

struct walk_result {
    uint64_t files; /* that tell a key */
    uint64_t bytes; /* in them */
    uint64_t tombstones;
    uint64_t strays;
    char *stray[WALK_STRAYS_KEPT]; /* URLs of the first ones, NULL where there are fewer */
};

/*
 * Walks the places of a roster that roster_call() has filled. Blocks; shows progress. ST_CLOSED
 * where it was interrupted; where it fails it has said why. Free the result with
 * walk_result_free(), whatever it returned.
 */
enum status walk_run(const struct roster *roster, unsigned threads, struct scan *scan,
                     struct walk_result *result) MUST_CHECK;
void walk_result_free(struct walk_result *result);

/* What kind of directory stands where, below a place. */
enum walk_level {
    WALK_PLACE, /* "": directories aa */
    WALK_AA,    /* "aa/": directories bb */
    WALK_NAMES  /* "aa/bb/" and below: names, and directories that names are cut into */
};
enum walk_level walk_level_of(const char *directory);

#endif
