/*
 * Which volumes the store uses: requests whose body is a volume's base URL (or its name).
 *   POST /admin/add-volume             uses it from now on: see join.h
 *   POST /admin/drain[?stop]           moves its copies elsewhere; `stop` takes that back
 *   POST /admin/remove-volume[?lost]   takes it out: only when it is drained and empty, or `lost`
 * All of it is in the index, and survives a restart.
 */
#ifndef LARDER_MASTER_MEMBERSHIP_H
#define LARDER_MASTER_MEMBERSHIP_H

struct http_request;
struct worker;

void membership_add(struct worker *worker, struct http_request *req);
void membership_drain(struct worker *worker, struct http_request *req);
void membership_remove(struct worker *worker, struct http_request *req);
/* GET /admin/volume-keys?volume=NAME: {"keys": N}, how many visible keys have a copy there. */
void membership_count(struct worker *worker, struct http_request *req);

#endif
