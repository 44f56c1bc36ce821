#ifndef LARDER_COMMON_HTTP_STATS_H
#define LARDER_COMMON_HTTP_STATS_H

#include <stdint.h>

/* Numbers for /admin/metrics, of one server; they belong to its loop's thread, so no atomics. All
 * but `connections` only grow. */
struct http_server_stats {
    /* connections: open now. refused: connections beyond the limit, and requests on one of the
     * reserve that were not for /admin/. requests: heads that were good. Bytes: of sockets, with
     * heads and chunk lines. */
    uint64_t connections, accepted, refused, requests, bytes_in, bytes_out;
    uint64_t answers[6]; /* by class: [2] is 2xx …; those to refused heads too */
};

/* Adds the numbers of one server to those of several. On its loop's thread. */
void http_stats_add(struct http_server_stats *sum, const struct http_server_stats *stats);

#endif
