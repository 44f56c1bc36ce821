/*
 * The volumes of the store, and what is known of their health. Shared by all loops. Volumes are
 * added while the master runs, and never removed from this table, so positions stay valid.
 *
 * A volume has a name for ever: the address at which it was added first. Records and placement know
 * it by that name. The address at which it is reached may become another.
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
    /* The table's own, as of a volume: a disk can be lost while its volume goes on. */
    uint64_t down_since_ms; /* of loop_now_ms(); 0 while it is there */
    bool lost;              /* for longer than --down-after */
};

/* What a health check found. */
struct volume_report {
    const char *address; /* that was asked; the caller's */
    bool answered;
    enum volume_kind kind;
    char id[IDENTITY_SIZE + 1];     /* "" where it has none */
    char name[VOLUME_NAME_MAX + 1]; /* under which it believes to be in the store; "": none */
    uint64_t free, total;
    struct subvolume_report *subvolumes; /* the table takes them over */
    size_t subvolume_count;
};

/* A volume that has been down for `down_after_ms` counts as lost. */
struct volumes *volumes_new(unsigned subvolumes, uint64_t down_after_ms) MUST_CHECK;
void volumes_free(struct volumes *volumes);

/* --- What is lasting of a volume: what the index keeps of it. --- */

struct volume_facts {
    char id[IDENTITY_SIZE + 1];        /* it was seen with; "": none yet */
    char address[VOLUME_NAME_MAX + 1]; /* where it is reached; "": its name */
    uint64_t added_ms;                 /* unix time */
    bool draining, removed;
    /* For volumes_set(): whatever has answered there so far, the next identity that does is its
     * own. Without it one that was seen meanwhile stays. */
    bool forgets_id;
    unsigned turns; /* how often its draining was begun or ended since the start; the table's own */
};

/* Its facts, with an address. False: it is not in the table; the facts are those of a fresh one. */
bool volumes_facts(struct volumes *volumes, const char *name, struct volume_facts *facts);
/* From now on these are its facts; makes it where it is not in the table. One that has moved counts
 * as up until it has been asked. ST_NO_MEMORY: nothing has changed. */
enum status volumes_set(struct volumes *volumes, const char *name,
                        const struct volume_facts *facts) MUST_CHECK;
/* Appends the JSON that the index keeps of a volume (common/PROTOCOL.md, 'Index'); reads it. What
 * is no such JSON, or has no sound address in it, is read as facts of a fresh one. */
void volumes_describe(struct buf *out, const char *name, const struct volume_facts *facts);
void volumes_read(struct volume_facts *facts, const char *text);

/* The name of the volume that an operator calls so: by name, else by address. False: there is none,
 * or it was removed. */
bool volumes_find(struct volumes *volumes, const char *text, char name[VOLUME_NAME_MAX + 1]);
/* The name of the volume that is reached at `address` (where two should be, of the one that is not
 * foreign), or that has the identity `id`. False as above. */
bool volumes_at(struct volumes *volumes, const char *address, char name[VOLUME_NAME_MAX + 1]);
bool volumes_with_id(struct volumes *volumes, const char *id, char name[VOLUME_NAME_MAX + 1]);

/* Appends a place as it is reached: with its volume's address instead of the name. Unchanged where
 * it is on no volume of the table. */
void volumes_add_address(struct volumes *volumes, const char *place, struct buf *out);
/* The same for a request that is to reach this very volume, whoever may have come to its address
 * since the last health check: the request should bear `field`, "Larder-Identity: ID", and another
 * volume refuses it then. Returns `field`; NULL, so that it can end a list of fields, where its
 * identity is not known. Both are of one moment. */
enum { VOLUMES_FIELD = 64 };
const char *volumes_reach(struct volumes *volumes, const char *place, struct buf *out,
                          char field[VOLUMES_FIELD]);

size_t volumes_count(struct volumes *volumes);
/* The same without those that were removed. */
size_t volumes_members(struct volumes *volumes);
/* Valid as long as the table. */
const char *volumes_name(struct volumes *volumes, size_t i);

/* All places of a key in the order of placement, without volumes that were removed. The list is the
 * caller's (free()). */
enum status volumes_rank(struct volumes *volumes, const struct key *key, struct ranked **list,
                         size_t *count) MUST_CHECK;

/* The places where the copies of a key should be: the first `most` in that order on volumes that
 * keep copies (volumes_keeps()). The list is the caller's. */
enum status volumes_wanted(struct volumes *volumes, const struct key *key, size_t most,
                           struct ranked **list, size_t *count) MUST_CHECK;

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

/* What a reader is told of one copy. */
struct volume_copy {
    size_t at, len; /* of its place as it is reached, in the text of volumes_look() */
    enum volume_state state;
    bool hesitates; /* a health check of its volume has waited for an answer longer than they take:
                       too early to call it slow, but readers are better sent elsewhere, if there is
                       an elsewhere */
};

/* The copies of a record, as of one moment; nothing is allocated but in `text`, to which the places
 * are appended as they are reached, with commas between them. `copies` has room for `count`. True
 * where the places are those of volumes_wanted() for `most`, in that order. To find that out takes
 * an MD5 a volume, so it is noted in *stamp, which is 0 at first: the next call for the same key,
 * places and `most` needs none as long as the same volumes keep copies. */
bool volumes_look(struct volumes *volumes, const struct key *key, size_t most,
                  const char *const *places, size_t count, struct buf *text,
                  struct volume_copy *copies, uint64_t *stamp);

/* The stamp alone; 0 where there is none to give. */
uint64_t volumes_stamp(struct volumes *volumes, const struct key *key, size_t most,
                       const char *const *places, size_t count);

/* Takes what a health check of volume i found; nothing where it is reached at another address by
 * now. A second silence in a row makes it down. Returns
 * true where its identity was seen for the first time (to be kept in the index). */
bool volumes_checked(struct volumes *volumes, size_t i, struct volume_report *report);

/* How many could take a new value now; how many were checked at least once. */
void volumes_tally(struct volumes *volumes, size_t *writable, size_t *checked, size_t *full);
/* Appends the JSON of GET /admin/volumes, and the lines of /admin/metrics. */
void volumes_json(struct volumes *volumes, struct buf *out);
void volumes_metrics(struct volumes *volumes, struct buf *out);

#endif
