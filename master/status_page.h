/* The pages that gather what all loops know: GET /admin/status and GET /admin/metrics. */
#ifndef LARDER_MASTER_STATUS_PAGE_H
#define LARDER_MASTER_STATUS_PAGE_H

struct http_request;
struct worker;

void status_page_start(struct worker *worker, struct http_request *req);
void status_page_metrics(struct worker *worker, struct http_request *req);

#endif
