/*
 * What every flow of a request has: the request, its path, a job for the pool, which goes
 * through the gate of its disk.
 */
#ifndef LARDER_VOLUME_FLOW_H
#define LARDER_VOLUME_FLOW_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"
#include "volume/batch.h"
#include "volume/gate.h"
#include "volume/path.h"
#include "volume/store.h"
#include "volume/subvolume.h"

struct http_request;
struct service;
struct spares;

/* Part of each flow's own struct. It is the loop's, but while its job is under way: then the loop
 * leaves alone what the job uses. */
struct flow {
    struct service *service;
    struct http_request *req; /* ours until we answer it */
    struct path *path;        /* ours */
    struct store_at at;       /* points into `path` and `req` */
    struct gate_job job;
    struct batch_job batch_job;
};

/* Takes over `path`. On the request's loop. */
void flow_init(struct flow *flow, struct service *service, struct http_request *req,
               struct path *path);

/* Frees what belongs to it (not the flow itself). The request has been answered. */
void flow_release(struct flow *flow);

/* Whether the subvolume, as far as it is known, lets the operation begin: see subvolume_admit(). */
enum status flow_admit(const struct flow *flow, enum subvolume_use use, uint64_t bytes) MUST_CHECK;

/* Runs `run(arg)` on the pool, then `next(arg)` on the request's loop. False where too much waits
 * for the disk already: nothing was taken, answer ST_BUSY. From true on `arg` is the pool's, until
 * `next`. One job of a flow at a time. */
bool flow_begin(struct flow *flow, void (*run)(void *arg), void (*next)(void *arg),
                void *arg) MUST_CHECK;
/* The same for a flow whose work has begun already: is never refused. */
void flow_continue(struct flow *flow, void (*run)(void *arg), void (*next)(void *arg), void *arg);

/* Has it written with others of its disk by put_write_many(), then `next(arg)` on the request's
 * loop. False where that cannot be: nothing was taken. */
bool flow_join(struct flow *flow, void (*next)(void *arg), void *arg) MUST_CHECK;

/* Answers with an error, and says what it means for a volume. */
void flow_refuse(struct http_request *req, enum status st);

/* The PUTs' memory, for service->chunks. NULL: there is none. */
struct spares *put_chunks_new(void) MUST_CHECK;

/* --- The flows; each owns `req` and `path` from here on. --- */

void put_start(struct service *service, struct http_request *req, struct path *path);
/* The batches' work on small values: `puts` of flows that have joined. */
void put_write_many(void *const *puts, unsigned count, struct batch *batch);
/* A PUT that says where the value is to be fetched from. */
void pull_start(struct service *service, struct http_request *req, struct path *path);
void get_start(struct service *service, struct http_request *req, struct path *path);
void delete_start(struct service *service, struct http_request *req, struct path *path);
void unlink_start(struct service *service, struct http_request *req, struct path *path);
void list_start(struct service *service, struct http_request *req, struct path *path);
/* GET /admin/tombstones, GET /admin/quarantine; the path is in its query. */
void list_tombstones_start(struct service *service, struct http_request *req);
void list_quarantine_start(struct service *service, struct http_request *req);

#endif
