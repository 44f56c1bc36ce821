/* Keeps work on all threads together below a rate of bytes a second. */
#ifndef LARDER_TOOLS_THROTTLE_H
#define LARDER_TOOLS_THROTTLE_H

#include <stdint.h>

#include "common/attr.h"

struct throttle;

/* `rate` in bytes a second; 0: no limit. NULL: no memory. */
struct throttle *throttle_new(unsigned long long rate) MUST_CHECK;
void throttle_free(struct throttle *throttle);

/* Tells that `bytes` were moved, and sleeps for as long as they should have taken. Any thread;
 * returns early when a signal comes. */
void throttle_moved(struct throttle *throttle, uint64_t bytes);

/* Pure: the same without the sleep. The milliseconds to wait, from `now_ms` on. */
uint64_t throttle_wait_ms(struct throttle *throttle, uint64_t bytes, uint64_t now_ms) MUST_CHECK;

#endif
