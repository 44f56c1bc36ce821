/*
 * All files of all volumes. Each volume has a stack of directories that are still to be listed. A
 * thread takes the top of its own volume's, or of the next one that has any, lists it, and pushes
 * what it finds below. Depth first, so the stacks stay small; a thread a volume at least, so all
 * disks are at work.
 *
 * Most directories of values have a few files, so each request for one costs more than what it
 * tells. Volumes of larder's send them along with the directory above (aa), as far as that is
 * cheap; what did not come along becomes a task.
 *
 * The end: stacks empty, and nobody busy, since only a busy thread can push. That is asked under
 * the lock that both change under, and whoever finds it wakes the others.
 *
 * Threads: the lock is over the stacks, `busy`, `failed` and the result. No request is made with it
 * held. Fetcher and writer are a thread's own; roster and places are only read.
 *
 * A directory that vanishes between its parent's listing and its own is no failure (clients
 * delete), but at the root of a place, where it would be a disk that went away.
 */
#include "tools/larder/walk.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_client.h"
#include "common/http_fetch.h"
#include "common/name.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/marks.h"
#include "tools/larder/places.h"
#include "tools/larder/progress.h"
#include "tools/larder/roster.h"
#include "tools/larder/say.h"
#include "tools/larder/scan.h"
#include "tools/larder/volume.h"

enum {
    DIRECTORY_MAX = 4096, /* bytes; far longer than that of any key, so a loop of links ends */
    AABB_SIZE = 7         /* "aa/bb/" with its NUL */
};

/* A directory to list. */
struct task {
    struct task *next; /* below it in its stack */
    uint32_t place;
    double part;      /* of the whole walk, 0 to 1 */
    char directory[]; /* below the place; "" or with a '/' at its end */
};

struct walk {
    const struct roster *roster;
    const struct places *places;
    struct scan *scan;
    struct progress *progress;
    pthread_mutex_t lock; /* over all below */
    pthread_cond_t changed;
    struct task **stacks; /* one a volume */
    size_t stack_count;
    unsigned busy;      /* threads that list a directory now */
    enum status failed; /* the first failure; ends all threads */
    struct walk_result *result;
};

/* A directory whose listing is at hand: that of a task, or one that came along with it. */
struct spot {
    uint32_t place;
    const char *directory; /* as a task's */
};

/* One thread. Only it touches this, but for the beginning and the end, which are walk_run()'s. */
struct walker {
    struct walk *walk;
    pthread_t thread;
    size_t volume; /* whose stack it looks at first */
    struct http_fetcher *fetcher;
    struct scan_writer *writer;
    uint64_t files, bytes; /* in the task at hand */
};

/* --- the stacks --- */

/* The task is the stack's. Anyone who waits is woken for it. */
static enum status push(struct walk *walk, uint32_t place, const char *directory, const char *name,
                        double part)
{
    size_t len = strlen(directory) + strlen(name) + 2;
    struct task *task = malloc(sizeof *task + len);
    if (!task)
        return ST_NO_MEMORY;
    task->place = place;
    task->part = part;
    (void)snprintf(task->directory, len, "%s%s%s", directory, name, *name ? "/" : "");
    size_t volume = places_volume(walk->places, place);
    (void)pthread_mutex_lock(&walk->lock);
    task->next = walk->stacks[volume];
    walk->stacks[volume] = task;
    (void)pthread_cond_signal(&walk->changed);
    (void)pthread_mutex_unlock(&walk->lock);
    return ST_OK;
}

/* The task is the caller's, which frees it. */
static struct task *pop_locked(struct walk *walk, size_t first)
{
    for (size_t i = 0; i < walk->stack_count; i++) {
        struct task **stack = &walk->stacks[(first + i) % walk->stack_count];
        if (*stack) {
            struct task *task = *stack;
            *stack = task->next;
            return task;
        }
    }
    return NULL;
}

/* The next directory, or NULL where there will be none: all is done, or something failed. */
static struct task *take(struct walker *walker)
{
    struct walk *walk = walker->walk;
    struct task *task = NULL;
    (void)pthread_mutex_lock(&walk->lock);
    for (;;) {
        if (!walk->failed && interrupt_seen())
            walk->failed = ST_CLOSED;
        if (walk->failed)
            break;
        task = pop_locked(walk, walker->volume);
        if (task || walk->busy == 0)
            break;
        (void)pthread_cond_wait(&walk->changed, &walk->lock);
    }
    if (task)
        walk->busy++;
    else
        (void)pthread_cond_broadcast(&walk->changed); /* the others need not wait either */
    (void)pthread_mutex_unlock(&walk->lock);
    return task;
}

/* Also wakes those that wait for work: when the last busy thread finds none, all is done. */
static void gave_back(struct walk *walk, enum status st)
{
    (void)pthread_mutex_lock(&walk->lock);
    walk->busy--;
    if (st && !walk->failed)
        walk->failed = st;
    (void)pthread_cond_broadcast(&walk->changed);
    (void)pthread_mutex_unlock(&walk->lock);
}

/* --- a directory --- */

enum walk_level walk_level_of(const char *directory)
{
    size_t len = strlen(directory);
    return len == 0 ? WALK_PLACE : len <= 3 ? WALK_AA : WALK_NAMES;
}

/* As volumes name the two upper levels; anything else there is no directory of values. */
static bool is_hex_pair(const char *name)
{
    return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

/* The first ones are kept by name, so that an operator can look at them. */
static void stray(struct walker *walker, const struct spot *spot, const char *name)
{
    struct walk *walk = walker->walk;
    struct walk_result *result = walk->result;
    (void)pthread_mutex_lock(&walk->lock);
    if (result->strays < WALK_STRAYS_KEPT) {
        char **to = &result->stray[result->strays];
        char reached[ADDRESSES_PLACE];
        roster_reach(walk->roster, places_name(walk->places, spot->place), reached);
        if (asprintf(to, "http://%s/%s%s", reached, spot->directory, name) < 0)
            *to = NULL;
    }
    result->strays++;
    (void)pthread_mutex_unlock(&walk->lock);
}

/* True for a directory that may hold values. */
static bool leads_on(enum walk_level level, const struct spot *spot,
                     const struct listing_item *item)
{
    if (!item->directory)
        return false;
    if (level != WALK_NAMES)
        return is_hex_pair(item->name);
    return strlen(spot->directory) + strlen(item->name) + 1 < DIRECTORY_MAX;
}

/* True for a directory whose own listing is at hand. Nowhere else than it was asked for: so no
 * server can make this go deeper and deeper. */
static bool came_along(enum walk_level level, const struct listing_item *item)
{
    return level == WALK_AA && item->below;
}

/* Of a directory that came along: "aa/bb/". */
static const char *name_inner(const struct spot *spot, const struct listing_item *item,
                              char name[AABB_SIZE])
{
    (void)snprintf(name, AABB_SIZE, "%.2s/%.2s/", spot->directory, item->name);
    return name;
}

/* `item` is gone with its listing; the scan copies what it needs. */
static enum status take_file(struct walker *walker, const struct spot *spot,
                             const struct listing_item *item)
{
    char path[DIRECTORY_MAX + 1024];
    int len = snprintf(path, sizeof path, "%s%s", spot->directory, item->name);
    struct key key;
    struct scan_file file = {.place = spot->place,
                             .size = item->size,
                             .expected = item->expected,
                             .has_expected = item->has_expected,
                             .created = item->created,
                             .unlinked = item->unlinked};
    if (len < 0 || (size_t)len >= sizeof path ||
        name_parse(path, (size_t)len, &key, &file.generation, &file.naming)) {
        stray(walker, spot, item->name);
        return ST_OK;
    }
    memcpy(file.md5, item->md5, sizeof file.md5);
    walker->files++;
    walker->bytes += item->size;
    return scan_add_file(walker->writer, &key, &file);
}

/* Files become entries; adds to *below how many directories lead on, and are still to be listed. */
static enum status take_items(struct walker *walker, const struct spot *spot,
                              const struct listing *listing, size_t *below)
{
    enum walk_level level = walk_level_of(spot->directory);
    enum status st = ST_OK;
    for (size_t i = 0; i < listing_count(listing) && !st; i++) {
        struct listing_item item;
        char name[AABB_SIZE];
        if (!listing_item(listing, i, &item))
            stray(walker, spot, "(an entry without a sound name)");
        else if (leads_on(level, spot, &item) && came_along(level, &item))
            st = take_items(walker, &(struct spot){spot->place, name_inner(spot, &item, name)},
                            item.below, below);
        else if (leads_on(level, spot, &item))
            (*below)++;
        else if (level == WALK_NAMES && !item.directory)
            st = take_file(walker, spot, &item);
        /* Subvolumes are places of their own; what begins with a dot is the volume's. */
        else if (level != WALK_PLACE || (!roster_is_subvolume(item.name) && item.name[0] != '.'))
            stray(walker, spot, item.name);
    }
    return st;
}

/* What take_items() has counted; each counts as `part` of the whole walk. */
static enum status push_below(struct walker *walker, const struct spot *spot,
                              const struct listing *listing, double part)
{
    enum walk_level level = walk_level_of(spot->directory);
    enum status st = ST_OK;
    /* Backwards, so that they are taken in order. */
    for (size_t i = listing_count(listing); i-- > 0 && !st;) {
        struct listing_item item;
        char name[AABB_SIZE];
        if (!listing_item(listing, i, &item) || !leads_on(level, spot, &item))
            continue;
        if (came_along(level, &item))
            st = push_below(walker, &(struct spot){spot->place, name_inner(spot, &item, name)},
                            item.below, part);
        else
            st = push(walker->walk, spot->place, spot->directory, item.name, part);
    }
    return st;
}

/* Of many threads that fail together only the first one says so. */
static void say_failed(struct walk *walk, uint32_t place, enum status st, const char *why)
{
    (void)pthread_mutex_lock(&walk->lock);
    bool first = !walk->failed;
    walk->failed = first ? st : walk->failed;
    (void)pthread_mutex_unlock(&walk->lock);
    if (!first || interrupt_seen())
        return;
    const char *name = places_name(walk->places, place);
    say_error("could not read all of %s: %s. See to the volume and begin again, or leave it out "
              "with '--without %s': what is on it is not looked at then",
              name, why, name);
}

/* Memory: one listing. Counts go to the shared result once a directory, not once a file. */
static enum status walk_directory(struct walker *walker, const struct task *task)
{
    struct walk *walk = walker->walk;
    char why[VOLUME_WHY];
    struct listing *listing;
    const struct spot spot = {task->place, task->directory};
    bool below = walk_level_of(task->directory) == WALK_AA;
    size_t left = 0; /* directories to list, in this one and in those that came along */
    char reached[ADDRESSES_PLACE];
    walker->files = walker->bytes = 0;
    roster_reach(walk->roster, places_name(walk->places, task->place), reached);
    enum status st = volume_list(walker->fetcher, reached, task->directory, below, &listing, why);
    /* It was in a listing, but clients may delete meanwhile. */
    if (st == ST_NOT_FOUND && task->directory[0])
        return ST_OK;
    if (st) {
        say_failed(walk, task->place, st, why);
        return st;
    }
    st = take_items(walker, &spot, listing, &left);
    /* The task's part is divided among them, so that the parts always add up to 1. */
    if (!st && left)
        st = push_below(walker, &spot, listing, task->part / (double)left);
    listing_free(listing);
    if (left == 0)
        progress_advance(walk->progress, task->part);
    progress_add(walk->progress, walker->files);
    (void)pthread_mutex_lock(&walk->lock);
    walk->result->files += walker->files;
    walk->result->bytes += walker->bytes;
    (void)pthread_mutex_unlock(&walk->lock);
    return st;
}

/* What is told by no file. There is little of it: one thread asks for all before the others begin.
 */
static enum status ask_marks(struct walker *walker)
{
    struct walk *walk = walker->walk;
    char why[VOLUME_WHY];
    uint32_t place = 0;
    enum status st = marks_scan(walk->roster, walker->fetcher, walker->writer,
                                &walk->result->tombstones, &place, why);
    if (st && why[0])
        say_failed(walk, place, st, why);
    return st;
}

/* --- threads --- */

/* A task is freed before it is given back: at the end nobody has any. */
static void *walker_run(void *arg)
{
    struct walker *walker = arg;
    struct task *task;
    while ((task = take(walker))) {
        enum status st = walk_directory(walker, task);
        free(task);
        gave_back(walker->walk, st);
    }
    return NULL;
}

/* Threads are spread over the volumes. On failure walker_end() takes what there is. */
static enum status walker_begin(struct walker *walker, struct walk *walk, size_t number)
{
    walker->walk = walk;
    walker->volume = number % walk->stack_count;
    walker->fetcher = http_fetcher_new();
    walker->writer = scan_writer_new(walk->scan);
    return walker->fetcher && walker->writer ? ST_OK : ST_NO_MEMORY;
}

static void walker_end(struct walker *walker)
{
    http_fetcher_free(walker->fetcher);
    scan_writer_free(walker->writer);
}

/* Runs the threads to their end. The first walker asks for tombstones and quarantines, before the
 * others begin. */
static enum status run_walkers(struct walk *walk, struct walker *walkers, unsigned count)
{
    unsigned begun = 0;
    unsigned started = 0;
    enum status st = ST_OK;
    for (; begun < count && !st; begun++)
        st = walker_begin(&walkers[begun], walk, begun);
    if (!st)
        st = ask_marks(&walkers[0]);
    for (; started < count && !st; started++)
        if (pthread_create(&walkers[started].thread, NULL, walker_run, &walkers[started]))
            break;
    if (!st && started == 0)
        st = ST_NO_MEMORY;
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(walkers[i].thread, NULL);
    if (!st)
        st = walk->failed;
    for (unsigned i = 0; i < begun; i++) {
        if (!st)
            st = scan_flush(walkers[i].writer);
        walker_end(&walkers[i]);
    }
    return st;
}

/* Each place counts as an equal part of the whole: how many files it has is not known yet. */
static enum status push_places(struct walk *walk)
{
    size_t count = places_count(walk->places);
    enum status st = ST_OK;
    for (size_t i = count; i-- > 0 && !st;)
        st = push(walk, (uint32_t)i, "", "", 1.0 / (double)count);
    return st;
}

/* Everything is undone here, whatever failed: tasks that nobody took are freed with their stacks.
 */
enum status walk_run(const struct roster *roster, unsigned threads, struct scan *scan,
                     struct walk_result *result)
{
    struct walk walk = {.roster = roster, .places = roster_places(roster), .scan = scan};
    struct walker *walkers = calloc(threads, sizeof *walkers);
    memset(result, 0, sizeof *result);
    walk.result = result;
    (void)roster_volumes(roster, &walk.stack_count);
    walk.stacks = calloc(walk.stack_count + 1, sizeof(struct task *));
    walk.progress = progress_new("scanning the volumes", "files", 0);
    (void)pthread_mutex_init(&walk.lock, NULL);
    (void)pthread_cond_init(&walk.changed, NULL);
    enum status st = walk.stacks && walkers && walk.progress ? push_places(&walk) : ST_NO_MEMORY;
    if (!st && walk.stack_count)
        st = run_walkers(&walk, walkers, threads);
    struct task *left;
    while (walk.stacks && (left = pop_locked(&walk, 0)))
        free(left);
    (void)pthread_cond_destroy(&walk.changed);
    (void)pthread_mutex_destroy(&walk.lock);
    progress_free(walk.progress);
    free((void *)walk.stacks);
    free(walkers);
    return st;
}

void walk_result_free(struct walk_result *result)
{
    for (size_t i = 0; i < WALK_STRAYS_KEPT; i++)
        free(result->stray[i]);
    memset(result, 0, sizeof *result);
}
