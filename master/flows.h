/*
 * The flows that answer requests: each is one file, begins with its _start, and ends by answering
 * the request. `req` belongs to the flow from the call on.
 */
#ifndef LARDER_MASTER_FLOWS_H
#define LARDER_MASTER_FLOWS_H

struct http_request;
struct key;
struct worker;

void get_start(struct worker *worker, struct http_request *req, const struct key *key);
void put_start(struct worker *worker, struct http_request *req, const struct key *key);
void delete_start(struct worker *worker, struct http_request *req, const struct key *key);
void unlink_start(struct worker *worker, struct http_request *req, const struct key *key);
void rebalance_start(struct worker *worker, struct http_request *req, const struct key *key);
/* GET /prefix?list and ?unlinked; takes the prefix and the parameters from the request itself. */
void list_start(struct worker *worker, struct http_request *req);
/* GET /prefix?watch; the same. */
void watch_start(struct worker *worker, struct http_request *req);
/* GET /admin/keys, and GET /KEY?record. */
void keys_start(struct worker *worker, struct http_request *req);
void keys_record(struct worker *worker, struct http_request *req, const struct key *key);
/* GET /admin/digest: what several masters' indexes are compared by. */
void digest_start(struct worker *worker, struct http_request *req);
/* POST /admin/reconcile. */
void reconcile_start(struct worker *worker, struct http_request *req);
/* GET /admin/checkpoint. */
void checkpoint_start(struct worker *worker, struct http_request *req);
/* Everything else below /admin/. */
void admin_start(struct worker *worker, struct http_request *req);

#endif
