/*
 * The path: replicate_start → launch (a PUT to each of the first candidates) → the owner gives the
 * value's bytes, replicas read them (replica_read) → replica_answered for each, or watched: it is
 * stuck → turned: the owner is told.
 *
 * Whatever may come of an upload only notes it, and sets the timer of the turn: libcurl's callbacks
 * are on the stack then, and the owner may free all of this when he is told. turned() is the only
 * place that calls him.
 *
 * A slot (struct replica) has one candidate at a time. What became of a candidate is kept by its
 * position (`results`), as the owner has to remove what a failed one may have stored.
 */
#include "master/replicate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/config.h"
#include "master/sum.h"
#include "master/volumes.h"
#include "master/window.h"
#include "master/worker.h"

enum {
    WINDOW = 512 * 1024,
    WHOLE_MAX = 64 * 1024, /* a value up to this length is sent when it is here whole */
    WATCH_MS = 250,
    STALL_MS = 5000,    /* a replica that takes nothing for so long is dropped */
    ANSWER_MS = 120000, /* a volume may need so long to make a large value durable */
    CONNECT_MS = 1000,
    DOUBT_MS = 60000 /* where volumes did not agree, MD5s are computed here for so long */
};

/* One upload. It belongs to a candidate, and ends with it. */
struct replica {
    struct replicate *rep;
    struct http_call *call; /* NULL: not under way */
    size_t candidate;
    uint64_t position;    /* what it has read of the value */
    uint64_t progress_ms; /* when it last read, or the last byte was given */
};

struct replicate {
    struct replicate_spec spec;
    char *path;
    char *type;
    char expected[MD5_HEX + 1]; /* "" where there is nothing to compare */
    char **candidates;
    enum replica_end *results;
    size_t next_candidate;

    struct window window;
    struct sum sum;
    bool whole;          /* it is short: every replica gets it at once, as soon as it is complete */
    bool launched;       /* replicas are under way, or have been */
    bool ended;          /* all bytes were given */
    bool starved;        /* the writer waits for room */
    bool no_space;       /* a volume said 507 */
    enum status verdict; /* of the digest */

    uint64_t term; /* of several masters, in which it began; 0: there is one only */
    size_t running, stored;
    struct loop_timer *turn;  /* work for outside of libcurl's callbacks */
    struct loop_timer *watch; /* looks for replicas that stand still */
    struct replica *replicas; /* `wanted` of them */
};

static void launch(struct replicate *rep, struct replica *replica);

/* --- what the replicas may read --- */

/* The last byte is held back until the digest has been compared, so that no volume can take a value
 * for complete that is not what the client meant. */
static uint64_t readable_end(const struct replicate *rep)
{
    uint64_t end = rep->window.end;
    bool matched = rep->spec.checked_there || (rep->ended && rep->verdict == ST_OK);
    return rep->expected[0] && !matched && end ? end - 1 : end;
}

static uint64_t slowest(const struct replicate *rep)
{
    uint64_t needed = rep->window.end;
    for (size_t i = 0; i < rep->spec.wanted; i++)
        if (rep->replicas[i].call && rep->replicas[i].position < needed)
            needed = rep->replicas[i].position;
    return needed;
}

static size_t replica_read(void *arg, char *to, size_t max)
{
    struct replica *replica = arg;
    struct replicate *rep = replica->rep;
    size_t n = window_read(&rep->window, replica->position, readable_end(rep), to, max);
    if (n == 0)
        return rep->ended && rep->verdict == ST_OK ? 0 : HTTP_READ_PAUSE;
    replica->position += n;
    replica->progress_ms = loop_now_ms();
    if (rep->starved)
        loop_timer_set(rep->turn, 0);
    return n;
}

static void resume_all(struct replicate *rep)
{
    for (size_t i = 0; i < rep->spec.wanted; i++)
        if (rep->replicas[i].call)
            http_call_resume(rep->replicas[i].call);
}

/* --- how a replica ends --- */

static void replica_failed(struct replica *replica, const char *why)
{
    struct replicate *rep = replica->rep;
    const char *place = rep->candidates[replica->candidate];
    log_event(LOG_WARN, "replicate", "request=%s place=%s sent=%" PRIu64 " error=\"%s\"",
              rep->spec.request, place, replica->position, why);
    rep->results[replica->candidate] = REPLICA_FAILED;
    replica->call = NULL;
    rep->running--;
    /* The beginning may still be in the window: then another volume can take over. */
    launch(rep, replica);
    loop_timer_set(rep->turn, 0);
}

/* NULL where the answer says that the whole value is durable there. */
static const char *judge(const struct replica *replica, const struct http_call *call,
                         enum status st)
{
    struct replicate *rep = replica->rep;
    if (st)
        return status_text(st);
    int status = http_call_status(call);
    if (status == 507)
        return "no space left there";
    if (status != 200 && status != 201 && status != 204)
        return "the volume refused it";
    if (!rep->ended || replica->position < rep->window.end)
        return "the volume answered before the value was complete";
    const char *said = http_call_field(call, "Content-MD5");
    return sum_refuses(&rep->sum, said);
}

static void replica_answered(void *arg, struct http_call *call, enum status st)
{
    struct replica *replica = arg;
    struct replicate *rep = replica->rep;
    const char *wrong = judge(replica, call, st);
    if (!wrong) {
        rep->results[replica->candidate] = REPLICA_STORED;
        replica->call = NULL;
        rep->running--;
        rep->stored++;
        loop_timer_set(rep->turn, 0);
        return;
    }
    if (st == ST_OK && http_call_status(call) == 507)
        rep->no_space = true;
    if (st == ST_OK && http_call_status(call) == 422 && rep->spec.checked_there)
        rep->verdict = ST_DIGEST;
    if (st == ST_UNAVAILABLE || st == ST_PEER_TIMEOUT)
        volumes_failed(rep->spec.worker->master->volumes, rep->candidates[replica->candidate]);
    if (rep->sum.wrong) /* next time somebody is to know who is right */
        atomic_store(&rep->spec.worker->master->doubt_until_ms, loop_now_ms() + DOUBT_MS);
    replica_failed(replica, wrong);
}

/* --- launching --- */

static struct http_call *call_volume(struct replica *replica)
{
    struct replicate *rep = replica->rep;
    struct buf url = BUF_INIT;
    struct buf type = BUF_INIT;
    struct buf digest = BUF_INIT;
    char term_text[MASTER_TERM_FIELD];
    const char *term = master_term_field(rep->spec.worker->master, term_text);
    char identity_text[VOLUMES_FIELD];
    buf_adds(&url, "http://");
    const char *identity = volumes_reach(rep->spec.worker->master->volumes,
                                         rep->candidates[replica->candidate], &url, identity_text);
    buf_adds(&url, rep->path);
    buf_addf(&type, "Content-Type: %s", rep->type ? rep->type : "application/octet-stream");
    buf_addf(&digest, "Content-MD5: %s", rep->expected);
    const char *check = rep->spec.checked_there ? buf_text(&digest) : NULL;
    const char *fields[6] = {"Larder-Internal: 1", buf_text(&type)};
    size_t count = 2;
    const char *const optional[] = {check, term, identity};
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++)
        if (optional[i])
            fields[count++] = optional[i];
    const struct http_call_spec spec = {
        .method = "PUT",
        .url = buf_text(&url),
        .fields = fields,
        .has_body = true,
        .body_length = rep->spec.length,
        .read = rep->whole ? NULL : replica_read,
        .body = rep->whole ? window_front(&rep->window) : NULL,
        .done = replica_answered,
        .arg = replica,
        .connect_timeout_ms = CONNECT_MS,
    };
    struct http_call *call = NULL;
    /* The commit would be refused, so the value would only be in the way of who writes now. */
    bool may = master_may_write(rep->spec.worker->master);
    if (may && buf_ok(&url) && buf_ok(&type) && buf_ok(&digest))
        call = http_call_start(rep->spec.worker->client, &spec);
    buf_free(&url);
    buf_free(&type);
    buf_free(&digest);
    return call;
}

/* A volume that may tell no MD5 is to get the value: so it must be computed here. The window has
 * all bytes from the first on. */
static enum status know_sum(struct replicate *rep)
{
    const char *place = rep->candidates[rep->next_candidate];
    if (rep->sum.by != SUM_VOLUMES ||
        volumes_kind(rep->spec.worker->master->volumes, place) == VOLUME_LARDER)
        return ST_OK;
    enum status st = sum_take_over(&rep->sum, window_front(&rep->window), (size_t)rep->window.end);
    return st || !rep->ended ? st : sum_end(&rep->sum);
}

/* Gives the slot the next candidate, where there is one and the value's beginning is still here. */
static void launch(struct replicate *rep, struct replica *replica)
{
    while (rep->next_candidate < rep->spec.candidate_count && rep->window.start == 0) {
        bool knows = know_sum(rep) == ST_OK;
        replica->rep = rep;
        replica->candidate = rep->next_candidate++;
        replica->position = rep->whole ? rep->window.end : 0;
        replica->progress_ms = loop_now_ms();
        replica->call = knows ? call_volume(replica) : NULL;
        if (replica->call) {
            rep->running++;
            return;
        }
        rep->results[replica->candidate] = REPLICA_FAILED;
    }
}

/* --- turns: everything that calls the owner --- */

/* True where it is over, one way or the other. */
static bool decided(const struct replicate *rep, enum status *st)
{
    *st = ST_OK;
    if (rep->verdict)
        *st = rep->verdict;
    else if (!rep->launched)
        return false; /* the value is not complete yet */
    else if (rep->running && rep->ended)
        return false; /* it has all bytes: what it makes of them must be known before anybody is
                         answered, or a file could turn up after the key was deleted */
    else if (rep->sum.differs)
        *st = ST_PEER;
    else if (rep->running + rep->stored < rep->spec.minimum)
        *st = rep->no_space ? ST_NO_SPACE : ST_UNAVAILABLE;
    else
        return rep->ended;
    return true;
}

static void turned(void *arg)
{
    struct replicate *rep = arg;
    enum status st;
    if (decided(rep, &st)) {
        loop_timer_clear(rep->watch);
        rep->spec.done(rep->spec.arg, st);
        return; /* it may be freed */
    }
    bool room = rep->window.end - slowest(rep) < rep->window.size;
    if (rep->starved && room) {
        rep->starved = false;
        rep->spec.room(rep->spec.arg);
    }
}

/* A replica that stands still must not hold the others up. */
static const char *stuck(const struct replica *replica, uint64_t now)
{
    const struct replicate *rep = replica->rep;
    uint64_t idle = now - replica->progress_ms;
    bool has_more = replica->position < readable_end(rep);
    if (volumes_lost(rep->spec.worker->master->volumes, rep->candidates[replica->candidate]))
        return "the volume went down";
    if (has_more && idle > STALL_MS)
        return "the volume takes no more bytes";
    if (rep->ended && !has_more && idle > ANSWER_MS)
        return "the volume does not answer";
    return NULL;
}

/* What is stored for a term that is over cannot be committed: so nobody waits for answers, nor is
 * the key locked, until the volumes have said what became of it. */
static bool is_over(const struct replicate *rep)
{
    return rep->term != master_term(rep->spec.worker->master);
}

/* No candidate is tried any more, so it is decided on the next turn. */
static void give_up(struct replicate *rep)
{
    rep->next_candidate = rep->spec.candidate_count;
    for (size_t i = 0; i < rep->spec.wanted; i++)
        if (rep->replicas[i].call) {
            http_call_cancel(rep->replicas[i].call);
            replica_failed(&rep->replicas[i], "another master may write by now");
        }
}

static void watched(void *arg)
{
    struct replicate *rep = arg;
    uint64_t now = loop_now_ms();
    if (is_over(rep))
        give_up(rep);
    for (size_t i = 0; i < rep->spec.wanted; i++) {
        struct replica *replica = &rep->replicas[i];
        const char *why = replica->call ? stuck(replica, now) : NULL;
        if (!why)
            continue;
        http_call_cancel(replica->call);
        volumes_failed(rep->spec.worker->master->volumes, rep->candidates[replica->candidate]);
        replica_failed(replica, why);
    }
    loop_timer_set(rep->watch, WATCH_MS);
}

/* --- for the owner --- */

/* What must outlive the call of replicate_start(). On failure replicate_free() has the rest. */
static enum status copy_spec(struct replicate *rep, const struct replicate_spec *spec)
{
    rep->path = strdup(spec->path);
    rep->type = spec->type ? strdup(spec->type) : NULL;
    rep->candidates = calloc(spec->candidate_count + 1, sizeof *rep->candidates);
    rep->results = calloc(spec->candidate_count + 1, sizeof *rep->results);
    rep->replicas = calloc(spec->wanted + 1, sizeof *rep->replicas);
    if (!rep->path || (spec->type && !rep->type) || !rep->candidates || !rep->results ||
        !rep->replicas)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < spec->candidate_count; i++)
        if (!(rep->candidates[i] = strdup(spec->candidates[i])))
            return ST_NO_MEMORY;
    if (spec->expected_md5)
        memcpy(rep->expected, spec->expected_md5, MD5_HEX);
    return ST_OK;
}

/* The volumes only where at least two copies are wanted for a success, and where the value is too
 * long to stay in the window until they have answered: of a shorter one, a copy that is wrong can
 * be told from those that are right, and replaced. */
static enum sum_by who_sums(const struct replicate_spec *spec)
{
    if (spec->checked_there) /* what they say they stored is compared with it */
        return SUM_GIVEN;
    if (spec->expected_md5)
        return SUM_HERE;
    if (!spec->digest)
        return SUM_NOBODY;
    bool agree = spec->minimum >= 2 && spec->length > WINDOW &&
                 loop_now_ms() >= atomic_load(&spec->worker->master->doubt_until_ms);
    return agree ? SUM_VOLUMES : SUM_HERE;
}

static enum status prepare(struct replicate *rep, const struct replicate_spec *spec)
{
    rep->spec = *spec;
    rep->term = master_term(spec->worker->master);
    enum status st = copy_spec(rep, spec);
    if (st)
        return st;
    rep->whole = spec->length > 0 && spec->length <= WHOLE_MAX;
    /* A small value needs a small window; one byte at least, for the ring's arithmetic. */
    bool small = spec->length >= 0 && spec->length < WINDOW;
    if (window_init(&rep->window, small ? (size_t)spec->length + 1 : WINDOW))
        return ST_NO_MEMORY;
    if (sum_begin(&rep->sum, who_sums(spec), rep->expected))
        return ST_NO_MEMORY;
    rep->turn = loop_timer_new(spec->worker->loop, turned, rep);
    rep->watch = loop_timer_new(spec->worker->loop, watched, rep);
    return rep->turn && rep->watch ? ST_OK : ST_NO_MEMORY;
}

static void launch_all(struct replicate *rep)
{
    rep->launched = true;
    for (size_t i = 0; i < rep->spec.wanted; i++)
        launch(rep, &rep->replicas[i]);
    loop_timer_set(rep->watch, WATCH_MS);
    loop_timer_set(rep->turn, 0); /* there may be too few candidates */
}

struct replicate *replicate_start(const struct replicate_spec *spec)
{
    struct replicate *rep = calloc(1, sizeof *rep);
    if (!rep)
        return NULL;
    if (prepare(rep, spec)) {
        replicate_free(rep);
        return NULL;
    }
    if (!rep->whole)
        launch_all(rep);
    return rep;
}

size_t replicate_data(struct replicate *rep, const void *data, size_t len)
{
    uint64_t now = loop_now_ms();
    /* Who had read everything waited for us, and is not to blame for it. */
    for (size_t i = 0; i < rep->spec.wanted; i++)
        if (rep->replicas[i].position >= readable_end(rep))
            rep->replicas[i].progress_ms = now;
    size_t taken = window_write(&rep->window, data, len, slowest(rep));
    if (taken)
        sum_add(&rep->sum, data, taken);
    if (taken < len)
        rep->starved = true;
    if (taken)
        resume_all(rep);
    return taken;
}

void replicate_end(struct replicate *rep)
{
    rep->ended = true;
    if (rep->whole && rep->window.end != (uint64_t)rep->spec.length)
        rep->verdict = ST_PEER; /* it broke off */
    if (!rep->verdict)
        rep->verdict = sum_end(&rep->sum);
    if (!rep->verdict && rep->expected[0] && strcmp(rep->expected, rep->sum.md5) != 0)
        rep->verdict = ST_DIGEST;
    for (size_t i = 0; i < rep->spec.wanted; i++)
        rep->replicas[i].progress_ms = loop_now_ms();
    if (!rep->verdict && rep->whole)
        launch_all(rep);
    else if (!rep->verdict)
        resume_all(rep);
    loop_timer_set(rep->turn, 0);
}

void replicate_free(struct replicate *rep)
{
    if (!rep)
        return;
    for (size_t i = 0; rep->replicas && i < rep->spec.wanted; i++)
        if (rep->replicas[i].call)
            http_call_cancel(rep->replicas[i].call);
    for (size_t i = 0; rep->candidates && i < rep->spec.candidate_count; i++)
        free(rep->candidates[i]);
    loop_timer_free(rep->turn);
    loop_timer_free(rep->watch);
    window_free(&rep->window);
    sum_free(&rep->sum);
    free(rep->candidates);
    free(rep->results);
    free(rep->replicas);
    free(rep->path);
    free(rep->type);
    free(rep);
}

enum replica_end replicate_result(const struct replicate *rep, size_t i)
{
    /* One that was under way when it was decided may have stored the value all the same. */
    for (size_t j = 0; j < rep->spec.wanted; j++)
        if (rep->replicas[j].call && rep->replicas[j].candidate == i)
            return REPLICA_FAILED;
    return rep->results[i];
}

uint64_t replicate_length(const struct replicate *rep)
{
    return rep->window.end;
}

const char *replicate_md5(const struct replicate *rep)
{
    return rep->sum.md5;
}
