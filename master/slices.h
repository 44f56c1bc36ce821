/*
 * When the janitor begins keys while clients are busy: in slices of time, so that the clients keep
 * most of their rate. Pure: no clock, no timer; the janitor tells how many requests came, and asks.
 */
#ifndef LARDER_MASTER_SLICES_H
#define LARDER_MASTER_SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

enum slices_state {
    SLICES_FREE, /* clients want little: keys are begun at any time */
    SLICES_WORK, /* keys are begun */
    SLICES_TAIL, /* none is begun; those that are under way come to their end */
    SLICES_REST  /* the clients have it for themselves */
};

/* Requests of clients, and in how much time they came; older ones count less and less. */
struct slices_tally {
    double requests, ms;
};

/* The owner's; all fields are this module's. Zeros: clients want little. */
struct slices {
    enum slices_state state;
    uint64_t began_ms;  /* of the slice, its tail included, or of the rest */
    uint64_t until_ms;  /* when the state ends, if it does not before */
    uint64_t requests;  /* so many had come when it began */
    uint64_t looked_ms; /* the last slices_look(), */
    uint64_t looked;    /* and how many requests had come by then */
    struct slices_tally work, rest;
    struct slices_tally lately; /* of the last rests; none counts less */
};

/* How it is now; times are loop_now_ms(). */
struct slices_now {
    uint64_t ms;
    uint64_t requests; /* of clients, since the start */
    size_t under_way;  /* keys */
    bool more;         /* there are keys to begin */
};

/* To be called a few times a second, also while nothing is to be done: finds out that clients are
 * busy. */
void slices_look(struct slices *slices, const struct slices_now *now);

/* Whether a key may be begun now. */
bool slices_may_begin(struct slices *slices, const struct slices_now *now) MUST_CHECK;

/* After slices_may_begin(): when to ask again though no key has come to its end; 0: need not be. */
uint64_t slices_next_ms(const struct slices *slices);

#endif
