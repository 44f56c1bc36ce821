/*
 * What all fakes share: a trace of what they were asked to do, and memory that runs out where a
 * test wants it to (the Makefile wraps the allocators of these programs).
 */
#ifndef LARDER_TESTS_FLOW_FAKE_BASE_H
#define LARDER_TESTS_FLOW_FAKE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/attr.h"
#include "common/log.h"
#include "tests/unit/suite.h"

/* --- the trace: words, each with a space behind it --- */

static char trace[8192];

static inline void note(const char *format, ...) PRINTF_LIKE(1, 2);

static inline void note(const char *format, ...)
{
    size_t len = strlen(trace);
    va_list values;
    va_start(values, format);
    int n = vsnprintf(trace + len, sizeof trace - len, format, values);
    va_end(values);
    ck_assert_uint_lt(len + (size_t)n + 2, sizeof trace);
    memcpy(trace + len + n, " ", 2);
}

/* Compares what has happened since the last look, and forgets it. */
#define ck_trace(expected)                                                                         \
    do {                                                                                           \
        ck_assert_str_eq(trace, expected);                                                         \
        trace[0] = 0;                                                                              \
    } while (0)

/* How often a word is in a text. */
static inline unsigned count_words(const char *text, const char *word)
{
    unsigned count = 0;
    size_t len = strlen(word);
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
        count += (at == text || at[-1] == ' ') && at[len] == ' ';
    return count;
}

/* --- memory --- */

static struct {
    _Atomic unsigned left; /* allocations until the one that fails; 0: none does */
    bool failed;
} memory;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

static inline bool memory_is_short(void)
{
    if (memory.left == 0 || --memory.left)
        return false;
    memory.failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return memory_is_short() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_is_short() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return memory_is_short() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return memory_is_short() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return memory_is_short() ? NULL : __real_strndup(text, len);
}

/* check's own way of noting where a test has come to needs memory, which is not at stake here. */
void __real__mark_point(const char *file, int line);
void __wrap__mark_point(const char *file, int line);

void __wrap__mark_point(const char *file, int line)
{
    unsigned left = memory.left;
    memory.left = 0;
    __real__mark_point(file, line);
    memory.left = left;
}

/* The k-th allocation from now on fails (0: none). */
static inline void memory_arm(unsigned k)
{
    memory.left = k;
    memory.failed = false;
}

/* Runs `play` with the first allocation failing, then with the second, … until none fails any
 * more. `play` sets up anew each time, arms the memory with k, and looks at what came of it. */
static inline void memory_sweep(void (*play)(unsigned k))
{
    unsigned k = 1;
    for (; k < 1000; k++) {
        trace[0] = 0;
        play(k);
        if (!memory.failed)
            break;
    }
    ck_assert_uint_gt(k, 1); /* there was something to fail */
    ck_assert_uint_lt(k, 1000);
}

/* --- running --- */

/* A test, and with how many values of _i it runs. */
struct played {
    const TTest *test;
    int times;
};

/* Runs a list that ends with NULL; the exit status. */
static inline int play_all(const char *name, const struct played *list, void (*setup)(void),
                           void (*teardown)(void))
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (; list->test; list++)
        tcase_add_loop_test(tcase, list->test, 0, list->times);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}

/* Failures are what these tests are about: no need to print them. */
static inline void be_quiet(void)
{
    log_set_level((enum log_level)(LOG_ERROR + 1));
}

#endif
