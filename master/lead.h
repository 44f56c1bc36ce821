/*
 * Who of several masters writes: a thread with a lease in etcd, which takes PREFIX/writer where
 * nobody has it (DESIGN.md, 'The writer and its term').
 */
#ifndef LARDER_MASTER_LEAD_H
#define LARDER_MASTER_LEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct index;
struct lead;
struct oplog_keys;

enum { LEAD_ADDRESS_MAX = 280 };

struct lead_options {
    const struct oplog_keys *keys;
    char *const *endpoints;
    size_t endpoint_count;
    const char *address; /* ours, "host:port" */
    unsigned ttl_s;      /* of the lease */
    struct index *index;
    /* The head of the log is at `head`: whoever follows should come there. On lead's thread. */
    void (*head)(void *arg, uint64_t head);
    /* The head is before what the index has: etcd was set back. On lead's thread. */
    void (*set_back)(void *arg, uint64_t head);
    /* Whether this master may write: its index is attached. */
    bool (*eligible)(void *arg);
    void *arg;
};

/* Starts the thread. The options' strings must outlive it. */
struct lead *lead_new(const struct lead_options *options) MUST_CHECK;
/* Ends the term, gives the lease back, ends the thread, in two seconds at most, whatever etcd does.
 * The others must be stopped before it is freed, since they ask it. */
void lead_stop(struct lead *lead);
/* The same, and frees it. */
void lead_free(struct lead *lead);

/* --- any thread --- */

/* True while this master has a term, and its lease cannot have expired. */
bool lead_is_writer(struct lead *lead);
/* The lease and the term of the writer; false where this master is none. */
bool lead_claim(struct lead *lead, uint64_t term, int64_t *lease);
/* The lease, whether it writes or not; 0: none. */
int64_t lead_lease(struct lead *lead);
/* Another master that writes, as "host:port"; false where none is known. */
bool lead_other(struct lead *lead, char address[LEAD_ADDRESS_MAX]);
/* True where entries that nobody needs may be deleted by this master: it writes, or its index
 * belongs to the log, and nobody writes. */
bool lead_may_trim(struct lead *lead);
/* The head as it was last seen; false where etcd does not answer. */
bool lead_head(struct lead *lead, uint64_t *head);
/* There is something to see at once: the term was ended. */
void lead_poke(struct lead *lead);

#endif
