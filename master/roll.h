/*
 * The roll of volumes: the only way in which what is lasting of a volume changes. One change at a
 * time, in the order in which they were handed in: each is decided upon what the one before has
 * left, made durable in the index, then done to the table. So the last one wins, in both.
 *
 * What waits here are requests of operators and volumes, which the limit of connections bounds, and
 * at most one identity a volume.
 */
#ifndef LARDER_MASTER_ROLL_H
#define LARDER_MASTER_ROLL_H

#include "common/attr.h"
#include "common/loop.h"
#include "master/index.h"
#include "master/volumes.h"

struct roll;

/* NULL: no memory. Both must outlive it. */
struct roll *roll_new(struct index *index, struct volumes *volumes) MUST_CHECK;
/* Nothing is handed in any more. What still waits is never answered. */
void roll_free(struct roll *roll);

/* One change of one volume. The struct is the caller's, begins zeroed, and stays untouched by it
 * until `done` runs. */
struct roll_change {
    char name[VOLUME_NAME_MAX + 1];
    /* Its turn: makes `facts` (as they are now; `known`: it is in the table) what they shall be;
     * else why not. It may run on any thread, and must not block. */
    enum status (*decide)(void *arg, bool known, struct volume_facts *facts);
    /* On `loop`, once: ST_OK: index and table have it; else what decide() or the index said. */
    void (*done)(void *arg, enum status st);
    void *arg;
    struct loop *loop;
    /* the roll's own: */
    struct roll *roll;
    struct volume_facts facts;
    struct index_change change;
    struct loop_message message;
    enum status st;
    struct roll_change *next;
};

/* Never calls `done` before it returns. */
void roll_submit(struct roll *roll, struct roll_change *change);
/* Frees what it has allocated; not while it is under way, except when all loops have ended. */
void roll_change_free(struct roll_change *change);

#endif
