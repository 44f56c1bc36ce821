/*
 * The index: state (LevelDB) behind a commit log. Reads are local and immediate; a change is a list
 * of operations that one thread, the committer, makes durable together with those of other
 * requests, then tells each of them. With one master the log is LevelDB's own synced write.
 */
#ifndef LARDER_MASTER_INDEX_H
#define LARDER_MASTER_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/key.h"
#include "common/loop.h"
#include "common/record.h"
#include "common/status.h"
#include "master/changes.h"

struct index;
struct recall_ticket;

struct index_options {
    const char *path;
    bool sync;              /* false: --sync=none */
    size_t cache_bytes;     /* LevelDB's blocks */
    size_t recall_bytes;    /* records that were read lately; 0: none are kept */
    uint64_t reserve_bytes; /* less free space on its disk: commits fail with ST_NO_SPACE */
    struct changes
        *changes; /* where what was applied is told; NULL: nowhere. It outlives the index */
};

/* Opens or makes it. Failures are logged with what the operator can do about them. */
enum status index_open(struct index **to, const struct index_options *options) MUST_CHECK;
/* Commits what is queued, and ends the committer: what is queued afterwards is never answered. For
 * a process that must end while flows are still under way. */
void index_stop(struct index *index);
/* The same, then frees it. */
void index_close(struct index *index);

/* The version of a key that readers see: ST_OK with `rec` filled (free it), ST_NOT_FOUND where
 * there is none (rec is empty then), ST_CORRUPT, ST_IO. Blocks for a read of the disk at most. */
enum status index_get(struct index *index, const struct key *key, struct record *rec) MUST_CHECK;
/* The same for whoever only looks: the text is read into `text`, which is emptied before and
 * belongs to the caller, and `view` points into it; or it was known, and `view` points to what
 * stays as long as the index. `ticket` is for index_keep(). */
enum status index_look(struct index *index, const struct key *key, struct buf *text,
                       struct record_view *view, struct recall_ticket *ticket) MUST_CHECK;
/* Keeps the record that index_look() has found for those who look later, and with it ticket->stamp,
 * which they get (recall.h). `view` as it came from there. */
void index_keep(struct index *index, const struct key *key, const struct record_view *view,
                const struct recall_ticket *ticket);
/* The same as index_get() with the work: never ST_NOT_FOUND, but a record that is KEY_ABSENT. */
enum status index_get_all(struct index *index, const struct key *key,
                          struct record *rec) MUST_CHECK;

/* Begins to read what is to be kept, on a thread of its own, if all of it fits; once at most.
 * `stamp` (arg) is called there for each key's stamp. index_stop() ends it. */
void index_warm(struct index *index,
                uint64_t (*stamp)(void *arg, const struct key *key, const struct record_view *view),
                void *arg);

/* One change. The struct is the caller's and stays untouched by it until `committed` runs. */
struct index_change {
    struct buf ops; /* filled by index_change_…() */
    bool lazy; /* may get lost with the machine's power: it would be found out and done again */
    void (*committed)(void *arg,
                      enum status st); /* on `loop`; ST_OK: durable, and visible to reads */
    void *arg;
    struct loop *loop;
    /* the index's own: */
    enum status st;
    struct loop_message message;
    struct index_change *next;
};

/* Empties `change` for new operations. */
void index_change_begin(struct index_change *change, struct loop *loop,
                        void (*committed)(void *arg, enum status st), void *arg);
/* What the record says now replaces what the index has of the key, both parts of it. */
void index_change_record(struct index_change *change, const struct key *key,
                         const struct record *rec);
/* A volume that the store uses from now on. `value` is its JSON. */
void index_change_volume(struct index_change *change, const char *name, const char *value);
/* What watchers are told of the change, once: one event a change at most. `size` in bytes and `md5`
 * ("" where it is not known) are of the new value, and ignored for other events. `key` may be NULL
 * for CHANGES_RESET. */
void index_change_event(struct index_change *change, enum changes_event event,
                        const struct key *key, uint64_t size, const char *md5);
/* From now on the index counts as one that was restored, or does not any more. One that does
 * already keeps what it knows of its backup. */
void index_change_restored(struct index_change *change, bool restored);
/* Frees its memory; not while it is under way. */
void index_change_free(struct index_change *change);

/* Hands it to the committer. Never calls `committed` before it returns. */
void index_commit(struct index *index, struct index_change *change);

/* --- Scans. They block, and belong on the work pool. --- */

/* Calls fn for each visible key from `start` on (bytes; the first is `start` itself or the next one
 * behind it) while it begins with `prefix`, until fn returns false. ST_OK, or why it ended early.
 * The record is fn's to look at only. Keys that appear or vanish meanwhile may be seen or not. */
enum status index_scan(struct index *index, const struct buf *prefix, const struct buf *start,
                       bool (*fn)(void *arg, const char *key, size_t len, const struct record *rec),
                       void *arg) MUST_CHECK;
/* The same where only their states are wanted, at a third of the cost. */
enum status
index_scan_states(struct index *index, const struct buf *prefix, const struct buf *start,
                  bool (*fn)(void *arg, const char *key, size_t len, enum key_state state),
                  void *arg) MUST_CHECK;
/* index_scan() of all keys, but for those whose records hold `text` nowhere: they are passed over
 * without being taken apart, at a third of the cost. */
enum status index_scan_naming(struct index *index, const char *text,
                              bool (*fn)(void *arg, const char *key, size_t len,
                                         const struct record *rec),
                              void *arg) MUST_CHECK;
/* index_scan() over the keys that have work. The record holds what the work says only. */
enum status index_scan_work(struct index *index, const struct buf *start,
                            bool (*fn)(void *arg, const char *key, size_t len,
                                       const struct record *rec),
                            void *arg) MUST_CHECK;
/* The volumes, in the order of their names. */
enum status index_scan_volumes(struct index *index,
                               bool (*fn)(void *arg, const char *name, const char *value),
                               void *arg) MUST_CHECK;

/* True where it was made of a backup, and has not been brought together with the volumes yet: what
 * it says of copies and of garbage may be out of date, so nothing may be written or removed. Any
 * thread. */
bool index_restored(const struct index *index);
/* When that backup was made: unix milliseconds; 0 where it was not, or is not known. Any thread. */
uint64_t index_restored_made_ms(const struct index *index);

/* --- For status and metrics; any thread. --- */
uint64_t index_sequence(struct index *index);
const char *index_id(const struct index *index);
/* When this index was made, or first opened by larder: unix milliseconds. */
uint64_t index_born_ms(const struct index *index);
size_t index_queued(struct index *index);
/* ST_OK where the last commit succeeded; else why it did not. */
enum status index_health(struct index *index);
/* How often index_look() knew, and had to read; how many keys are known. */
void index_recalled(struct index *index, uint64_t *hits, uint64_t *misses, uint64_t *keys);
/* How many changes were committed, in how many writes. */
void index_counters(struct index *index, uint64_t *changes, uint64_t *writes);

#endif
