/*
 * The path: copy_start → copy_granted (its turn) → copy_handed_over (the targets have fetched the
 * value by themselves) → copy_finish. Where the value is in memory already: copy_start →
 * copy_replicated → copy_finish. Where neither can be, or none of the targets could:
 * copy_window_granted (its turn, with memory) → copy_from_next (a GET to a source) → copy_arrived
 * (its bytes, into the window) → copy_source_ended → copy_replicated → copy_finish; or, where the
 * source fails or is not what the index says, back to copy_from_next.
 */
#include "master/copy.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/md5.h"
#include "master/handover.h"
#include "master/ration.h"
#include "master/replicate.h"
#include "master/volumes.h"
#include "master/worker.h"

enum {
    STALL_MS = 3000,       /* a source that is silent for so long is given up */
    HAND_OVER = 64 * 1024, /* shorter values are faster by way of this process: no connections are
                              made for them */
    HANDED_SHARE = 256 * 1024 /* they take no memory here; what is bounded is how many wait for the
                                 same disks */
};

struct copy_job {
    struct worker *worker;
    char request[32];
    char *path;
    char md5[MD5_HEX + 1];
    char **sources;
    size_t source_count, next_source;
    char **targets;
    size_t target_count;
    bool *stored;
    uint64_t length;
    const char *value, *type; /* the caller's; NULL: it is not in memory */
    void (*done)(void *arg, enum status st, const bool *stored, uint64_t bytes);
    void *arg;

    struct http_call *call; /* the GET under way */
    struct replicate *rep;  /* the PUTs under way */
    struct buf rest;        /* bytes that came in while the window was full */
    size_t rest_used;
    bool source_ended;
    uint64_t heard_ms; /* when the source last sent something, or had to wait for us */
    struct loop_timer *watch;
    struct ration_share share;
    enum status st; /* of the last source that was tried */
};

static void copy_granted(void *arg);
static void copy_handed_over(void *arg, const bool *stored);
static void copy_through_us(struct copy_job *job);
static void copy_window_granted(void *arg);
static void copy_from_next(struct copy_job *job);
static bool copy_arrived(void *arg, const char *data, size_t len);
static void copy_source_ended(void *arg, struct http_call *call, enum status st);
static void copy_replicated(void *arg, enum status st);
static void copy_finish(struct copy_job *job, enum status st, uint64_t bytes);

/* --- from the source into the window --- */

static void copy_room(void *arg)
{
    struct copy_job *job = arg;
    size_t left = job->rest.len - job->rest_used;
    job->heard_ms = loop_now_ms();
    job->rest_used += replicate_data(job->rep, buf_text(&job->rest) + job->rest_used, left);
    if (job->rest_used < job->rest.len)
        return;
    buf_clear(&job->rest);
    job->rest_used = 0;
    if (job->source_ended)
        replicate_end(job->rep);
    else
        http_call_resume(job->call);
}

/* Whether all of them are larder's, and there is something that they can compare. */
static bool targets_check(const struct copy_job *job)
{
    bool check = job->md5[0] != 0;
    for (size_t i = 0; i < job->target_count && check; i++)
        check = volumes_kind(job->worker->master->volumes, job->targets[i]) == VOLUME_LARDER;
    return check;
}

static bool start_replicas(struct copy_job *job, int64_t length, const char *type)
{
    bool checked_there = targets_check(job);
    const struct replicate_spec spec = {
        .worker = job->worker,
        .request = job->request,
        .path = job->path,
        .candidates = (const char *const *)job->targets,
        .candidate_count = job->target_count,
        .wanted = job->target_count,
        .minimum = 1,
        .length = length,
        .type = type,
        .digest = !checked_there,
        .checked_there = checked_there,
        .expected_md5 = job->md5[0] ? job->md5 : NULL,
        .room = copy_room,
        .done = copy_replicated,
        .arg = job,
    };
    job->rep = replicate_start(&spec);
    return job->rep != NULL;
}

/* As the source announces it. */
static bool start_from_source(struct copy_job *job)
{
    const char *length = http_call_field(job->call, "Content-Length");
    return start_replicas(job, length ? strtoll(length, NULL, 10) : -1,
                          http_call_field(job->call, "Content-Type"));
}

static bool copy_arrived(void *arg, const char *data, size_t len)
{
    struct copy_job *job = arg;
    if (http_call_status(job->call) != 200)
        return false;
    if (!job->rep && !start_from_source(job))
        return false;
    job->heard_ms = loop_now_ms();
    size_t taken = replicate_data(job->rep, data, len);
    if (taken < len)
        buf_add(&job->rest, data + taken, len - taken);
    else
        http_call_resume(job->call);
    return buf_ok(&job->rest);
}

static void copy_source_ended(void *arg, struct http_call *call, enum status st)
{
    struct copy_job *job = arg;
    int status = st ? 0 : http_call_status(call);
    job->call = NULL;
    if (!st && status == 200 && job->rep) {
        job->source_ended = true;
        if (job->rest.len == 0)
            replicate_end(job->rep);
        return;
    }
    const char *source = job->sources[job->next_source - 1];
    log_event(LOG_WARN, "copy", "request=%s source=%s http=%d error=\"%s\"", job->request, source,
              status, status_text(st));
    if (st == ST_UNAVAILABLE || st == ST_PEER_TIMEOUT)
        volumes_failed(job->worker->master->volumes, source);
    /* ST_CLOSED: copy_arrived() wanted no more of it. */
    job->st = st && st != ST_CLOSED ? st : ST_PEER;
    copy_from_next(job);
}

static void watched(void *arg)
{
    struct copy_job *job = arg;
    bool waits_for_us = job->rest.len > 0;
    if (job->call && !waits_for_us && loop_now_ms() - job->heard_ms > STALL_MS) {
        http_call_cancel(job->call);
        job->call = NULL;
        log_event(LOG_WARN, "copy", "request=%s source=%s error=\"it stands still\"", job->request,
                  job->sources[job->next_source - 1]);
        job->st = ST_PEER_TIMEOUT;
        copy_from_next(job);
        return;
    }
    loop_timer_set(job->watch, STALL_MS / 4);
}

/* --- sources, one after the other --- */

static enum status call_source(struct copy_job *job, const char *source)
{
    /* Its bytes are compared with the MD5 at their destination; the source need not do it, too. */
    static const char *const fields[] = {"Larder-Internal: 1", "Larder-Check: none", NULL};
    struct buf url = BUF_INIT;
    buf_adds(&url, "http://");
    volumes_add_address(job->worker->master->volumes, source, &url);
    buf_adds(&url, job->path);
    const struct http_call_spec spec = {
        .method = "GET",
        .url = buf_text(&url),
        .fields = fields,
        .write = copy_arrived,
        .pause_after_write = true,
        .done = copy_source_ended,
        .arg = job,
    };
    job->call = buf_ok(&url) ? http_call_start(job->worker->client, &spec) : NULL;
    buf_free(&url);
    return job->call ? ST_OK : ST_NO_MEMORY;
}

static void copy_from_next(struct copy_job *job)
{
    replicate_free(job->rep);
    job->rep = NULL;
    buf_clear(&job->rest);
    job->rest_used = 0;
    job->source_ended = false;
    job->heard_ms = loop_now_ms();
    if (job->next_source == job->source_count) {
        copy_finish(job, job->st, 0);
        return;
    }
    job->st = call_source(job, job->sources[job->next_source++]);
    if (job->st)
        copy_finish(job, job->st, 0);
    else
        loop_timer_set(job->watch, STALL_MS / 4);
}

static void copy_replicated(void *arg, enum status st)
{
    struct copy_job *job = arg;
    if (job->call) {
        http_call_cancel(job->call);
        job->call = NULL;
    }
    if (st == ST_DIGEST) {
        log_event(LOG_ERROR, "copy",
                  "request=%s source=%s error=\"its copy is damaged: MD5 differs\"", job->request,
                  job->sources[job->next_source - 1]);
        job->st = ST_CORRUPT;
        copy_from_next(job);
        return;
    }
    for (size_t i = 0; i < job->target_count; i++)
        job->stored[i] = replicate_result(job->rep, i) == REPLICA_STORED;
    copy_finish(job, st, replicate_length(job->rep));
}

static void copy_free(struct copy_job *job)
{
    ration_return(&job->share);
    for (size_t i = 0; job->sources && i < job->source_count; i++)
        free(job->sources[i]);
    for (size_t i = 0; job->targets && i < job->target_count; i++)
        free(job->targets[i]);
    if (job->call)
        http_call_cancel(job->call);
    replicate_free(job->rep);
    loop_timer_free(job->watch);
    buf_free(&job->rest);
    free(job->sources);
    free(job->targets);
    free(job->stored);
    free(job->path);
    free(job);
}

static void copy_finish(struct copy_job *job, enum status st, uint64_t bytes)
{
    job->done(job->arg, st, job->stored, bytes);
    copy_free(job);
}

static char **copy_strings(const char *const *from, size_t count)
{
    char **list = calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++)
        if (!(list[i] = strdup(from[i]))) {
            while (i--)
                free(list[i]);
            free(list);
            return NULL;
        }
    return list;
}

/* --- without us --- */

/* One source only: whatever goes wrong, the other way finds out whose fault it is. */
static bool can_hand_over(const struct copy_job *job)
{
    struct volumes *volumes = job->worker->master->volumes;
    return job->length > HAND_OVER && job->source_count > 0 && targets_check(job) &&
           volumes_kind(volumes, job->sources[0]) == VOLUME_LARDER;
}

static void hand_over(struct copy_job *job)
{
    const struct handover_spec spec = {
        .worker = job->worker,
        .request = job->request,
        .path = job->path,
        .md5 = job->md5,
        .source = job->sources[0],
        .targets = (const char *const *)job->targets,
        .target_count = job->target_count,
        .length = job->length,
        .done = copy_handed_over,
        .arg = job,
    };
    if (handover_start(&spec))
        copy_through_us(job);
}

/* The window is as large as the value, so it takes all at once. No share is asked for: the memory
 * is taken already. */
static bool copy_from_memory(struct copy_job *job)
{
    if (!start_replicas(job, (int64_t)job->length, job->type))
        return false;
    job->next_source = 1; /* where that one turns out to be damaged */
    if (replicate_data(job->rep, job->value, (size_t)job->length) < job->length)
        return false;
    replicate_end(job->rep);
    return true;
}

static void copy_granted(void *arg)
{
    hand_over(arg);
}

static void copy_window_granted(void *arg)
{
    copy_from_next(arg);
}

/* With the memory that it takes. */
static void copy_through_us(struct copy_job *job)
{
    ration_return(&job->share);
    job->share.granted = copy_window_granted;
    ration_ask(job->worker->copies, &job->share, job->length);
}

static void copy_handed_over(void *arg, const bool *stored)
{
    struct copy_job *job = arg;
    bool any = false;
    for (size_t i = 0; i < job->target_count; i++) {
        job->stored[i] = stored[i];
        any = any || stored[i];
    }
    if (any)
        copy_finish(job, ST_OK, job->length);
    else
        copy_through_us(job);
}

enum status copy_start(const struct copy_spec *spec)
{
    struct copy_job *job = calloc(1, sizeof *job);
    if (!job)
        return ST_NO_MEMORY;
    job->worker = spec->worker;
    job->source_count = spec->source_count;
    job->target_count = spec->target_count;
    job->length = spec->length;
    job->value = spec->value;
    job->type = spec->type;
    job->done = spec->done;
    job->arg = spec->arg;
    job->st = ST_UNAVAILABLE; /* without any source */
    strncpy(job->request, spec->request, sizeof job->request - 1);
    memcpy(job->md5, spec->md5, strlen(spec->md5) + 1);
    job->path = strdup(spec->path);
    job->sources = copy_strings(spec->sources, spec->source_count);
    job->targets = copy_strings(spec->targets, spec->target_count);
    job->stored = calloc(spec->target_count + 1, sizeof *job->stored);
    job->watch = loop_timer_new(spec->worker->loop, watched, job);
    if (!job->path || !job->sources || !job->targets || !job->stored || !job->watch) {
        copy_free(job);
        return ST_NO_MEMORY;
    }
    if (job->value && job->length > 0) {
        if (copy_from_memory(job))
            return ST_OK;
        copy_free(job);
        return ST_NO_MEMORY;
    }
    bool hands_over = can_hand_over(job);
    job->share.granted = hands_over ? copy_granted : copy_window_granted;
    job->share.arg = job;
    ration_ask(spec->worker->copies, &job->share, hands_over ? HANDED_SHARE : spec->length);
    return ST_OK;
}
