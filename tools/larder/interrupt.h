/* SIGINT and SIGTERM end long work in good order: the work asks, between two steps, whether one
 * has come. A second one ends the process at once. */
#ifndef LARDER_TOOLS_INTERRUPT_H
#define LARDER_TOOLS_INTERRUPT_H

#include <stdbool.h>

/* From now on the signals are noted instead of ending the process. */
void interrupt_watch(void);

/* True once one has come. Any thread. */
bool interrupt_seen(void);

/* Sleeps `ms` milliseconds, or until a signal comes. */
void interrupt_sleep(unsigned long long ms);

#endif
