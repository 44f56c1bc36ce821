/*
 * What an operator, a master or a monitor asks: /admin/. Each owns the request from its call on, is
 * called on the request's loop, and answers from there. The formats are PROTOCOL.md's.
 */
#ifndef LARDER_VOLUME_ADMIN_H
#define LARDER_VOLUME_ADMIN_H

struct http_request;
struct service;

/* GET /admin/scrub: where the rounds stand. POST [?rate=BYTES] begins one on every disk, at so many
 * bytes a second each; 400 for a rate that is none. Answers at once: nothing of it touches a
 * disk. */
void admin_scrub_start(struct service *service, struct http_request *req);
/* GET, HEAD /admin/health. Looks at every disk first, but passes over one at which somebody is
 * looking already, as before a disk that hangs. It does not go through the gates, so a disk that
 * has filled its gate does not stop it. */
void admin_health_start(struct service *service, struct http_request *req);
/* GET, HEAD /admin/metrics. What is known, without a look at any disk. */
void admin_metrics_start(struct service *service, struct http_request *req);
void admin_name_start(struct service *service, struct http_request *req); /* admin_name.c */

#endif
