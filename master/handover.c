/*
 * The path: handover_start → a PUT without a body to each target → target_answered for each, or
 * handover_watched: its volume is down → handover_over.
 */
#include "master/handover.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/md5.h"
#include "common/planted.h"
#include "master/volumes.h"
#include "master/worker.h"

/* A volume gives up after 30 s and a millisecond for each KiB, and may need a while for the end of
 * it before: so after this time nothing is to be expected. */
enum {
    ANSWER_MS = 60000,
    LONGEST_MS = 1 << 30,
    BYTES_A_MS = 1024,
    WATCH_MS = 250,
    CONNECT_MS = 1000
};

struct target {
    struct handover *handover;
    struct http_call *call; /* NULL: not under way */
    char *place;
};

struct handover {
    struct worker *worker;
    char request[32];
    char md5[MD5_HEX + 1];
    void (*done)(void *arg, const bool *stored);
    void *arg;
    struct loop_timer *turn;  /* to its end, outside of everybody's callbacks */
    struct loop_timer *watch; /* looks for volumes that are down */
    size_t count;
    size_t left; /* targets that are under way */
    bool *stored;
    struct target *targets;
};

static void target_answered(void *arg, struct http_call *call, enum status st);
static void handover_watched(void *arg);
static void handover_over(void *arg);

static void target_over(struct target *target)
{
    struct handover *handover = target->handover;
    target->call = NULL;
    if (--handover->left == 0)
        loop_timer_set(handover->turn, 0);
}

/* NULL where the answer says that the value is durable there. */
static const char *judge(const struct handover *handover, const struct http_call *call,
                         enum status st)
{
    if (st)
        return status_text(st);
    int status = http_call_status(call);
    if (status != 201 && status != 204)
        return "the volume did not take it";
    const char *said = http_call_field(call, "Content-MD5");
    char hex[MD5_HEX + 1];
    if (!planted("skip-md5") && (!said || md5_parse(said, hex) || strcmp(hex, handover->md5) != 0))
        return "the volume stored something else: its MD5 differs";
    return NULL;
}

/* With what the volume says of it: why it refuses a master, and what to do, only it knows. */
static void log_failure(const struct target *target, struct http_call *call, enum status st,
                        const char *wrong)
{
    enum { SAID_MAX = 400 };
    size_t len = 0;
    const char *said = st ? "" : http_call_body(call, &len);
    const char *end = memchr(said, '\n', len);
    if (end)
        len = (size_t)(end - said);
    log_event(LOG_WARN, "handover", "request=%s place=%s http=%d error=\"%s\" said=\"%.*s\"",
              target->handover->request, target->place, st ? 0 : http_call_status(call), wrong,
              len < SAID_MAX ? (int)len : SAID_MAX, said);
}

static void target_answered(void *arg, struct http_call *call, enum status st)
{
    struct target *target = arg;
    struct handover *handover = target->handover;
    const char *wrong = judge(handover, call, st);
    handover->stored[target - handover->targets] = wrong == NULL;
    if (wrong)
        log_failure(target, call, st, wrong);
    /* A silence says nothing: it may wait for the source, or in the target's queue. Whether the
     * target itself is well the health checks tell. */
    if (st == ST_UNAVAILABLE)
        volumes_failed(handover->worker->master->volumes, target->place);
    target_over(target);
}

static void handover_watched(void *arg)
{
    struct handover *handover = arg;
    for (size_t i = 0; i < handover->count; i++) {
        struct target *target = &handover->targets[i];
        if (!target->call || !volumes_lost(handover->worker->master->volumes, target->place))
            continue;
        http_call_cancel(target->call);
        log_event(LOG_WARN, "handover", "request=%s place=%s error=\"the volume went down\"",
                  handover->request, target->place);
        target_over(target);
    }
    loop_timer_set(handover->watch, WATCH_MS);
}

static void handover_free(struct handover *handover)
{
    for (size_t i = 0; handover->targets && i < handover->count; i++) {
        if (handover->targets[i].call)
            http_call_cancel(handover->targets[i].call);
        free(handover->targets[i].place);
    }
    loop_timer_free(handover->turn);
    loop_timer_free(handover->watch);
    free(handover->targets);
    free(handover->stored);
    free(handover);
}

static void handover_over(void *arg)
{
    struct handover *handover = arg;
    loop_timer_clear(handover->watch);
    handover->done(handover->arg, handover->stored);
    handover_free(handover);
}

static void launch(struct target *target, const struct handover_spec *spec)
{
    struct buf url = BUF_INIT;
    struct buf from = BUF_INIT;
    uint64_t wait_ms = ANSWER_MS + spec->length / BYTES_A_MS;
    struct volumes *volumes = spec->worker->master->volumes;
    char identity_text[VOLUMES_FIELD];
    buf_adds(&url, "http://");
    const char *identity = volumes_reach(volumes, target->place, &url, identity_text);
    buf_adds(&url, spec->path);
    /* Of the source nothing is asked but the MD5. */
    buf_addf(&from, "Larder-Copy-From: %s http://", spec->md5);
    volumes_add_address(volumes, spec->source, &from);
    buf_adds(&from, spec->path);
    char term_text[MASTER_TERM_FIELD];
    const char *term = master_term_field(spec->worker->master, term_text);
    /* Either may be missing, and ends the list then. */
    const char *const fields[] = {"Larder-Internal: 1", buf_text(&from), term ? term : identity,
                                  term ? identity : NULL, NULL};
    const struct http_call_spec call = {
        .method = "PUT",
        .url = buf_text(&url),
        .fields = fields,
        .done = target_answered,
        .arg = target,
        .connect_timeout_ms = CONNECT_MS,
        .timeout_ms = wait_ms < LONGEST_MS ? (unsigned)wait_ms : LONGEST_MS,
    };
    if (master_may_write(spec->worker->master) && buf_ok(&url) && buf_ok(&from))
        target->call = http_call_start(spec->worker->client, &call);
    buf_free(&url);
    buf_free(&from);
}

static struct handover *handover_new(const struct handover_spec *spec)
{
    struct handover *handover = calloc(1, sizeof *handover);
    if (!handover)
        return NULL;
    handover->worker = spec->worker;
    handover->done = spec->done;
    handover->arg = spec->arg;
    handover->count = spec->target_count;
    strncpy(handover->request, spec->request, sizeof handover->request - 1);
    memcpy(handover->md5, spec->md5, MD5_HEX);
    handover->stored = calloc(spec->target_count + 1, sizeof *handover->stored);
    handover->targets = calloc(spec->target_count + 1, sizeof *handover->targets);
    handover->turn = loop_timer_new(spec->worker->loop, handover_over, handover);
    handover->watch = loop_timer_new(spec->worker->loop, handover_watched, handover);
    bool good = handover->stored && handover->targets && handover->turn && handover->watch;
    for (size_t i = 0; i < spec->target_count && good; i++)
        good = (handover->targets[i].place = strdup(spec->targets[i])) != NULL;
    if (good)
        return handover;
    handover_free(handover);
    return NULL;
}

enum status handover_start(const struct handover_spec *spec)
{
    struct handover *handover = handover_new(spec);
    if (!handover)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < handover->count; i++) {
        struct target *target = &handover->targets[i];
        target->handover = handover;
        launch(target, spec);
        handover->left += target->call != NULL;
    }
    if (handover->left == 0)
        loop_timer_set(handover->turn, 0);
    loop_timer_set(handover->watch, WATCH_MS);
    return ST_OK;
}
