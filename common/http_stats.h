#ifndef LARDER_COMMON_HTTP_STATS_H
#define LARDER_COMMON_HTTP_STATS_H

#include <stdint.h>

/* Numbers for /admin/metrics; read them on the loop's thread. */
struct http_server_stats {
    uint64_t connections, accepted, refused, requests, bytes_in, bytes_out;
    uint64_t answers[6]; /* by class: [2] is 2xx … */
};

#endif
