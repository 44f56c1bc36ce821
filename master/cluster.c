#include "master/cluster.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/attach.h"
#include "master/config.h"
#include "master/etcd.h"
#include "master/follow.h"
#include "master/index.h"
#include "master/oplog.h"
#include "master/trim.h"
#include "master/volumes.h"
#include "master/worker.h"

enum { PAUSE_MS = 20 }; /* between two tries of an append */

struct cluster {
    const struct config *config;
    struct master *master;
    struct oplog_keys keys;
    char address[LEAD_ADDRESS_MAX]; /* ours */
    struct index_log log;
    struct etcd *etcd; /* the committer's */
    /* They call each other: NULL until it is there. */
    _Atomic(struct barrier *) barrier;
    _Atomic(struct follow *) follow;
    _Atomic(struct lead *) lead;
    _Atomic(struct trim *) trim;
};

/* --- the log, for the index --- */

struct append_claim {
    struct cluster *cluster;
    uint64_t term;
};

/* Asked before each try, so an append outlives its lease by one try at most, and that one is
 * fenced by etcd. */
static bool claim_holds(void *arg)
{
    const struct append_claim *claim = arg;
    int64_t lease;
    return lead_claim(claim->cluster->lead, claim->term, &lease);
}

/* Long enough for an etcd that has no leader not to be flooded, short beside the lease. */
static void claim_pause(void *arg UNUSED)
{
    const struct timespec time = {0, PAUSE_MS * 1000000L};
    (void)nanosleep(&time, NULL);
}

/* On the committer's thread, which waits here: one append is under way at a time. */
static enum status append(void *arg, uint64_t term, uint64_t first, uint32_t count,
                          const struct buf *ops)
{
    struct cluster *cluster = arg;
    struct append_claim of = {cluster, term};
    struct oplog_claim claim = {
        .term = (int64_t)term, .holds = claim_holds, .pause = claim_pause, .arg = &of};
    struct entry entry = {
        .first = first, .count = count, .ops = buf_text(ops), .ops_len = ops->len};
    if (!cluster->lead || !lead_claim(cluster->lead, term, &claim.lease))
        return ST_NOT_WRITER;
    enum status st = oplog_append(&cluster->keys, cluster->etcd, &claim, &entry);
    if (!st && cluster->trim)
        trim_count(cluster->trim, entry_last(&entry), ENTRY_HEAD + ops->len);
    if (st == ST_UNKNOWN || st == ST_NOT_WRITER)
        lead_poke(cluster->lead); /* the index ends the term */
    return st;
}

/* For every entry, whether our own or fetched. */
static void applied(void *arg, uint64_t sequence)
{
    struct cluster *cluster = arg;
    if (cluster->barrier)
        barrier_applied(cluster->barrier, sequence);
}

static void volume_told(void *arg, const char *name, const char *value)
{
    struct cluster *cluster = arg;
    struct volume_facts facts;
    volumes_read(&facts, value);
    facts.forgets_id = true; /* the log says all that is lasting of it */
    if (volumes_set(cluster->master->volumes, name, &facts))
        log_event(LOG_ERROR, "cluster", "volume=%s event=not-taken error=\"out of memory\"", name);
}

const struct index_log *cluster_log(struct cluster *cluster)
{
    return cluster ? &cluster->log : NULL;
}

/* --- what the threads tell each other --- */

static void want(void *arg, uint64_t sequence)
{
    struct cluster *cluster = arg;
    if (cluster->follow)
        follow_want(cluster->follow, sequence);
}

/* Lead sees it at each look; it is said once. */
static void set_back(void *arg, uint64_t head)
{
    struct cluster *cluster = arg;
    if (!cluster->follow || follow_state(cluster->follow) != FOLLOW_GOING)
        return;
    if (!follow_refuse(cluster->follow))
        attach_explain_set_back(cluster->master->index, head);
}

/* One that waits for a checkpoint has not got all of the log, whatever its sequence says. */
static bool is_eligible(void *arg)
{
    struct cluster *cluster = arg;
    return cluster->follow && follow_state(cluster->follow) == FOLLOW_GOING;
}

static void fetched(void *arg, uint64_t last, size_t bytes)
{
    struct cluster *cluster = arg;
    if (cluster->trim)
        trim_count(cluster->trim, last, bytes);
}

static bool take_volume(void *arg, const char *name, const char *value)
{
    volume_told(arg, name, value);
    return true;
}

/* Only what the new index has is looked at. A volume that it does not have any more cannot be:
 * volumes are marked as removed, and stay. */
static void replaced(void *arg)
{
    struct cluster *cluster = arg;
    if (index_scan_volumes(cluster->master->index, take_volume, cluster))
        log_event(LOG_ERROR, "cluster", "event=volumes-not-read");
}

/* For people, and for who looks for a checkpoint. */
static const char *role(void *arg)
{
    struct cluster *cluster = arg;
    if (cluster->lead && lead_is_writer(cluster->lead))
        return "writer";
    return cluster->follow ? follow_state_text(follow_state(cluster->follow)) : "attaching";
}

/* --- start, stop --- */

/* http only: the gateway is inside of the network, as larder itself is. */
static enum status check_endpoints(const struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->items[i], "http://", 7) != 0 || !list->items[i][7]) {
            log_event(
                LOG_ERROR, "cluster",
                "event=bad-endpoint endpoint=\"%s\" advice=\"--cluster http://HOST:2379,...\"",
                list->items[i]);
            return ST_BAD_REQUEST;
        }
    return ST_OK;
}

enum status cluster_new(struct cluster **to, const struct config *config, struct master *master)
{
    const struct option_list *endpoints = &config->cluster;
    if (check_endpoints(endpoints))
        return ST_BAD_REQUEST;
    struct cluster *cluster = calloc(1, sizeof *cluster);
    if (!cluster)
        return ST_NO_MEMORY;
    cluster->config = config;
    cluster->master = master;
    cluster->log = (struct index_log){append, applied, volume_told, cluster};
    cluster->etcd = etcd_new(endpoints->items, endpoints->count);
    enum status st = cluster->etcd ? ST_OK : ST_NO_MEMORY;
    if (!st && !oplog_keys_init(&cluster->keys, config->cluster_prefix)) {
        log_event(LOG_ERROR, "cluster", "event=bad-prefix advice=\"a shorter --cluster-prefix\"");
        st = ST_BAD_REQUEST;
    }
    if (st)
        cluster_free(cluster);
    else
        *to = cluster;
    return st;
}

/* Where it listens on all addresses that is no address to send clients to, so then --advertise
 * is needed; it is not checked here, since nobody but the network knows. */
static enum status set_address(struct cluster *cluster, uint16_t port)
{
    const struct config *config = cluster->config;
    int len = config->advertise
                  ? snprintf(cluster->address, sizeof cluster->address, "%s", config->advertise)
                  : snprintf(cluster->address, sizeof cluster->address, "%s:%u", config->listen,
                             (unsigned)port);
    return len > 0 && len < (int)sizeof cluster->address ? ST_OK : ST_BAD_REQUEST;
}

/* An index that does not belong here is refused at the start where etcd answers; else the follower
 * finds out later, and the master serves nothing. */
static enum status attach_first(struct cluster *cluster)
{
    enum attach_end end;
    uint64_t head;
    enum status st =
        attach_index(cluster->master->index, &cluster->keys, cluster->etcd, &end, &head);
    if (!st)
        return end == ATTACH_REFUSED ? ST_FOREIGN : ST_OK;
    log_event(LOG_WARN, "cluster",
              "event=etcd-does-not-answer error=\"%s\" doing=\"stale reads only, until it does\"",
              status_text(st));
    return ST_OK;
}

/* In the order in which they need each other; where one calls another that is not there yet, it
 * does without. */
static enum status start_threads(struct cluster *cluster)
{
    char *const *endpoints = cluster->config->cluster.items;
    size_t count = cluster->config->cluster.count;
    struct index *index = cluster->master->index;
    const struct barrier_options barrier = {&cluster->keys, endpoints, count, index, want, cluster};
    cluster->barrier = barrier_new(&barrier);
    const struct follow_options follow = {&cluster->keys, endpoints, count,    cluster->address,
                                          index,          fetched,   replaced, cluster};
    if (cluster->barrier)
        cluster->follow = follow_new(&follow);
    const struct lead_options lead = {
        &cluster->keys,
        endpoints,
        count,
        cluster->address,
        (cluster->config->session_ttl_ms + 999) / 1000,
        index,
        want,
        set_back,
        is_eligible,
        cluster,
    };
    if (cluster->follow)
        cluster->lead = lead_new(&lead);
    const struct trim_options trim = {
        &cluster->keys,
        endpoints,
        count,
        cluster->address,
        index,
        cluster->lead,
        cluster->config->log_retain_bytes,
        role,
        cluster,
    };
    if (cluster->lead)
        cluster->trim = trim_new(&trim);
    return cluster->trim ? ST_OK : ST_NO_MEMORY;
}

enum status cluster_start(struct cluster *cluster, uint16_t port)
{
    enum status st = set_address(cluster, port);
    if (!st)
        st = attach_first(cluster);
    if (!st)
        st = start_threads(cluster);
    return st;
}

void cluster_stop(struct cluster *cluster)
{
    if (!cluster)
        return;
    /* None is freed before all have ended, since they ask each other. The lease first: while this
     * master has it nobody writes, and the last sync may take its time. */
    lead_stop(cluster->lead);
    trim_stop(cluster->trim);
    follow_stop(cluster->follow);
    barrier_stop(cluster->barrier);
}

void cluster_free(struct cluster *cluster)
{
    if (!cluster)
        return;
    cluster_stop(cluster);
    trim_free(cluster->trim);
    lead_free(cluster->lead);
    follow_free(cluster->follow);
    barrier_free(cluster->barrier);
    etcd_free(cluster->etcd);
    free(cluster);
}

/* --- what others ask --- */

bool cluster_may_write(struct cluster *cluster)
{
    return cluster->lead && lead_is_writer(cluster->lead);
}

/* By the clock, too: index_term() alone may be of a term that has run out while we were frozen. */
uint64_t cluster_term(struct cluster *cluster)
{
    return cluster_may_write(cluster) ? index_term(cluster->master->index) : 0;
}

bool cluster_writer(struct cluster *cluster, char address[LEAD_ADDRESS_MAX])
{
    return lead_other(cluster->lead, address);
}

const char *cluster_why_void(struct cluster *cluster)
{
    switch (follow_state(cluster->follow)) {
    case FOLLOW_EMPTY:
        return "this master has no index of the store yet";
    case FOLLOW_REFUSED:
        return "the index of this master does not belong to the log in etcd; its log says why";
    default:
        return NULL;
    }
}

bool cluster_is_attaching(struct cluster *cluster)
{
    return !cluster->follow || follow_state(cluster->follow) == FOLLOW_ATTACHING;
}

/* Where the writer is not known, this master could answer stale reads only. */
enum status cluster_ready(struct cluster *cluster)
{
    char other[LEAD_ADDRESS_MAX];
    if (!cluster)
        return ST_OK;
    if (!follow_has_caught_up(cluster->follow))
        return ST_LAGGING;
    return lead_is_writer(cluster->lead) || lead_other(cluster->lead, other) ? ST_OK
                                                                             : ST_NOT_WRITER;
}

struct barrier *cluster_barrier(struct cluster *cluster)
{
    return cluster->barrier;
}

/* How much the index is behind; 0 where the head is not known. */
static uint64_t lag_of(struct cluster *cluster, uint64_t *head, uint64_t *sequence)
{
    bool known = lead_head(cluster->lead, head);
    *sequence = index_sequence(cluster->master->index);
    if (!known || *head < *sequence)
        *head = *sequence; /* ours is newer than the last look */
    return *head - *sequence;
}

void cluster_json(struct cluster *cluster, struct buf *out)
{
    char writer[LEAD_ADDRESS_MAX] = "";
    uint64_t head;
    uint64_t sequence;
    if (!cluster)
        return;
    uint64_t lag = lag_of(cluster, &head, &sequence);
    if (lead_is_writer(cluster->lead))
        memcpy(writer, cluster->address, sizeof writer);
    else if (!lead_other(cluster->lead, writer))
        writer[0] = 0;
    buf_addf(out, "\"cluster\":{\"role\":\"%s\",\"address\":", role(cluster));
    json_add_string(out, cluster->address, strlen(cluster->address));
    buf_adds(out, ",\"writer\":");
    json_add_string(out, writer, strlen(writer));
    buf_addf(out,
             ",\"term\":%" PRIu64 ",\"head\":%" PRIu64 ",\"applied\":%" PRIu64
             ",\"synced\":%" PRIu64 ",\"lag\":%" PRIu64 ",\"members\":[",
             index_term(cluster->master->index), head, sequence, trim_synced(cluster->trim), lag);
    trim_members(cluster->trim, out);
    buf_adds(out, "]},\n");
}

void cluster_metrics(struct cluster *cluster, struct buf *out)
{
    uint64_t head;
    uint64_t sequence;
    if (!cluster)
        return;
    uint64_t lag = lag_of(cluster, &head, &sequence);
    buf_addf(out,
             "# HELP larder_cluster_writer 1 where this master writes.\n"
             "# TYPE larder_cluster_writer gauge\nlarder_cluster_writer %d\n"
             "# HELP larder_cluster_head Sequence of the last change in the log.\n"
             "# TYPE larder_cluster_head gauge\nlarder_cluster_head %" PRIu64 "\n"
             "# HELP larder_cluster_applied Sequence up to which it is in the index here.\n"
             "# TYPE larder_cluster_applied gauge\nlarder_cluster_applied %" PRIu64 "\n"
             "# HELP larder_cluster_lag Changes that are not applied here yet.\n"
             "# TYPE larder_cluster_lag gauge\nlarder_cluster_lag %" PRIu64 "\n"
             "# HELP larder_cluster_synced Sequence up to which the index is on the disk.\n"
             "# TYPE larder_cluster_synced gauge\nlarder_cluster_synced %" PRIu64 "\n",
             lead_is_writer(cluster->lead), head, sequence, lag, trim_synced(cluster->trim));
}
