/*
 * Progress of long work: done, total, rate, time left. On a terminal one line that is written over
 * a few times a second; elsewhere a plain line every few seconds.
 */
#ifndef LARDER_TOOLS_PROGRESS_H
#define LARDER_TOOLS_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct progress;
struct buf;

/* `label` ("scanning") and `unit` ("files") must outlive it. `total`: how many units there will be,
 * 0 where nobody knows; then progress_advance() tells how far it is. NULL: no memory. */
struct progress *progress_new(const char *label, const char *unit, uint64_t total) MUST_CHECK;

/* Wipes the line, and frees. */
void progress_free(struct progress *progress);

/* Adds `count` units done, and says so where it is time to. Any thread. */
void progress_add(struct progress *progress, uint64_t count);

/* Adds to the part of the whole (0 to 1) that is done, where the total is not known. */
void progress_advance(struct progress *progress, double part);

/* Says how much is done of how much, where both may change; `total` 0: not known. */
void progress_set(struct progress *progress, uint64_t done, uint64_t total);

/* --- Pure; for tests too. --- */

struct progress_figures {
    const char *label;
    const char *unit;
    uint64_t done;
    uint64_t total; /* 0: not known */
    double part;    /* 0 to 1; used where the total is not known; below 0: not known either */
    uint64_t elapsed_ms;
};

/* Appends "scanning: 1,200 of 4,000 files (30 %), 400/s, 0:07 left". */
void progress_text(struct buf *out, const struct progress_figures *figures);

/* Milliseconds that are left at the pace so far, or -1 where nothing can be said. */
int64_t progress_left_ms(const struct progress_figures *figures);

/* Appends a number with commas between thousands. */
void progress_number(struct buf *out, uint64_t number);

/* Appends "0:07", "12:30", "3:05:00", "2d 04:00". */
void progress_duration(struct buf *out, uint64_t ms);

#endif
