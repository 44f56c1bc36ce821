/*
 * The ring is a list of segments, each of whole events; the oldest is dropped as a whole when there
 * are too many bytes. An event's bytes: its head, then key and MD5.
 */
#include "master/changes.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/key.h"
#include "common/md5.h"

enum {
    SEGMENT = 64 * 1024,
    LOOK_MAX = 512 /* events that are looked at in one go, with the lock held */
};

struct event {
    uint64_t sequence;
    uint64_t size;
    uint16_t key_len;
    uint8_t md5_len;
    uint8_t event;
    bool has_size;
};

struct segment {
    struct segment *next; /* newer */
    size_t len;
    uint64_t last; /* sequence of its last event */
    char bytes[SEGMENT];
};

struct changes {
    size_t max_segments;
    struct buf staged; /* the applier's own: events as in a segment, but without numbers */
    size_t staged_count;
    bool staged_reset;

    pthread_mutex_t lock; /* over all below */
    struct segment *first, *last;
    size_t segments;
    uint64_t oldest, newest;
    struct changes_watcher *waiting;
    unsigned watchers;
    bool stopped;
};

static const char *const texts[] = {"put", "overwrite", "delete", "unlink", "reset"};
enum { TEXTS = sizeof texts / sizeof texts[0] };

const char *changes_event_text(enum changes_event event)
{
    return texts[event];
}

struct changes *changes_new(size_t max_bytes)
{
    struct changes *changes = calloc(1, sizeof *changes);
    if (!changes)
        return NULL;
    (void)pthread_mutex_init(&changes->lock, NULL);
    changes->max_segments = max_bytes / sizeof(struct segment) + 1;
    return changes;
}

static void drop_first(struct changes *changes)
{
    struct segment *first = changes->first;
    changes->first = first->next;
    if (!changes->first)
        changes->last = NULL;
    changes->oldest = first->last;
    changes->segments--;
    free(first);
}

static void drop_all(struct changes *changes, uint64_t sequence)
{
    while (changes->first)
        drop_first(changes);
    changes->oldest = changes->newest = sequence;
}

void changes_free(struct changes *changes)
{
    if (!changes)
        return;
    drop_all(changes, 0);
    buf_free(&changes->staged);
    (void)pthread_mutex_destroy(&changes->lock);
    free(changes);
}

/* --- what an operation carries: "put SIZE MD5", "delete" --- */

void changes_encode(struct buf *out, enum changes_event event, uint64_t size, const char *md5)
{
    buf_adds(out, texts[event]);
    if (event == CHANGES_PUT || event == CHANGES_OVERWRITE)
        buf_addf(out, " %" PRIu64 "%s%s", size, *md5 ? " " : "", md5);
}

/* *md5 points into the text. ST_CORRUPT where no version of larder has written it. */
static enum status decode(const char *text, size_t len, struct event *event, const char **md5)
{
    size_t word = 0;
    while (word < len && text[word] != ' ')
        word++;
    for (event->event = 0; event->event < TEXTS; event->event++)
        if (strlen(texts[event->event]) == word && memcmp(texts[event->event], text, word) == 0)
            break;
    size_t at = word + 1;
    event->has_size = at < len && text[at] >= '0' && text[at] <= '9';
    for (; at < len && text[at] >= '0' && text[at] <= '9'; at++)
        event->size = event->size * 10 + (uint64_t)(text[at] - '0');
    *md5 = text + at + 1;
    event->md5_len = at < len ? (uint8_t)MD5_HEX : 0;
    bool fits = at >= len || len - at - 1 == MD5_HEX;
    return event->event < TEXTS && fits ? ST_OK : ST_CORRUPT;
}

/* --- applying --- */

void changes_begin(struct changes *changes, uint64_t sequence)
{
    (void)pthread_mutex_lock(&changes->lock);
    drop_all(changes, sequence);
    (void)pthread_mutex_unlock(&changes->lock);
}

void changes_stage(struct changes *changes, const char *key, size_t key_len, const char *value,
                   size_t value_len)
{
    struct event event = {.key_len = (uint16_t)key_len};
    const char *md5;
    /* What cannot be told as an event is told all the same: begin anew. */
    if (key_len > KEY_MAX || decode(value, value_len, &event, &md5) ||
        event.event == CHANGES_RESET) {
        changes->staged_reset = true;
        return;
    }
    buf_add(&changes->staged, &event, sizeof event);
    buf_add(&changes->staged, key, key_len);
    buf_add(&changes->staged, md5, event.md5_len);
    changes->staged_count++;
}

static void clear_staged(struct changes *changes)
{
    buf_clear(&changes->staged);
    changes->staged_count = 0;
    changes->staged_reset = false;
}

static size_t event_len(const struct event *event)
{
    return sizeof *event + event->key_len + event->md5_len;
}

/* Its bytes with their number; false: no memory. */
static bool append(struct changes *changes, const char *bytes, uint64_t sequence)
{
    struct event event;
    memcpy(&event, bytes, sizeof event);
    event.sequence = sequence;
    size_t len = event_len(&event);
    if (!changes->last || SEGMENT - changes->last->len < len) {
        while (changes->segments >= changes->max_segments)
            drop_first(changes);
        struct segment *segment = malloc(sizeof *segment);
        if (!segment)
            return false;
        segment->next = NULL;
        segment->len = 0;
        *(changes->last ? &changes->last->next : &changes->first) = segment;
        changes->last = segment;
        changes->segments++;
    }
    struct segment *segment = changes->last;
    memcpy(segment->bytes + segment->len, &event, sizeof event);
    memcpy(segment->bytes + segment->len + sizeof event, bytes + sizeof event, len - sizeof event);
    segment->len += len;
    segment->last = sequence;
    return true;
}

/* False where memory was short: not all of them are told. */
static bool append_staged(struct changes *changes, uint64_t sequence)
{
    const char *at = changes->staged.data;
    bool good = buf_ok(&changes->staged) && !changes->staged_reset;
    for (size_t left = changes->staged_count; left && good; left--) {
        struct event event;
        memcpy(&event, at, sizeof event);
        good = append(changes, at, sequence - left + 1);
        at += event_len(&event);
    }
    return good;
}

static bool wants(const struct changes_watcher *watcher, const char *key, size_t len)
{
    return len >= watcher->prefix_len && memcmp(key, watcher->prefix, watcher->prefix_len) == 0;
}

static bool wants_staged(const struct changes *changes, const struct changes_watcher *watcher)
{
    const char *at = changes->staged.data;
    for (size_t left = changes->staged_count; left; left--) {
        struct event event;
        memcpy(&event, at, sizeof event);
        if (wants(watcher, at + sizeof event, event.key_len))
            return true;
        at += event_len(&event);
    }
    return false;
}

static void unlink_watcher(struct changes *changes, struct changes_watcher *watcher)
{
    *(watcher->prev ? &watcher->prev->next : &changes->waiting) = watcher->next;
    if (watcher->next)
        watcher->next->prev = watcher->prev;
    watcher->waiting = false;
}

static void wake(struct changes *changes, struct changes_watcher *watcher)
{
    unlink_watcher(changes, watcher);
    watcher->message.fn = watcher->wake;
    watcher->message.arg = watcher->arg;
    loop_post(watcher->loop, &watcher->message);
}

static void wake_all(struct changes *changes)
{
    while (changes->waiting)
        wake(changes, changes->waiting);
}

void changes_publish(struct changes *changes, uint64_t sequence)
{
    (void)pthread_mutex_lock(&changes->lock);
    if (!append_staged(changes, sequence)) {
        drop_all(changes, sequence);
        wake_all(changes);
    }
    changes->newest = sequence;
    struct changes_watcher *next;
    for (struct changes_watcher *at = changes->waiting; at; at = next) {
        next = at->next;
        if (wants_staged(changes, at))
            wake(changes, at);
        else
            at->seen = sequence; /* or it would seem to fall behind */
    }
    (void)pthread_mutex_unlock(&changes->lock);
    clear_staged(changes);
}

void changes_lose(struct changes *changes, uint64_t sequence)
{
    (void)pthread_mutex_lock(&changes->lock);
    drop_all(changes, sequence);
    wake_all(changes);
    (void)pthread_mutex_unlock(&changes->lock);
    clear_staged(changes);
}

/* --- watching --- */

void changes_range(struct changes *changes, uint64_t *oldest, uint64_t *newest)
{
    (void)pthread_mutex_lock(&changes->lock);
    *oldest = changes->oldest;
    *newest = changes->newest;
    (void)pthread_mutex_unlock(&changes->lock);
}

static void show(const struct event *event, const char *bytes, struct changes_item *item,
                 char md5[MD5_HEX + 1])
{
    item->sequence = event->sequence;
    item->event = (enum changes_event)event->event;
    item->key = bytes + sizeof *event;
    item->key_len = event->key_len;
    item->size = event->size;
    item->has_size = event->has_size;
    memcpy(md5, item->key + item->key_len, event->md5_len);
    md5[event->md5_len] = 0;
    item->md5 = md5;
}

/* What one go may still do. */
struct look {
    bool (*fn)(void *arg, const struct changes_item *item);
    void *arg;
    size_t left; /* events to look at */
    bool full;   /* fn wants no more */
};

/* True where the segment has been looked at to its end. */
static bool read_segment(const struct segment *segment, struct changes_watcher *watcher,
                         struct look *look)
{
    for (size_t at = 0; at < segment->len;) {
        struct event event;
        struct changes_item item;
        char md5[MD5_HEX + 1];
        const char *bytes = segment->bytes + at;
        memcpy(&event, bytes, sizeof event);
        at += event_len(&event);
        if (event.sequence <= watcher->seen)
            continue;
        if (look->full || look->left == 0)
            return false;
        look->left--;
        watcher->seen = event.sequence;
        if (!wants(watcher, bytes + sizeof event, event.key_len))
            continue;
        show(&event, bytes, &item, md5);
        look->full = !look->fn(look->arg, &item);
    }
    return true;
}

enum status changes_read(struct changes *changes, struct changes_watcher *watcher,
                         bool (*fn)(void *arg, const struct changes_item *item), void *arg,
                         bool *more)
{
    struct look look = {fn, arg, LOOK_MAX, false};
    *more = false;
    (void)pthread_mutex_lock(&changes->lock);
    bool gone = watcher->seen < changes->oldest || watcher->seen > changes->newest;
    for (const struct segment *at = changes->first; at && !gone && !*more; at = at->next)
        if (at->last > watcher->seen)
            *more = !read_segment(at, watcher, &look);
    if (!gone && !*more)
        watcher->seen = changes->newest;
    (void)pthread_mutex_unlock(&changes->lock);
    return gone ? ST_GONE : ST_OK;
}

bool changes_wait(struct changes *changes, struct changes_watcher *watcher)
{
    (void)pthread_mutex_lock(&changes->lock);
    bool waits = watcher->seen == changes->newest && !changes->stopped;
    if (waits) {
        watcher->prev = NULL;
        watcher->next = changes->waiting;
        if (watcher->next)
            watcher->next->prev = watcher;
        changes->waiting = watcher;
        watcher->waiting = true;
    }
    (void)pthread_mutex_unlock(&changes->lock);
    return waits;
}

bool changes_cancel(struct changes *changes, struct changes_watcher *watcher)
{
    (void)pthread_mutex_lock(&changes->lock);
    bool waited = watcher->waiting;
    if (waited)
        unlink_watcher(changes, watcher);
    (void)pthread_mutex_unlock(&changes->lock);
    return waited;
}

bool changes_admit(struct changes *changes, unsigned most)
{
    (void)pthread_mutex_lock(&changes->lock);
    bool admitted = changes->watchers < most && !changes->stopped;
    changes->watchers += admitted;
    (void)pthread_mutex_unlock(&changes->lock);
    return admitted;
}

void changes_leave(struct changes *changes)
{
    (void)pthread_mutex_lock(&changes->lock);
    changes->watchers--;
    (void)pthread_mutex_unlock(&changes->lock);
}

void changes_stop(struct changes *changes)
{
    (void)pthread_mutex_lock(&changes->lock);
    changes->stopped = true;
    wake_all(changes);
    (void)pthread_mutex_unlock(&changes->lock);
}

bool changes_stopped(struct changes *changes)
{
    (void)pthread_mutex_lock(&changes->lock);
    bool stopped = changes->stopped;
    (void)pthread_mutex_unlock(&changes->lock);
    return stopped;
}
