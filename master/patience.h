/* Lets a client's write wait for the janitor, where that is at the same key. */
#ifndef LARDER_MASTER_PATIENCE_H
#define LARDER_MASTER_PATIENCE_H

struct http_request;
struct key;
struct worker;

/* Calls start(worker, req, key): at once, or as soon as the janitor has let the key go; after two
 * seconds in any case, and the flow answers 409 then. `req` belongs to it from the call on; the key
 * is copied. */
void patience_start(struct worker *worker, struct http_request *req, const struct key *key,
                    void (*start)(struct worker *worker, struct http_request *req,
                                  const struct key *key));

#endif
