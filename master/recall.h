/*
 * The records of keys that were asked for lately, so that a GET of one of them reads nothing and
 * computes nothing: a bounded table in memory, ahead of LevelDB. (Keys that are not there are not
 * in it: roster.h tells of those.)
 *
 * It never says what has ceased to be true. Whoever changes the index
 *   1. tells it of all keys that are about to change (recall_changing): they are forgotten, and
 *      nothing is learnt of them any more;
 *   2. makes the change;
 *   3. says so (recall_changed), and only then tells anybody else.
 * So while the index may say the one or the other, all ask the index; and a reader that has seen
 * the new version, or was told of it, never meets the old one here. A reader that asked the index
 * before 1 and comes with its answer after 3 is refused: its ticket is of another time.
 */
#ifndef LARDER_MASTER_RECALL_H
#define LARDER_MASTER_RECALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/key.h"
#include "common/record.h"

struct recall;
struct recall_moment;

/* From recall_find() to recall_keep(): which key, and as of when. */
struct recall_ticket {
    uint64_t stamp; /* what the finder knows of the key besides, see recall_keep(); 0: nothing */
    uint64_t hash;  /* of the key */
    uint32_t times; /* how often keys like it had changed */
    bool open;      /* none of them is changing just now */
    bool known;     /* it was found */
};

/* Of `bytes` of memory, two megabytes at least; an eighth of them is for finding the rest. NULL: no
 * memory. */
struct recall *recall_new(size_t bytes) MUST_CHECK;
/* NULL is fine. */
void recall_free(struct recall *recall);

/* True where the key's record is known: `view` is filled, and its places stay valid as long as
 * `recall`. False: ask the index. The ticket is filled in any case. Any thread. */
bool recall_find(struct recall *recall, const struct key *key, struct record_view *view,
                 struct recall_ticket *ticket) MUST_CHECK;

/* Somebody is about to look for the key: what is needed first comes into the processor's cache.
 * Returns what recall_expect_more() takes. Any thread. */
uint64_t recall_expect(struct recall *recall, const char *key, size_t len) MUST_CHECK;
/* A while later, the rest. */
void recall_expect_more(struct recall *recall, uint64_t expected);

/* What the index has said, asked after recall_find() gave the ticket. With it the ticket's stamp,
 * which is the caller's: the next finder gets it too. Where the key was known already only the
 * stamp is kept. No-op where the key has changed, or may have, and where there is no memory. Any
 * thread. */
void recall_keep(struct recall *recall, const struct key *key, const struct record_view *view,
                 const struct recall_ticket *ticket);

/* The time of all keys, for whoever reads many. NULL: no memory; else to be freed with free(). Any
 * thread. */
struct recall_moment *recall_now(struct recall *recall) MUST_CHECK;
/* What the index has said of a key, asked after that moment: it is kept where nothing else
 * must go for it, and the key has not changed since. False: there is no room. Any thread. */
bool recall_learn(struct recall *recall, const struct key *key, const struct record_view *view,
                  uint64_t stamp, const struct recall_moment *moment) MUST_CHECK;

/* Steps 1 and 3 of a change of the index; one thread at a time, for any number of keys between two
 * calls of recall_changed(), which ends the change of all of them. */
void recall_changing(struct recall *recall, const char *key, size_t len);
void recall_changed(struct recall *recall);
/* The whole index is about to be another one, or may be: everything is forgotten, and no ticket
 * that was given before is good any more. Called before readers see the new one. Any thread. */
void recall_forget(struct recall *recall);

/* How often recall_find() was true, and false; the keys that are known. Any thread. */
void recall_counters(struct recall *recall, uint64_t *hits, uint64_t *misses, uint64_t *keys);

#endif
