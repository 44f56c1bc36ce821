/* From a request to the flow that answers it. */
#ifndef LARDER_MASTER_ROUTES_H
#define LARDER_MASTER_ROUTES_H

#include <stddef.h>

struct http_request;

/* The handler of every master's server; `arg` is its struct worker. */
void routes_handle(struct http_request *req, void *arg);
/* The same server's hint that a GET of `path` is about to come. */
void routes_expect(const char *path, size_t len, void *arg);

#endif
