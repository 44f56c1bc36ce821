/*
 * The recent changes of the index, for watchers: a ring in memory, bounded by bytes. Whoever
 * applies changes to the index feeds it, in their order: the committer of a single master, or what
 * applies the entries of a log, so that every master can serve watches from what it applies.
 *
 * In memory, not in the index: there, every PUT would write its event as well and have it deleted
 * later, on the path that limits writes, so that watchers need not list again after a restart of
 * the master. One that had seen everything before the restart does not have to anyway: the numbers
 * go on.
 */
#ifndef LARDER_MASTER_CHANGES_H
#define LARDER_MASTER_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/loop.h"
#include "common/status.h"

struct buf;
struct changes;

enum changes_event {
    CHANGES_PUT,       /* a key that was not visible is */
    CHANGES_OVERWRITE, /* a visible key has another value */
    CHANGES_DELETE,
    CHANGES_UNLINK,
    CHANGES_RESET /* more has changed than events could tell: watchers begin anew */
};

/* "put", "overwrite", "delete", "unlink". */
const char *changes_event_text(enum changes_event event);

/* `max_bytes` of events are kept. NULL: no memory. */
struct changes *changes_new(size_t max_bytes) MUST_CHECK;
/* When nobody feeds or watches it any more. */
void changes_free(struct changes *changes);

/* --- For whoever applies changes; one thread at a time. --- */

/* What an event says beside its key, as an operation carries it. */
void changes_encode(struct buf *out, enum changes_event event, uint64_t size, const char *md5);

/* Nothing has been told yet; the index stands at `sequence`. */
void changes_begin(struct changes *changes, uint64_t sequence);
/* Keeps an event of the group of changes that is being applied; `value` is what changes_encode()
 * made. */
void changes_stage(struct changes *changes, const char *key, size_t key_len, const char *value,
                   size_t value_len);
/* The group was applied, and is visible; `sequence` is that of its last change. Its n events get
 * the last n numbers up to it: each at least its change's own, and all of them the same on every
 * master that applies the same groups. */
void changes_publish(struct changes *changes, uint64_t sequence);
/* The group may have been applied or not: what was staged is dropped, and watchers begin anew. */
void changes_lose(struct changes *changes, uint64_t sequence);

/* --- For watchers. Any thread. --- */

/* One who watches keys with a prefix; the struct is its owner's. */
struct changes_watcher {
    const char *prefix;
    size_t prefix_len;
    uint64_t seen;           /* of all events up to this one nothing more is wanted */
    void (*wake)(void *arg); /* on `loop`, once after each changes_wait() that said so */
    void *arg;
    struct loop *loop;
    /* the ring's own: */
    struct loop_message message;
    bool waiting;
    struct changes_watcher *prev, *next;
};

/* One event, for its watcher to look at only. */
struct changes_item {
    uint64_t sequence;
    enum changes_event event;
    const char *key;
    size_t key_len;
    uint64_t size; /* valid where has_size */
    bool has_size;
    const char *md5; /* "": not known */
};

/* What the ring has: events behind *oldest, up to *newest. Whoever has seen less than *oldest has
 * missed some. */
void changes_range(struct changes *changes, uint64_t *oldest, uint64_t *newest);

/* Calls fn for each event behind watcher->seen that it wants, until fn returns false, and moves
 * `seen` on past what it has looked at. Looks at a bounded number of events in one go: true where
 * there may be more. ST_GONE: some were missed. fn must not call the ring. */
enum status changes_read(struct changes *changes, struct changes_watcher *watcher,
                         bool (*fn)(void *arg, const struct changes_item *item), void *arg,
                         bool *more) MUST_CHECK;
/* Has wake() called when there is something to read, or the ring is stopped. False where that is
 * so already, and nothing will be called. `seen` moves on past what the watcher does not want. */
bool changes_wait(struct changes *changes, struct changes_watcher *watcher) MUST_CHECK;
/* True where it waits no more, and wake() will not be called; false where it is under way. On the
 * watcher's loop. */
bool changes_cancel(struct changes *changes, struct changes_watcher *watcher) MUST_CHECK;
/* Counts a watcher in, or says that there are `most` already. */
bool changes_admit(struct changes *changes, unsigned most) MUST_CHECK;
void changes_leave(struct changes *changes);

/* All who wait are woken, and nobody waits any more. */
void changes_stop(struct changes *changes);
bool changes_stopped(struct changes *changes);

#endif
