/*
 * How far the scrub of a subvolume has come: `.larder/scrub` of it. Text, a name and a number a
 * line, the path last:
 *
 *   scrub 1 / running 0|1 / forced 0|1 / rate N / started MS / finished MS / values N / bytes N /
 *   damaged N / total N / after PATH
 *
 * One that is damaged is as none: the round begins anew.
 */
#ifndef LARDER_VOLUME_SCRUB_POSITION_H
#define LARDER_VOLUME_SCRUB_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct buf;
struct subvolumes;

struct scrub_position {
    bool running;
    bool forced;                     /* asked for: not at the usual rate */
    uint64_t rate;                   /* bytes a second of a forced round; UINT64_MAX: no limit */
    uint64_t started, finished;      /* unix milliseconds; 0: never */
    uint64_t values, bytes, damaged; /* of this round */
    uint64_t total;                  /* bytes of the last round that was finished */
    char *after;                     /* the last value that was done; NULL: none. Ours */
};

/* Frees the path, and empties it. */
void scrub_position_clear(struct scrub_position *position);

/* Begins a round: its sums are 0, and it stands before the first value. What the last one read
 * stays in `total`. */
void scrub_position_start(struct scrub_position *position, uint64_t now_ms);
/* Ends it: `total` is what it has read, and nothing is forced any more. */
void scrub_position_finish(struct scrub_position *position, uint64_t now_ms);

/* False where memory is short: the position stays where it was. */
bool scrub_position_advance(struct scrub_position *position, const char *path) MUST_CHECK;

/* When the next usual round begins, in unix milliseconds; UINT64_MAX: never (no period). */
uint64_t scrub_position_due(const struct scrub_position *position, uint64_t period_ms,
                            uint64_t now_ms) MUST_CHECK;

void scrub_position_format(const struct scrub_position *position, struct buf *out);
/* ST_CORRUPT, and an empty position, where it is none; ST_NO_MEMORY, the same. `position` must own
 * nothing: it is overwritten. */
enum status scrub_position_parse(struct scrub_position *position, const char *text,
                                 size_t len) MUST_CHECK;

/* From and to the disk; both block. ST_NOT_FOUND where there is none. The position is taken over
 * only where ST_OK. Saving is durable, and for subvolumes that take writes. */
enum status scrub_position_load(struct scrub_position *position, struct subvolumes *all,
                                unsigned subvolume) MUST_CHECK;
enum status scrub_position_save(const struct scrub_position *position, struct subvolumes *all,
                                unsigned subvolume) MUST_CHECK;

#endif
