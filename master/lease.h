/*
 * One at a time: a lease is held by whoever named himself first, until he gives it back or has not
 * been heard of for a while. In memory only: after a restart the next to come has it.
 */
#ifndef LARDER_MASTER_LEASE_H
#define LARDER_MASTER_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct lease;

enum { LEASE_NAME_MAX = 64 };

/* Held for `ms` milliseconds after its holder was last heard of. NULL: no memory. */
struct lease *lease_new(uint64_t ms) MUST_CHECK;
void lease_free(struct lease *lease);

/* `name`: who asks, up to LEASE_NAME_MAX bytes (longer ones are refused); NULL or "": one without a
 * name, who is let through while nobody holds it, and does not hold it himself. `now`: of
 * loop_now_ms(). False: another has it. Any thread. */
bool lease_take(struct lease *lease, const char *name, uint64_t now) MUST_CHECK;
/* Nothing where another has it. Any thread. */
void lease_give_back(struct lease *lease, const char *name);

#endif
