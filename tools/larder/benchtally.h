/* What a thread of `larder bench` counts; the threads' tallies are added up at the end. */
#ifndef LARDER_TOOLS_BENCHTALLY_H
#define LARDER_TOOLS_BENCHTALLY_H

#include <stdint.h>

#include "tools/larder/benchhist.h"

/* Why an operation failed; each has one. */
enum benchtally_fault {
    BENCHTALLY_CONNECT,   /* no connection */
    BENCHTALLY_BROKEN,    /* it ended before the answer did */
    BENCHTALLY_TIMEOUT,   /* no whole answer in time */
    BENCHTALLY_MALFORMED, /* what came is no HTTP */
    BENCHTALLY_STATUS,    /* another status than it should be */
    BENCHTALLY_LENGTH,    /* a value of the wrong length */
    BENCHTALLY_BYTES,     /* a value with wrong bytes */
    BENCHTALLY_MD5,       /* a Content-MD5 that is not the value's */
    BENCHTALLY_REDIRECT,  /* to nowhere, or without an end */
    BENCHTALLY_LIST,      /* a list that is none, or in disorder */
    BENCHTALLY_LOCAL,     /* this machine is short of memory or descriptors */
    BENCHTALLY_FAULTS
};

/* STATUSES: all that three digits can be. EXAMPLE: bytes of a text with its NUL. */
enum { BENCHTALLY_STATUSES = 1000, BENCHTALLY_EXAMPLE = 256, BENCHTALLY_STEPS = 3 };

/* Zero it to make an empty one. */
struct benchtally {
    uint64_t operations;    /* that succeeded */
    uint64_t errors;        /* operations that failed; operations + errors is all that ended */
    uint64_t bytes;         /* of values, written and read */
    uint64_t reconnects;    /* idle connections that a server had closed; no errors */
    uint64_t missed;        /* open loop: never begun, since no client was free */
    uint64_t cpu_ns;        /* that the generator took itself */
    uint64_t last_ns;       /* when the last operation ended; of CLOCK_MONOTONIC */
    struct benchhist whole; /* of those that succeeded; open loop: from when they were due */
    struct benchhist steps[BENCHTALLY_STEPS];             /* of a cycle: write, read, delete */
    uint64_t faults[BENCHTALLY_FAULTS];                   /* their sum is `errors` */
    uint64_t statuses[BENCHTALLY_STATUSES];               /* of the faults STATUS */
    char examples[BENCHTALLY_FAULTS][BENCHTALLY_EXAMPLE]; /* the first of each kind; "": none */
};

/* "connect", "broken", … */
const char *benchtally_fault_text(enum benchtally_fault fault);

/* Counts a failed operation. `status` counts for BENCHTALLY_STATUS; `example` is kept where it is
 * the first of its kind. */
void benchtally_fail(struct benchtally *tally, enum benchtally_fault fault, int status,
                     const char *example);

/* Adds all that `from` has. */
void benchtally_merge(struct benchtally *to, const struct benchtally *from);

#endif
