/*
 * The scrub from outside. Whoever calls here (a loop, or a thread of the pool) only changes what
 * the threads of scrub_lane.c will look at, and wakes them: no disk is touched, and the lock is
 * held for a walk over the table at most.
 *
 * Disks come and go. A part is a subvolume that was ever seen; it is present while its disk is.
 * Subvolumes on one file system share a lane, so that one disk is never read by two threads at
 * once.
 */
#include "volume/scrub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/thread.h"
#include "volume/examine.h"
#include "volume/scrub_inside.h"
#include "volume/scrub_walk.h"
#include "volume/subvolume.h"
#include "volume/subvolumes.h"
#include "volume/tell.h"

/* With the lock held. `events` is for a thread that was not waiting just now: it sees that
 * something has happened since it last looked. */
static void wake(struct scrub *scrub)
{
    scrub->events++;
    (void)pthread_cond_broadcast(&scrub->changed);
}

/* --- Disks that come and go --- */

/* With the lock held. Where it fails, the next look tries again. A lane, once started, runs until
 * the end, also while its disk is away. */
static void start_lane(struct scrub *scrub, unsigned number)
{
    struct scrub_lane *lane = &scrub->lanes[number];
    if (lane->running || scrub->stopping)
        return;
    lane->scrub = scrub;
    lane->number = number;
    if (!lane->buffer)
        lane->buffer = aligned_alloc(EXAMINE_ALIGNMENT, EXAMINE_STEP);
    if (!lane->buffer)
        return;
    lane->running = thread_start(&lane->thread, scrub_lane_run, lane);
}

/* The lane of the disk: that of the other subvolumes on it, else the next. Lanes are given in turn
 * and never back: beyond SCRUB_LANES disks share a thread. With the lock held. */
static unsigned choose_lane(struct scrub *scrub, const struct scrub_part *part)
{
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        const struct scrub_part *other = scrub->parts[i];
        if (other && other != part && other->present && other->device == part->device)
            return other->lane;
    }
    return scrub->lanes_given++ % SCRUB_LANES;
}

/* With the lock held. Never freed before the end, so a thread may keep a pointer to one without the
 * lock. NULL: no memory. */
static struct scrub_part *make_part(struct scrub *scrub, unsigned subvolume)
{
    struct scrub_part *part = scrub->parts[subvolume];
    if (part)
        return part;
    part = calloc(1, sizeof *part);
    if (part)
        part->subvolume = subvolume;
    scrub->parts[subvolume] = part;
    return part;
}

/* With the lock held. One that comes back may be on another disk, and further than it was: so its
 * position is to be read anew. */
static void note_disk(void *arg, struct subvolume *sub)
{
    struct scrub *scrub = arg;
    struct subvolume_report report;
    subvolume_report(sub, &report);
    bool present = report.present && report.state != SUBVOLUME_MISSING && report.device != 0;
    unsigned subvolume = path_subvolume(report.name, strlen(report.name));
    struct scrub_part *part = present ? make_part(scrub, subvolume) : scrub->parts[subvolume];
    if (!part)
        return;
    part->used = report.used;
    part->files = report.files;
    if (present && (!part->present || part->device != report.device)) {
        part->present = false;
        part->device = report.device;
        part->lane = choose_lane(scrub, part);
        part->loaded = false;
    }
    part->present = present;
    if (present)
        start_lane(scrub, part->lane);
}

void scrub_look(struct scrub *scrub)
{
    (void)pthread_mutex_lock(&scrub->lock);
    subvolumes_each(scrub->options.all, note_disk, scrub);
    (void)pthread_mutex_unlock(&scrub->lock);
}

/* --- What is asked for --- */

/* With the lock held. */
static bool is_suspected(const struct scrub *scrub, unsigned subvolume, const char *path)
{
    for (const struct scrub_suspect *s = scrub->suspects; s; s = s->next)
        if (s->subvolume == subvolume && !strcmp(s->path, path))
            return true;
    return false;
}

/* With the lock held. At the end of the list, for the lane that its disk has now. What cannot be
 * noted is found by the next round. */
static void add_suspect(struct scrub *scrub, const struct scrub_part *part, const char *path)
{
    size_t size = strlen(path) + 1;
    struct scrub_suspect **at = &scrub->suspects;
    if (scrub->suspect_count == SCRUB_SUSPECTS || is_suspected(scrub, part->subvolume, path))
        return;
    struct scrub_suspect *suspect = malloc(sizeof *suspect + size);
    if (!suspect)
        return;
    suspect->subvolume = part->subvolume;
    suspect->lane = part->lane;
    suspect->next = NULL;
    memcpy(suspect->path, path, size);
    while (*at)
        at = &(*at)->next;
    *at = suspect;
    scrub->suspect_count++;
    wake(scrub);
}

void scrub_suspect(struct scrub *scrub, unsigned subvolume, const char *path)
{
    (void)pthread_mutex_lock(&scrub->lock);
    if (!scrub->parts[subvolume]) /* it was made a moment ago */
        subvolumes_each(scrub->options.all, note_disk, scrub);
    if (scrub->parts[subvolume])
        add_suspect(scrub, scrub->parts[subvolume], path);
    (void)pthread_mutex_unlock(&scrub->lock);
}

/* What runs at the usual rate begins anew, because whoever asks wants to know of every value as it
 * is now. With the look first, a disk that was mounted a moment ago is in it, too. */
void scrub_force(struct scrub *scrub, uint64_t rate)
{
    scrub_look(scrub);
    (void)pthread_mutex_lock(&scrub->lock);
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        struct scrub_part *part = scrub->parts[i];
        if (!part || !part->present)
            continue;
        if (part->loaded && part->position.running && part->position.forced) {
            part->position.rate = rate;
            continue;
        }
        part->wanted = true;
        part->wanted_rate = rate;
        part->retry_at = 0;
    }
    wake(scrub);
    (void)pthread_mutex_unlock(&scrub->lock);
}

/* --- What is told --- */

/* Bytes that the rounds will have read: what the last one had, or this one has by now where that is
 * more. Where no round was ever finished: what the file systems hold, each counted with its first
 * subvolume. With the lock held. An estimate, for people who wait. */
static uint64_t estimate(const struct scrub *scrub)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        const struct scrub_part *part = scrub->parts[i];
        if (!part || !part->present)
            continue;
        if (part->position.finished) {
            total += part->position.total > part->position.bytes ? part->position.total
                                                                 : part->position.bytes;
            continue;
        }
        bool counted = false;
        for (unsigned k = 0; k < i && !counted; k++)
            counted = scrub->parts[k] && scrub->parts[k]->present &&
                      !scrub->parts[k]->position.finished &&
                      scrub->parts[k]->device == part->device;
        total += counted ? 0 : part->used;
    }
    return total;
}

/* With the lock held. A round that is asked for and has not begun counts as running, with nothing
 * read: who asked must not see the sums of the last one and take them for its. */
static void add_part(struct scrub_report *report, const struct scrub_part *part)
{
    const struct scrub_position *position = &part->position;
    bool running = position->running || part->wanted;
    report->running = report->running || running;
    report->forced = report->forced || part->wanted || (position->running && position->forced);
    report->values += part->wanted ? 0 : position->values;
    report->bytes += part->wanted ? 0 : position->bytes;
    report->damaged += part->wanted ? 0 : position->damaged;
    if (position->started > report->started)
        report->started = position->started;
    if (position->finished > report->finished)
        report->finished = position->finished;
}

void scrub_report(struct scrub *scrub, struct scrub_report *report)
{
    *report = (struct scrub_report){.running = false};
    (void)pthread_mutex_lock(&scrub->lock);
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++)
        if (scrub->parts[i] && scrub->parts[i]->present)
            add_part(report, scrub->parts[i]);
    report->total = estimate(scrub);
    report->damaged_ever = scrub->damaged_ever;
    (void)pthread_mutex_unlock(&scrub->lock);
    report->waiting = tell_waiting(scrub->tell);
}

/* --- Beginning and end --- */

/* From the thread of tell.c: the lanes are to mark in the quarantine what was told. */
static void was_told(void *arg)
{
    struct scrub *scrub = arg;
    (void)pthread_mutex_lock(&scrub->lock);
    scrub->told++;
    wake(scrub);
    (void)pthread_mutex_unlock(&scrub->lock);
}

static bool init_locks(struct scrub *scrub)
{
    if (pthread_mutex_init(&scrub->lock, NULL))
        return false;
    if (thread_condition_init(&scrub->changed))
        return true;
    (void)pthread_mutex_destroy(&scrub->lock);
    return false;
}

/* `base` goes on to the teller, which frees it also where it fails; before that it is freed
 * here. */
struct scrub *scrub_new(const struct scrub_options *options)
{
    struct tell_options tell = {
        .masters = options->masters, .base = options->base, .told = was_told};
    struct scrub *scrub = calloc(1, sizeof *scrub);
    if (!scrub)
        goto no_scrub;
    scrub->options = *options;
    scrub->options.base = NULL;
    if (!init_locks(scrub))
        goto no_locks;
    tell.arg = scrub;
    scrub->tell = tell_new(&tell);
    if (!scrub->tell) {
        (void)pthread_cond_destroy(&scrub->changed);
        (void)pthread_mutex_destroy(&scrub->lock);
        free(scrub);
        return NULL;
    }
    scrub_look(scrub);
    return scrub;

no_locks:
    free(scrub);
no_scrub:
    free(options->base);
    return NULL;
}

bool scrub_stop(struct scrub *scrub, unsigned timeout_ms)
{
    struct timespec until;
    bool ended = true;
    if (!scrub)
        return true;
    (void)pthread_mutex_lock(&scrub->lock);
    scrub->stopping = true;
    (void)pthread_cond_broadcast(&scrub->changed);
    (void)pthread_mutex_unlock(&scrub->lock);
    /* pthread_timedjoin_np() knows this clock only. */
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000 + 1;
    for (unsigned i = 0; i < SCRUB_LANES; i++) {
        struct scrub_lane *lane = &scrub->lanes[i];
        if (!lane->running)
            continue;
        lane->running = pthread_timedjoin_np(lane->thread, NULL, &until) != 0;
        ended = ended && !lane->running;
    }
    return ended;
}

void scrub_free(struct scrub *scrub)
{
    if (!scrub)
        return;
    tell_free(scrub->tell);
    while (scrub->suspects) {
        struct scrub_suspect *suspect = scrub->suspects;
        scrub->suspects = suspect->next;
        free(suspect);
    }
    for (unsigned i = 0; i < SCRUB_LANES; i++)
        free(scrub->lanes[i].buffer);
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        struct scrub_part *part = scrub->parts[i];
        if (!part)
            continue;
        scrub_walk_free(part->walk);
        scrub_position_clear(&part->position);
        free(part);
    }
    (void)pthread_cond_destroy(&scrub->changed);
    (void)pthread_mutex_destroy(&scrub->lock);
    free(scrub);
}
