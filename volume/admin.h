/* What an operator, a master or a monitor asks: /admin/. Each owns the request. */
#ifndef LARDER_VOLUME_ADMIN_H
#define LARDER_VOLUME_ADMIN_H

struct http_request;
struct service;

/* GET /admin/scrub; POST [?rate=BYTES] begins a round. */
void admin_scrub_start(struct service *service, struct http_request *req);
void admin_health_start(struct service *service, struct http_request *req);
void admin_metrics_start(struct service *service, struct http_request *req);

#endif
