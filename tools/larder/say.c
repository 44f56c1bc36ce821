/*
 * One lock over both streams and the transient line, so that a line of progress is wiped before
 * anything else is written, and lines of two threads do not mix. stdio's own locks would hold each
 * call together, but not a wipe and its text.
 */
#include "tools/larder/say.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool line_stands; /* a transient line is on the terminal; under `lock` */

bool say_on_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

/* Back to the beginning of the line, and clear up to its end (ECMA-48). */
static void wipe_locked(void)
{
    if (line_stands)
        (void)fputs("\r\033[K", stderr);
    line_stands = false;
}

/* An error of stderr itself cannot be told to anybody. */
void say_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)pthread_mutex_lock(&lock);
    wipe_locked();
    (void)fputs("larder: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    (void)pthread_mutex_unlock(&lock);
    va_end(args);
}

/* Buffered by stdio; say_flush() tells at the end whether all of it was written. */
void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)pthread_mutex_lock(&lock);
    wipe_locked();
    (void)vprintf(format, args);
    (void)pthread_mutex_unlock(&lock);
    va_end(args);
}

void say_bytes(const void *bytes, size_t len)
{
    (void)pthread_mutex_lock(&lock);
    wipe_locked();
    (void)fwrite(bytes, 1, len, stdout);
    (void)pthread_mutex_unlock(&lock);
}

void say_transient(const char *line)
{
    if (!say_on_terminal())
        return;
    (void)pthread_mutex_lock(&lock);
    wipe_locked();
    (void)fputs(line, stderr);
    (void)fflush(stderr);
    line_stands = *line != 0;
    (void)pthread_mutex_unlock(&lock);
}

/* Also on a terminal, for summaries that are to stay. */
void say_note(const char *line)
{
    (void)pthread_mutex_lock(&lock);
    wipe_locked();
    (void)fprintf(stderr, "%s\n", line);
    (void)pthread_mutex_unlock(&lock);
}

/* ferror() too: an earlier write may have failed where nobody asked. */
bool say_flush(void)
{
    bool good = fflush(stdout) == 0 && !ferror(stdout);
    if (!good)
        say_error("could not write the result to standard output: %s", strerror(errno));
    return good;
}
