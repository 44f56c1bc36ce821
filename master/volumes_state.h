/* What volumes_table.c (the table), volumes_look.c (its copies, for readers), volumes_facts.c (what
 * is lasting of it) and volumes_page.c (its pages) share; nobody else's business. */
#ifndef LARDER_MASTER_VOLUMES_STATE_H
#define LARDER_MASTER_VOLUMES_STATE_H

#include <pthread.h>

#include "master/volumes.h"

struct volume {
    char name[VOLUME_NAME_MAX + 1];
    size_t name_len;
    struct volume_facts facts; /* its address is never "" here */
    enum volume_state state;
    enum volume_kind kind;
    bool lost;              /* down for longer than --down-after */
    uint64_t down_since_ms; /* of loop_now_ms(); 0 while it answers */
    uint64_t up_since_ms;   /* of loop_now_ms(); 0 while it is not up */
    uint64_t asked_ms;      /* of loop_now_ms(); when the check went out that runs; 0: none runs */
    unsigned silences;      /* health checks in a row without an answer */
    uint64_t errors;        /* failures of requests and checks, since the start */
    uint64_t free, total;   /* bytes, as it says */
    struct subvolume_report *subvolumes;
    size_t subvolume_count;
    bool checked; /* at least once since the start */
};

struct volumes {
    pthread_rwlock_t lock; /* over all below, and all volumes */
    unsigned subvolumes;   /* --subvolumes */
    uint64_t down_after_ms;
    uint64_t epoch;       /* rises where copies cease to count */
    struct volume **list; /* never shorter; a volume stays where it is in memory */
    size_t count;
};

/* NULL: there is none of that name. With the lock held. */
struct volume *volumes_by_name(const struct volumes *volumes, const char *name);
/* The volume that a place is on, and in *rest its subvolume ("" or "svXX"). Of two volumes where
 * one is a path below the other the longer name wins. NULL: none. With the lock held. */
struct volume *volumes_by_place(const struct volumes *volumes, const char *place,
                                const char **rest);
/* With the lock held for writing; logs where it is another one. */
void volumes_set_state(struct volume *volume, enum volume_state state, const char *why);

/* The worse of the volume's state and the subvolume's. A subvolume that it does not report does not
 * exist yet: it is made by the first PUT. With the lock held. */
enum volume_state volumes_state_of(const struct volume *volume, const char *subvolume);

/* Whether copies there count; see volumes_keeps(). `subvolume` NULL: on any of its disks. With the
 * lock held. */
bool volumes_keeps_copies(const struct volume *volume, const char *subvolume);

/* Appends a place as it is reached; `volume` is that of it, or NULL. With the lock held. */
void volumes_write_address(const struct volume *volume, const char *place, struct buf *out);

#endif
