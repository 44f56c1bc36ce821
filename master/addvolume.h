/* POST /admin/add-volume: a base URL in the body becomes a volume of the store, now and after
 * restarts. */
#ifndef LARDER_MASTER_ADDVOLUME_H
#define LARDER_MASTER_ADDVOLUME_H

struct http_request;
struct worker;

void addvolume_start(struct worker *worker, struct http_request *req);

#endif
