/* What index_commit.c (opening, committing), index_log.c (several masters), index_read.c (reads,
 * scans), index_tell.c and index_snapshot.c share; nobody else's business.
 */
#ifndef LARDER_MASTER_INDEX_STATE_H
#define LARDER_MASTER_INDEX_STATE_H

#include <pthread.h>

#include "common/durable.h"
#include "common/ldb.h"
#include "master/index.h"
#include "master/recall.h"
#include "master/roster.h"

/* Prefixes of LevelDB's keys that are no keys of clients', which begin with '/'. */
#define INDEX_WORK     "!w"         /* … KEY: what is still to be done for a key */
#define INDEX_VOLUME   "!v"         /* … NAME: the JSON of a volume */
#define INDEX_SEQUENCE "!msequence" /* number of the last batch */
#define INDEX_CLOSED   "!mclosed"   /* the same: it was closed after that, and all is on the disk */
#define INDEX_ID       "!mid"       /* identity of this index */
#define INDEX_BORN     "!mborn"     /* unix milliseconds */
#define INDEX_SYNCED   "!msynced"   /* of several masters: up to here all is on the disk */
#define INDEX_CLUSTER  "!mcluster"  /* … it has followed the log without a break */
#define INDEX_RESTORED "!mrestored" /* there: it was made of a backup, see index_restored() */
#define INDEX_EVENT    "!e"         /* … KEY: in changes only; told to watchers, and not stored */

struct index_snapshot;

/* Records that could not be understood, by the hashes of their keys; index_damage.c's. */
enum { INDEX_DAMAGE_TOLD = 64 };
struct index_damage {
    pthread_mutex_t lock;
    uint64_t told[INDEX_DAMAGE_TOLD];
    size_t count;
};

struct index {
    struct index_options options;
    char *path;
    struct ldb_options db_options;
    _Atomic uint64_t born_ms;
    _Atomic bool restored;
    _Atomic bool stop_warming;
    bool is_warming;                   /* `warmer` is to be joined */
    _Atomic bool is_reading;           /* it is not at its end yet */
    _Atomic uint64_t restored_made_ms; /* when its backup was made; 0: not known */

    /* index_warm.c's, given before its thread begins: */
    uint64_t (*stamp)(void *arg, const struct key *key, const struct record_view *view);
    void *stamp_arg;
    bool learns; /* all records fit */
    pthread_t warmer;

    pthread_rwlock_t db_lock; /* written only to open the database anew */
    struct ldb *db;
    struct recall *recall; /* what was read lately; NULL: nothing is kept. Its own locks */
    struct roster *roster; /* which keys may be there; NULL: LevelDB is asked. Needs no lock */

    pthread_mutex_t snapshots_lock; /* guards the list; taken inside of db_lock */
    struct index_snapshot *snapshots;

    struct index_damage damage; /* its own lock, which may be taken with any other held */

    pthread_mutex_t lock; /* guards the queue and what follows */
    pthread_cond_t queued;
    struct index_change *first, **last;
    size_t waiting;
    bool ending;
    bool stopped; /* the committer has ended */
    uint64_t sequence;
    uint64_t changes, writes;
    enum status health;
    char id[IDENTITY_SIZE + 1];
    uint64_t term;   /* of several masters: in which this one writes, or 0 */
    uint64_t logged; /* … the last sequence that it has put into the log */

    pthread_mutex_t write_lock; /* one writes to the database at a time; guards what follows */
    bool broken;                /* the last write failed */
    bool reopened;              /* after that; watchers were not told yet */
    bool restored_next;         /* `restored`, once what is in the batch is written */
    uint64_t room_until_ms;     /* until then the disk has room, loop_now_ms() */
    struct ldb_batch *batch;
    uint64_t synced; /* of several masters: up to here all is on the disk */

    uint64_t recorded; /* the last sequence when it was opened */
    struct buf ops;    /* the committer's: of a group */
    pthread_t committer;
};

/* Writes what is in the batch; `sequence` becomes that of the state (0: it stays). With
 * write_lock held. */
enum status index_write(struct index *index, bool sync, uint64_t sequence) MUST_CHECK;
/* Adds operations to the batch, and notes what they mean for others. */
void index_fill_batch(struct index *index, const char *ops, size_t len);
/* Opens the database at index->path, and reads what it says of itself. */
enum status index_open_db(struct index *index) MUST_CHECK;
/* Of several masters: reads from where on the log is to be applied. Where there is one master only
 * that is forgotten. */
enum status index_load_log(struct index *index) MUST_CHECK;
/* A group of changes through the log. */
enum status index_commit_to_log(struct index *index, const struct index_change *group,
                                uint64_t term, uint32_t count) MUST_CHECK;
/* While opening, with index->sequence as it is on the disk, not 0: moves it to where numbers go on,
 * durably. */
enum status index_number_begin(struct index *index) MUST_CHECK;
/* While opening, where the log of several masters gives the numbers: that the index was closed in
 * good order by one that was alone says nothing any more. What is applied from now on is not
 * synced, so a power loss may take it all back to just that number; used alone again, the index
 * would give the log's numbers once more. */
enum status index_number_leave(struct index *index) MUST_CHECK;
/* While closing, when all is written: the numbers go on just there. Where it fails, or the last
 * write did, they jump, which does no harm. */
void index_number_end(struct index *index);

/* Notes what an operation that goes into the batch means for others. True where it is only for
 * them, and not to be stored. */
bool index_tell_stage(struct index *index, const char *key, size_t key_len, const char *value,
                      size_t value_len);
/* The batch was written, and is visible; `sequence` is that of its last change. Or, with `st`, it
 * may have been written or not. The one place from which watchers are told. */
void index_tell_applied(struct index *index, enum status st, uint64_t sequence);
/* The record of a key, or its work, could not be understood. Any thread. */
void index_note_damage(struct index *index, const char *key, size_t len);
/* Ends index_warm(), where it was begun. */
void index_warm_stop(struct index *index);
/* While opening: the index is marked as restored, with this text. */
void index_tell_loaded(struct index *index, const struct buf *text);

#endif
