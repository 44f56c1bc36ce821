/* POST /admin/damaged: a volume tells that a copy turned out to be missing or damaged. */
#ifndef LARDER_MASTER_DAMAGE_H
#define LARDER_MASTER_DAMAGE_H

struct http_request;
struct worker;

void damage_start(struct worker *worker, struct http_request *req);

#endif
