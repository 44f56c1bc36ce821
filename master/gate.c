/* The path of a read: gate_start → gate_passed (by way of the barrier) → the route. */
#include "master/gate.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_server.h"
#include "master/barrier.h"
#include "master/cluster.h"
#include "master/config.h"
#include "master/index.h"
#include "master/worker.h"

/* A read that waits. Nobody touches its request meanwhile; should the client go away, the
 * answer is dropped. */
struct gate {
    struct worker *worker;
    struct http_request *req;
    void (*route)(struct worker *worker, struct http_request *req);
    struct barrier_wait wait;
};

static void gate_passed(void *arg, enum status st);

static bool reads(struct http_request *req)
{
    enum http_method method = http_request_method(req);
    return method == HTTP_GET || method == HTTP_HEAD;
}

/* What tells of this master itself; `keys` and `volume-keys` are of the index. */
static bool is_own_page(struct http_request *req)
{
    size_t len;
    const char *path = http_request_path(req, &len);
    return len > 7 && memcmp(path, "/admin/", 7) == 0 &&
           !(len == 11 && memcmp(path, "/admin/keys", 11) == 0) &&
           !(len == 18 && memcmp(path, "/admin/volume-keys", 18) == 0);
}

/* The same URI at another master. The body has not been read: a client that waits for 100 Continue
 * sends it there only. */
/* The query and the path go on as they came, encoded as they were. */
static void redirect(struct http_request *req, const char *address)
{
    size_t path_len;
    size_t query_len;
    const char *path = http_request_path(req, &path_len);
    const char *query = http_request_query(req, &query_len);
    http_reply_fieldf(req, "Location", "http://%s%.*s%s%.*s", address, (int)path_len, path,
                      query_len ? "?" : "", (int)query_len, query);
    http_reply(req, 307, NULL, 0);
}

/* --- changes --- */

/* Pages below /admin/ that are POSTed change the store, or demand work of the one janitor that
 * works. */
static void pass_change(struct worker *worker, struct http_request *req,
                        void (*route)(struct worker *worker, struct http_request *req))
{
    struct cluster *cluster = worker->master->cluster;
    char writer[LEAD_ADDRESS_MAX];
    if (cluster_may_write(cluster))
        route(worker, req);
    else if (cluster_writer(cluster, writer))
        redirect(req, writer);
    else
        http_reply_status(req, ST_NOT_WRITER, "there is no writer at the moment; try again");
}

/* Answers of reads have the field already: what they have seen may be older than what is there
 * by now. */
void gate_answering(struct http_request *req, void *arg)
{
    const struct worker *worker = arg;
    if (worker->master->cluster && !reads(req))
        http_reply_fieldf(req, "Larder-Sequence", "%" PRIu64, index_logged(worker->master->index));
}

/* --- reads --- */

static void read_now(struct worker *worker, struct http_request *req,
                     void (*route)(struct worker *worker, struct http_request *req))
{
    /* Before it reads: what it sees is at least as new. */
    http_reply_fieldf(req, "Larder-Sequence", "%" PRIu64, index_sequence(worker->master->index));
    route(worker, req);
}

/* What a client has seen already, and wants to see again. */
static bool parse_least(struct http_request *req, uint64_t *least)
{
    const char *text = http_request_field(req, "Larder-Sequence");
    char *end;
    *least = 0;
    if (!text)
        return true;
    *least = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

/* For the barrier, or, where a stale read brings a sequence of its own, for that alone. */
static void wait_for(struct worker *worker, struct http_request *req, uint64_t least, bool stale,
                     void (*route)(struct worker *worker, struct http_request *req))
{
    struct gate *gate = calloc(1, sizeof *gate);
    if (!gate) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    struct barrier *barrier = cluster_barrier(worker->master->cluster);
    gate->worker = worker;
    gate->req = req;
    gate->route = route;
    gate->wait.loop = worker->loop;
    gate->wait.through = gate_passed;
    gate->wait.arg = gate;
    if (stale)
        barrier_reach(barrier, &gate->wait, least);
    else
        barrier_pass(barrier, &gate->wait, least);
}

static void gate_passed(void *arg, enum status st)
{
    struct gate *gate = arg;
    if (st)
        http_reply_status(gate->req, st, NULL);
    else
        read_now(gate->worker, gate->req, gate->route);
    free(gate);
}

/* From what costs nothing to what waits. */
static void pass_read(struct worker *worker, struct http_request *req,
                      void (*route)(struct worker *worker, struct http_request *req))
{
    struct master *master = worker->master;
    char writer[LEAD_ADDRESS_MAX];
    uint64_t least;
    const char *empty = cluster_why_void(master->cluster);
    bool stale = master->config->stale_reads || http_request_has(req, "stale");
    if (!parse_least(req, &least))
        http_reply_status(req, ST_BAD_REQUEST, "Larder-Sequence takes a number");
    else if (empty)
        http_reply_status(req, ST_LAGGING, empty);
    else if (http_request_has(req, "avoid") && !cluster_may_write(master->cluster) &&
             cluster_writer(master->cluster, writer))
        redirect(req, writer); /* a copy is missing: who writes has to know of it */
    else if (!stale && cluster_is_attaching(master->cluster))
        http_reply_status(req, ST_LAGGING,
                          "this master has not compared its index with the log in etcd yet");
    else if (stale && least <= index_sequence(master->index))
        read_now(worker, req, route);
    else
        wait_for(worker, req, least, stale, route);
}

void gate_start(struct worker *worker, struct http_request *req,
                void (*route)(struct worker *worker, struct http_request *req))
{
    if (!reads(req))
        pass_change(worker, req, route);
    else if (is_own_page(req))
        route(worker, req);
    else
        pass_read(worker, req, route);
}
