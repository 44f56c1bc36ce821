/*
 * Pure: no clock, no timer; the janitor tells what a round was, and gets a pause. So the rules can
 * be tested with made-up rounds (tests/unit).
 *
 * Three forces pull at the pause. What was done asks for the next round at once, what failed for a
 * longer one each time; and nothing may cost more than it is worth, so the time that was spent on
 * failures is also spent on doing nothing. The smallest of all reasons to go on wins, but never
 * below the time that reading the queue takes (least_pause()).
 */
#include "master/pace.h"

enum {
    PAUSE_MS = 500,        /* between rounds, */
    PAUSE_MAX_MS = 4000,   /* growing while nothing can be done; */
    PAUSE_MIN_MS = 10,     /* while there is more to do */
    SWEEPING_MS = 50,      /* while a sweep finds more */
    READING_IN_VAIN = 19,  /* times what reading took */
    REPAIR_MS = 1000,      /* between two tries to repair what could not be repaired, */
    REPAIR_MAX_MS = 15000, /* growing */
};

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Never below 0, where numbers have no sign. */
static uint64_t time_until(uint64_t when, uint64_t now)
{
    return when > now ? when - now : 0;
}

uint64_t pace_begin(struct pace *pace)
{
    *pace = (struct pace){.pause_ms = PAUSE_MS, .repair_pause_ms = REPAIR_MS};
    return PAUSE_MS;
}

bool pace_may_repair(const struct pace *pace, uint64_t now)
{
    return now >= pace->repair_due_ms;
}

/* At once while they succeed; where some fail, as much time is spent on them again as the others
 * have earned; where all do, a pause that grows. */
static void plan_repairs(struct pace *pace, const struct pace_round *round)
{
    const struct pace_tally *tally = &round->repaired;
    pace->repair_due_ms = round->ended_ms;
    if (tally->done) {
        uint64_t took = round->ended_ms - round->began_ms;
        pace->repair_due_ms += lesser(took * tally->failed / tally->done, REPAIR_MAX_MS);
    } else if (tally->failed) {
        pace->repair_due_ms += pace->repair_pause_ms;
        pace->repair_pause_ms = lesser(2 * pace->repair_pause_ms, REPAIR_MAX_MS);
        return;
    }
    pace->repair_pause_ms = REPAIR_MS;
}

/* What was asked for: repairs are tried again when as much time has gone by as was wasted on those
 * that failed. */
static void hurry_repairs(struct pace *pace, const struct pace_round *round)
{
    const struct pace_tally *tally = &round->repaired;
    uint64_t wasted = round->ended_ms - round->began_ms;
    if (tally->failed)
        wasted = wasted * tally->failed / (tally->done + tally->failed);
    uint64_t soon = round->ended_ms + (tally->failed ? lesser(wasted, REPAIR_MAX_MS) : 0);
    pace->repair_due_ms = lesser(pace->repair_due_ms, soon);
    pace->repair_pause_ms = REPAIR_MS;
}

/* The pause that what was done calls for. */
static uint64_t plan_pause(struct pace *pace, const struct pace_round *round)
{
    uint64_t took = round->ended_ms - round->began_ms;
    uint64_t done = round->cleared.done + round->repaired.done;
    uint64_t failed = round->cleared.failed + round->repaired.failed;
    bool stuck = failed && !done;
    pace->pause_ms = stuck ? lesser(2 * pace->pause_ms, PAUSE_MAX_MS) : PAUSE_MS;
    if (!done || !round->left)
        return pace->pause_ms;
    return lesser(PAUSE_MIN_MS + took * failed / done, PAUSE_MAX_MS);
}

/* Reading the queue of a million keys takes a while: half of the time at most. Where nothing came
 * of it, a twentieth: while clients write, the queue is full of their intents, and of the marks
 * that LevelDB keeps for a while in the place of those that are settled, and reading both took a
 * tenth of the master's CPU. */
static uint64_t least_pause(const struct pace_round *round, bool asked)
{
    bool in_vain = !round->cleared.done && !round->repaired.done && !round->to_repair;
    uint64_t times = in_vain && !asked && !round->sweeping ? READING_IN_VAIN : 1;
    return lesser(PAUSE_MIN_MS + times * round->reading_ms, PAUSE_MAX_MS);
}

/* The order matters: a ring takes back what the failures have put off, and so comes behind them. */
uint64_t pace_pause(struct pace *pace, const struct pace_round *round)
{
    if (round->repairs)
        plan_repairs(pace, round);
    uint64_t pause = plan_pause(pace, round);
    if (round->rung) {
        hurry_repairs(pace, round);
        pause = 0;
    }
    if (round->sweeping)
        pause = lesser(pause, SWEEPING_MS);
    if (round->due_ms)
        pause = lesser(pause, time_until(round->due_ms, round->ended_ms));
    if (round->to_repair)
        pause = lesser(pause, time_until(pace->repair_due_ms, round->ended_ms));
    uint64_t least = least_pause(round, round->rung);
    return pause > least ? pause : least;
}

/* The least pause still holds: an operator who asks all the time must not make the queue be read
 * all the time. */
uint64_t pace_hurry(struct pace *pace, const struct pace_round *round, uint64_t now)
{
    hurry_repairs(pace, round);
    return time_until(round->ended_ms + least_pause(round, true), now);
}
