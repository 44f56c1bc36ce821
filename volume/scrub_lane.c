/*
 * The thread of a disk. Again and again, the first of these that there is:
 *
 * suspects (lane_suspect) → what masters were told (lane_tend) → the next value of a round
 * (lane_round: load the position → begin, if it is due → walk → check → advance → save) → wait.
 *
 * Reading a value pauses after every step (lane_pause): for the rate, for requests, and to examine
 * suspects that come meanwhile.
 *
 * No lock is held while a disk is touched, so one that hangs stops its own thread and nothing else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/thread.h"
#include "volume/damage.h"
#include "volume/path.h"
#include "volume/scrub_inside.h"
#include "volume/scrub_walk.h"
#include "volume/service.h"
#include "volume/tell.h"

enum {
    IDLE_US = 1000 * 1000,          /* between two looks for something to do */
    RESUME_EVERY_MS = 60 * 1000,    /* the quarantine, for what could not be told before */
    SAVE_EVERY_MS = 10 * 60 * 1000, /* so much is read again after a crash */
    RETRY_MS = 250,                 /* before the same value, or position, is tried again */
    TRIES = 5,                      /* for a value, where memory is short or the like */
    POLITE_MOST_US = 50 * 1000,     /* else a slow disk that is always busy would never be done */
    NICE = 10,
    IO_IDLE = 3 << 13, /* ioprio_set(2): IOPRIO_CLASS_IDLE, for schedulers that know it */
};

static bool lane_suspect(struct scrub_lane *lane);
static bool lane_tend(struct scrub_lane *lane);
static bool lane_round(struct scrub_lane *lane);
static bool lane_pause(void *arg, uint64_t bytes);

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct damage make_damage(struct scrub_lane *lane)
{
    struct scrub *scrub = lane->scrub;
    return (struct damage){.all = scrub->options.all,
                           .tell = scrub->tell,
                           .buffer = lane->buffer,
                           .pause = lane_pause,
                           .arg = lane};
}

/* Examines a value. Without the lock. */
static enum examine_result check(struct scrub_lane *lane, unsigned subvolume, const char *path,
                                 uint64_t *bytes)
{
    const struct damage damage = make_damage(lane);
    lane->step_began_us = now_us();
    enum examine_result result = damage_check(&damage, subvolume, path, bytes);
    if (result == EXAMINE_DAMAGED) {
        (void)pthread_mutex_lock(&lane->scrub->lock);
        lane->scrub->damaged_ever++;
        (void)pthread_mutex_unlock(&lane->scrub->lock);
    }
    return result;
}

/* --- Waiting --- */

/* With the lock held. At most until then, on the clock of now_us(). */
static void wait_until(struct scrub *scrub, uint64_t until_us)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                             .tv_nsec = (long)(until_us % 1000000) * 1000};
    (void)thread_wait(&scrub->changed, &scrub->lock, &until);
}

/* With the lock held. Bytes a second for the part that is being read. */
static uint64_t rate_of(const struct scrub *scrub, const struct scrub_part *part)
{
    if (part->position.forced)
        return part->position.rate;
    return scrub_pace_rate(part->used, part->files, scrub->options.period_ms);
}

/* Where requests came during the last step, as long as that step took belongs to them. */
static uint64_t polite_us(struct scrub_lane *lane, uint64_t now)
{
    struct service_counters *counters = lane->scrub->options.counters;
    uint64_t requests = atomic_load(&counters->gets) + atomic_load(&counters->puts);
    bool busy = requests != lane->requests;
    uint64_t took = now - lane->step_began_us;
    lane->requests = requests;
    if (!busy)
        return 0;
    return took < POLITE_MOST_US ? took : POLITE_MOST_US;
}

/* With the lock held. Whether there is a reason not to go on with the value. */
static bool is_over(const struct scrub_lane *lane)
{
    return lane->scrub->stopping || (lane->part && lane->part->wanted);
}

/* After each step: the rate and the requests each say until when to wait, and the later counts.
 * Only a round pays: a suspect is read as fast as it goes, since a reader has asked for it. False:
 * the value is given up, because the thread is to end, or a round to begin anew. */
static bool lane_pause(void *arg, uint64_t bytes)
{
    struct scrub_lane *lane = arg;
    struct scrub *scrub = lane->scrub;
    struct scrub_part *part = lane->part;
    uint64_t now = now_us();
    uint64_t until = now + polite_us(lane, now);
    (void)pthread_mutex_lock(&scrub->lock);
    if (part) {
        uint64_t paid =
            now + scrub_pace_spend(&lane->pace, now, bytes + lane->cost, rate_of(scrub, part));
        lane->cost = 0;
        until = paid > until ? paid : until;
    }
    bool over = is_over(lane);
    while (!over && now_us() < until) {
        (void)pthread_mutex_unlock(&scrub->lock);
        /* A pause is a good moment for a suspect; but not that of another suspect, or they would go
         * as deep as there are suspects. */
        bool examined = part && lane_suspect(lane);
        (void)pthread_mutex_lock(&scrub->lock);
        over = is_over(lane);
        if (!examined && !over)
            wait_until(scrub, until);
    }
    (void)pthread_mutex_unlock(&scrub->lock);
    lane->step_began_us = now_us();
    return !over;
}

/* --- Suspects --- */

/* With the lock held. */
static struct scrub_suspect *take_suspect(struct scrub *scrub, unsigned lane)
{
    for (struct scrub_suspect **at = &scrub->suspects; *at; at = &(*at)->next) {
        struct scrub_suspect *suspect = *at;
        if (suspect->lane != lane)
            continue;
        *at = suspect->next;
        scrub->suspect_count--;
        return suspect;
    }
    return NULL;
}

/* Examines one; true where there was one. Without the lock, as the next two. */
static bool lane_suspect(struct scrub_lane *lane)
{
    struct scrub *scrub = lane->scrub;
    (void)pthread_mutex_lock(&scrub->lock);
    struct scrub_suspect *suspect = take_suspect(scrub, lane->number);
    (void)pthread_mutex_unlock(&scrub->lock);
    if (!suspect)
        return false;
    uint64_t bytes;
    struct scrub_part *reading = lane->part; /* a pause in a round's value comes here, too */
    lane->part = NULL;
    enum examine_result result = check(lane, suspect->subvolume, suspect->path, &bytes);
    lane->part = reading;
    if (result == EXAMINE_LATER)
        log_event(LOG_WARN, "scrub",
                  "subvolume=%u path=\"%s\" error=\"it could not be examined now\" advice=\"the "
                  "next round will\"",
                  suspect->subvolume, suspect->path);
    free(suspect);
    return true;
}

static void lane_found_suspect(void *arg, unsigned subvolume, const char *path)
{
    struct scrub_lane *lane = arg;
    scrub_suspect(lane->scrub, subvolume, path);
}

/* --- The quarantines --- */

/* With the lock held. The lane's next part from `subvolume` on; NULL: none. */
static struct scrub_part *next_part(const struct scrub_lane *lane, unsigned subvolume)
{
    for (; subvolume < PATH_SUBVOLUMES; subvolume++) {
        struct scrub_part *part = lane->scrub->parts[subvolume];
        if (part && part->present && part->lane == lane->number && !part->busy)
            return part;
    }
    return NULL;
}

static void tend_all(struct scrub_lane *lane, bool resume)
{
    struct scrub *scrub = lane->scrub;
    const struct damage damage = make_damage(lane);
    (void)pthread_mutex_lock(&scrub->lock);
    for (unsigned i = 0; i < PATH_SUBVOLUMES && !scrub->stopping; i++) {
        const struct scrub_part *part = next_part(lane, i);
        if (!part)
            break;
        i = part->subvolume;
        (void)pthread_mutex_unlock(&scrub->lock);
        damage_mark_told(&damage, i);
        if (resume)
            damage_resume(&damage, i, lane_found_suspect);
        (void)pthread_mutex_lock(&scrub->lock);
    }
    (void)pthread_mutex_unlock(&scrub->lock);
}

/* Where masters were told of something since, or a minute has passed. True where there was
 * something to do. */
static bool lane_tend(struct scrub_lane *lane)
{
    struct scrub *scrub = lane->scrub;
    (void)pthread_mutex_lock(&scrub->lock);
    uint64_t told = scrub->told;
    (void)pthread_mutex_unlock(&scrub->lock);
    uint64_t now = loop_now_ms();
    bool resume = scrub->options.masters->count > 0 &&
                  (lane->resumed_at == 0 || now - lane->resumed_at > RESUME_EVERY_MS);
    if (!resume && told == lane->told)
        return false;
    lane->told = told;
    if (resume)
        lane->resumed_at = now;
    tend_all(lane, resume);
    return true;
}

/* --- Rounds --- */

/* With the lock held. What there is to do for the part, from 4 to 0 (nothing). What was asked for
 * comes first, then positions, since only they tell what is due; then the rounds that run, one
 * after the other rather than all a little. */
static int urgency(const struct scrub *scrub, const struct scrub_part *part)
{
    uint64_t period = scrub->options.period_ms;
    if (part->retry_at > loop_now_ms())
        return 0;
    if (part->wanted || (part->loaded && part->position.running && part->position.forced))
        return 4;
    if (!part->loaded)
        return period ? 3 : 0; /* without rounds of its own the disk is left alone */
    if (part->position.running)
        return period ? 2 : 0;
    return scrub_position_due(&part->position, period, loop_wall_ms()) <= loop_wall_ms();
}

/* With the lock held. */
static struct scrub_part *choose_part(const struct scrub_lane *lane)
{
    struct scrub_part *best = NULL;
    int most = 0;
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        struct scrub_part *part = next_part(lane, i);
        if (!part)
            break;
        i = part->subvolume;
        int urgent = urgency(lane->scrub, part);
        if (urgent > most) {
            best = part;
            most = urgent;
        }
    }
    return best;
}

/* What fails is logged, and tried again the next time. */
static void save_as(struct scrub *scrub, struct scrub_part *part,
                    const struct scrub_position *position)
{
    part->saved_at = loop_now_ms();
    (void)!scrub_position_save(position, scrub->options.all, part->subvolume);
}

/* A copy, whose path stays as long as the thread does not move on. */
static struct scrub_position position_of(struct scrub *scrub, const struct scrub_part *part)
{
    (void)pthread_mutex_lock(&scrub->lock);
    struct scrub_position position = part->position;
    (void)pthread_mutex_unlock(&scrub->lock);
    return position;
}

static void save(struct scrub *scrub, struct scrub_part *part)
{
    struct scrub_position position = position_of(scrub, part);
    save_as(scrub, part, &position);
}

/* A position that is damaged, or was never written, is as none: the round begins anew. Only where
 * it could not be looked for is it tried again. */
static void load(struct scrub *scrub, struct scrub_part *part)
{
    struct scrub_position position = {.after = NULL};
    enum status st = scrub_position_load(&position, scrub->options.all, part->subvolume);
    scrub_walk_free(part->walk);
    part->walk = NULL;
    part->saved_at = loop_now_ms();
    (void)pthread_mutex_lock(&scrub->lock);
    if (st == ST_UNAVAILABLE || st == ST_NO_MEMORY || st == ST_BUSY) {
        part->retry_at = loop_now_ms() + RETRY_MS;
    } else {
        scrub_position_clear(&part->position);
        part->position = position;
        part->loaded = true;
    }
    (void)pthread_mutex_unlock(&scrub->lock);
}

/* Begins a round where none runs, or one is asked for. */
static void start_round(struct scrub *scrub, struct scrub_part *part)
{
    scrub_walk_free(part->walk);
    part->walk = NULL;
    (void)pthread_mutex_lock(&scrub->lock);
    scrub_position_start(&part->position, loop_wall_ms());
    part->position.forced = part->wanted;
    part->position.rate = part->wanted ? part->wanted_rate : 0;
    part->wanted = false;
    (void)pthread_mutex_unlock(&scrub->lock);
    char name[PATH_SUBVOLUME_NAME];
    path_subvolume_name(part->subvolume, name);
    log_event(LOG_INFO, "scrub", "subvolume=\"%s\" round=started forced=%d", name,
              part->position.forced);
    save(scrub, part);
}

/* On the disk first: who sees that it is over sees it after a restart, too. */
static void finish_round(struct scrub *scrub, struct scrub_part *part)
{
    char name[PATH_SUBVOLUME_NAME];
    uint64_t now = loop_wall_ms();
    struct scrub_position done = position_of(scrub, part);
    done.after = NULL; /* the part's */
    scrub_position_finish(&done, now);
    scrub_walk_free(part->walk);
    part->walk = NULL;
    path_subvolume_name(part->subvolume, name);
    log_event(done.damaged ? LOG_WARN : LOG_INFO, "scrub",
              "subvolume=\"%s\" round=finished values=%llu bytes=%llu damaged=%llu", name,
              (unsigned long long)done.values, (unsigned long long)done.bytes,
              (unsigned long long)done.damaged);
    save_as(scrub, part, &done);
    (void)pthread_mutex_lock(&scrub->lock);
    scrub_position_finish(&part->position, now);
    (void)pthread_mutex_unlock(&scrub->lock);
}

/* Something is short, or the disk has just gone: the same value again, from a new walk. */
static void retry(struct scrub *scrub, struct scrub_part *part)
{
    scrub_walk_free(part->walk);
    part->walk = NULL;
    (void)pthread_mutex_lock(&scrub->lock);
    part->retry_at = loop_now_ms() + RETRY_MS;
    (void)pthread_mutex_unlock(&scrub->lock);
}

/* The value is done with, whatever it was: the position is behind it. */
static void advance(struct scrub *scrub, struct scrub_part *part, const char *path,
                    enum examine_result result, uint64_t bytes)
{
    bool read = result == EXAMINE_GOOD || result == EXAMINE_DAMAGED;
    part->tries = 0;
    (void)pthread_mutex_lock(&scrub->lock);
    part->position.values += read;
    part->position.bytes += read ? bytes : 0;
    part->position.damaged += result == EXAMINE_DAMAGED;
    /* Without memory the position stays behind: some values would be read twice. */
    (void)!scrub_position_advance(&part->position, path);
    (void)pthread_mutex_unlock(&scrub->lock);
    if (loop_now_ms() - part->saved_at > SAVE_EVERY_MS)
        save(scrub, part);
}

/* The next value of the round. */
static void read_next(struct scrub_lane *lane, struct scrub_part *part)
{
    struct scrub *scrub = lane->scrub;
    const char *path;
    uint64_t bytes = 0;
    if (!part->walk)
        part->walk = scrub_walk_new(scrub->options.all, part->subvolume, part->position.after);
    if (!part->walk || scrub_walk_next(part->walk, &path)) {
        retry(scrub, part);
        return;
    }
    if (!path) {
        finish_round(scrub, part);
        return;
    }
    lane->part = part;
    lane->cost = SCRUB_PACE_VALUE;
    enum examine_result result = check(lane, part->subvolume, path, &bytes);
    lane->part = NULL;
    if (result == EXAMINE_STOPPED)
        return; /* to be saved, or to begin anew */
    if (result == EXAMINE_LATER && ++part->tries < TRIES)
        retry(scrub, part);
    else
        advance(scrub, part, path, result, bytes);
}

/* One thing for one part: its position, the beginning of a round, or a value. So suspects and
 * requests of a round never wait for more than that. */
static bool lane_round(struct scrub_lane *lane)
{
    struct scrub *scrub = lane->scrub;
    (void)pthread_mutex_lock(&scrub->lock);
    struct scrub_part *part = choose_part(lane);
    bool loaded = part && part->loaded;
    bool begins = part && (part->wanted || !part->position.running);
    if (part)
        part->busy = true;
    (void)pthread_mutex_unlock(&scrub->lock);
    if (!part)
        return false;
    if (!loaded)
        load(scrub, part);
    else if (begins)
        start_round(scrub, part);
    else
        read_next(lane, part);
    (void)pthread_mutex_lock(&scrub->lock);
    part->busy = false;
    (void)pthread_mutex_unlock(&scrub->lock);
    return true;
}

/* --- The thread --- */

/* Where the rounds stand, for the next process. */
static void save_all(struct scrub_lane *lane)
{
    struct scrub *scrub = lane->scrub;
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        (void)pthread_mutex_lock(&scrub->lock);
        struct scrub_part *part = next_part(lane, i);
        bool running = part && part->loaded && part->position.running;
        (void)pthread_mutex_unlock(&scrub->lock);
        if (!part)
            return;
        i = part->subvolume;
        if (running)
            save(scrub, part);
    }
}

/* With the lock held. How long there is nothing to do, if nothing happens. */
static uint64_t idle_us(const struct scrub_lane *lane)
{
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        const struct scrub_part *part = next_part(lane, i);
        if (!part)
            break;
        if (part->retry_at > loop_now_ms())
            return RETRY_MS * 1000ULL;
        i = part->subvolume;
    }
    return IDLE_US;
}

void *scrub_lane_run(void *arg)
{
    struct scrub_lane *lane = arg;
    struct scrub *scrub = lane->scrub;
    uint64_t seen = 0;
    bool stopping = false;
    /* Requests come first. Where this cannot be had, the pauses must do. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    (void)syscall(SYS_ioprio_set, 1, 0, IO_IDLE);
    while (!stopping) {
        bool worked = lane_suspect(lane) || lane_tend(lane) || lane_round(lane);
        (void)pthread_mutex_lock(&scrub->lock);
        if (!worked && !scrub->stopping && seen == scrub->events)
            wait_until(scrub, now_us() + idle_us(lane));
        seen = scrub->events;
        stopping = scrub->stopping;
        (void)pthread_mutex_unlock(&scrub->lock);
    }
    save_all(lane);
    return NULL;
}
