/* From a request to its flow. */
#ifndef LARDER_VOLUME_ROUTES_H
#define LARDER_VOLUME_ROUTES_H

struct http_request;

/* An http_handler; `arg` is the struct service. */
void routes_handle(struct http_request *req, void *arg);

#endif
