/*
 * What stands before the routes where there are several masters: changes go to the writer, reads
 * wait for the barrier (common/PROTOCOL.md, 'Several masters').
 */
#ifndef LARDER_MASTER_GATE_H
#define LARDER_MASTER_GATE_H

struct http_request;
struct worker;

/* Calls `route` now or later, or answers the request itself. Not to be called for one master. */
void gate_start(struct worker *worker, struct http_request *req,
                void (*route)(struct worker *worker, struct http_request *req));

/* The field Larder-Sequence of the answer to a change, which is in the log by now. For
 * http_server_options.answering; `arg` is the struct worker. */
void gate_answering(struct http_request *req, void *arg);

#endif
