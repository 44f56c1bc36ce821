/*
 * GET /admin/digest: a digest of this master's index at one moment, with its sequence. The path:
 *   digest_start → digest_read (pool) → digest_known
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/http_text.h"
#include "common/md5.h"
#include "common/pool.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/worker.h"

/* Touched by the loop, then by the pool, then by the loop again, never by two at a time. */
struct digest {
    struct worker *worker;
    struct http_request *req;
    struct pool_job job;
    uint64_t sequence, keys;
    char text[MD5_HEX + 1];
    enum status st;
};

/* All of the index is read: a second for a few million keys. The page cache is all that others
 * notice of it. */
static void digest_read(void *arg);
/* Also where the master is a follower, or without any etcd: it tells of this index alone. */
static void digest_known(void *arg);

void digest_start(struct worker *worker, struct http_request *req)
{
    struct digest *digest = calloc(1, sizeof *digest);
    if (!digest) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    digest->worker = worker;
    digest->req = req;
    digest->job = (struct pool_job){
        .run = digest_read, .done = digest_known, .arg = digest, .loop = worker->loop};
    if (!pool_submit(worker->master->pool, &digest->job)) {
        http_reply_status(req, ST_BUSY, NULL);
        free(digest);
    }
}

static void digest_read(void *arg)
{
    struct digest *digest = arg;
    digest->st =
        index_digest(digest->worker->master->index, &digest->sequence, &digest->keys, digest->text);
}

static void digest_known(void *arg)
{
    struct digest *digest = arg;
    struct buf text = BUF_INIT;
    buf_addf(&text, "{\"sequence\":%" PRIu64 ",\"keys\":%" PRIu64 ",\"digest\":\"%s\"}\n",
             digest->sequence, digest->keys, digest->text);
    if (digest->st)
        http_reply_status(digest->req, digest->st, NULL);
    else
        http_text_reply(digest->req, 200, HTTP_TEXT_JSON, &text);
    buf_free(&text);
    free(digest);
}
