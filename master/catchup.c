/*
 * The path: catchup_index → find_members (who lives, and has what we lack) → a checkpoint of one of
 * them beside our index (common/checkpoint_load.h) → swap, in one step.
 *
 * The old index is served to stale readers until the swap. A crash before it leaves the old one,
 * and the next start begins anew; a crash after it leaves the new one.
 */
#include "master/catchup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/checkpoint_load.h"
#include "common/etcd_answer.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/etcd.h"
#include "master/index.h"
#include "master/oplog.h"

enum {
    DEADLINE_MS = 3000,
    MASTERS_MAX = 16,
    URL_MAX = 300,
    PACE = 4,                /* it pauses so many times as long as it has worked */
    PACE_LEAST_US = 1000,    /* at once, */
    PACE_MOST_US = 50 * 1000 /* since what else this process does is counted as well */
};

/* Where a checkpoint can be had; urls[count] is NULL. */
struct sources {
    char text[MASTERS_MAX][URL_MAX];
    const char *urls[MASTERS_MAX + 1];
    size_t count;
};

/* --- who has one --- */

static bool has_role(const struct etcd_kv *member, const char *role)
{
    struct json *json = json_parse(member->value, member->value_len, NULL);
    const char *its = json_text(json_member(json, "role"));
    bool same = its && strcmp(its, role) == 0;
    json_free(json);
    return same;
}

/* A member that waits for a checkpoint itself has none to give. */
static void add_sources(struct sources *sources, const struct catchup_spec *spec,
                        const struct etcd_answer *members, const char *role)
{
    size_t skip = strlen(spec->keys->members);
    for (size_t i = 0; i < members->count && sources->count < MASTERS_MAX; i++) {
        const char *address = members->kvs[i].key + skip;
        if (strcmp(address, spec->address) == 0 || !has_role(&members->kvs[i], role))
            continue;
        (void)snprintf(sources->text[sources->count], URL_MAX, "http://%s", address);
        sources->urls[sources->count] = sources->text[sources->count];
        sources->count++;
    }
}

/* Followers first: who writes has enough to do. */
static enum status find_sources(struct sources *sources, const struct catchup_spec *spec)
{
    const struct etcd_range range = {.key = spec->keys->members, .end = spec->keys->members_end};
    struct etcd_answer answer;
    enum status st = etcd_range(spec->etcd, &range, loop_now_ms() + DEADLINE_MS, &answer);
    if (!st) {
        add_sources(sources, spec, &answer, "follower");
        add_sources(sources, spec, &answer, "writer");
    }
    etcd_answer_free(&answer);
    return st || sources->count ? st : ST_UNAVAILABLE;
}

/* --- fetching, putting it in place --- */

/* Between pieces of a checkpoint: whoever writes shall notice little of it. Processor time counts,
 * LevelDB's threads' too; who sends waits with us. */
struct pacer {
    const struct catchup_spec *spec;
    uint64_t used_us; /* by this process, when it went on */
};

static uint64_t used_us(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static bool paced(void *arg)
{
    struct pacer *pacer = arg;
    uint64_t us = (used_us() - pacer->used_us) * PACE;
    if (us >= PACE_LEAST_US) {
        if (us > PACE_MOST_US)
            us = PACE_MOST_US;
        const struct timespec time = {.tv_nsec = (long)us * 1000};
        (void)nanosleep(&time, NULL);
        pacer->used_us = used_us();
    }
    return pacer->spec->stopped(pacer->spec->arg);
}

static enum status swap(void *arg, const char *path)
{
    return checkpoint_load_swap(path, arg);
}

static void complain(enum status st, const struct buf *why)
{
    log_event(LOG_ERROR, "catchup",
              "event=no-checkpoint status=\"%s\" error=\"%s\" advice=\"trying again; another "
              "master has to be up\"",
              status_text(st), buf_text(why));
}

enum status catchup_index(const struct catchup_spec *spec)
{
    struct sources *sources = calloc(1, sizeof *sources);
    struct checkpoint_head head;
    struct buf why = BUF_INIT;
    struct pacer pacer = {spec, used_us()};
    enum status st = sources ? find_sources(sources, spec) : ST_NO_MEMORY;
    if (!st)
        st = checkpoint_load_fetch(sources->urls, index_path(spec->index), paced, &pacer, &head,
                                   &why);
    /* Whose index is older than ours is catching up himself. */
    if (!st && head.sequence < index_sequence(spec->index)) {
        buf_addf(&why, "the checkpoint is of %" PRIu64 ", and the index here of %" PRIu64,
                 head.sequence, index_sequence(spec->index));
        st = ST_LAGGING;
    }
    if (!st)
        st = index_replace(spec->index, swap, &why);
    if (!st)
        log_event(LOG_INFO, "catchup", "event=checkpoint-loaded sequence=%" PRIu64, head.sequence);
    else if (st != ST_CLOSED && !spec->stopped(spec->arg))
        complain(st, &why);
    buf_free(&why);
    free(sources);
    return st;
}
