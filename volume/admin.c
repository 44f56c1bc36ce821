/*
 * GET /admin/health, /admin/metrics and /admin/scrub; POST /admin/scrub.
 *
 * health: admin_check (on the pool: looks at every disk) → admin_checked: JSON.
 * metrics: the numbers of each loop belong to its thread, so a message goes around all of them:
 * metrics_visit on loop 0, 1, … → metrics_gathered on the request's own loop: text.
 */
#include "volume/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/http_text.h"
#include "common/json.h"
#include "common/key.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/version.h"
#include "volume/called.h"
#include "volume/flow.h"
#include "volume/scrub.h"
#include "volume/service.h"
#include "volume/subvolume.h"
#include "volume/subvolumes.h"

/* --- Scrub --- */

/* The object that GET /admin/scrub answers with, and a part of the health. */
static void add_scrub(struct buf *text, struct scrub *scrub)
{
    struct scrub_report report;
    scrub_report(scrub, &report);
    buf_addf(text,
             "{\"running\":%s,\"forced\":%s,\"values\":%" PRIu64 ",\"bytes\":%" PRIu64
             ",\"damaged\":%" PRIu64 ",\"total_bytes_estimate\":%" PRIu64 ",\"started\":%" PRIu64
             ",\"finished\":%" PRIu64 ",\"untold\":%" PRIu64 "}",
             report.running ? "true" : "false", report.forced ? "true" : "false", report.values,
             report.bytes, report.damaged, report.total, report.started, report.finished,
             report.waiting);
}

/* Bytes a second; no limit without one. False where it is no number above 0: taking such a one for
 * 'no limit' would be the opposite of what was meant. */
static bool read_rate(const struct http_request *req, uint64_t *rate)
{
    char text[32], *end;
    size_t len;
    const char *query = http_request_query(req, &len);
    long size = key_query(query, len, "rate", text, sizeof text - 1);
    *rate = UINT64_MAX;
    if (size == -1)
        return true;
    /* strtoull would take a sign, and make '-1' the largest rate. */
    if (size < 1 || text[0] < '0' || text[0] > '9')
        return false;
    text[size] = '\0';
    errno = 0;
    *rate = strtoull(text, &end, 10);
    return !errno && !*end && *rate > 0;
}

void admin_scrub_start(struct service *service, struct http_request *req)
{
    uint64_t rate;
    struct buf text = BUF_INIT;
    if (http_request_method(req) == HTTP_POST) {
        if (!read_rate(req, &rate)) {
            http_reply_status(req, ST_BAD_REQUEST,
                              "rate must be a number of bytes a second, above 0");
            return;
        }
        scrub_force(service->scrub, rate);
    }
    add_scrub(&text, service->scrub);
    buf_addc(&text, '\n');
    http_text_reply(req, 200, HTTP_TEXT_JSON, &text);
    buf_free(&text);
}

/* --- Health --- */

/* One question for the health. It belongs to the loop, to the pool from pool_submit() to
 * admin_checked(), and to the loop again, which frees it. */
struct health {
    struct service *service;
    struct http_request *req;
    struct pool_job job;
    struct buf text;
    unsigned count;             /* of subvolumes so far */
    enum subvolume_state state; /* of DIR itself */
    uint64_t free, total;       /* of all file systems, each once */
    dev_t devices[64];          /* that were counted; beyond, one may be counted twice */
    unsigned device_count;
};

static void admin_check(void *arg); /* on the pool */
static void admin_checked(void *arg);

void admin_health_start(struct service *service, struct http_request *req)
{
    struct health *health = calloc(1, sizeof *health);
    if (!health) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    health->service = service;
    health->req = req;
    health->job = (struct pool_job){
        .run = admin_check, .done = admin_checked, .arg = health, .loop = http_request_loop(req)};
    /* Where the pool has no room, what was known a second ago is good enough. */
    if (!pool_submit(service->pool, &health->job))
        admin_checked(health);
}

static void admin_check(void *arg)
{
    struct health *health = arg;
    subvolumes_check(health->service->all);
}

/* Plain directories that share a file system would else multiply its room. */
static bool is_counted(struct health *health, dev_t device)
{
    for (unsigned i = 0; i < health->device_count; i++)
        if (health->devices[i] == device)
            return true;
    if (health->device_count < sizeof health->devices / sizeof health->devices[0])
        health->devices[health->device_count++] = device;
    return false;
}

/* One subvolume, as a member of the object; those of which nothing was ever seen are left out. */
static void add_health(void *arg, struct subvolume *sub)
{
    struct health *health = arg;
    struct subvolume_report report;
    subvolume_report(sub, &report);
    if (!report.present)
        return;
    buf_adds(&health->text, health->count++ ? "," : "");
    json_add_string(&health->text, report.name, strlen(report.name));
    buf_addf(&health->text,
             ":{\"state\":\"%s\",\"free\":%" PRIu64 ",\"total\":%" PRIu64 ",\"errors\":%" PRIu64
             ",\"quarantined\":%" PRIu64 "}",
             subvolume_state_text(report.state), report.free, report.total, report.errors,
             report.quarantined);
    /* The volume's own state is that of DIR: without it nothing can be identified or locked. */
    if (report.name[0] == '\0')
        health->state = report.state;
    if (report.state != SUBVOLUME_MISSING && !is_counted(health, report.device)) {
        health->free += report.free;
        health->total += report.total;
    }
}

/* On the request's loop: what is known is read under the subvolumes' locks, none of which is held
 * over a disk. */
static void admin_checked(void *arg)
{
    struct health *health = arg;
    struct subvolumes *all = health->service->all;
    char name[VOLUME_NAME_MAX + 1];
    called_get(health->service->called, name);
    buf_addf(&health->text,
             "{\"server\":\"larder-volume\",\"id\":\"%s\",\"name\":", subvolumes_id(all));
    json_add_string(&health->text, name, strlen(name));
    buf_addf(&health->text, ",\"version\":\"%s\",\"subvolumes\":{", LARDER_VERSION);
    subvolumes_each(all, add_health, health);
    buf_addf(&health->text,
             "},\"state\":\"%s\",\"free\":%" PRIu64 ",\"total\":%" PRIu64 ",\"scrub\":",
             subvolume_state_text(health->state), health->free, health->total);
    add_scrub(&health->text, health->service->scrub);
    buf_adds(&health->text, "}\n");
    http_text_reply(health->req, 200, HTTP_TEXT_JSON, &health->text);
    buf_free(&health->text);
    free(health);
}

/* --- Metrics --- */

/* One question for the metrics. It goes with its message: whichever loop the message is delivered
 * on owns it for that moment, so nothing of it needs a lock. */
struct metrics {
    struct service *service;
    struct http_request *req;
    struct loop_message message;
    const struct service_lane *lane; /* that is visited now */
    struct http_server_stats sum;
};

static void metrics_visit(void *arg);
static void metrics_gathered(void *arg);

/* The first hop is a message, too, also where it is this very loop: one way for all. */
void admin_metrics_start(struct service *service, struct http_request *req)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    metrics->service = service;
    metrics->req = req;
    metrics->message = (struct loop_message){.fn = metrics_visit, .arg = metrics};
    metrics->lane = service->lanes;
    loop_post(metrics->lane->loop, &metrics->message);
}

/* The numbers of a loop are only read on its thread (http_stats.h). */
static void metrics_visit(void *arg)
{
    struct metrics *metrics = arg;
    http_stats_add(&metrics->sum, http_server_stats(metrics->lane->http));
    metrics->lane = metrics->lane->next;
    if (metrics->lane) {
        loop_post(metrics->lane->loop, &metrics->message);
        return;
    }
    /* The request may be touched on its own loop only, so that is where it ends. */
    metrics->message.fn = metrics_gathered;
    loop_post(http_request_loop(metrics->req), &metrics->message);
}

/* The heading of a metric, and its value where it has no labels. */
static void add_head(struct buf *text, const char *name, const char *type, const char *help)
{
    buf_addf(text, "# HELP larder_volume_%s %s\n# TYPE larder_volume_%s %s\n", name, help, name,
             type);
}

static void add_metric(struct buf *text, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    add_head(text, name, type, help);
    buf_addf(text, "larder_volume_%s %" PRIu64 "\n", name, value);
}

static void add_requests(struct buf *text, struct service_counters *counters)
{
    const struct {
        const char *kind;
        uint64_t count;
    } kinds[] = {{"put", atomic_load(&counters->puts)},
                 {"get", atomic_load(&counters->gets)},
                 {"delete", atomic_load(&counters->deletes)},
                 {"unlink", atomic_load(&counters->unlinks)},
                 {"list", atomic_load(&counters->lists)}};
    add_head(text, "operations_total", "counter", "Operations on values that began.");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        buf_addf(text, "larder_volume_operations_total{kind=\"%s\"} %" PRIu64 "\n", kinds[i].kind,
                 kinds[i].count);
    add_metric(text, "value_bytes_written_total", "counter", "Bytes of values acknowledged.",
               atomic_load(&counters->bytes_written));
    add_metric(text, "holes_total", "counter", "Readers sent to a master for another copy.",
               atomic_load(&counters->holes));
    add_metric(text, "reads_verified_total", "counter",
               "Values compared with their MD5 before or while they were sent.",
               atomic_load(&counters->reads_verified));
    add_metric(text, "reads_damaged_total", "counter",
               "Values that a reader wanted, and that were damaged or unreadable.",
               atomic_load(&counters->reads_damaged));
}

static void add_http(struct buf *text, const struct http_server_stats *sum)
{
    add_head(text, "answers_total", "counter", "Answers by class of their status.");
    for (unsigned i = 2; i < sizeof sum->answers / sizeof sum->answers[0]; i++)
        buf_addf(text, "larder_volume_answers_total{class=\"%uxx\"} %" PRIu64 "\n", i,
                 sum->answers[i]);
    add_metric(text, "requests_total", "counter", "Requests.", sum->requests);
    add_metric(text, "connections", "gauge", "Connections that are open.", sum->connections);
    add_metric(text, "connections_total", "counter", "Connections accepted.", sum->accepted);
    add_metric(text, "connections_refused_total", "counter", "Connections refused.", sum->refused);
    add_metric(text, "received_bytes_total", "counter", "Bytes received.", sum->bytes_in);
    add_metric(text, "sent_bytes_total", "counter", "Bytes sent.", sum->bytes_out);
}

static void add_scrub_metrics(struct buf *text, struct scrub *scrub)
{
    struct scrub_report report;
    scrub_report(scrub, &report);
    add_metric(text, "scrub_running", "gauge", "1 while values are read to be compared.",
               report.running);
    add_metric(text, "scrub_values", "gauge", "Values read in this round, or the last.",
               report.values);
    add_metric(text, "scrub_bytes", "gauge", "Bytes read in this round, or the last.",
               report.bytes);
    add_metric(text, "scrub_finished_seconds", "gauge", "When the last round ended, unix time.",
               report.finished / 1000);
    add_metric(text, "damaged_values_total", "counter", "Values that turned out to be damaged.",
               report.damaged_ever);
    add_metric(text, "damaged_values_untold", "gauge", "Damaged values that no master knows of.",
               report.waiting);
}

enum { NUMBERS = 4 }; /* of a subvolume, before its state */

/* Prometheus wants all lines of a metric together, behind its heading. So the subvolumes are gone
 * through once a metric, and not once. */
struct pass {
    struct buf *text;
    int which;
};

/* Writes the line of one subvolume for the metric of this pass. The names of subvolumes need no
 * escaping. */
static void add_subvolume(void *arg, struct subvolume *sub)
{
    static const char *const names[] = {"free_bytes", "total_bytes", "errors_total", "quarantined"};
    const struct pass *pass = arg;
    struct subvolume_report report;
    subvolume_report(sub, &report);
    if (!report.present)
        return;
    uint64_t values[] = {report.free, report.total, report.errors, report.quarantined};
    if (pass->which < NUMBERS)
        buf_addf(pass->text, "larder_volume_subvolume_%s{subvolume=\"%s\"} %" PRIu64 "\n",
                 names[pass->which], report.name, values[pass->which]);
    /* A line for every state that there is, 1 for the one that holds: so a state can be alerted
     * upon by its name, and a change leaves no stale series. */
    for (int state = SUBVOLUME_UP; pass->which == NUMBERS && state <= SUBVOLUME_MISSING; state++)
        buf_addf(pass->text, "larder_volume_subvolume_state{subvolume=\"%s\",state=\"%s\"} %d\n",
                 report.name, subvolume_state_text((enum subvolume_state)state),
                 (int)report.state == state);
}

static void add_subvolumes(struct buf *text, struct subvolumes *all)
{
    static const char *const heads[][3] = {
        {"subvolume_free_bytes", "gauge", "Room for new values."},
        {"subvolume_total_bytes", "gauge", "Size of the file system."},
        {"subvolume_errors_total", "counter", "Errors of the disk."},
        {"subvolume_quarantined", "gauge", "Damaged values that were set aside."},
        {"subvolume_state", "gauge", "1 for the state that the subvolume is in."},
    };
    for (int i = 0; i <= NUMBERS; i++) {
        struct pass pass = {text, i};
        add_head(text, heads[i][0], heads[i][1], heads[i][2]);
        subvolumes_each(all, add_subvolume, &pass);
    }
}

static void metrics_gathered(void *arg)
{
    struct metrics *metrics = arg;
    struct service *service = metrics->service;
    struct buf text = BUF_INIT;
    add_requests(&text, &service->counters);
    add_http(&text, &metrics->sum);
    add_subvolumes(&text, service->all);
    add_scrub_metrics(&text, service->scrub);
    add_metric(&text, "pool_queued", "gauge", "Jobs that wait for a thread of the pool.",
               pool_queued(service->pool));
    add_metric(&text, "start_time_seconds", "gauge", "When it was started, unix time.",
               service->started_ms / 1000);
    http_text_reply(metrics->req, 200, HTTP_TEXT_METRICS, &text);
    buf_free(&text);
    free(metrics);
}
