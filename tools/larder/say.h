/*
 * What the program says to people. Errors and progress go to standard error, results to standard
 * output. One lock over all of it, so threads may speak; a progress line that stands on the
 * terminal is wiped before anything else is written.
 */
#ifndef LARDER_TOOLS_SAY_H
#define LARDER_TOOLS_SAY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

/* "larder: …" and a newline, on standard error. */
void say_error(const char *format, ...) PRINTF_LIKE(1, 2);

/* Text for standard output, as it is. */
void say(const char *format, ...) PRINTF_LIKE(1, 2);
void say_bytes(const void *bytes, size_t len);

/* A line that the next one replaces; only where standard error is a terminal. "" wipes it. */
void say_transient(const char *line);

/* A line of progress where it is not. */
void say_note(const char *line);

/* True where standard error is a terminal. */
bool say_on_terminal(void);

/* Flushes standard output. False where something could not be written (said already): a result
 * that was cut short, by a full disk for one, must not look like success. */
bool say_flush(void) MUST_CHECK;

#endif
