/* What the operator asked for: the master's options (README, 'Options of larder-master'). */
#ifndef LARDER_MASTER_CONFIG_H
#define LARDER_MASTER_CONFIG_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/options.h"

struct config {
    unsigned port; /* 0: any free one */
    char *listen;  /* an address; never NULL after config_read() */
    char *db;      /* the directory of the index */
    struct option_list volumes;
    unsigned replicas;        /* copies of each value */
    unsigned min_replicas;    /* 0 on the command line: a majority of the replicas */
    unsigned subvolumes;      /* disks a volume; 1: paths without svXX */
    char *fallback;           /* host[:port] where missing keys are redirected, or NULL */
    bool protect;             /* DELETE needs an UNLINK before */
    bool overwrite;           /* PUT may replace a value */
    bool md5sum;              /* MD5s are computed and kept */
    unsigned voltimeout_ms;   /* silence of a volume in a health check */
    unsigned orphan_after_ms; /* a file in no record is removed when it is older */
    unsigned down_after_ms;   /* a volume that is down so long counts as lost */
    unsigned sync;            /* 0: full, 1: none */
    unsigned threads;         /* loops */
    unsigned pool_threads;    /* for scans */
    unsigned grace_ms; /* old versions' files stay so long, for readers that were sent to them */
    unsigned long long max_value; /* bytes; 0: no limit */
    unsigned max_connections;
    unsigned max_watchers;
    unsigned long long watch_log_bytes; /* of recent changes, for watchers */
    unsigned long long cache_bytes;     /* records that were read, and LevelDB's blocks */
    unsigned long long
        reserve_bytes;          /* free space on the index disk below which nothing is written */
    struct option_list cluster; /* etcd's endpoints; none: this is the only master */
    char *cluster_prefix;
    char *advertise; /* host:port under which other masters and clients reach this one, or NULL */
    unsigned session_ttl_ms;
    unsigned long long log_retain_bytes;
    bool stale_reads;
    unsigned log_level; /* enum log_level */
};

/* Reads the command line; what is wrong is said on standard error. *rest: the first argument that
 * is no option. Free with config_free() in any case. */
enum options_result config_read(struct config *config, int argc, char **argv, int *rest) MUST_CHECK;
void config_free(struct config *config);

#endif
