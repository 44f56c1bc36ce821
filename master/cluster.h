/*
 * Several masters as a whole: this master's share of a store whose changes are ordered by a log in
 * etcd (DESIGN.md, 'Several masters'). Where there is one master only there is no struct cluster:
 * functions that take NULL say what holds then.
 */
#ifndef LARDER_MASTER_CLUSTER_H
#define LARDER_MASTER_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"
#include "master/barrier.h"
#include "master/lead.h"

struct buf;
struct cluster;
struct config;
struct index;
struct index_log;
struct master;

/* From the options; nothing is started. What is wrong with them is logged. */
enum status cluster_new(struct cluster **to, const struct config *config,
                        struct master *master) MUST_CHECK;
/* For the index: it must be opened with this, and after it cluster_start() be called. */
const struct index_log *cluster_log(struct cluster *cluster);
/* Attaches the index to the store, and takes part from now on; `port` is where this master listens.
 * ST_FOREIGN: the index is refused (logged). etcd need not answer. */
enum status cluster_start(struct cluster *cluster, uint16_t port) MUST_CHECK;
/* Ends the threads; who waits is told so, on loops that still run. The index' committer must have
 * ended before. What is below may still be asked. */
void cluster_stop(struct cluster *cluster);
/* When the loops have ended. */
void cluster_free(struct cluster *cluster);

/* --- any thread --- */

/* True where this master may change the index and volumes at this moment (worker.h has the question
 * for who does not know whether there are several). */
bool cluster_may_write(struct cluster *cluster);
/* The term in which it writes; 0: it does not. */
uint64_t cluster_term(struct cluster *cluster);
/* Another master that may, as "host:port"; false where none is known. */
bool cluster_writer(struct cluster *cluster, char address[LEAD_ADDRESS_MAX]);
/* Why it has no index that could be read, not even an old one; NULL where it has. */
const char *cluster_why_void(struct cluster *cluster);
/* True as long as it is not known whether its index belongs to the log: not for linearizable reads.
 */
bool cluster_is_attaching(struct cluster *cluster);
/* ST_OK where this master can serve: it knows a writer, and has followed the log. */
enum status cluster_ready(struct cluster *cluster) MUST_CHECK;
/* What stands before reads; see barrier.h. */
struct barrier *cluster_barrier(struct cluster *cluster);

/* Appends "cluster":{…} as a member of a JSON object, with a comma behind it; nothing for NULL. */
void cluster_json(struct cluster *cluster, struct buf *out);
void cluster_metrics(struct cluster *cluster, struct buf *out);

#endif
