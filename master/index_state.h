/* What index_commit.c (opening, committing) and index_read.c (reads, scans) share; nobody else's
 * business.
 */
#ifndef LARDER_MASTER_INDEX_STATE_H
#define LARDER_MASTER_INDEX_STATE_H

#include <pthread.h>

#include "common/durable.h"
#include "common/ldb.h"
#include "master/index.h"

/* Prefixes of LevelDB's keys that are no keys of clients', which begin with '/'. */
#define INDEX_WORK     "!w"         /* … KEY: what is still to be done for a key */
#define INDEX_VOLUME   "!v"         /* … NAME: the JSON of a volume */
#define INDEX_SEQUENCE "!msequence" /* number of the last batch */
#define INDEX_ID       "!mid"       /* identity of this index */
#define INDEX_BORN     "!mborn"     /* unix milliseconds */

struct index {
    struct index_options options;
    char *path;
    struct ldb_options db_options;
    char id[IDENTITY_SIZE + 1];
    uint64_t born_ms;

    pthread_rwlock_t db_lock; /* written only to open the database anew */
    struct ldb *db;

    pthread_mutex_t lock; /* guards the queue and what follows */
    pthread_cond_t queued;
    struct index_change *first, **last;
    size_t waiting;
    bool ending;
    bool stopped; /* the committer has ended */
    uint64_t sequence;
    uint64_t changes, writes;
    enum status health;

    /* the committer's own: */
    bool broken;            /* the last write failed */
    uint64_t room_until_ms; /* the committer's: until then the disk has room, loop_now_ms() */
    struct ldb_batch *batch;
    pthread_t committer;
};

#endif
