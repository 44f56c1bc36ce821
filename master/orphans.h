/*
 * Walks the directories of all volumes, one listing at a time, and removes files that are in no
 * record: what was left by uploads that ended after they had been given up, or by volumes that were
 * away for long. A file that is younger than --orphan-after is left alone, and so is every file
 * that is no key's.
 */
#ifndef LARDER_MASTER_ORPHANS_H
#define LARDER_MASTER_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct orphans;
struct worker;

struct orphans_counts {
    uint64_t files, orphans;
    bool whole; /* nothing was left out for want of memory, or since it was stopped */
};

/* `ended` is called once, never before orphans_start() returned; the walk is gone afterwards.
 * Between two listings it waits `*pause_ms`, which may change meanwhile. NULL: no memory. */
struct orphans *orphans_start(struct worker *worker, const uint64_t *pause_ms,
                              void (*ended)(void *arg, const struct orphans_counts *counts),
                              void *arg) MUST_CHECK;
/* Ends it early: `ended` follows as soon as what is under way is over. */
void orphans_stop(struct orphans *orphans);

#endif
