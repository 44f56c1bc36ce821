/*
 * The options of larder-master, as a table for common/options: names, ranges, and the texts of
 * --help with the defaults in them. What is wrong with one option alone is said there; what several
 * of them contradict each other in, here.
 */
#include "master/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/placement.h"

/* The table needs the addresses of the config's members, so it is made per config; there is one. */
static struct config *the;
static struct option_spec specs[48];
static struct option_program program = {
    .name = "larder-master",
    .synopsis = "--db DIR [--volumes HOST:PORT,...] [OPTION]...",
    .summary = "Keeps the index of a larder store and answers its clients.\n"
               "Sends readers to volumes, and writes each value to several of them.",
    .options = specs,
};

/* The table is filled at run time, with room for more than there are. */
static void add(struct option_spec spec)
{
    specs[program.count++] = spec;
}

static void add_network_options(void)
{
    add((struct option_spec){"port", 'p', OPTION_UNSIGNED, &the->port, 0, 65535, NULL, "PORT",
                             "where it listens (3000; 0: any free one)"});
    add((struct option_spec){"listen", 0, OPTION_TEXT, &the->listen, 0, 0, NULL, "ADDRESS",
                             "the address it listens on (127.0.0.1)"});
    add((struct option_spec){"max-connections", 0, OPTION_UNSIGNED, &the->max_connections, 1,
                             1000000, NULL, "N", "clients at once (4096); more get 503"});
    add((struct option_spec){"max-watchers", 0, OPTION_UNSIGNED, &the->max_watchers, 0, 100000,
                             NULL, "N", "watches at once (256); more get 503"});
    add((struct option_spec){"threads", 0, OPTION_UNSIGNED, &the->threads, 1, 256, NULL, "N",
                             "event loops (one a core)"});
    add((struct option_spec){"pool-threads", 0, OPTION_UNSIGNED, &the->pool_threads, 1, 1024, NULL,
                             "N", "threads for lists and scans of the index (8)"});
}

static void add_store_options(void)
{
    add((struct option_spec){"db", 'd', OPTION_TEXT, &the->db, 0, 0, NULL, "DIR",
                             "directory of the index (required; made where missing)"});
    add((struct option_spec){"volumes", 'v', OPTION_LIST, &the->volumes, 0, 0, NULL,
                             "HOST:PORT[/PATH],...", "volumes to use, beside those added earlier"});
    add((struct option_spec){"replicas", 'r', OPTION_UNSIGNED, &the->replicas, 1, 16, NULL, "N",
                             "copies of each value (3)"});
    add((struct option_spec){"min-replicas", 0, OPTION_UNSIGNED, &the->min_replicas, 0, 16, NULL,
                             "N", "copies that must be durable before 201 (a majority)"});
    add((struct option_spec){"subvolumes", 's', OPTION_UNSIGNED, &the->subvolumes, 1,
                             PLACEMENT_SUBVOLUMES_MAX, NULL, "N",
                             "disks of each volume: /sv00, /sv01, ... (10)"});
    add((struct option_spec){"cache", 0, OPTION_SIZE, &the->cache_bytes, 0, 0, NULL, "SIZE",
                             "memory for what was read of the index (128MiB)"});
    add((struct option_spec){"reserve", 0, OPTION_SIZE, &the->reserve_bytes, 0, 0, NULL, "SIZE",
                             "free space of the index disk below which writes get 507 (16MiB)"});
    add((struct option_spec){"watch-log", 0, OPTION_SIZE, &the->watch_log_bytes, 0, 0, NULL, "SIZE",
                             "memory for recent changes, from which watches resume (16MiB)"});
    add((struct option_spec){"sync", 0, OPTION_CHOICE, &the->sync, 0, 0, "full|none", "full|none",
                             "none: no fsync, for comparisons only (full)"});
}

static void add_behaviour_options(void)
{
    add((struct option_spec){"fallback", 0, OPTION_TEXT, &the->fallback, 0, 0, NULL, "HOST[:PORT]",
                             "where a GET of a missing key is redirected"});
    add((struct option_spec){"protect", 0, OPTION_FLAG, &the->protect, 0, 0, NULL, NULL,
                             "DELETE needs an UNLINK first"});
    add((struct option_spec){"overwrite", 0, OPTION_FLAG, &the->overwrite, 0, 0, NULL, NULL,
                             "PUT replaces an existing value (else 403)"});
    add((struct option_spec){"md5sum", 0, OPTION_FLAG, &the->md5sum, 0, 0, NULL, NULL,
                             "compute and keep MD5s (on; --no-md5sum turns it off)"});
    add((struct option_spec){"voltimeout", 0, OPTION_DURATION, &the->voltimeout_ms, 1, 600000, NULL,
                             "TIME", "a volume that is silent so long is down (1s)"});
    add((struct option_spec){"orphan-after", 0, OPTION_DURATION, &the->orphan_after_ms, 1,
                             0xffffffff, NULL, "TIME",
                             "files in no record are removed when they are older (1h)"});
    add((struct option_spec){"down-after", 0, OPTION_DURATION, &the->down_after_ms, 1, 0xffffffff,
                             NULL, "TIME", "a volume that is down so long counts as lost (10m)"});
    add((struct option_spec){"grace", 0, OPTION_DURATION, &the->grace_ms, 0, 86400000, NULL, "TIME",
                             "old versions' files stay so long for their readers (3s)"});
    add((struct option_spec){"max-value", 0, OPTION_SIZE, &the->max_value, 0, 0, NULL, "SIZE",
                             "largest value; a larger one gets 413 (no limit)"});
    add((struct option_spec){"log-level", 0, OPTION_CHOICE, &the->log_level, 0, 0,
                             "debug|info|warn|error", "LEVEL",
                             "debug, info, warn or error (info)"});
}

static void add_cluster_options(void)
{
    add((struct option_spec){"cluster", 0, OPTION_LIST, &the->cluster, 0, 0, NULL,
                             "http://HOST:PORT,...",
                             "etcd's addresses: one of several masters (none: the only one)"});
    add((struct option_spec){"cluster-prefix", 0, OPTION_TEXT, &the->cluster_prefix, 0, 0, NULL,
                             "PREFIX", "of this store's keys in etcd (/larder)"});
    add((struct option_spec){"advertise", 0, OPTION_TEXT, &the->advertise, 0, 0, NULL, "HOST:PORT",
                             "where clients of other masters find this one (as --listen, --port)"});
    add((struct option_spec){"session-ttl", 0, OPTION_DURATION, &the->session_ttl_ms, 2000, 600000,
                             NULL, "TIME",
                             "a writer that etcd has not heard of for so long is replaced (3s)"});
    add((struct option_spec){"log-retain", 0, OPTION_SIZE, &the->log_retain_bytes, 0, 0, NULL,
                             "SIZE", "changes kept in etcd for masters that are away (256MiB)"});
    add((struct option_spec){"stale-reads", 0, OPTION_FLAG, &the->stale_reads, 0, 0, NULL, NULL,
                             "answer reads from what this master has, without asking etcd"});
}

static void set_defaults(struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    memset(config, 0, sizeof *config);
    config->port = 3000;
    config->replicas = 3;
    config->subvolumes = 10;
    config->md5sum = true;
    config->voltimeout_ms = 1000;
    config->threads = cores > 0 ? (unsigned)cores : 1;
    config->pool_threads = 8;
    config->down_after_ms = 600000;
    config->orphan_after_ms = 3600000;
    config->grace_ms = 3000;
    config->max_connections = 4096;
    config->max_watchers = 256;
    config->watch_log_bytes = 16ULL << 20;
    config->cache_bytes = 128ULL << 20;
    config->reserve_bytes = 16ULL << 20;
    config->session_ttl_ms = 3000;
    config->log_retain_bytes = 256ULL << 20;
    config->log_level = 1;
}

static bool complain(const char *text)
{
    (void)fprintf(stderr, "larder-master: %s\nTry 'larder-master --help'.\n", text);
    return false;
}

/* What no single option can tell. */
static bool complete(struct config *config)
{
    if (!config->db)
        return complain("--db DIR is required: where the index lives");
    if (config->min_replicas == 0)
        config->min_replicas = config->replicas / 2 + 1;
    if (config->min_replicas > config->replicas)
        return complain("--min-replicas may not be more than --replicas");
    if (!config->listen && !(config->listen = strdup("127.0.0.1")))
        return complain("out of memory");
    if (!config->cluster_prefix && !(config->cluster_prefix = strdup("/larder")))
        return complain("out of memory");
    return true;
}

enum options_result config_read(struct config *config, int argc, char **argv, int *rest)
{
    set_defaults(config);
    the = config;
    program.count = 0;
    add_network_options();
    add_store_options();
    add_behaviour_options();
    add_cluster_options();
    enum options_result result = options_parse(&program, argc, argv, rest);
    if (result == OPTIONS_OK && !complete(config))
        result = OPTIONS_BAD;
    return result;
}

void config_free(struct config *config)
{
    if (config == the)
        options_free(&program);
}
