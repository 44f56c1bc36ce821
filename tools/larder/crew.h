/* Threads that work off items from a bounded queue. */
#ifndef LARDER_TOOLS_CREW_H
#define LARDER_TOOLS_CREW_H

#include <stddef.h>

#include "common/attr.h"

struct crew;

struct crew_work {
    void *(*begin)(void *arg);             /* makes what one thread needs; NULL: it cannot */
    void (*work)(void *state, void *item); /* the item is the thread's from here on */
    void (*end)(void *state);              /* by the thread that made the crew */
    void *arg;                             /* for begin() */
};

/* NULL where no thread could be started, or begin() failed (which said why). */
struct crew *crew_new(unsigned threads, const struct crew_work *work) MUST_CHECK;

/* Hands over an item (not NULL); waits while the queue is full. */
void crew_give(struct crew *crew, void *item);

/* Waits until all items are worked off, and ends the threads. NULL is fine. */
void crew_finish(struct crew *crew);

#endif
