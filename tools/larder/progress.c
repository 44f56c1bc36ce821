/*
 * One lock, since counting and telling are a few instructions; what is costly is writing, and that
 * happens a few times a second at most. Callers count in portions all the same.
 *
 * `every_ms` also says which kind of output it is. The time left is the time so far, scaled: with a
 * total by units, without one by the part of the tree that was walked.
 */
#include "tools/larder/progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/loop.h"
#include "tools/larder/say.h"

enum { TERMINAL_EVERY_MS = 200, PLAIN_EVERY_MS = 5000 };

struct progress {
    pthread_mutex_t lock; /* over all below */
    struct progress_figures figures;
    uint64_t started_ms; /* of loop_now_ms(), as said_ms */
    uint64_t said_ms;    /* when the last line was written */
    unsigned every_ms;
};

struct progress *progress_new(const char *label, const char *unit, uint64_t total)
{
    struct progress *progress = calloc(1, sizeof *progress);
    if (!progress)
        return NULL;
    (void)pthread_mutex_init(&progress->lock, NULL);
    progress->figures = (struct progress_figures){.label = label, .unit = unit, .total = total};
    progress->figures.part = -1;
    progress->started_ms = progress->said_ms = loop_now_ms();
    progress->every_ms = say_on_terminal() ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS;
    return progress;
}

/* No other thread may use it any more. */
void progress_free(struct progress *progress)
{
    if (!progress)
        return;
    say_transient("");
    (void)pthread_mutex_destroy(&progress->lock);
    free(progress);
}

/* Callers come often, on many threads; most leave at the first comparison. */
static void tell_locked(struct progress *progress)
{
    uint64_t now = loop_now_ms();
    if (now - progress->said_ms < progress->every_ms)
        return;
    progress->said_ms = now;
    progress->figures.elapsed_ms = now - progress->started_ms;
    struct buf line = BUF_INIT;
    progress_text(&line, &progress->figures);
    if (progress->every_ms == TERMINAL_EVERY_MS)
        say_transient(buf_text(&line));
    else
        say_note(buf_text(&line));
    buf_free(&line);
}

void progress_add(struct progress *progress, uint64_t count)
{
    (void)pthread_mutex_lock(&progress->lock);
    progress->figures.done += count;
    tell_locked(progress);
    (void)pthread_mutex_unlock(&progress->lock);
}

/* Says nothing by itself: progress_add() comes with every directory. */
void progress_advance(struct progress *progress, double part)
{
    (void)pthread_mutex_lock(&progress->lock);
    if (progress->figures.part < 0)
        progress->figures.part = 0;
    progress->figures.part += part;
    (void)pthread_mutex_unlock(&progress->lock);
}

void progress_set(struct progress *progress, uint64_t done, uint64_t total)
{
    (void)pthread_mutex_lock(&progress->lock);
    progress->figures.done = done;
    progress->figures.total = total;
    tell_locked(progress);
    (void)pthread_mutex_unlock(&progress->lock);
}

/* --- pure --- */

/* The thousands first, so it is recursive. */
void progress_number(struct buf *out, uint64_t number)
{
    if (number >= 1000) {
        progress_number(out, number / 1000);
        buf_addf(out, ",%03u", (unsigned)(number % 1000));
    } else {
        buf_addf(out, "%u", (unsigned)number);
    }
}

void progress_duration(struct buf *out, uint64_t ms)
{
    unsigned long long seconds = (ms + 500) / 1000;
    unsigned long long minutes = seconds / 60;
    unsigned long long hours = minutes / 60;
    if (hours >= 48)
        buf_addf(out, "%llud %02llu:%02llu", hours / 24, hours % 24, minutes % 60);
    else if (hours)
        buf_addf(out, "%llu:%02llu:%02llu", hours, minutes % 60, seconds % 60);
    else
        buf_addf(out, "%llu:%02llu", minutes, seconds % 60);
}

/* How much of the whole is done, 0 to 1; below 0: not known. */
static double part_done(const struct progress_figures *figures)
{
    double part = figures->total ? (double)figures->done / (double)figures->total : figures->part;
    return part > 1 ? 1 : part;
}

int64_t progress_left_ms(const struct progress_figures *figures)
{
    double part = part_done(figures);
    /* The first moments say nothing about the pace. */
    if (part <= 0.0001 || figures->elapsed_ms < 500)
        return -1;
    double left = (double)figures->elapsed_ms * (1 - part) / part;
    return left < 1e15 ? (int64_t)left : -1;
}

/* Since the beginning, not of the last moments: listings come in bursts. */
static uint64_t rate(const struct progress_figures *figures)
{
    if (figures->elapsed_ms == 0)
        return 0;
    return (uint64_t)((double)figures->done * 1000 / (double)figures->elapsed_ms);
}

/* One line without an end, short enough for a terminal of 80 columns mostly. */
void progress_text(struct buf *out, const struct progress_figures *figures)
{
    buf_addf(out, "%s: ", figures->label);
    progress_number(out, figures->done);
    if (figures->total) {
        buf_adds(out, " of ");
        progress_number(out, figures->total);
    }
    buf_addf(out, " %s", figures->unit);
    double part = part_done(figures);
    if (part >= 0)
        buf_addf(out, " (%u %%)", (unsigned)(part * 100));
    buf_adds(out, ", ");
    progress_number(out, rate(figures));
    buf_adds(out, "/s");
    int64_t left = progress_left_ms(figures);
    if (left >= 0) {
        buf_adds(out, ", ");
        progress_duration(out, (uint64_t)left);
        buf_adds(out, " left");
    }
}
