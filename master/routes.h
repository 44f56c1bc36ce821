/* From a request to the flow that answers it. */
#ifndef LARDER_MASTER_ROUTES_H
#define LARDER_MASTER_ROUTES_H

struct http_request;

/* The handler of every master's server; `arg` is its struct worker. */
void routes_handle(struct http_request *req, void *arg);

#endif
