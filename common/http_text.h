/* Answers that were built as text in memory: pages, JSON, metrics. */
#ifndef LARDER_COMMON_HTTP_TEXT_H
#define LARDER_COMMON_HTTP_TEXT_H

struct buf;
struct http_request;

#define HTTP_TEXT_JSON    "application/json"
#define HTTP_TEXT_METRICS "text/plain; version=0.0.4" /* Prometheus' text format */

/* Answers with what the buffer holds, which stays the caller's; ST_NO_MEMORY where an addition to
 * it has failed, since then it does not hold all. The request is gone afterwards. */
void http_text_reply(struct http_request *req, int status, const char *type,
                     const struct buf *text);

#endif
