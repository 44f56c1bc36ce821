/*
 * A blocking client of etcd's JSON gateway. One client a thread. Every request has a deadline;
 * where an endpoint does not answer, the next one is asked from then on.
 */
#ifndef LARDER_MASTER_ETCD_H
#define LARDER_MASTER_ETCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/etcd_answer.h"
#include "common/status.h"

struct etcd;
struct thread;

/* "http://host:port" each; the strings must outlive the client. NULL: no memory. */
struct etcd *etcd_new(char *const *endpoints, size_t count) MUST_CHECK;
void etcd_free(struct etcd *etcd);
/* Ends the thread that this client belongs to, without waiting for etcd: what it asks at the
 * moment, and from now on, is given up (ST_UNKNOWN; a read is ST_UNAVAILABLE), unless the thread
 * takes it up again with etcd_resume(), for a last word. Once more is fine. */
void etcd_end_thread(struct etcd *etcd, struct thread *thread);
void etcd_resume(struct etcd *etcd);

/*
 * All requests fill *answer (free it with etcd_answer_free() in any case) and return
 *   ST_OK           it was done
 *   ST_UNAVAILABLE  it was not done: nobody took it
 *   ST_UNKNOWN      it may have been done, now or later: no answer, or one that does not tell
 *   ST_NO_SPACE     it was not done: etcd is out of space
 *   ST_NOT_FOUND    it was not done: there is no such lease
 *   ST_PEER         it was not done: refused for another reason (answer->message)
 * Nothing is logged. `deadline_ms` is of loop_now_ms().
 */

struct etcd_range {
    const char *key;
    const char *end; /* behind the last key; NULL: this key only */
    unsigned limit;  /* 0: all */
    bool local;      /* from what the asked etcd has itself ("serializable"): may be old */
    bool keys_only;
    int64_t revision; /* as it was at this one; 0: as it is */
};

/* etcd above its quota answers this and etcd_delete(), but refuses every transaction. Its
 * answer->revision is the one that was read, if the range named none.
 * Never ST_UNKNOWN: a read is simply sent to the next endpoint, until the deadline. */
enum status etcd_range(struct etcd *etcd, const struct etcd_range *range, uint64_t deadline_ms,
                       struct etcd_answer *answer) MUST_CHECK;

enum etcd_test { ETCD_VALUE, ETCD_CREATED, ETCD_LEASE };

struct etcd_compare {
    enum etcd_test test;
    const char *key;
    const char *value; /* ETCD_VALUE */
    int64_t number;    /* the create revision (0: the key is not there), or the lease */
};

enum etcd_action { ETCD_PUT, ETCD_GET };

struct etcd_op {
    enum etcd_action action;
    const char *key;
    const void *value;
    size_t value_len;
    int64_t lease; /* 0: none */
};

/* Where all compares are true `success` is done, else `failure`; answer->succeeded tells. */
struct etcd_txn {
    const struct etcd_compare *compares;
    size_t compare_count;
    const struct etcd_op *success;
    size_t success_count;
    const struct etcd_op *failure;
    size_t failure_count;
};

/* Sent once, but for endpoints that do not take it. */
enum status etcd_txn(struct etcd *etcd, const struct etcd_txn *txn, uint64_t deadline_ms,
                     struct etcd_answer *answer) MUST_CHECK;

/* Deletes a key, or with `end` all from `key` up to it. Sent once, but for endpoints that do not
 * take it. */
enum status etcd_delete(struct etcd *etcd, const char *key, const char *end, uint64_t deadline_ms,
                        struct etcd_answer *answer) MUST_CHECK;

/* answer->lease, answer->ttl in seconds. */
enum status etcd_grant(struct etcd *etcd, unsigned ttl_s, uint64_t deadline_ms,
                       struct etcd_answer *answer) MUST_CHECK;
/* ST_NOT_FOUND where the lease is gone. */
enum status etcd_keep_alive(struct etcd *etcd, int64_t lease, uint64_t deadline_ms,
                            struct etcd_answer *answer) MUST_CHECK;
enum status etcd_revoke(struct etcd *etcd, int64_t lease, uint64_t deadline_ms,
                        struct etcd_answer *answer) MUST_CHECK;
/* Forgets what was before `revision`. */
enum status etcd_compact(struct etcd *etcd, int64_t revision, uint64_t deadline_ms,
                         struct etcd_answer *answer) MUST_CHECK;

#endif
