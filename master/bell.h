/*
 * Calls the janitor: whoever has made work for it rings, on any thread, and it hears on its loop.
 * So nobody who makes work needs to know the janitor, and it need not look for work all the time.
 */
#ifndef LARDER_MASTER_BELL_H
#define LARDER_MASTER_BELL_H

#include "common/attr.h"

struct bell;
struct loop;

/* heard(arg) runs on `loop` after a ring; once for all rings that came before it. NULL: no memory.
 */
struct bell *bell_new(struct loop *loop, void (*heard)(void *arg), void *arg) MUST_CHECK;
/* Only when nobody rings any more, and the loop has delivered what was rung. */
void bell_free(struct bell *bell);

/* Any thread; no-op for NULL. Never calls `heard` itself. */
void bell_ring(struct bell *bell);

#endif
