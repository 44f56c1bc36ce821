/*
 * What the flows share: entering the pool by the gate of the path's disk, and what errors mean to a
 * client of a volume. The flows themselves are put.c, get.c, delete.c, unlink.c and list.c; none of
 * them includes another.
 */
#include "volume/flow.h"

#include <stdlib.h>

#include "common/http_server.h"
#include "volume/service.h"
#include "volume/subvolumes.h"
#include "volume/syncer.h"

void flow_init(struct flow *flow, struct service *service, struct http_request *req,
               struct path *path)
{
    *flow = (struct flow){.service = service, .req = req, .path = path};
    flow->at = (struct store_at){
        .all = service->all,
        .subvolume = path->subvolume,
        .file = path->file,
        .request = http_request_id(req),
        .fence = &service->fence,
        .term = fence_parse(http_request_field(req, "Larder-Term")),
    };
    flow->job.loop = http_request_loop(req);
}

void flow_release(struct flow *flow)
{
    free(flow->path);
}

/* A subvolume that is not known yet is let through: the job looks whether it is there, or makes
 * it. */
enum status flow_admit(const struct flow *flow, enum subvolume_use use, uint64_t bytes)
{
    struct subvolume *sub = subvolumes_find(flow->at.all, flow->at.subvolume);
    return sub ? subvolume_admit(sub, use, bytes) : ST_OK;
}

static void set_job(struct flow *flow, void (*run)(void *arg), void (*next)(void *arg), void *arg)
{
    flow->job.run = run;
    flow->job.next = next;
    flow->job.arg = arg;
}

bool flow_begin(struct flow *flow, void (*run)(void *arg), void (*next)(void *arg), void *arg)
{
    set_job(flow, run, next, arg);
    return gates_submit(flow->service->gates, flow->path->subvolume, &flow->job);
}

void flow_continue(struct flow *flow, void (*run)(void *arg), void (*next)(void *arg), void *arg)
{
    set_job(flow, run, next, arg);
    gates_continue(flow->service->gates, flow->path->subvolume, &flow->job);
}

/* Not on a disk that nothing is known of yet; nor where each would be synced alone, one after the
 * other. */
bool flow_join(struct flow *flow, void (*next)(void *arg), void *arg)
{
    struct subvolume *sub = subvolumes_find(flow->at.all, flow->at.subvolume);
    dev_t device = sub ? subvolume_device(sub) : 0;
    flow->batch_job =
        (struct batch_job){.arg = arg, .next = next, .loop = http_request_loop(flow->req)};
    return device != 0 && syncer_takes_many(subvolume_syncer(sub), device) &&
           batches_submit(flow->service->batches, device, &flow->batch_job);
}

/* The common texts speak of keys and masters. These say what the operator of a volume can look
 * for. */
void flow_refuse(struct http_request *req, enum status st)
{
    const char *detail = NULL;
    if (st == ST_UNAVAILABLE)
        detail = "the disk of this path is away, or is not the one that it was";
    else if (st == ST_CONFLICT)
        detail = "a directory stands at this path, or a file where a directory would have to";
    else if (st == ST_LENGTH_REQUIRED)
        detail = "a value must come with a Content-Length, or chunked";
    http_reply_status(req, st, detail);
}
