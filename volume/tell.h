/*
 * Tells a master of damaged values: POST /admin/damaged, again and again until it is answered. A
 * thread of its own does it; nothing here touches a disk. What must survive a restart is in the
 * quarantine (quarantine.h), and what is told is marked there by whoever takes it from here.
 */
#ifndef LARDER_VOLUME_TELL_H
#define LARDER_VOLUME_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/options.h"
#include "volume/quarantine.h"

struct tell;

/* `masters` and `arg` must outlive it. */
struct tell_options {
    const struct option_list *masters; /* any one of them is enough; none: nothing can be told */
    char *base;                        /* of this volume; taken over, freed also on failure */
    void (*told)(void *arg);           /* from its thread: something was told */
    void *arg;
};

/* NULL: no memory or threads. */
struct tell *tell_new(const struct tell_options *options) MUST_CHECK;

/* Ends the thread, which may take as long as a master takes to answer: a few seconds each. What was
 * not told is forgotten here; what is in quarantine is told after the next start. NULL is fine. */
void tell_free(struct tell *tell);

/*
 * `path` of `subvolume` is damaged, and in quarantine as `id`; "": it is where it was. True: it
 * will be told, or has been. False: too many wait already. The same twice is told once. Any thread.
 */
bool tell_add(struct tell *tell, unsigned subvolume, const char *path, const char *id) MUST_CHECK;

/* Gives the `id` of one that was told, once; false without one. Those that are in no quarantine are
 * not given: there is nothing to mark. Any thread. */
bool tell_take(struct tell *tell, unsigned subvolume, char id[QUARANTINE_ID]) MUST_CHECK;
/* It is marked on the disk. Until then it is remembered, so that it is not told again. Any
 * thread. */
void tell_forget(struct tell *tell, unsigned subvolume, const char *id);

/* How many are still to be told. Any thread. */
uint64_t tell_waiting(struct tell *tell);

#endif
