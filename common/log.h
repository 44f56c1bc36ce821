/*
 * Logs: one line an event, `time level component key=value …`, on standard error.
 * Values of keys, tokens and secrets never go into it. An error is logged once, where it is met.
 */
#ifndef LARDER_COMMON_LOG_H
#define LARDER_COMMON_LOG_H

#include "common/attr.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Lines below `level` are dropped from now on, in all threads. The default is LOG_INFO. */
void log_set_level(enum log_level level);

/* Parses "debug", "info", "warn", "error". 0 and the level, or -1. */
int log_level_parse(const char *text, enum log_level *level) MUST_CHECK;

/*
 * Writes one line. `component` is a word ("put", "index", …); the format makes the `key=value`
 * pairs, e.g. log_event(LOG_WARN, "put", "request=%s volume=%s error=\"%s\"", …). Control
 * characters that arrive through the values are replaced by '?', so a line stays a line; beyond 4
 * KiB it is cut. Thread-safe; errno is kept, so it can be logged before it is used. It may block
 * where standard error is a pipe that nobody reads.
 */
void log_event(enum log_level level, const char *component, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
