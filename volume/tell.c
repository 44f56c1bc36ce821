/*
 * One list of reports under one lock, and one thread that takes the oldest that waits. The life of
 * a report:
 *
 *   WAITING → UNDER_WAY → TOLD → TAKEN → freed        in quarantine: marked there, then forgotten
 *       ↑         |         |
 *       +---------+         +--→ WAITING, an hour later, if it is found again (not in quarantine)
 *        no master answered
 *
 * The thread holds no lock while it talks to a master; UNDER_WAY keeps others from freeing what it
 * reads. A report is told at least once and maybe more often, which does no harm: to the master it
 * is a reason to look.
 */
#include "volume/tell.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/http_fetch.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/thread.h"
#include "volume/path.h"

enum {
    MOST = 1024,       /* reports in memory; what is in quarantine beyond them comes later */
    TIMEOUT_MS = 3000, /* for a master's answer */
    FIRST_MS = 1000,   /* the pause after the first failure; then twice as long each time */
    LONGEST_MS = 30000,
    URL_SIZE = 1024,       /* a master's name has 255 bytes at most */
    AGAIN_MS = 3600 * 1000 /* until one that is still where it was is told again */
};

enum state {
    WAITING,
    UNDER_WAY, /* the thread's: nobody else touches or frees it */
    TOLD,
    TAKEN /* somebody marks it on the disk, or has tried */
};

/* One damaged value. The list's, but for UNDER_WAY. */
struct report {
    unsigned subvolume;
    enum state state;
    uint64_t told_ms;       /* loop_now_ms() when it was */
    char id[QUARANTINE_ID]; /* "": not in quarantine */
    struct report *next;
    char path[]; /* below the subvolume */
};

struct tell {
    struct tell_options options;
    struct http_fetcher *fetcher; /* the thread's */
    pthread_t thread;
    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t changed; /* one was added, or it ends; the clock is the monotonic one */
    bool stopping;
    struct report *first; /* the oldest first */
    unsigned count;
    uint64_t waiting; /* of them, not told yet */
    bool complained;  /* the thread's: the last try failed, and that was logged */
};

/* --- The list; with the lock held --- */

static void unlink_report(struct tell *tell, struct report **at)
{
    struct report *report = *at;
    *at = report->next;
    tell->count--;
    free(report);
}

/* Makes room by forgetting one that is only kept so that it is not told again at once. Never one
 * that waits: it would be lost, if it is in no quarantine. */
static bool make_room(struct tell *tell)
{
    if (tell->count < MOST)
        return true;
    for (struct report **at = &tell->first; *at; at = &(*at)->next) {
        if ((*at)->state == TAKEN || ((*at)->state == TOLD && !(*at)->id[0])) {
            unlink_report(tell, at);
            return true;
        }
    }
    return false;
}

/* One that is still where it was, an hour after it was told, is told again. */
static bool is_known(struct tell *tell, unsigned subvolume, const char *path, const char *id)
{
    struct report *r = tell->first;
    while (r && (r->subvolume != subvolume || strcmp(r->id, id) != 0 || strcmp(r->path, path) != 0))
        r = r->next;
    if (r && r->state == TOLD && !r->id[0] && loop_now_ms() - r->told_ms > AGAIN_MS) {
        r->state = WAITING;
        tell->waiting++;
    }
    return r != NULL;
}

/* To the end of the list: one that a master cannot take must not keep the others waiting. */
static void move_last(struct tell *tell, struct report *report)
{
    struct report **at = &tell->first;
    while (*at != report)
        at = &(*at)->next;
    *at = report->next;
    while (*at)
        at = &(*at)->next;
    *at = report;
    report->next = NULL;
}

static bool append(struct tell *tell, unsigned subvolume, const char *path, const char *id)
{
    size_t size = strlen(path) + 1;
    struct report **at = &tell->first;
    struct report *report = malloc(sizeof *report + size);
    if (!report)
        return false;
    *report = (struct report){.subvolume = subvolume, .state = WAITING};
    (void)snprintf(report->id, sizeof report->id, "%s", id);
    memcpy(report->path, path, size);
    while (*at)
        at = &(*at)->next;
    *at = report;
    tell->count++;
    tell->waiting++;
    return true;
}

/* The thread is woken also where it was known: it may wait again by now. */
bool tell_add(struct tell *tell, unsigned subvolume, const char *path, const char *id)
{
    (void)pthread_mutex_lock(&tell->lock);
    bool known = is_known(tell, subvolume, path, id) ||
                 (make_room(tell) && append(tell, subvolume, path, id));
    (void)pthread_cond_broadcast(&tell->changed);
    (void)pthread_mutex_unlock(&tell->lock);
    return known;
}

bool tell_take(struct tell *tell, unsigned subvolume, char id[QUARANTINE_ID])
{
    bool taken = false;
    (void)pthread_mutex_lock(&tell->lock);
    for (struct report *r = tell->first; r && !taken; r = r->next) {
        taken = r->subvolume == subvolume && r->state == TOLD && r->id[0];
        if (taken) {
            memcpy(id, r->id, QUARANTINE_ID);
            r->state = TAKEN;
        }
    }
    (void)pthread_mutex_unlock(&tell->lock);
    return taken;
}

void tell_forget(struct tell *tell, unsigned subvolume, const char *id)
{
    (void)pthread_mutex_lock(&tell->lock);
    for (struct report **at = &tell->first; *at; at = &(*at)->next) {
        if ((*at)->subvolume == subvolume && (*at)->state == TAKEN && !strcmp((*at)->id, id)) {
            unlink_report(tell, at);
            break;
        }
    }
    (void)pthread_mutex_unlock(&tell->lock);
}

uint64_t tell_waiting(struct tell *tell)
{
    (void)pthread_mutex_lock(&tell->lock);
    uint64_t waiting = tell->waiting;
    (void)pthread_mutex_unlock(&tell->lock);
    return waiting;
}

/* --- Telling --- */

static int post(struct tell *tell, const char *url, const struct buf *body)
{
    static const char *const fields[] = {"Content-Type: application/json", NULL};
    struct http_call_spec spec = {
        .method = "POST",
        .url = url,
        .fields = fields,
        .has_body = true,
        .body_length = (int64_t)body->len,
        .body = body->data,
        .timeout_ms = TIMEOUT_MS,
    };
    return http_fetch(tell->fetcher, &spec) ? 0 : http_fetch_status(tell->fetcher);
}

/* The status of the master's answer, 0 where there is none. One of several masters points to the
 * one that writes. */
static int ask(struct tell *tell, const char *master, const struct buf *body)
{
    char url[URL_SIZE];
    (void)snprintf(url, sizeof url, "http://%s/admin/damaged", master);
    int answer = post(tell, url, body);
    const char *location = answer == 307 ? http_fetch_field(tell->fetcher, "Location") : NULL;
    if (!location)
        return answer;
    (void)snprintf(url, sizeof url, "%s", location); /* the next fetch forgets the field */
    return post(tell, url, body);
}

/* PROTOCOL.md, 'Damage'. */
static void make_body(const struct tell *tell, const struct report *report, struct buf *text)
{
    char name[PATH_SUBVOLUME_NAME];
    path_subvolume_name(report->subvolume, name);
    buf_addf(text, "{\"place\": \"%s%s\", \"path\": ", name[0] ? "/" : "", name);
    json_add_string(text, report->path, strlen(report->path));
    buf_adds(text, ", \"host\": ");
    json_add_string(text, tell->options.base, strlen(tell->options.base));
    buf_adds(text, "}\n");
}

/* True where a master has taken it. Any master will do, in the order of --master. One that says
 * that this makes no sense to it (400, 422) would say so tomorrow, too; another error may pass.
 * Without the lock. */
static bool tell_one(struct tell *tell, const struct report *report)
{
    struct buf body = BUF_INIT;
    int answer = 0;
    bool done = false;
    make_body(tell, report, &body);
    for (size_t i = 0; i < tell->options.masters->count && !done && buf_ok(&body); i++) {
        const char *master = tell->options.masters->items[i];
        answer = ask(tell, master, &body);
        done = (answer >= 200 && answer < 300) || answer == 400 || answer == 422;
        /* Once an outage, not once a try. */
        if (!done && tell->complained)
            continue;
        tell->complained = !done;
        log_event(
            !done || answer >= 300 ? LOG_WARN : LOG_INFO, "scrub",
            "subvolume=%u path=\"%s\" master=%s status=%d doing=\"tell of a damaged value\"%s",
            report->subvolume, report->path, master, answer,
            done ? "" : " advice=\"trying again; is the master up?\"");
    }
    buf_free(&body);
    return done;
}

/* --- The thread --- */

/* With the lock held. */
static struct report *next_waiting(const struct tell *tell)
{
    struct report *report = tell->first;
    while (report && report->state != WAITING)
        report = report->next;
    return report;
}

/* With the lock held. Less only where it is to end. */
static void wait_ms(struct tell *tell, unsigned ms)
{
    const struct timespec until = thread_time(ms);
    while (!tell->stopping && thread_wait(&tell->changed, &tell->lock, &until))
        continue;
}

/* The thread. `told` is called without the lock, because it takes another, the scrub's: so there is
 * no order of the two to keep. */
static void *run(void *arg)
{
    struct tell *tell = arg;
    unsigned pause_ms = FIRST_MS;
    (void)pthread_mutex_lock(&tell->lock);
    while (!tell->stopping) {
        /* Without masters nothing is ever told, and everything waits: /admin/scrub shows how
         * much. */
        struct report *report = tell->options.masters->count > 0 ? next_waiting(tell) : NULL;
        if (!report) {
            (void)pthread_cond_wait(&tell->changed, &tell->lock);
            continue;
        }
        report->state = UNDER_WAY;
        (void)pthread_mutex_unlock(&tell->lock);
        bool done = tell_one(tell, report);
        (void)pthread_mutex_lock(&tell->lock);
        report->state = done ? TOLD : WAITING;
        report->told_ms = loop_now_ms();
        if (done) {
            tell->waiting--;
            pause_ms = FIRST_MS;
            (void)pthread_mutex_unlock(&tell->lock);
            tell->options.told(tell->options.arg);
            (void)pthread_mutex_lock(&tell->lock);
        } else {
            move_last(tell, report);
            wait_ms(tell, pause_ms);
            pause_ms = pause_ms * 2 < LONGEST_MS ? pause_ms * 2 : LONGEST_MS;
        }
    }
    (void)pthread_mutex_unlock(&tell->lock);
    return NULL;
}

static bool init_locks(struct tell *tell)
{
    if (pthread_mutex_init(&tell->lock, NULL))
        return false;
    if (thread_condition_init(&tell->changed))
        return true;
    (void)pthread_mutex_destroy(&tell->lock);
    return false;
}

struct tell *tell_new(const struct tell_options *options)
{
    struct tell *tell = calloc(1, sizeof *tell);
    if (!tell)
        goto no_tell;
    tell->options = *options;
    tell->fetcher = http_fetcher_new();
    if (!tell->fetcher)
        goto no_fetcher;
    if (!init_locks(tell))
        goto no_locks;
    if (thread_start(&tell->thread, run, tell))
        return tell;
    (void)pthread_cond_destroy(&tell->changed);
    (void)pthread_mutex_destroy(&tell->lock);
no_locks:
    http_fetcher_free(tell->fetcher);
no_fetcher:
    free(tell);
no_tell:
    free(options->base);
    return NULL;
}

void tell_free(struct tell *tell)
{
    if (!tell)
        return;
    (void)pthread_mutex_lock(&tell->lock);
    tell->stopping = true;
    (void)pthread_cond_broadcast(&tell->changed);
    (void)pthread_mutex_unlock(&tell->lock);
    (void)pthread_join(tell->thread, NULL);
    while (tell->first)
        unlink_report(tell, &tell->first);
    http_fetcher_free(tell->fetcher);
    (void)pthread_cond_destroy(&tell->changed);
    (void)pthread_mutex_destroy(&tell->lock);
    free(tell->options.base);
    free(tell);
}
