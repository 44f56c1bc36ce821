#include "master/health.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/config.h"
#include "master/index.h"
#include "master/volumes.h"
#include "master/worker.h"

enum { PERIOD_MS = 250, UP_PERIODS = 2 }; /* volumes that are up are asked every second time */

/* One question under way. */
struct check {
    struct health *health;
    size_t volume;
    struct http_call *call;     /* NULL: none */
    struct index_change change; /* where an identity is noted */
    bool noting;
};

struct health {
    struct worker *worker;
    struct loop_timer *timer;
    struct check **checks; /* one a volume */
    size_t count;
    unsigned periods;
};

/* --- reading the answer --- */

static enum volume_state parse_state(const char *text)
{
    if (!text || strcmp(text, "up") == 0)
        return VOLUME_UP;
    if (strcmp(text, "full") == 0)
        return VOLUME_FULL;
    if (strcmp(text, "read-only") == 0)
        return VOLUME_READ_ONLY;
    return VOLUME_DOWN; /* "missing", or something from the future */
}

static void add_subvolume(void *arg, const char *name, const struct json *value)
{
    struct volume_report *report = arg;
    struct subvolume_report *more =
        realloc(report->subvolumes, (report->subvolume_count + 1) * sizeof *more);
    if (!more)
        return; /* not known: as if it were up */
    report->subvolumes = more;
    struct subvolume_report *sub = &more[report->subvolume_count++];
    memset(sub, 0, sizeof *sub);
    strncpy(sub->name, name, sizeof sub->name - 1);
    sub->state = parse_state(json_text(json_member(value, "state")));
    sub->free = (uint64_t)json_int(json_member(value, "free"), 0);
    sub->total = (uint64_t)json_int(json_member(value, "total"), 0);
    sub->errors = (uint64_t)json_int(json_member(value, "errors"), 0);
}

void health_parse(struct volume_report *report, const char *text, size_t len)
{
    struct json *json = json_parse(text, len, NULL);
    const char *server = json_text(json_member(json, "server"));
    const char *id = json_text(json_member(json, "id"));
    report->answered = true;
    report->kind = VOLUME_PLAIN;
    if (server && strcmp(server, "larder-volume") == 0) {
        report->kind = VOLUME_LARDER;
        if (id && strlen(id) == IDENTITY_SIZE)
            memcpy(report->id, id, IDENTITY_SIZE + 1);
        report->free = (uint64_t)json_int(json_member(json, "free"), 0);
        report->total = (uint64_t)json_int(json_member(json, "total"), 0);
        json_each(json_member(json, "subvolumes"), add_subvolume, report);
    }
    json_free(json);
}

/* --- asking --- */

static void identity_noted(void *arg, enum status st)
{
    struct check *check = arg;
    check->noting = false;
    if (st)
        log_event(LOG_WARN, "health", "volume=%s event=identity-not-noted error=\"%s\"",
                  volumes_name(check->health->worker->master->volumes, check->volume),
                  status_text(st));
}

/* So that another volume at this address is noticed after a restart, too. */
static void note_identity(struct check *check, const char *id)
{
    struct master *master = check->health->worker->master;
    struct buf value = BUF_INIT;
    if (check->noting)
        return;
    check->noting = true;
    const char *name = volumes_name(master->volumes, check->volume);
    volumes_describe(&value, id, volumes_is_draining(master->volumes, name), false);
    if (buf_ok(&value)) {
        index_change_begin(&check->change, check->health->worker->loop, identity_noted, check);
        index_change_volume(&check->change, name, buf_text(&value));
        index_commit(master->index, &check->change);
    } else {
        identity_noted(check, ST_NO_MEMORY);
    }
    buf_free(&value);
}

static void volume_answered(void *arg, struct http_call *call, enum status st)
{
    struct check *check = arg;
    struct volume_report report = {0};
    size_t len;
    check->call = NULL;
    /* One that is overloaded or broken says nothing of its kind and identity. */
    if (!st && http_call_status(call) < 500) {
        const char *text = http_call_body(call, &len);
        health_parse(&report, text, len);
    }
    char id[IDENTITY_SIZE + 1];
    memcpy(id, report.id, sizeof id);
    if (volumes_checked(check->health->worker->master->volumes, check->volume, &report))
        note_identity(check, id);
    free(report.subvolumes);
}

static void ask(struct check *check)
{
    static const char *const fields[] = {"Larder-Internal: 1", NULL};
    struct worker *worker = check->health->worker;
    unsigned timeout = worker->master->config->voltimeout_ms;
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s/admin/health", volumes_name(worker->master->volumes, check->volume));
    const struct http_call_spec spec = {
        .method = "GET",
        .url = buf_text(&url),
        .fields = fields,
        .done = volume_answered,
        .arg = check,
        .connect_timeout_ms = timeout,
        .timeout_ms = timeout,
    };
    check->call = buf_ok(&url) ? http_call_start(worker->client, &spec) : NULL;
    if (check->call)
        volumes_asked(worker->master->volumes, check->volume);
    buf_free(&url);
}

/* There may be more volumes than at the last time. */
static void grow(struct health *health, size_t count)
{
    struct check **more = realloc(health->checks, (count + 1) * sizeof(struct check *));
    if (!more)
        return;
    health->checks = more;
    while (health->count < count) {
        struct check *check = calloc(1, sizeof *check);
        if (!check)
            return;
        check->health = health;
        check->volume = health->count;
        health->checks[health->count++] = check;
    }
}

static void period_over(void *arg)
{
    struct health *health = arg;
    grow(health, volumes_count(health->worker->master->volumes));
    bool all = health->periods++ % UP_PERIODS == 0;
    struct volumes *volumes = health->worker->master->volumes;
    for (size_t i = 0; i < health->count; i++) {
        bool up = volumes_state(volumes, volumes_name(volumes, i)) == VOLUME_UP;
        bool removed = volumes_is_removed(volumes, volumes_name(volumes, i));
        if (!health->checks[i]->call && !removed && (all || !up))
            ask(health->checks[i]);
    }
    loop_timer_set(health->timer, PERIOD_MS);
}

struct health *health_new(struct worker *worker)
{
    struct health *health = calloc(1, sizeof *health);
    if (!health)
        return NULL;
    health->worker = worker;
    health->timer = loop_timer_new(worker->loop, period_over, health);
    if (!health->timer) {
        free(health);
        return NULL;
    }
    loop_timer_set(health->timer, 0);
    return health;
}

void health_free(struct health *health)
{
    if (!health)
        return;
    loop_timer_free(health->timer);
    for (size_t i = 0; i < health->count; i++) {
        if (health->checks[i]->call)
            http_call_cancel(health->checks[i]->call);
        index_change_free(&health->checks[i]->change);
        free(health->checks[i]);
    }
    free(health->checks);
    free(health);
}
