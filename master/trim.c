#include "master/trim.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/thread.h"
#include "master/etcd.h"
#include "master/index.h"
#include "master/lead.h"
#include "master/oplog.h"

enum {
    TICK_MS = 1000,
    FIRST_MS = 100,                /* until the others know of this one */
    SYNC_TICKS = 5,                /* ticks between two syncs, and between two trims */
    SYNC_BYTES = 64 * 1024 * 1024, /* of entries: sooner after so many */
    DEADLINE_MS = 3000,
    MARKS_RETAINED = 256,    /* in --log-retain bytes */
    MARK_LEAST = 256,        /* bytes */
    MARKS = 4096,            /* the oldest is forgotten, and with it entries are kept longer */
    COMPACT_REVISIONS = 1000 /* of etcd, that are worth a compaction, while it has room */
};

/* All entries up to this sequence were this many bytes before the present end of the log. */
struct mark {
    uint64_t last, bytes;
};

/* The thread writes what the lock guards, but for the counting: that is done by whoever applies
 * entries. */
struct trim {
    struct trim_options options;
    struct etcd *etcd;
    struct thread thread;     /* its lock guards what follows */
    struct mark marks[MARKS]; /* a ring; marks[newest] is the last */
    size_t newest, mark_count;
    uint64_t bytes; /* of all entries that were counted */
    uint64_t synced;
    struct buf members;

    /* the thread's own: */
    uint64_t synced_bytes;
    int64_t compacted;
    bool full; /* etcd has refused our position for want of space */
};

/* --- any thread --- */

/* Between two marks: fine enough for what is to be retained, and the ring has many times that. */
static uint64_t mark_bytes(const struct trim *trim)
{
    uint64_t bytes = trim->options.retain_bytes / MARKS_RETAINED;
    return bytes > MARK_LEAST ? bytes : MARK_LEAST;
}

/* Counted as entries are applied, so every master has its own marks and can take over as the
 * writer. */
void trim_count(struct trim *trim, uint64_t last, size_t bytes)
{
    (void)pthread_mutex_lock(&trim->thread.lock);
    trim->bytes += bytes;
    const struct mark *newest = &trim->marks[trim->newest];
    if (!trim->mark_count || trim->bytes - newest->bytes >= mark_bytes(trim)) {
        trim->newest = (trim->newest + 1) % MARKS;
        trim->marks[trim->newest] = (struct mark){last, trim->bytes};
        if (trim->mark_count < MARKS)
            trim->mark_count++;
    }
    (void)pthread_mutex_unlock(&trim->thread.lock);
}

uint64_t trim_synced(struct trim *trim)
{
    (void)pthread_mutex_lock(&trim->thread.lock);
    uint64_t synced = trim->synced;
    (void)pthread_mutex_unlock(&trim->thread.lock);
    return synced;
}

/* As they were at the last tick: a page of ours must not wait for etcd. */
void trim_members(struct trim *trim, struct buf *out)
{
    (void)pthread_mutex_lock(&trim->thread.lock);
    buf_add(out, buf_text(&trim->members), trim->members.len);
    (void)pthread_mutex_unlock(&trim->thread.lock);
}

/* --- syncing, telling --- */

/* What was counted up to now is synced by it, or more: entries go on being applied meanwhile. */
static void sync_index(struct trim *trim)
{
    uint64_t synced;
    enum status st = index_flush(trim->options.index, &synced);
    (void)pthread_mutex_lock(&trim->thread.lock);
    trim->synced = synced;
    trim->synced_bytes = trim->bytes;
    (void)pthread_mutex_unlock(&trim->thread.lock);
    if (st) /* a failed write was logged */
        log_event(LOG_WARN, "trim", "event=not-synced error=\"%s\"", status_text(st));
}

/* Rarely, since each sync makes a table of its own on the disk; but not so rarely that a
 * restart has much to apply again. */
static bool is_sync_due(struct trim *trim, unsigned tick)
{
    (void)pthread_mutex_lock(&trim->thread.lock);
    bool due = tick % SYNC_TICKS == 0 || trim->bytes - trim->synced_bytes > SYNC_BYTES;
    (void)pthread_mutex_unlock(&trim->thread.lock);
    return due;
}

/* The member's key lives as long as the lease; the position stays. True where etcd has both. */
static bool tell(struct trim *trim)
{
    const struct trim_options *options = &trim->options;
    char member[OPLOG_KEY_MAX];
    char position[OPLOG_KEY_MAX];
    char about[128];
    char synced[24];
    int64_t lease = lead_lease(options->lead);
    if (!lease)
        return false;
    (void)snprintf(member, sizeof member, "%.220s%.280s", options->keys->members, options->address);
    (void)snprintf(position, sizeof position, "%.220s%.280s", options->keys->positions,
                   options->address);
    (void)snprintf(synced, sizeof synced, "%" PRIu64, trim_synced(trim));
    (void)snprintf(about, sizeof about, "{\"applied\":%" PRIu64 ",\"synced\":%s,\"role\":\"%s\"}",
                   index_sequence(options->index), synced, options->role(options->arg));
    const struct etcd_op puts[] = {
        {.action = ETCD_PUT,
         .key = member,
         .value = about,
         .value_len = strlen(about),
         .lease = lease},
        {.action = ETCD_PUT, .key = position, .value = synced, .value_len = strlen(synced)}};
    const struct etcd_txn txn = {NULL, 0, puts, 2, NULL, 0};
    struct etcd_answer answer;
    /* A failure needs no word: lead says when etcd does not answer, and the next tick tries again.
     */
    enum status st = etcd_txn(trim->etcd, &txn, loop_now_ms() + DEADLINE_MS, &answer);
    etcd_answer_free(&answer);
    if (!st || st == ST_NO_SPACE)
        trim->full = st == ST_NO_SPACE;
    return st == ST_OK;
}

/* From the nearest etcd, since this is for people and for verify; what is trimmed goes by the
 * positions. */
static void look_at_members(struct trim *trim)
{
    const struct oplog_keys *keys = trim->options.keys;
    const struct etcd_range range = {.key = keys->members, .end = keys->members_end, .local = true};
    struct etcd_answer answer;
    struct buf text = BUF_INIT;
    size_t skip = strlen(keys->members);
    enum status st = etcd_range(trim->etcd, &range, loop_now_ms() + DEADLINE_MS, &answer);
    for (size_t i = 0; i < answer.count; i++) {
        const struct etcd_kv *kv = &answer.kvs[i];
        buf_addf(&text, "%s{\"address\":", i ? "," : "");
        json_add_string(&text, kv->key + skip, kv->key_len - skip);
        buf_addf(&text, ",%s", kv->value_len ? kv->value + 1 : "}"); /* without its brace */
    }
    etcd_answer_free(&answer);
    (void)pthread_mutex_lock(&trim->thread.lock);
    if (!st && buf_ok(&text)) {
        buf_clear(&trim->members);
        buf_add(&trim->members, buf_text(&text), text.len);
    }
    (void)pthread_mutex_unlock(&trim->thread.lock);
    buf_free(&text);
}

/* --- trimming --- */

/* Up to here entries go even if somebody needs them: --log-retain bytes come behind. 0: none do.
 * From the newest mark back to the first that is old enough. */
static uint64_t beyond_retention(struct trim *trim)
{
    uint64_t last = 0;
    (void)pthread_mutex_lock(&trim->thread.lock);
    for (size_t i = 0; i < trim->mark_count; i++) {
        const struct mark *mark = &trim->marks[(trim->newest + MARKS - i) % MARKS];
        if (trim->bytes - mark->bytes >= trim->options.retain_bytes) {
            last = mark->last;
            break;
        }
    }
    (void)pthread_mutex_unlock(&trim->thread.lock);
    return last;
}

/* Deletes the positions of members that are too far behind; the lowest of the others. */
static uint64_t lowest_position(struct trim *trim, const struct etcd_answer *positions,
                                uint64_t beyond)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < positions->count; i++) {
        const struct etcd_kv *kv = &positions->kvs[i];
        uint64_t at = strtoull(kv->value, NULL, 10);
        if (at >= beyond) {
            lowest = at < lowest ? at : lowest;
            continue;
        }
        log_event(LOG_WARN, "trim",
                  "member=%s position=%" PRIu64
                  " event=given-up reason=\"more than --log-retain behind: it will need a "
                  "checkpoint\"",
                  kv->key + strlen(trim->options.keys->positions), at);
        struct etcd_answer answer;
        if (etcd_delete(trim->etcd, kv->key, NULL, loop_now_ms() + DEADLINE_MS, &answer))
            log_event(LOG_DEBUG, "trim", "event=position-not-dropped");
        etcd_answer_free(&answer);
    }
    return lowest;
}

/* Without it etcd keeps every version of every key that ever was, deleted entries as well. A
 * thousand of them may be a gibibyte: where etcd is full that is not waited for. (What it frees is
 * given back to etcd's quota by its defragmentation, which is the operator's.) */
static void compact(struct trim *trim, int64_t revision)
{
    struct etcd_answer answer;
    int64_t least = trim->full ? 1 : COMPACT_REVISIONS;
    if (revision - trim->compacted < least)
        return;
    /* Another writer may have done it before: that is an error to etcd, and fine. */
    enum status st = etcd_compact(trim->etcd, revision, loop_now_ms() + DEADLINE_MS, &answer);
    if (!st || st == ST_PEER)
        trim->compacted = revision;
    etcd_answer_free(&answer);
}

/*
 * Deletes entries up to `last`, the end of one. Not fenced, and no transaction (etcd above its
 * quota refuses those, and that is when it matters): it may be done by a writer of old, and arrive
 * late. It does no harm then, either:
 * - no key that it names is ever written again, since sequences only rise, so what it deletes is
 *   what was to be deleted when it was sent;
 * - every master with a position had synced all of it, or was given up; positions only rise;
 * - one that comes without a position, or with less than that (new, or its disk restored), finds a
 *   gap before the next entry or none at all, and fetches a checkpoint: this master for one has all
 *   that it deletes on its own disk;
 * - who appends compares the head, which is another key; and who looks for an entry of his own, of
 *   which he has no answer yet, has not applied it, so his position holds it.
 */
static void delete_entries(struct trim *trim, uint64_t last)
{
    const struct oplog_keys *keys = trim->options.keys;
    char end[OPLOG_KEY_MAX];
    oplog_entry_key(keys, last + 1, end);
    struct etcd_answer answer;
    enum status st = etcd_delete(trim->etcd, keys->log, end, loop_now_ms() + DEADLINE_MS, &answer);
    if (!st)
        compact(trim, answer.revision);
    etcd_answer_free(&answer);
}

/* Where nobody has a position yet nothing is known of anyone, so nothing is deleted. */
static void trim_log(struct trim *trim)
{
    const struct oplog_keys *keys = trim->options.keys;
    const struct etcd_range range = {.key = keys->positions, .end = keys->positions_end};
    struct etcd_answer answer;
    uint64_t beyond = beyond_retention(trim);
    enum status st = etcd_range(trim->etcd, &range, loop_now_ms() + DEADLINE_MS, &answer);
    if (!st && answer.count) {
        uint64_t last = lowest_position(trim, &answer, beyond);
        if (last == UINT64_MAX)
            last = beyond;
        if (last > trim_synced(trim)) /* however little is to be retained */
            last = trim_synced(trim);
        if (last)
            delete_entries(trim, last);
    }
    etcd_answer_free(&answer);
}

/* --- the thread --- */

/* Syncs before it tells, so that what is told of is on the disk. */
static void *run(void *arg)
{
    struct trim *trim = arg;
    bool told = false;
    sync_index(trim); /* or the first position that is told would be 0 */
    for (unsigned tick = 1; !thread_pause(&trim->thread, told ? TICK_MS : FIRST_MS); tick++) {
        if (is_sync_due(trim, tick))
            sync_index(trim);
        told = tell(trim) || told;
        look_at_members(trim);
        if (tick % SYNC_TICKS == 0 && lead_may_trim(trim->options.lead))
            trim_log(trim);
    }
    /* So that the next start has nothing to apply again. */
    sync_index(trim);
    return NULL;
}

/* The thread starts last, since it uses everything else at once. */
struct trim *trim_new(const struct trim_options *options)
{
    struct trim *trim = calloc(1, sizeof *trim);
    if (!trim)
        return NULL;
    trim->options = *options;
    trim->etcd = etcd_new(options->endpoints, options->endpoint_count);
    if (trim->etcd && thread_begin(&trim->thread, run, trim))
        return trim;
    etcd_free(trim->etcd);
    free(trim);
    return NULL;
}

void trim_stop(struct trim *trim)
{
    if (!trim)
        return;
    etcd_end_thread(trim->etcd, &trim->thread);
}

void trim_free(struct trim *trim)
{
    if (!trim)
        return;
    trim_stop(trim);
    etcd_free(trim->etcd);
    buf_free(&trim->members);
    thread_release(&trim->thread);
    free(trim);
}
