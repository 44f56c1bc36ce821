/* One line an event, whatever comes through the values. */
#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/suite.h"

static FILE *captured;
static int kept_stderr;
static char text[1 << 20];

static void capture(void)
{
    captured = tmpfile();
    ck_assert_ptr_nonnull(captured);
    kept_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
}

/* What was written to standard error since capture(). */
static const char *release(void)
{
    ck_assert_int_ge(dup2(kept_stderr, STDERR_FILENO), 0);
    close(kept_stderr);
    rewind(captured);
    size_t len = fread(text, 1, sizeof text - 1, captured);
    text[len] = 0;
    (void)fclose(captured);
    return text;
}

static size_t lines(const char *from)
{
    size_t n = 0;
    for (; (from = strchr(from, '\n')); from++)
        n++;
    return n;
}

START_TEST(line_has_time_level_component_and_values)
{
    capture();
    log_event(LOG_WARN, "put", "request=%s bytes=%d", "r1", 42);
    const char *line = release();
    char date[64];
    char level[16];
    char component[16];
    int at = 0;
    ck_assert_int_eq(sscanf(line, "%63s %15s %15s %n", date, level, component, &at), 3);
    ck_assert_str_eq(level, "warn");
    ck_assert_str_eq(component, "put");
    ck_assert_str_eq(line + at, "request=r1 bytes=42\n");
    ck_assert_ptr_nonnull(strchr(date, 'T'));
}
END_TEST

START_TEST(lower_levels_are_dropped)
{
    capture();
    log_event(LOG_DEBUG, "x", "a=1"); /* the default is info */
    log_event(LOG_INFO, "x", "b=2");
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "x", "c=3");
    log_event(LOG_ERROR, "x", "d=4");
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "x", "e=5");
    const char *all = release();
    ck_assert_ptr_null(strstr(all, "a=1"));
    ck_assert_ptr_nonnull(strstr(all, "b=2"));
    ck_assert_ptr_null(strstr(all, "c=3"));
    ck_assert_ptr_nonnull(strstr(all, "d=4"));
    ck_assert_ptr_nonnull(strstr(all, "e=5"));
    ck_assert_uint_eq(lines(all), 3);
}
END_TEST

START_TEST(control_characters_cannot_make_a_line)
{
    capture();
    log_event(LOG_INFO, "x", "name=%s", "a\nb\rc\x1b[31md\x7f\te");
    const char *line = release();
    ck_assert_uint_eq(lines(line), 1);
    for (const char *c = line; c[1]; c++)
        ck_assert((unsigned char)*c >= 0x20 && *c != 0x7f);
    ck_assert_ptr_nonnull(strstr(line, "name=a"));
}
END_TEST

START_TEST(errno_is_kept)
{
    capture();
    errno = EXDEV;
    log_event(LOG_INFO, "x", "a=%d", 1);
    int after = errno;
    (void)release();
    ck_assert_int_eq(after, EXDEV);
}
END_TEST

START_TEST(long_values_stay_one_line)
{
    char *value = malloc(200001);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', 200000);
    value[200000] = 0;
    capture();
    log_event(LOG_INFO, "x", "value=%s", value);
    log_event(LOG_INFO, "x", "next=1");
    const char *all = release();
    ck_assert_uint_eq(lines(all), 2);
    ck_assert_ptr_nonnull(strstr(all, "value=vvvv"));
    ck_assert_ptr_nonnull(strstr(all, "next=1\n"));
    free(value);
}
END_TEST

enum { THREADS = 4, EVENTS = 500 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < EVENTS; i++)
        log_event(LOG_INFO, "thread", "who=%d line=%d end=yes", *(int *)arg, i);
    return NULL;
}

START_TEST(threads_do_not_mix_their_lines)
{
    pthread_t threads[THREADS];
    int names[THREADS];
    capture();
    for (int i = 0; i < THREADS; i++) {
        names[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, &names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    const char *all = release();
    ck_assert_uint_eq(lines(all), (size_t)THREADS * EVENTS);
    size_t whole = 0;
    for (const char *at = all; (at = strstr(at, " end=yes\n")); at++)
        whole++;
    ck_assert_uint_eq(whole, (size_t)THREADS * EVENTS);
}
END_TEST

START_TEST(levels_are_parsed)
{
    enum log_level level = LOG_ERROR;
    ck_assert_int_eq(log_level_parse("debug", &level), 0);
    ck_assert_int_eq(level, LOG_DEBUG);
    ck_assert_int_eq(log_level_parse("info", &level), 0);
    ck_assert_int_eq(level, LOG_INFO);
    ck_assert_int_eq(log_level_parse("warn", &level), 0);
    ck_assert_int_eq(level, LOG_WARN);
    ck_assert_int_eq(log_level_parse("error", &level), 0);
    ck_assert_int_eq(level, LOG_ERROR);
    ck_assert_int_eq(log_level_parse("", &level), -1);
    ck_assert_int_eq(log_level_parse("INFOS", &level), -1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {line_has_time_level_component_and_values,
                                  lower_levels_are_dropped,
                                  control_characters_cannot_make_a_line,
                                  errno_is_kept,
                                  long_values_stay_one_line,
                                  threads_do_not_mix_their_lines,
                                  levels_are_parsed,
                                  NULL};
    Suite *suite = suite_create("log");
    suite_case(suite, "log", tests);
    return suite_run(suite);
}
