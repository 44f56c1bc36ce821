/*
 * A fresh look at one key: its record by the master, its copies on their volumes. Clients go on
 * meanwhile, so the record is read before and after, and the look counts only where nothing changed
 * in between. One examiner a thread.
 */
#ifndef LARDER_TOOLS_EXAMINE_H
#define LARDER_TOOLS_EXAMINE_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"

struct examiner;
struct findings;
struct key;
struct places;
struct roster;
struct scan;
struct throttle;

struct examine_options {
    const char *masters; /* as client_new() takes them */
    const struct roster *roster;
    struct scan *scan;         /* what the walk found, and where else files of the key may be */
    struct throttle *throttle; /* of bytes read */
    bool deep;                 /* read every copy whole */
};

/* Sees the scan as it is now. NULL (said) where it cannot be made. */
struct examiner *examiner_new(const struct examine_options *options) MUST_CHECK;
void examiner_free(struct examiner *examiner);

/* Fills `findings`, cleared first. Blocks for several requests, and seconds where the key is in
 * motion; returns early at a signal. ST_BUSY where clients changed the key all the time; for other
 * failures it has said what could not be reached. */
enum status examiner_run(struct examiner *examiner, const struct key *key,
                         struct findings *findings) MUST_CHECK;

#endif
