/*
 * Several masters: requests of one that wrote before do nothing any more once the volume has heard
 * of the next. A master's request names the term in which it writes (`Larder-Term`); one of an
 * older term is refused, also if it had begun before: it may have been on its way for long.
 */
#ifndef LARDER_VOLUME_FENCE_H
#define LARDER_VOLUME_FENCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

/* In memory only: no request outlives the process. Zeroed is empty. Any thread. */
struct fence {
    _Atomic uint64_t term;     /* the highest that was heard of */
    _Atomic uint64_t heard_ms; /* when it was heard of last, of loop_now_ms() */
};

/* After so long without a word of the highest term lower ones count again: health checks come twice
 * a second, so that term is over, and the masters may have another etcd, which counts anew. */
enum { FENCE_FORGETS_MS = 60000 };

/* What `Larder-Term` says; NULL and whatever is no number: 0, of one that is the only master. */
uint64_t fence_parse(const char *field);
/* A request of this term has come at `now_ms`. False where it is over: nothing may be changed for
 * it. 0 always passes. */
bool fence_hear(struct fence *fence, uint64_t term, uint64_t now_ms) MUST_CHECK;
/* Whether a change of this term may take place at `now_ms`: the last question before it does. */
bool fence_holds(const struct fence *fence, uint64_t term, uint64_t now_ms) MUST_CHECK;

#endif
