/*
 * A line is made on the stack and written by one write(): no lock, no allocation, so it can be
 * called from any thread and where memory is out. There is no buffer, and so nothing to lose in a
 * crash.
 */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The lowest level that is written. Read by every thread, written at the start (and by tests). */
static _Atomic int lowest = LOG_INFO;

/* In the order of enum log_level. */
static const char *const names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    atomic_store(&lowest, (int)level);
}

int log_level_parse(const char *text, enum log_level *level)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    return -1;
}

/* "2026-11-21T14:30:00.123Z" (RFC 3339, in UTC): what every log collector reads. The length; 0
 * where the clock is so wrong that it is no date. */
static int put_time(char *to, size_t max)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!gmtime_r(&now.tv_sec, &parts))
        return 0;
    size_t len = strftime(to, max, "%Y-%m-%dT%H:%M:%S", &parts);
    int more = snprintf(to + len, max - len, ".%03ldZ", now.tv_nsec / 1000000);
    return (int)len + (more > 0 ? more : 0);
}

/* A value from outside must not be able to begin a line of its own. */
static void flatten(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
}

void log_event(enum log_level level, const char *component, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&lowest, memory_order_relaxed))
        return;
    int saved = errno;
    char line[4096];
    int len = put_time(line, 64);
    len += snprintf(line + len, 128, " %s %.40s ", names[level], component);

    va_list values;
    va_start(values, format);
    int more = vsnprintf(line + len, sizeof line - 1 - (size_t)len, format, values);
    va_end(values);
    /* vsnprintf tells the length that it would have had. */
    if (more > 0)
        len += more;
    if ((size_t)len > sizeof line - 2) /* cut: a line is never longer than this */
        len = (int)sizeof line - 2;
    flatten(line, (size_t)len);
    line[len++] = '\n';

    /* One write, so lines of several threads do not mix. A log that cannot be written is no reason
     * to stop serving. */
    ssize_t written = write(STDERR_FILENO, line, (size_t)len);
    (void)written;
    errno = saved;
}
