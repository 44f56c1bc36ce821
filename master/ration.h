/*
 * Bounds the bytes of values that are under way at the same time for the janitor: many small ones,
 * whose cost is waiting for the volumes' disks, or a few large ones, which would only get into each
 * other's way and need a window each. Belongs to one loop.
 */
#ifndef LARDER_MASTER_RATION_H
#define LARDER_MASTER_RATION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct loop;
struct ration;

/* One who asks for a share; the struct is the caller's. */
struct ration_share {
    void (*granted)(void *arg); /* on the loop, never before ration_ask() returned */
    void *arg;
    /* the ration's own: */
    struct ration *ration;
    uint64_t bytes;
    enum { RATION_NONE, RATION_WAITS, RATION_HOLDS } state;
    struct ration_share *next;
};

/* `bytes` for all together. NULL: no memory. */
struct ration *ration_new(struct loop *loop, uint64_t bytes) MUST_CHECK;
void ration_free(struct ration *ration);

/* Asks for a value of so many bytes (a large one counts as a window of it). `granted` follows as
 * soon as there is room, in the order of asking; somebody always gets it. */
void ration_ask(struct ration *ration, struct ration_share *share, uint64_t bytes);
/* Gives it back, or stops waiting for it; no-op for one that was never asked for. */
void ration_return(struct ration_share *share);

#endif
