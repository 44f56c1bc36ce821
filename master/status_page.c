/*
 * GET /admin/status and /admin/metrics. Each server's numbers belong to its loop, so a message goes
 * from loop to loop and adds them up: begin → gathered (on each loop in turn) → written (back on
 * the first). So nothing is counted under a lock on the way of a request, at the price of a page
 * that is not of one instant.
 */
#include "master/status_page.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/http_text.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/version.h"
#include "master/cluster.h"
#include "master/config.h"
#include "master/index.h"
#include "master/janitor.h"
#include "master/keylock.h"
#include "master/volumes.h"
#include "master/worker.h"

/* Carried from loop to loop by its message; one of them has it at a time. */
struct page {
    struct worker *worker; /* where the request is */
    struct http_request *req;
    void (*write)(struct page *page, struct buf *out);
    const char *type;
    size_t next; /* the worker that is asked next */
    struct http_server_stats sum;
    struct loop_message message;
};

/* On the request's loop. What else the page has comes from parts that any thread may ask. */
static void written(void *arg)
{
    struct page *page = arg;
    struct buf text = BUF_INIT;
    page->write(page, &text);
    http_text_reply(page->req, 200, page->type, &text);
    buf_free(&text);
    free(page);
}

/* Reads the numbers of the loop that it runs on. */
static void gathered(void *arg)
{
    struct page *page = arg;
    struct master *master = page->worker->master;
    const struct http_server_stats *stats = http_server_stats(master->workers[page->next].server);
    http_stats_add(&page->sum, stats);
    page->next++;
    bool last = page->next == master->worker_count;
    page->message.fn = last ? written : gathered;
    loop_post(last ? page->worker->loop : master->workers[page->next].loop, &page->message);
}

/* Always by way of the first loop, also where the request is on it. */
static void begin(struct worker *worker, struct http_request *req, const char *type,
                  void (*write)(struct page *page, struct buf *out))
{
    struct page *page = calloc(1, sizeof *page);
    if (!page) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    page->worker = worker;
    page->req = req;
    page->type = type;
    page->write = write;
    page->message.fn = gathered;
    page->message.arg = page;
    loop_post(worker->master->workers[0].loop, &page->message);
}

static void write_status(struct page *page, struct buf *out)
{
    struct master *master = page->worker->master;
    const struct config *config = master->config;
    uint64_t waiting;
    uint64_t settled;
    char id[IDENTITY_SIZE + 1];
    janitor_counters(master->janitor, &waiting, &settled);
    index_id(master->index, id);
    buf_addf(out,
             "{\"version\":\"%s\",\"id\":\"%s\",\"sequence\":%" PRIu64 ",\"uptime\":%" PRIu64
             ",\"restored\":%s,\"restored_made\":%" PRIu64
             ",\n\"replicas\":%u,\"min_replicas\":%u,\"subvolumes\":%u,\"volumes\":"
             "%zu,\n",
             LARDER_VERSION, id, index_sequence(master->index),
             (loop_now_ms() - master->started_ms) / 1000,
             index_restored(master->index) ? "true" : "false",
             index_restored_made_ms(master->index), config->replicas, config->min_replicas,
             config->subvolumes, volumes_members(master->volumes));
    buf_addf(out,
             "\"index\":\"%s\",\"damaged_records\":%" PRIu64
             ",\"queues\":{\"commits\":%zu,\"pool\":%zu,\"locked_keys\":%zu},\n"
             "\"work\":%" PRIu64 ",\"settled\":%" PRIu64 ",\n",
             index_health(master->index) ? status_text(index_health(master->index)) : "ok",
             index_damaged(master->index), index_queued(master->index), pool_queued(master->pool),
             keylock_count(master->locks), waiting, settled);
    janitor_json(master->janitor, out);
    cluster_json(master->cluster, out);
    buf_addf(out,
             "\"requests\":{\"connections\":%" PRIu64 ",\"total\":%" PRIu64 ",\"refused\":%" PRIu64
             ",\"2xx\":%" PRIu64 ",\"3xx\":%" PRIu64 ",\"4xx\":%" PRIu64 ",\"5xx\":%" PRIu64 "}}\n",
             page->sum.connections, page->sum.requests, page->sum.refused, page->sum.answers[2],
             page->sum.answers[3], page->sum.answers[4], page->sum.answers[5]);
}

/* Prometheus' text format, version 0.0.4. */
static void add_metric(struct buf *out, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name,
             value);
}

static void add_request_metrics(const struct http_server_stats *sum, struct buf *out)
{
    add_metric(out, "larder_connections", "gauge", "Open connections of clients.",
               sum->connections);
    add_metric(out, "larder_connections_refused_total", "counter", "Connections over the limit.",
               sum->refused);
    buf_adds(out, "# HELP larder_requests_total Answers by class.\n"
                  "# TYPE larder_requests_total counter\n");
    for (int i = 2; i < 6; i++)
        buf_addf(out, "larder_requests_total{class=\"%dxx\"} %" PRIu64 "\n", i, sum->answers[i]);
    add_metric(out, "larder_received_bytes_total", "counter", "Bytes from clients.", sum->bytes_in);
    add_metric(out, "larder_sent_bytes_total", "counter", "Bytes to clients.", sum->bytes_out);
}

static void add_recall_metrics(struct index *index, struct buf *out)
{
    uint64_t hits;
    uint64_t misses;
    uint64_t keys;
    index_recalled(index, &hits, &misses, &keys);
    add_metric(out, "larder_index_recalled_total", "counter", "GETs whose record was in memory.",
               hits);
    add_metric(out, "larder_index_read_total", "counter", "GETs whose record was not.", misses);
    add_metric(out, "larder_index_recalled_keys", "gauge", "Records in memory.", keys);
    add_metric(out, "larder_index_warming", "gauge",
               "1 while all of the index is read, at the start.", index_warming(index));
}

static void write_metrics(struct page *page, struct buf *out)
{
    struct master *master = page->worker->master;
    uint64_t waiting;
    uint64_t settled;
    uint64_t changes;
    uint64_t writes;
    janitor_counters(master->janitor, &waiting, &settled);
    index_counters(master->index, &changes, &writes);
    add_request_metrics(&page->sum, out);
    add_metric(out, "larder_index_changes_total", "counter", "Changes of the index.", changes);
    add_metric(out, "larder_index_writes_total", "counter", "Synced writes that carried them.",
               writes);
    add_recall_metrics(master->index, out);
    add_metric(out, "larder_index_queue", "gauge", "Changes that wait for a write.",
               index_queued(master->index));
    add_metric(out, "larder_index_failing", "gauge", "1 where the last write of the index failed.",
               index_health(master->index) != ST_OK);
    add_metric(out, "larder_index_damaged_records", "gauge",
               "Records that could not be understood, met since the start; 64 at most.",
               index_damaged(master->index));
    add_metric(out, "larder_pool_queue", "gauge", "Scans that wait for a thread.",
               pool_queued(master->pool));
    add_metric(out, "larder_work_keys", "gauge", "Keys with work for the janitor.", waiting);
    add_metric(out, "larder_work_settled_total", "counter", "Keys that the janitor has settled.",
               settled);
    janitor_metrics(master->janitor, out);
    cluster_metrics(master->cluster, out);
    volumes_metrics(master->volumes, out);
}

void status_page_start(struct worker *worker, struct http_request *req)
{
    begin(worker, req, HTTP_TEXT_JSON, write_status);
}

void status_page_metrics(struct worker *worker, struct http_request *req)
{
    begin(worker, req, HTTP_TEXT_METRICS, write_metrics);
}
