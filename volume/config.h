/*
 * What was asked for on the command line and in the config file. Filled before any thread is
 * started, and not changed from then on, so every thread may read it.
 */
#ifndef LARDER_VOLUME_CONFIG_H
#define LARDER_VOLUME_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/options.h"

enum config_sync { CONFIG_SYNC_FULL, CONFIG_SYNC_NONE };

struct config {
    unsigned port; /* 0: any free one */
    char *listen;
    char *dir;                  /* as it was written; never NULL or empty after config_parse() */
    struct option_list masters; /* "host:port", without a scheme */
    char *base;                 /* "host:port[/path]"; NULL: none was given */
    const char *base_path;      /* "/path", into `base`; "" without one */
    unsigned sync;              /* enum config_sync */
    unsigned threads;           /* event loops */
    unsigned pool_threads;      /* threads for what blocks */
    unsigned log_level;         /* enum log_level */
    unsigned max_connections;
    unsigned long long max_value; /* bytes; 0: no limit */
    unsigned long long reserve;   /* bytes that new values leave free; ULLONG_MAX: as usual */
    unsigned scrub_days;          /* in which all values are read once; 0: never */
};

/* Parses and checks. On OPTIONS_OK the caller frees it with config_free(); on anything else there
 * is nothing to free, and what was to be said has been printed. */
enum options_result config_parse(struct config *config, int argc, char **argv) MUST_CHECK;
void config_free(struct config *config);

/*
 * The base URL that masters are told: `base`, or listen:port, where `port` is the one that the
 * server really has. The caller frees it; NULL: no memory.
 */
char *config_base(const struct config *config, uint16_t port) MUST_CHECK;

#endif
