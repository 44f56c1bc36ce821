/*
 * The volumes of the store, and what is known of their health. Shared by all loops. Volumes are
 * added while the master runs, and never removed from this table, so positions stay valid.
 */
#ifndef LARDER_MASTER_VOLUMES_H
#define LARDER_MASTER_VOLUMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/durable.h"
#include "common/key.h"
#include "common/placement.h"
#include "common/status.h"

struct volumes;
struct buf;

/* Of a volume, and of each of its subvolumes. */
enum volume_state {
    VOLUME_UNKNOWN, /* not checked yet: used as if it were up */
    VOLUME_UP,
    VOLUME_SLOW,      /* missed its last health check: used where there is no other */
    VOLUME_DRAINING,  /* serves and deletes; its copies are moved elsewhere */
    VOLUME_FULL,      /* serves and deletes, takes no new values */
    VOLUME_READ_ONLY, /* serves, nothing else */
    VOLUME_DOWN,
    VOLUME_FOREIGN /* answers, but is not the volume that it was, or another under a second name */
};

enum volume_kind {
    VOLUME_PLAIN, /* any WebDAV server, such as minikeyvalue's nginx */
    VOLUME_LARDER
};

/* A place in the order of placement, with the state of its volume and subvolume. */
struct ranked {
    char place[VOLUME_NAME_MAX + 16];
    enum volume_state state;
    enum volume_kind kind;
    bool keeps; /* see volumes_keeps() */
};

struct subvolume_report {
    char name[16]; /* "sv00", or "" for the volume's own directory */
    enum volume_state state;
    uint64_t free, total, errors;
};

/* What a health check found. */
struct volume_report {
    bool answered;
    enum volume_kind kind;
    char id[IDENTITY_SIZE + 1]; /* "" where it has none */
    uint64_t free, total;
    struct subvolume_report *subvolumes; /* the table takes them over */
    size_t subvolume_count;
};

/* A volume that has been down for `down_after_ms` counts as lost. */
struct volumes *volumes_new(unsigned subvolumes, uint64_t down_after_ms) MUST_CHECK;
void volumes_free(struct volumes *volumes);

/* Adds one by its normalized name; `id` is the identity that it had when it was last seen, or NULL.
 * *was_there: known already, nothing changed. */
enum status volumes_add(struct volumes *volumes, const char *name, const char *id,
                        bool *was_there) MUST_CHECK;
size_t volumes_count(struct volumes *volumes);
/* The same without those that were removed. */
size_t volumes_members(struct volumes *volumes);
/* Valid as long as the table. */
const char *volumes_name(struct volumes *volumes, size_t i);

/* All places of a key in the order of placement, without volumes that were removed. The list is the
 * caller's (free()). */
enum status volumes_rank(struct volumes *volumes, const struct key *key, struct ranked **list,
                         size_t *count) MUST_CHECK;

/* Of a place as it stands in a record; VOLUME_UNKNOWN for one of no volume in the table. */
enum volume_state volumes_state(struct volumes *volumes, const char *place);
enum volume_kind volumes_kind(struct volumes *volumes, const char *place);

bool volume_readable(enum volume_state state);
bool volume_writable(enum volume_state state);
bool volume_erasable(enum volume_state state);
const char *volume_state_text(enum volume_state state);

/* True where a copy there counts as one: its volume is not lost, drained, removed or foreign. (A
 * volume that is down for a while still counts.) */
bool volumes_keeps(struct volumes *volumes, const char *place);
/* True where its volume was taken out of the store: nothing there is of interest any more. */
bool volumes_is_removed(struct volumes *volumes, const char *place);
/* How many volumes can keep copies at all. */
size_t volumes_keeping(struct volumes *volumes);
/* Rises whenever copies somewhere cease to count: time to look through the index for those keys.
 * Notices also which volumes have become lost. */
enum { VOLUMES_FIRST_EPOCH = 1 };
uint64_t volumes_epoch(struct volumes *volumes);
/* Begins (or ends) draining a volume; removes it from the store. False: there is no such volume. */
bool volumes_drain(struct volumes *volumes, const char *name, bool drain);
bool volumes_remove(struct volumes *volumes, const char *name);

/* A request found nobody there, or had no answer in time: its volume counts as down until a health
 * check says otherwise. */
void volumes_failed(struct volumes *volumes, const char *place);

/* True where two health checks in a row had no answer: what is under way there may be given up. */
bool volumes_lost(struct volumes *volumes, const char *place);

/* True where its volume has been up without a break for a few seconds: uploads that were under way
 * when it went away have ended by now, so what is deleted there stays deleted. */
bool volumes_settled(struct volumes *volumes, const char *place);

/* A health check of volume i goes out; volumes_checked() ends it. */
void volumes_asked(struct volumes *volumes, size_t i);

/* True where a health check of its volume has waited for an answer longer than they take: too early
 * to call it slow, but readers are better sent elsewhere, if there is an elsewhere. */
bool volumes_hesitates(struct volumes *volumes, const char *place);

/* Takes what a health check of volume i found. A second silence in a row makes it down. Returns
 * true where its identity was seen for the first time (to be kept in the index). */
bool volumes_checked(struct volumes *volumes, size_t i, struct volume_report *report);
/* From now on the volume is the one that answers there, whatever it was before. */
void volumes_accept(struct volumes *volumes, const char *name);

/* The identity that volume `name` was seen with, or "". */
void volumes_id(struct volumes *volumes, const char *name, char id[IDENTITY_SIZE + 1]);
/* Appends the JSON that the index keeps of a volume (common/PROTOCOL.md, 'Index'). */
void volumes_describe(struct buf *out, const char *id, bool draining, bool removed);
bool volumes_is_draining(struct volumes *volumes, const char *name);

/* How many could take a new value now; how many were checked at least once. */
void volumes_tally(struct volumes *volumes, size_t *writable, size_t *checked, size_t *full);
/* Appends the JSON of GET /admin/volumes, and the lines of /admin/metrics. */
void volumes_json(struct volumes *volumes, struct buf *out);
void volumes_metrics(struct volumes *volumes, struct buf *out);

#endif
