/* Faults that are planted on purpose, to see that the fault suite (tests/faults) is not blind.
 *
 * Only `make PLANTED=1`, which builds into build/planted, has them at all: there the environment
 * variable LARDER_PLANTED names the fault that is active. In every other build planted() is false
 * and what it guards is gone. tests/faults/test_planted.py wants each of them to make a test
 * fail. */
#ifndef LARDER_COMMON_PLANTED_H
#define LARDER_COMMON_PLANTED_H

#include <stdbool.h>

#ifdef LARDER_PLANTED
#include <stdlib.h>
#include <string.h>

/* Whether the fault of this name is to be made. */
static inline bool planted(const char *fault)
{
    const char *active = getenv("LARDER_PLANTED");
    return active && strcmp(active, fault) == 0;
}
#else
static inline bool planted(const char *fault)
{
    (void)fault;
    return false;
}
#endif

#endif
