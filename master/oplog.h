/*
 * The log of several masters in etcd: where its keys are, its head, appending and fetching entries
 * (common/PROTOCOL.md, 'Several masters'). Everything here blocks, with deadlines.
 */
#ifndef LARDER_MASTER_OPLOG_H
#define LARDER_MASTER_OPLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/entry.h"
#include "common/status.h"

struct buf;
struct etcd;
struct etcd_answer;

enum { OPLOG_PREFIX_MAX = 200, OPLOG_KEY_MAX = OPLOG_PREFIX_MAX + 320 };

/* The keys below the prefix; `…_end` ends the range behind them. */
struct oplog_keys {
    char store[OPLOG_KEY_MAX], head[OPLOG_KEY_MAX], writer[OPLOG_KEY_MAX];
    char log[OPLOG_KEY_MAX], log_end[OPLOG_KEY_MAX];
    char members[OPLOG_KEY_MAX], members_end[OPLOG_KEY_MAX];
    char positions[OPLOG_KEY_MAX], positions_end[OPLOG_KEY_MAX];
};

/* False where the prefix is too long. */
bool oplog_keys_init(struct oplog_keys *keys, const char *prefix) MUST_CHECK;
/* The key of the entry that begins with this sequence. */
void oplog_entry_key(const struct oplog_keys *keys, uint64_t first, char key[OPLOG_KEY_MAX]);

/* The head as an answer has it; false where it is not there, or no number. */
bool oplog_parse_head(const struct oplog_keys *keys, const struct etcd_answer *answer,
                      uint64_t *head) MUST_CHECK;
/* Reads the head, linearizably. ST_UNAVAILABLE; ST_CORRUPT where there is none. */
enum status oplog_head(const struct oplog_keys *keys, struct etcd *etcd, uint64_t deadline_ms,
                       uint64_t *head) MUST_CHECK;

/*
 * Who writes, and the head, both as they were at one moment, linearizably: so where the writer is
 * this master, the head can have moved only by it. *writer: has PREFIX/writer, if it is there; free
 * it with etcd_answer_free() in any case. ST_UNAVAILABLE; ST_NOT_FOUND: there is no log yet;
 * ST_CONFLICT: etcd was compacted in between, ask again; ST_PEER.
 */
enum status oplog_look(const struct oplog_keys *keys, struct etcd *etcd, uint64_t deadline_ms,
                       struct etcd_answer *writer, uint64_t *head) MUST_CHECK;

/* By what right a master appends. */
struct oplog_claim {
    int64_t term; /* the create revision of PREFIX/writer */
    int64_t lease;
    bool (*holds)(void *arg); /* false: the lease may have expired, or we are to end */
    void (*pause)(void *arg); /* a moment, before another try */
    void *arg;
};

/*
 * Appends an entry behind the head `first - 1`; its token is made here. An answer that is lost is
 * asked for again, for as long as the claim holds.
 *   ST_OK          it is in the log
 *   ST_NOT_WRITER  it never will be: another master writes, or the log has gone on
 *   ST_NO_SPACE    it never will be: etcd is out of space
 *   ST_UNKNOWN     the claim has run out before it could be told
 *   ST_TOO_LARGE, ST_NO_MEMORY, ST_INTERNAL  nothing was sent
 */
enum status oplog_append(const struct oplog_keys *keys, struct etcd *etcd,
                         const struct oplog_claim *claim, struct entry *entry) MUST_CHECK;

enum { OPLOG_FETCH = 16 }; /* entries of 1 MiB that may be fetched at once */

/* Fetches some entries from sequence `from` on, and calls fn with each until it returns other than
 * ST_OK, which is returned then. `local`: what the nearest etcd has already. *count: how many came.
 * ST_UNAVAILABLE; ST_CORRUPT (logged). */
enum status oplog_fetch(const struct oplog_keys *keys, struct etcd *etcd, uint64_t from,
                        unsigned limit, bool local, uint64_t deadline_ms,
                        enum status (*fn)(void *arg, const struct entry *entry, size_t size),
                        void *arg, size_t *count) MUST_CHECK;

#endif
