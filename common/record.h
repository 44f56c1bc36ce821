/*
 * What the index knows of a key. It stands in two places (see common/PROTOCOL.md, 'Index'):
 *
 *   KEY        the version that readers see. Text that minikeyvalue wrote and still reads,
 *              [DELETED][HASH<32 hex>]place,place,…; or, for what that cannot say, version 1:
 *              L1 STATE GENERATION NAMING MD5 place,place,…
 *   "!w" KEY   what is still to do for the key: copies to remove, a tombstone, too few copies.
 *              It is there only while there is something to do, so its range is the janitor's
 *              list of work.
 *
 * `struct record` is both together. Its strings belong to it, malloc'ed. Nothing here locks: a
 * record is one flow's, or one thread's.
 */
#ifndef LARDER_COMMON_RECORD_H
#define LARDER_COMMON_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/key.h"
#include "common/md5.h"
#include "common/name.h"
#include "common/placement.h"
#include "common/status.h"

enum { RECORD_COPIES_MAX = 64 }; /* places of one version; more in the index is damage */

/* absent -> PENDING -> LIVE -> UNLINKED -> DELETED -> absent; record.c has the table of moves.
 * UNLINKED: hidden, its value kept. PENDING: no version that a reader may see, but files may be
 * there. */
enum key_state { KEY_ABSENT, KEY_PENDING, KEY_LIVE, KEY_UNLINKED, KEY_DELETED };

/* Where one copy of one version stands, or may stand: enough to name its file. */
struct copy {
    uint64_t generation;
    enum naming naming;
    char *place;  /* "host:port[/path][/svXX]" */
    uint64_t due; /* of garbage: it stays until then for readers who were sent there (unix
                     milliseconds); 0: nobody was */
};

struct copies {
    struct copy *list;
    size_t count;
};

struct record {
    enum key_state state;
    uint64_t generation;   /* of the version that readers see */
    enum naming naming;    /* of its files */
    char md5[MD5_HEX + 1]; /* of its value; "" where it is not known (--no-md5sum, old data) */
    char **places;         /* where its copies stand, best first */
    size_t place_count;
    struct copies garbage; /* copies to remove: old versions, a PUT that is under way or failed */
    uint64_t tombstone;    /* versions up to this one are deleted; valid where has_tombstone */
    bool has_tombstone;
    char **holders; /* volumes ("host:port[/path][/svXX]") that keep a tombstone file for it */
    size_t holder_count;
    char **maybes; /* volumes that may keep one, of an older generation or none at all: they are
                      asked to drop it before the key is forgotten */
    size_t maybe_count;
    bool few_copies;   /* fewer copies than --replicas: to be repaired */
    unsigned few_left; /* copies that are left, as decoded from the work; record_encode_work()
                          writes the number of `places` instead */
    bool suspect;      /* a copy may be missing or damaged: its copies are to be looked at */
    uint64_t since;    /* when it became few or suspect (unix milliseconds), 0: not known */
    uint64_t term;     /* of several masters, the writer's term in which it was read from the index
                          (master/DESIGN.md); not part of its text */
};

/* An empty record, KEY_ABSENT. Owns nothing yet. */
void record_init(struct record *rec);
/* Frees what it owns, and makes it empty again; the struct is the caller's. */
void record_free(struct record *rec);

/* Reads the two values (NULL where there is none) into `rec`, which record_init() has made. The
 * state follows from what is there. ST_CORRUPT for text that no version of larder or minikeyvalue
 * wrote, ST_NO_MEMORY; the record is empty then. */
enum status record_decode(struct record *rec, const char *value, size_t value_len, const char *work,
                          size_t work_len) MUST_CHECK;

/* The version that readers see, where nothing is to be kept or changed: no allocation. */
struct record_view {
    enum key_state state;
    uint64_t generation;
    enum naming naming;
    bool has_dirs;         /* somebody has computed */
    unsigned char dirs[2]; /* … name_dirs() of the key */
    char md5[MD5_HEX + 1];
    const char *places[RECORD_COPIES_MAX]; /* into the text that was read */
    size_t place_count;
};

/* Reads the value under KEY as record_decode() does, with the same errors, and writes NULs into it:
 * the text is the caller's, and the view is good as long as it stays. `value` has room for a NUL
 * behind its `len` bytes. */
enum status record_look(struct record_view *view, char *value, size_t len) MUST_CHECK;

/* Appends the value under KEY to `out` (ask buf_ok()); nothing is written, and false returned,
 * where there is none to write (PENDING, DELETED, absent). `key` decides whether minikeyvalue's
 * form can say it. */
bool record_encode(const struct record *rec, const struct key *key, struct buf *out) MUST_CHECK;

/* Appends the value under "!w" KEY; false where there is nothing to do for the key, so that it is
 * to be removed from there. */
bool record_encode_work(const struct record *rec, struct buf *out) MUST_CHECK;

/* True where a key may go from one state to the other. */
bool record_may_move(enum key_state from, enum key_state to);

/* Moves it; asserts that the table allows it. */
void record_move(struct record *rec, enum key_state to);

/* The generation for a next version: 0 for a key without any record, else more than any generation
 * that the record knows, and at least `now_ms`, so that it is not one that a lost index once gave.
 */
uint64_t record_next_generation(const struct record *rec, uint64_t now_ms);

/* Replaces the list of places; copies the strings. */
enum status record_set_places(struct record *rec, const char *const *places,
                              size_t count) MUST_CHECK;

/* At the end of the list, whether it is in it or not. The string is copied. ST_NO_MEMORY: the list
 * is as before. */
enum status record_add_place(struct record *rec, const char *place) MUST_CHECK;
/* A copy that may go at once. One that is on the list already stays there as it is. */
enum status record_add_garbage(struct record *rec, uint64_t generation, enum naming naming,
                               const char *place) MUST_CHECK;
/* A copy that readers may have been sent to, to be removed from `due` on; one that is on the list
 * already stays there until the later of both times. */
enum status record_add_late_garbage(struct record *rec, uint64_t generation, enum naming naming,
                                    const char *place, uint64_t due) MUST_CHECK;
/* All garbage may go at once: the key is deleted, and no reader is owed anything. */
void record_hurry_garbage(struct record *rec);
/* True where something could be removed at `now` (unix milliseconds), as far as the record tells:
 * garbage that is due, or a tombstone and its files where there is no garbage. A record of the work
 * alone will do. */
bool record_has_due(const struct record *rec, uint64_t now) MUST_CHECK;
/* A volume that keeps the tombstone as it is now; it is no maybe any more. */
enum status record_add_holder(struct record *rec, const char *place) MUST_CHECK;

/* Takes one copy off the garbage list; no-op where it is not in it. */
void record_drop_garbage(struct record *rec, uint64_t generation, const char *place);
/* Off both lists, holders and maybes. */
void record_drop_holder(struct record *rec, const char *place);
/* Notes a volume that is about to be asked to keep a tombstone; no-op for one of either list. */
enum status record_add_maybe(struct record *rec, const char *place) MUST_CHECK;
/* The tombstone has grown: what the holders keep does not cover it any more. All of them become
 * maybes. */
enum status record_doubt_holders(struct record *rec) MUST_CHECK;
/* No-op where it is not in the list. */
void record_drop_place(struct record *rec, const char *place);

/* True where one of the places is `place`. */
bool record_has_place(const struct record *rec, const char *place);

/* "absent", "pending", …: as in JSON (PROTOCOL.md). */
const char *key_state_text(enum key_state state);

#endif
