/*
 * The copies that this volume fetches from others: threads of their own, so that a source that
 * hangs keeps no request from a disk; and which paths they are about.
 */
#ifndef LARDER_VOLUME_PULLS_H
#define LARDER_VOLUME_PULLS_H

#include <stdbool.h>

#include "common/attr.h"

struct gate_job;
struct pulls;

/* One of them, from pulls_add() to pulls_remove(); the struct is the caller's, and the list's
 * meanwhile. `file` must stay. */
struct pulls_entry {
    unsigned subvolume;
    const char *file;                                           /* below it */
    enum { PULLS_RUNS, PULLS_FINISHING, PULLS_GIVEN_UP } state; /* the list's own */
    struct pulls_entry *next;
};

/* NULL: no memory, or no thread. */
struct pulls *pulls_new(void) MUST_CHECK;
/* Those under way are given up, and waited for. NULL is fine. */
void pulls_free(struct pulls *pulls);
/* Gives up all that are under way and all that come, without waiting. */
void pulls_stop(struct pulls *pulls);

/* Runs the job on one of the threads. `subvolume` is that of the copy: a disk that hangs has a part
 * of the threads, and not all. False where too many wait for it: nothing was taken. */
bool pulls_submit(struct pulls *pulls, unsigned subvolume, struct gate_job *job) MUST_CHECK;

/* Any thread, as all below. */
void pulls_add(struct pulls *pulls, struct pulls_entry *entry);
void pulls_remove(struct pulls *pulls, struct pulls_entry *entry);
/* False: it was given up. */
bool pulls_goes_on(struct pulls *pulls, const struct pulls_entry *entry);
/* The value is about to get its name: from here on it cannot be given up. False: it was. */
bool pulls_finish(struct pulls *pulls, struct pulls_entry *entry) MUST_CHECK;

/* The file is about to be removed, so no copy that was asked for before may turn up afterwards.
 * False: one is just getting its name, try again. */
bool pulls_give_up(struct pulls *pulls, unsigned subvolume, const char *file) MUST_CHECK;

#endif
