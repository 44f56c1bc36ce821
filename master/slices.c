/*
 * Why not a fixed number of keys at a time: what it leaves to clients is a matter of luck. How much
 * a key takes from them hangs on its size, on the disks, and on how many processors there are for
 * how many servers; a number that is right for one store starves the clients of another, or lets
 * its own work stand.
 *
 * So the clients' rate is measured, in slices in which the janitor works as fast as it can, and in
 * the rests between. With r for the first in parts of the second, and work for a share d of the
 * time, clients keep d * r + (1 - d) of their rate, and that is to be KEEP:
 *
 *     d = (1 - KEEP) / (1 - r)
 *
 * Clients who do not wait for each other's answers, or whose requests meet no bottleneck, have the
 * same rate in both: then it works nearly all the time. Many keys at once are also cheaper than few
 * all the time: they share the syncs of disks and index.
 *
 * FREE → REST, where clients are busy → WORK → TAIL → REST → WORK … ; at the end of a rest with few
 * requests FREE. Only rests tell that: what a slice suppresses is no sign of clients that have
 * left.
 */
#include "master/slices.h"

enum {
    BUSY_RATE = 40,     /* requests of clients a second: so many are busy; */
    QUIET_RATE = 30,    /* fewer are not, any more, */
    QUIET_MS = 250,     /* over so much of rests */
    WORK_MS = 150,      /* for so long keys are begun: several times what one takes */
    TAIL_MAX_MS = 1000, /* one that hangs is not waited for */
    ENOUGH_MS = 20,     /* shorter ones are added up: in them hardly a request comes */
    REST_MIN_MS = 25,   /* or nothing could be measured */
    REST_MAX_MS = 2000
};
static const double KEEP = 0.8;      /* of their rate, for the clients */
static const double SHARE_MAX = 0.9; /* of the time, for keys */
static const double OLDER = 0.75;    /* so much less a slice counts than the one after it */

static double rate_of(const struct slices_tally *tally)
{
    return tally->ms > 0 ? tally->requests / tally->ms : 0;
}

static void add(struct slices_tally *tally, const struct slices *slices,
                const struct slices_now *now)
{
    double ms = (double)(now->ms - slices->began_ms);
    double older = ms >= ENOUGH_MS ? OLDER : 1;
    tally->requests = older * tally->requests + (double)(now->requests - slices->requests);
    tally->ms = older * tally->ms + ms;
}

static void enter(struct slices *slices, enum slices_state state, const struct slices_now *now,
                  uint64_t ms)
{
    slices->state = state;
    slices->until_ms = now->ms + ms;
    if (state == SLICES_TAIL) /* a part of the slice */
        return;
    slices->began_ms = now->ms;
    slices->requests = now->requests;
}

/* After a slice of `took` ms. */
static uint64_t plan_rest(const struct slices *slices, uint64_t took)
{
    double undisturbed = rate_of(&slices->rest);
    double kept = undisturbed > 0 ? rate_of(&slices->work) / undisturbed : 0;
    double share = kept < 1 ? (1 - KEEP) / (1 - kept) : 1;
    share = share < SHARE_MAX ? share : SHARE_MAX;
    double rest = (double)took * (1 - share) / share;
    if (rest < REST_MIN_MS)
        return REST_MIN_MS;
    return rest < REST_MAX_MS ? (uint64_t)rest : REST_MAX_MS;
}

static void end_slice(struct slices *slices, const struct slices_now *now)
{
    add(&slices->work, slices, now);
    enter(slices, SLICES_REST, now, plan_rest(slices, now->ms - slices->began_ms));
}

/* Whether the rests of the last moments were. What came before does not count: it would keep
 * clients busy for long who have left. */
static bool are_quiet(struct slices *slices, const struct slices_now *now)
{
    struct slices_tally *lately = &slices->lately;
    lately->requests += (double)(now->requests - slices->requests);
    lately->ms += (double)(now->ms - slices->began_ms);
    if (lately->ms < QUIET_MS)
        return false;
    bool quiet = rate_of(lately) * 1000 < QUIET_RATE;
    *lately = (struct slices_tally){0, 0};
    return quiet;
}

static void end_rest(struct slices *slices, const struct slices_now *now)
{
    add(&slices->rest, slices, now);
    if (are_quiet(slices, now))
        *slices = (struct slices){.looked_ms = now->ms, .looked = now->requests};
    else
        enter(slices, SLICES_WORK, now, WORK_MS);
}

/* Nothing has been to be done for a while. What the clients did so long ago tells nothing. */
static void renew_rest(struct slices *slices, const struct slices_now *now)
{
    slices->rest = (struct slices_tally){0, 0};
    end_rest(slices, now);
    if (slices->state == SLICES_WORK)
        enter(slices, SLICES_REST, now, 0);
}

void slices_look(struct slices *slices, const struct slices_now *now)
{
    uint64_t ms = now->ms - slices->looked_ms;
    uint64_t came = now->requests - slices->looked;
    bool known = slices->looked_ms != 0;
    slices->looked_ms = now->ms;
    slices->looked = now->requests;
    if (slices->state == SLICES_FREE && known && came * 1000 >= ms * BUSY_RATE)
        enter(slices, SLICES_REST, now, WORK_MS);
    else if (slices->state == SLICES_REST && !now->more &&
             now->ms - slices->began_ms >= REST_MAX_MS)
        renew_rest(slices, now);
}

/* A slice ends before its time where nothing is left to begin: what follows would be no measure of
 * what work costs the clients. */
bool slices_may_begin(struct slices *slices, const struct slices_now *now)
{
    bool over = now->ms >= slices->until_ms;
    bool ended = now->under_way == 0;
    if (slices->state == SLICES_WORK && (over || (ended && !now->more)))
        enter(slices, SLICES_TAIL, now, TAIL_MAX_MS);
    if (slices->state == SLICES_TAIL && (ended || now->ms >= slices->until_ms))
        end_slice(slices, now);
    else if (slices->state == SLICES_REST && over && now->more)
        end_rest(slices, now);
    return slices->state == SLICES_FREE || slices->state == SLICES_WORK;
}

uint64_t slices_next_ms(const struct slices *slices)
{
    return slices->state == SLICES_FREE ? 0 : slices->until_ms;
}
