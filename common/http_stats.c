#include "common/http_stats.h"

#include <stddef.h>

void http_stats_add(struct http_server_stats *sum, const struct http_server_stats *stats)
{
    sum->connections += stats->connections;
    sum->accepted += stats->accepted;
    sum->refused += stats->refused;
    sum->requests += stats->requests;
    sum->bytes_in += stats->bytes_in;
    sum->bytes_out += stats->bytes_out;
    for (size_t i = 0; i < sizeof sum->answers / sizeof sum->answers[0]; i++)
        sum->answers[i] += stats->answers[i];
}
