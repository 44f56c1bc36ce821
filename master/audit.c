/*
 * A round: audit_tick → (page_read → page_arrived → probe … probed) until the end of the index →
 * orphans_start → orphans_ended → a pause.
 *
 * The audit is the last resort: it finds what nobody has noticed, so it trusts neither the index
 * nor the volumes, and may be slow. A copy is asked for by HEAD, which costs a volume little; its
 * bytes are read by the volumes' own scrubs. No answer proves nothing, and a volume that is away is
 * passed over.
 *
 * Threads: all of it runs on one loop but page_read(), to which page, start, st and last_page
 * belong while `reading`. The atomic members are what /admin/status reads from any loop. `demanded`
 * and `running` overlap (the latter is set before the former is taken back), so that whoever
 * demanded a round never sees both false before its end.
 */
#include "master/audit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/record.h"
#include "master/ask.h"
#include "master/flag.h"
#include "master/index.h"
#include "master/orphans.h"
#include "master/volumes.h"
#include "master/worker.h"

enum {
    PAGE = 256,     /* keys that one reading of the index collects */
    AT_ONCE = 16,   /* keys that are asked for at the same time, when it was demanded */
    PACE_MS = 200,  /* between two keys or listings otherwise: ten million keys take a month */
    ASK_MS = 10000, /* for one key's copies */
    FIRST_MS = 60 * 1000,  /* after the start */
    ROUND_MS = 3600 * 1000 /* between two rounds */
};

/* One key whose copies are asked for. */
struct probe {
    struct audit *audit;
    struct key key;
    struct record rec;
    bool *asked; /* [i]: rec.places[i] was asked */
};

struct audit {
    struct worker *worker;
    struct loop_timer *timer;
    struct pool_job job;
    bool reading;    /* the job is the pool's now */
    bool wants_page; /* the pool had no room for the job */
    bool stopped;
    bool last_page;
    enum status st;   /* of the last reading */
    struct buf start; /* the first key of the next page */
    struct key *page; /* PAGE of them */
    size_t page_count, page_next;
    size_t under_way;                       /* keys that are asked for, or flagged */
    uint64_t pause_ms;                      /* between two keys, or listings */
    struct orphans *orphans;                /* while they are looked for */
    _Atomic bool demanded, running, forced; /* forced: the round that runs was demanded */
    _Atomic uint64_t keys, suspects, files, found, rounds, finished_ms;
};

static void audit_tick(void *arg);
static void page_read(void *arg);
static void page_arrived(void *arg);
static void probed(void *arg, const struct ask_answer *answers, size_t count);
static void key_flagged(void *arg, enum status st);
static void key_done(struct audit *audit);
static void orphans_ended(void *arg, const struct orphans_counts *counts);
static void advance(struct audit *audit);

/* --- the index, on the pool --- */

/* Stops at the first key that the page has no room for; the next page begins there. Where that
 * cannot be remembered the round ends early, and does not count as a whole one. */
static bool take_key(void *arg, const char *bytes, size_t len, const struct record *rec UNUSED)
{
    struct audit *audit = arg;
    if (audit->page_count == PAGE) {
        buf_clear(&audit->start);
        buf_add(&audit->start, bytes, len);
        audit->last_page = !buf_ok(&audit->start);
        return false;
    }
    if (key_from_bytes(&audit->page[audit->page_count], bytes, len) == ST_OK)
        audit->page_count++;
    return true;
}

/* On the pool; the loop touches none of what it writes until page_arrived(). */
static void page_read(void *arg)
{
    struct audit *audit = arg;
    struct buf all = BUF_INIT;
    audit->page_count = audit->page_next = 0;
    audit->last_page = true;
    audit->st = index_scan(audit->worker->master->index, &all, &audit->start, take_key, audit);
}

/* A pool that is full has more urgent work: tried again a little later. */
static void read_page(struct audit *audit)
{
    audit->job = (struct pool_job){
        .run = page_read, .done = page_arrived, .arg = audit, .loop = audit->worker->loop};
    audit->reading = pool_submit(audit->worker->master->pool, &audit->job);
    audit->wants_page = !audit->reading;
    if (audit->wants_page)
        loop_timer_set(audit->timer, PACE_MS);
}

/* --- one key --- */

static void probe_free(struct probe *probe)
{
    record_free(&probe->rec);
    free(probe->asked);
    free(probe);
}

/* Only places that can be asked with a meaning; the answers come in the order of items. */
static enum status ask_copies(struct probe *probe)
{
    struct worker *worker = probe->audit->worker;
    const struct record *rec = &probe->rec;
    struct ask_item items[RECORD_COPIES_MAX];
    size_t count = 0;
    probe->asked = calloc(rec->place_count + 1, sizeof *probe->asked);
    if (!probe->asked)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < rec->place_count; i++) {
        enum volume_state state = volumes_state(worker->master->volumes, rec->places[i]);
        probe->asked[i] = state != VOLUME_UNKNOWN && volume_readable(state);
        if (probe->asked[i])
            items[count++] =
                (struct ask_item){rec->places[i], rec->generation, rec->naming, NULL, NULL};
    }
    return ask_start(worker, "audit", "HEAD", &probe->key, items, count, ASK_MS, probed, probe);
}

/* True where `probed` follows. */
static bool probe_start(struct audit *audit, const struct key *key)
{
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe)
        return false;
    probe->audit = audit;
    probe->key = *key;
    if (index_get(audit->worker->master->index, key, &probe->rec) || ask_copies(probe)) {
        probe_free(probe);
        return false;
    }
    return true;
}

/* A copy that is not there, or not what the index says. No answer proves nothing. */
static bool is_bad(const struct record *rec, const struct ask_answer *answer)
{
    if (answer->st || (answer->http != 200 && answer->http != 404))
        return false;
    return answer->http == 404 ||
           (rec->md5[0] && answer->md5[0] && strcmp(rec->md5, answer->md5) != 0);
}

static void probed(void *arg, const struct ask_answer *answers, size_t count)
{
    struct probe *probe = arg;
    struct audit *audit = probe->audit;
    bool bad = false;
    for (size_t i = 0; i < count; i++)
        bad = bad || is_bad(&probe->rec, &answers[i]);
    atomic_fetch_add(&audit->keys, 1);
    bool flags = bad && flag_start(audit->worker, &probe->key, FLAG_SUSPECT, key_flagged, audit);
    atomic_fetch_add(&audit->suspects, bad);
    probe_free(probe);
    if (!flags)
        key_done(audit);
}

/* --- the round --- */

static void round_over(struct audit *audit, bool whole)
{
    atomic_store(&audit->running, false);
    atomic_store(&audit->forced, false);
    atomic_store(&audit->finished_ms, loop_wall_ms());
    atomic_fetch_add(&audit->rounds, whole);
    log_event(LOG_INFO, "audit", "event=finished keys=%llu suspects=%llu files=%llu orphans=%llu",
              (unsigned long long)atomic_load(&audit->keys),
              (unsigned long long)atomic_load(&audit->suspects),
              (unsigned long long)atomic_load(&audit->files),
              (unsigned long long)atomic_load(&audit->found));
    if (!audit->stopped)
        loop_timer_set(audit->timer, atomic_load(&audit->demanded) ? 0 : ROUND_MS);
}

/* The second half. The files are looked for also where the first half failed: they are another
 * question. */
static void look_for_orphans(struct audit *audit)
{
    audit->orphans = orphans_start(audit->worker, &audit->pause_ms, orphans_ended, audit);
    if (!audit->orphans)
        round_over(audit, false);
}

static void orphans_ended(void *arg, const struct orphans_counts *counts)
{
    struct audit *audit = arg;
    atomic_store(&audit->files, counts->files);
    atomic_store(&audit->found, counts->orphans);
    audit->orphans = NULL; /* it is gone after this */
    /* Where the index was not read to its end, it was no whole round. */
    round_over(audit, counts->whole && !audit->stopped && !audit->st && buf_ok(&audit->start));
}

/* Keeps keys under way: many where it was demanded, else one, with pauses between. */
static void advance(struct audit *audit)
{
    size_t most = audit->pause_ms ? 1 : AT_ONCE;
    while (!audit->stopped && audit->page_next < audit->page_count && audit->under_way < most)
        audit->under_way += probe_start(audit, &audit->page[audit->page_next++]);
    if (audit->under_way)
        return;
    if (audit->stopped)
        round_over(audit, false);
    else if (audit->last_page)
        look_for_orphans(audit);
    else
        read_page(audit);
}

static void key_flagged(void *arg, enum status st UNUSED)
{
    key_done(arg); /* what could not be written is met again in the next round */
}

/* The pause is between two keys, however long the first one took. */
static void key_done(struct audit *audit)
{
    audit->under_way--;
    if (audit->pause_ms && !audit->stopped)
        loop_timer_set(audit->timer, audit->pause_ms);
    else
        advance(audit);
}

/* A reading that failed ends this half of the round; the next round begins at the first key again.
 */
static void page_arrived(void *arg)
{
    struct audit *audit = arg;
    audit->reading = false;
    if (audit->st)
        audit->last_page = true; /* it was logged */
    advance(audit);
}

/* The figures are those of this round from here on. */
static void begin(struct audit *audit)
{
    atomic_store(&audit->running, true); /* first: who demanded it never sees it as ended */
    bool demanded = atomic_exchange(&audit->demanded, false);
    audit->pause_ms = demanded ? 0 : PACE_MS;
    buf_clear(&audit->start);
    atomic_store(&audit->forced, demanded);
    atomic_store(&audit->keys, 0);
    atomic_store(&audit->suspects, 0);
    atomic_store(&audit->files, 0);
    atomic_store(&audit->found, 0);
    read_page(audit);
}

/* One timer for all that waits: the next round, a page that found the pool full, the next key. */
static void audit_tick(void *arg)
{
    struct audit *audit = arg;
    if (!master_may_write(audit->worker->master))
        loop_timer_set(audit->timer, ROUND_MS); /* who writes does it, and has the whole index */
    else if (!atomic_load(&audit->running))
        begin(audit);
    else if (audit->wants_page)
        read_page(audit);
    else
        advance(audit);
}

void audit_demand(struct audit *audit)
{
    atomic_store(&audit->demanded, true);
}

/* The demand may come on any thread, the timer is the loop's: hence two functions. */
void audit_poke(struct audit *audit)
{
    if (!atomic_load(&audit->demanded) || audit->stopped)
        return;
    audit->pause_ms = 0; /* one that is under way hurries up, then the demanded one begins */
    if (!atomic_load(&audit->running))
        loop_timer_set(audit->timer, 0);
}

struct audit *audit_new(struct worker *worker)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (!audit)
        return NULL;
    audit->worker = worker;
    audit->page = calloc(PAGE, sizeof *audit->page);
    audit->timer = loop_timer_new(worker->loop, audit_tick, audit);
    if (!audit->page || !audit->timer) {
        audit_free(audit);
        return NULL;
    }
    loop_timer_set(audit->timer, FIRST_MS);
    return audit;
}

void audit_stop(struct audit *audit)
{
    audit->stopped = true;
    loop_timer_clear(audit->timer);
    if (audit->orphans)
        orphans_stop(audit->orphans);
}

/* On the loop: nothing of it is with the pool or with volumes any more. */
bool audit_idle(const struct audit *audit)
{
    return !audit->reading && !audit->orphans && audit->under_way == 0;
}

void audit_free(struct audit *audit)
{
    if (!audit)
        return;
    loop_timer_free(audit->timer);
    buf_free(&audit->start);
    free(audit->page);
    free(audit);
}

void audit_look(struct audit *audit, struct audit_report *report)
{
    report->running = atomic_load(&audit->demanded) || atomic_load(&audit->running);
    report->forced = atomic_load(&audit->forced);
    report->keys = atomic_load(&audit->keys);
    report->suspects = atomic_load(&audit->suspects);
    report->files = atomic_load(&audit->files);
    report->orphans = atomic_load(&audit->found);
    report->rounds = atomic_load(&audit->rounds);
    report->finished_ms = atomic_load(&audit->finished_ms);
}
