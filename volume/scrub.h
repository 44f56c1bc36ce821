/*
 * The scrub: every value is read and compared with its MD5, again and again, a round in
 * `period_ms`. A thread a disk does it, which also examines what requests found suspicious, and
 * keeps the disk's quarantine. DESIGN.md ('Scrub') has the rules; from outside it is what follows.
 */
#ifndef LARDER_VOLUME_SCRUB_H
#define LARDER_VOLUME_SCRUB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct option_list;
struct scrub;
struct service_counters;
struct subvolumes;

struct scrub_options {
    struct subvolumes *all;            /* these outlive it */
    struct service_counters *counters; /* of requests: where they go up, the scrub gives way */
    const struct option_list *masters; /* to be told of damage */
    char *base;                        /* of this volume; taken over, freed also on failure */
    uint64_t period_ms;                /* 0: only rounds that are asked for */
};

/* All subvolumes together. */
struct scrub_report {
    bool running, forced;
    uint64_t values, bytes, damaged; /* of the rounds that run, or ran last */
    uint64_t total;                  /* bytes that a round is expected to read */
    uint64_t started, finished;      /* unix milliseconds; 0: never */
    uint64_t damaged_ever;           /* since the start of the process; by requests, too */
    uint64_t waiting;                /* damaged values of which no master knows yet */
};

/* Begins; a disk that nobody has looked at yet comes with the next scrub_look(). NULL: no memory or
 * threads. */
struct scrub *scrub_new(const struct scrub_options *options) MUST_CHECK;

/* Ends all threads, which save how far they are. False where one did not end in `timeout_ms` (of
 * all together): its disk may hang, and nothing may be freed. Blocks. NULL is fine. */
bool scrub_stop(struct scrub *scrub, unsigned timeout_ms) MUST_CHECK;
/* After scrub_stop() said true. Waits for the thread that tells masters, a few seconds at most for
 * each. NULL is fine. */
void scrub_free(struct scrub *scrub);

/* Looks for disks that came or went, by what is known of them: to be called every second. The rest
 * may be called on any thread. None of this blocks. */
void scrub_look(struct scrub *scrub);

/* This value looked damaged to a request: it is examined soon, before anything else of its disk.
 * One that waits already is not noted twice; beyond 1024 it is left to the next round. `path` is
 * copied. */
void scrub_suspect(struct scrub *scrub, unsigned subvolume, const char *path);

/* Begins a round on all disks now, at `rate` bytes a second each (UINT64_MAX: as fast as they can).
 * One that was asked for before and still runs goes on, at the new rate. */
void scrub_force(struct scrub *scrub, uint64_t rate);

/* What is known now; the sums are of different moments of different disks. */
void scrub_report(struct scrub *scrub, struct scrub_report *report);

#endif
