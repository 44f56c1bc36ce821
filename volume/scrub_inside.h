/*
 * What scrub_control.c (from outside) and scrub_lane.c (the threads) share. Nobody else includes
 * it.
 *
 * One lock guards all that both sides touch. What a thread alone touches it touches without: a part
 * that is `busy` belongs to the thread that made it so, but for `present`, `wanted`, `used` and the
 * like, which others may change under the lock meanwhile. So a position is written by its thread
 * under the lock, and may be read by that thread without.
 */
#ifndef LARDER_VOLUME_SCRUB_INSIDE_H
#define LARDER_VOLUME_SCRUB_INSIDE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "volume/path.h"
#include "volume/scrub.h"
#include "volume/scrub_pace.h"
#include "volume/scrub_position.h"

enum {
    SCRUB_LANES = 64,     /* threads at most: disks beyond share them */
    SCRUB_SUSPECTS = 1024 /* that wait; broken sectors may hit many values at once */
};

struct scrub_walk;
struct tell;

/* A subvolume. Belongs to the lock, but for what is said otherwise. */
struct scrub_part {
    unsigned subvolume;
    unsigned lane;        /* the number of its thread's */
    dev_t device;         /* of the last look that found it */
    uint64_t used, files; /* bytes and files of its file system */
    bool present;         /* its disk is there */
    bool loaded;          /* its position was read since it is */
    bool busy;            /* a thread works on it */
    bool wanted;          /* a forced round is to begin, at `wanted_rate` */
    uint64_t wanted_rate;
    /* Changed by its lane's thread only, with the lock; its `rate` by scrub_force() as well. */
    struct scrub_position position;
    uint64_t retry_at;       /* loop_now_ms(); 0: now */
    struct scrub_walk *walk; /* the thread's, without the lock; so are these two */
    unsigned tries;          /* of the value that could not be examined */
    uint64_t saved_at;
};

/* A thread, and the disks that it reads: one, unless there are very many. */
struct scrub_lane {
    struct scrub *scrub;
    unsigned number;
    pthread_t thread;
    bool running;
    /* The thread's: */
    char *buffer; /* EXAMINE_STEP bytes; made before the thread, freed by scrub_free() */
    struct scrub_pace pace;
    struct scrub_part *part; /* whose value is being read; NULL: a suspect's */
    uint64_t cost;           /* of finding it, not paid yet */
    uint64_t step_began_us;
    uint64_t requests;   /* that had begun by then */
    uint64_t resumed_at; /* when the quarantines were last gone through; 0: never */
    uint64_t told;       /* of scrub->told that it has seen */
};

/* A value to be examined. In the list the lock's, out of it the thread's that took it. */
struct scrub_suspect {
    unsigned subvolume;
    unsigned lane;
    struct scrub_suspect *next;
    char path[];
};

struct scrub {
    struct scrub_options options;
    struct tell *tell;
    pthread_mutex_t lock; /* guards what follows; never held over a system call on a disk */
    /* There is something to do, or an end. Its clock is the monotonic one. */
    pthread_cond_t changed;
    bool stopping;
    uint64_t events; /* reasons to look for something to do, so far */
    uint64_t told;   /* how often a master was told of something */
    uint64_t damaged_ever;
    unsigned lanes_given; /* to disks so far */
    unsigned suspect_count;
    struct scrub_suspect *suspects; /* the oldest first */
    struct scrub_lane lanes[SCRUB_LANES];
    struct scrub_part *parts[PATH_SUBVOLUMES]; /* by index, as in struct path; only added to */
};

/* The thread of a lane (a struct scrub_lane); ends where the scrub is stopping. NULL. */
void *scrub_lane_run(void *arg);

#endif
