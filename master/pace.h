/*
 * When the janitor's next round begins. While there is more to do, at once; while what is left
 * cannot be done, after a pause that grows. What it costs to read the queue, and to try in vain, is
 * never much more than half of the time. Repairs that fail have a pause of their own: so they
 * neither delay the removal of garbage, nor are tried as often. All times are milliseconds of
 * loop_now_ms().
 */
#ifndef LARDER_MASTER_PACE_H
#define LARDER_MASTER_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* What became of keys. */
struct pace_tally {
    uint64_t done, failed;
};

/* What a round was. */
struct pace_round {
    uint64_t began_ms, ended_ms;
    uint64_t reading_ms;                 /* of it, for reading the queue */
    bool repairs;                        /* repairs were tried, not only garbage removed */
    struct pace_tally cleared, repaired; /* keys whose garbage was to be removed; all others */
    uint64_t left;                       /* keys with work at its end, */
    uint64_t to_repair;                  /* those in need of repair at its beginning */
    uint64_t due_ms;                     /* when more will have to be done; 0: not known */
    bool sweeping;                       /* keys are being added to the queue */
    bool rung;                           /* another round was asked for */
};

struct pace {
    uint64_t pause_ms;        /* the last one while nothing could be done */
    uint64_t repair_due_ms;   /* no repairs before then */
    uint64_t repair_pause_ms; /* the next, where all fail again */
};

/* The pause before the first round, too. */
uint64_t pace_begin(struct pace *pace);
/* Whether the round that begins now is to repair. */
bool pace_may_repair(const struct pace *pace, uint64_t now);
/* A round is over: how long to wait for the next one. */
uint64_t pace_pause(struct pace *pace, const struct pace_round *round);
/* Somebody has asked for another round during the pause after `round`: how long to wait now. What
 * could not be repaired is tried again. */
uint64_t pace_hurry(struct pace *pace, const struct pace_round *round, uint64_t now);

#endif
