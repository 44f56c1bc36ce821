/*
 * The thread: attach → fetch, apply, fetch, … → pause where there was nothing, until it is poked.
 * While this master writes, its committer applies what it appends, and nothing is fetched.
 */
#include "master/follow.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/thread.h"
#include "master/attach.h"
#include "master/catchup.h"
#include "master/etcd.h"
#include "master/index.h"
#include "master/oplog.h"

enum {
    IDLE_MS = 50,                  /* between two looks where there was nothing */
    FAILED_MS = 500,               /* after etcd or the disk failed */
    DEADLINE_MS = 5000,            /* for a fetch: 16 MiB at most */
    FETCH_BYTES = 4 * 1024 * 1024, /* of entries are wanted at once, */
    FETCH_MOST = 256,              /* in so many, where they are small */
    PACE_MOST = 4,                 /* far behind, it pauses so many times as long as it works */
    PACE_MS = 1000                 /* so often it looks whether it gains */
};

/* While an index that was away catches up, whoever writes shall notice little of it, on a machine
 * that they share, and at etcd: so it pauses, unless it would never arrive. */
struct pace {
    unsigned factor;
    uint64_t lag, since_ms; /* as it was at the last look */
};

/* enter() has the moves between states. REFUSED is for ever: the operator has to see to it. */
struct follow {
    struct follow_options options;
    struct etcd *etcd;
    struct thread thread; /* its lock guards what follows */
    uint64_t wanted;      /* the log is known to have come so far */
    bool caught_up;       /* it was there, since it follows */
    bool refuse;          /* the log is not ours any more */
    enum follow_state state;

    /* the thread's own: */
    struct pace pace;
    unsigned limit; /* entries that are asked for at once */
    size_t bytes;   /* that have come */
};

enum follow_state follow_state(struct follow *follow)
{
    (void)pthread_mutex_lock(&follow->thread.lock);
    enum follow_state state = follow->state;
    (void)pthread_mutex_unlock(&follow->thread.lock);
    return state;
}

const char *follow_state_text(enum follow_state state)
{
    static const char *const texts[] = {"attaching", "follower", "joining", "joining", "refused"};
    return texts[state];
}

/* From the barrier for its readers, from lead at every look. Only a larger number is news. */
void follow_want(struct follow *follow, uint64_t sequence)
{
    (void)pthread_mutex_lock(&follow->thread.lock);
    if (sequence > follow->wanted) {
        follow->wanted = sequence;
        (void)pthread_cond_signal(&follow->thread.changed);
    }
    (void)pthread_mutex_unlock(&follow->thread.lock);
}

/* The thread is the only one that changes the state; others see it under the lock. */
static void enter(struct follow *follow, enum follow_state state)
{
    static const bool may[FOLLOW_REFUSED + 1][FOLLOW_REFUSED + 1] = {
        [FOLLOW_ATTACHING] =
            {[FOLLOW_GOING] = true, [FOLLOW_EMPTY] = true, [FOLLOW_REFUSED] = true},
        [FOLLOW_GOING] = {[FOLLOW_JOINING] = true, [FOLLOW_EMPTY] = true, [FOLLOW_REFUSED] = true},
        [FOLLOW_JOINING] = {[FOLLOW_GOING] = true},
        [FOLLOW_EMPTY] = {[FOLLOW_GOING] = true},
    };
    assert(may[follow->state][state]);
    (void)pthread_mutex_lock(&follow->thread.lock);
    follow->state = state;
    follow->caught_up = false;
    (void)pthread_mutex_unlock(&follow->thread.lock);
}

/* At the end, as far as that is known. */
static void note_end(struct follow *follow)
{
    uint64_t sequence = index_sequence(follow->options.index);
    (void)pthread_mutex_lock(&follow->thread.lock);
    if (sequence >= follow->wanted)
        follow->caught_up = true;
    (void)pthread_mutex_unlock(&follow->thread.lock);
}

bool follow_has_caught_up(struct follow *follow)
{
    (void)pthread_mutex_lock(&follow->thread.lock);
    bool has = follow->state == FOLLOW_GOING && follow->caught_up;
    (void)pthread_mutex_unlock(&follow->thread.lock);
    return has;
}

bool follow_refuse(struct follow *follow)
{
    (void)pthread_mutex_lock(&follow->thread.lock);
    bool before = follow->refuse;
    follow->refuse = true;
    (void)pthread_mutex_unlock(&follow->thread.lock);
    return before;
}

static bool is_to_refuse(struct follow *follow)
{
    (void)pthread_mutex_lock(&follow->thread.lock);
    bool refuse = follow->refuse;
    (void)pthread_mutex_unlock(&follow->thread.lock);
    return refuse;
}

/* The index is asked first: it may come further meanwhile, but never go back. */
static bool is_behind(struct follow *follow)
{
    uint64_t sequence = index_sequence(follow->options.index);
    (void)pthread_mutex_lock(&follow->thread.lock);
    bool behind = sequence < follow->wanted;
    (void)pthread_mutex_unlock(&follow->thread.lock);
    return behind;
}

/* Also what a checkpoint asks while it is fetched. */
static bool is_ending(void *arg)
{
    struct follow *follow = arg;
    return thread_is_ending(&follow->thread);
}

/* Ends early where there is more to fetch. */
static void wait_for_more(struct follow *follow, unsigned ms)
{
    const struct timespec until = thread_time(ms);
    uint64_t sequence = index_sequence(follow->options.index);
    (void)pthread_mutex_lock(&follow->thread.lock);
    while (!follow->thread.ending && follow->wanted <= sequence &&
           thread_wait(&follow->thread.changed, &follow->thread.lock, &until))
        continue;
    (void)pthread_mutex_unlock(&follow->thread.lock);
}

/* --- attaching, joining --- */

/* Also where it was done at the start already: it changes nothing the second time. */
static void attach(struct follow *follow)
{
    const struct follow_options *options = &follow->options;
    enum attach_end end;
    uint64_t head;
    enum status st = attach_index(options->index, options->keys, follow->etcd, &end, &head);
    if (st) {
        (void)thread_pause(&follow->thread, FAILED_MS);
        return;
    }
    static const enum follow_state states[] = {[ATTACH_FOLLOWS] = FOLLOW_GOING,
                                               [ATTACH_JOINS] = FOLLOW_EMPTY,
                                               [ATTACH_REFUSED] = FOLLOW_REFUSED};
    follow_want(follow, head);
    enter(follow, states[end]);
    log_event(LOG_INFO, "follow", "event=%s sequence=%" PRIu64, follow_state_text(states[end]),
              index_sequence(options->index));
}

/* Entries between ours and the log's are gone. What we have stays for stale reads meanwhile. */
static void fall_behind(struct follow *follow)
{
    enter(follow, index_is_blank(follow->options.index) ? FOLLOW_EMPTY : FOLLOW_JOINING);
    log_event(LOG_WARN, "follow",
              "event=entries-trimmed sequence=%" PRIu64 " doing=\"fetching a checkpoint\"",
              index_sequence(follow->options.index));
}

/* A failure is logged by who has met it, and tried again for as long as this process lives. */
static void join(struct follow *follow)
{
    const struct follow_options *options = &follow->options;
    const struct catchup_spec spec = {.keys = options->keys,
                                      .etcd = follow->etcd,
                                      .address = options->address,
                                      .index = options->index,
                                      .stopped = is_ending,
                                      .arg = follow};
    if (catchup_index(&spec)) {
        (void)thread_pause(&follow->thread, FAILED_MS);
        return;
    }
    options->replaced(options->arg);
    (void)pthread_mutex_lock(&follow->thread.lock);
    follow->refuse = false; /* that was said of the index before */
    (void)pthread_mutex_unlock(&follow->thread.lock);
    enter(follow, FOLLOW_GOING);
}

/* --- following --- */

/* An entry that our own committer has put into the log, and not applied (its answer was lost,
 * or our disk was full), comes back this way. */
static enum status apply(void *arg, const struct entry *entry, size_t size)
{
    struct follow *follow = arg;
    enum status st = index_apply(follow->options.index, entry);
    follow->bytes += size;
    if (!st)
        follow->options.fetched(follow->options.arg, entry_last(entry), size);
    return st;
}

/* Clients say what they want to see, and may be wrong: nobody hurries for what is not in the log.
 */
static void clamp_wanted(struct follow *follow, uint64_t head)
{
    (void)pthread_mutex_lock(&follow->thread.lock);
    if (follow->wanted > head)
        follow->wanted = head;
    (void)pthread_mutex_unlock(&follow->thread.lock);
}

/* Nothing came, and somebody wants more. Where the log does go on, its next entry may have been
 * appended just now: so it is asked for once more. If there is none it was trimmed, unless this
 * master has come that far meanwhile. */
static bool is_trimmed(struct follow *follow)
{
    uint64_t head;
    uint64_t sequence = index_sequence(follow->options.index);
    enum status st =
        oplog_head(follow->options.keys, follow->etcd, loop_now_ms() + DEADLINE_MS, &head);
    if (!st)
        clamp_wanted(follow, head);
    if (st || sequence >= head || sequence != index_sequence(follow->options.index))
        return false;
    size_t count;
    st = oplog_fetch(follow->options.keys, follow->etcd, sequence + 1, 1, false,
                     loop_now_ms() + DEADLINE_MS, apply, follow, &count);
    return st == ST_CONFLICT || (!st && !count);
}

/* The next ones are probably as large as the last ones were. Where they are not, etcd's answer is
 * too long for its client at worst, and fails. */
static void set_limit(struct follow *follow, enum status st, size_t count)
{
    size_t limit = OPLOG_FETCH;
    if (!st && count == follow->limit && follow->bytes)
        limit = count * FETCH_BYTES / follow->bytes;
    if (limit > 2 * (size_t)follow->limit)
        limit = 2 * (size_t)follow->limit;
    if (limit > FETCH_MOST)
        limit = FETCH_MOST;
    follow->limit = limit > OPLOG_FETCH ? (unsigned)limit : OPLOG_FETCH;
}

/* After a fetch that took so long, and brought as much as one can. One that has been at the end
 * before is in a hurry: readers wait for it. */
static void keep_pace(struct follow *follow, uint64_t took_ms)
{
    struct pace *pace = &follow->pace;
    uint64_t sequence = index_sequence(follow->options.index);
    uint64_t now = loop_now_ms();
    (void)pthread_mutex_lock(&follow->thread.lock);
    bool hurries = follow->caught_up;
    uint64_t lag = follow->wanted > sequence ? follow->wanted - sequence : 0;
    (void)pthread_mutex_unlock(&follow->thread.lock);
    if (now - pace->since_ms >= PACE_MS) {
        bool gains = !pace->since_ms || lag < pace->lag;
        pace->factor = gains ? PACE_MOST : pace->factor / 2;
        pace->since_ms = now;
        pace->lag = lag;
    }
    if (!hurries)
        (void)thread_pause(&follow->thread, (unsigned)took_ms * pace->factor);
}

/* One round trip, and what follows from it. */
static void fetch(struct follow *follow)
{
    const struct follow_options *options = &follow->options;
    size_t count;
    uint64_t began_ms = loop_now_ms();
    /* What the nearest etcd has is cheap to ask for, and may be old. */
    bool local = !is_behind(follow);
    unsigned limit = follow->limit;
    follow->bytes = 0;
    enum status st = oplog_fetch(options->keys, follow->etcd, index_sequence(options->index) + 1,
                                 limit, local, loop_now_ms() + DEADLINE_MS, apply, follow, &count);
    set_limit(follow, st, count);
    if (!st)
        note_end(follow);
    /* A gap in front of what came, or nothing where there must be something: the entries that
     * follow ours are gone from etcd. */
    if (st == ST_CONFLICT || (!st && !count && !local && is_trimmed(follow)))
        fall_behind(follow);
    else if (st)
        (void)thread_pause(&follow->thread, FAILED_MS);
    else if (!count)
        wait_for_more(follow, IDLE_MS);
    else if (count == limit)
        keep_pace(follow, loop_now_ms() - began_ms);
}

/* While this master has a term nobody else appends, and the committer applies what it appends
 * itself: there is nothing to fetch. */
static void go_on(struct follow *follow)
{
    if (is_to_refuse(follow)) {
        enter(follow, FOLLOW_REFUSED);
    } else if (index_term(follow->options.index)) {
        note_end(follow);
        (void)thread_pause(&follow->thread, IDLE_MS);
    } else {
        fetch(follow);
    }
}

/* One thing after the other, until the end. */
static void *run(void *arg)
{
    struct follow *follow = arg;
    while (!is_ending(follow)) {
        switch (follow_state(follow)) {
        case FOLLOW_ATTACHING:
            attach(follow);
            break;
        case FOLLOW_GOING:
            go_on(follow);
            break;
        case FOLLOW_JOINING:
        case FOLLOW_EMPTY:
            join(follow);
            break;
        default:
            (void)thread_pause(&follow->thread, FAILED_MS);
        }
    }
    return NULL;
}

/* The thread starts last, since it uses everything else at once. */
struct follow *follow_new(const struct follow_options *options)
{
    struct follow *follow = calloc(1, sizeof *follow);
    if (!follow)
        return NULL;
    follow->options = *options;
    follow->limit = OPLOG_FETCH;
    follow->etcd = etcd_new(options->endpoints, options->endpoint_count);
    if (follow->etcd && thread_begin(&follow->thread, run, follow))
        return follow;
    etcd_free(follow->etcd);
    free(follow);
    return NULL;
}

void follow_stop(struct follow *follow)
{
    if (!follow)
        return;
    etcd_end_thread(follow->etcd, &follow->thread);
}

void follow_free(struct follow *follow)
{
    if (!follow)
        return;
    follow_stop(follow);
    etcd_free(follow->etcd);
    thread_release(&follow->thread);
    free(follow);
}
