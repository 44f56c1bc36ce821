/*
 * The janitor's queue, page by page: which keys have work, of what kind, whose turn it is. Pure but
 * for the index that is read; who reads it (the pool) and who works on it (the janitor's loop) take
 * turns, so nothing is locked.
 */
#ifndef LARDER_MASTER_WORK_PAGE_H
#define LARDER_MASTER_WORK_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/key.h"
#include "common/status.h"
#include "master/tend.h"

struct index;

/* Old copies of a key that is written all the time: those of a key with so many are not left lying
 * for as long as clients are busy. */
enum { WORK_PAGE_MANY_OLD = 64 };

/* What is looked for. */
struct work_turn {
    uint64_t wall_ms; /* the time by which garbage is due or not */
    unsigned passes;  /* --replicas, or one where nothing is to be repaired */
    unsigned pass;    /* 1 … passes: keys with so many copies left; the last takes the rest */
    bool repairs;     /* copies may be made now; else garbage is removed only */
};

/* A part of the queue. */
struct work_page {
    struct key *keys;        /* to work on now: `count` of them, `next` is the first not begun */
    enum tend_scope *scopes; /* [i]: of keys[i] */
    size_t count, next;
    size_t pressing;    /* so many of them, the first, have WORK_PAGE_MANY_OLD */
    uint64_t seen;      /* keys with work, those included whose time has not come */
    uint64_t to_repair; /* of them */
    uint64_t oldest_ms; /* since when the oldest of these needs it; 0: none */
    uint64_t due_ms;    /* when garbage that is not due yet will be: the first; 0: none */
    bool last;          /* the queue ends with it */
    uint64_t took_ms;
    enum status st;
    struct buf start; /* where the next page begins; empty: at the beginning */
};

/* On a zeroed struct. False: no memory; work_page_free() all the same. */
bool work_page_init(struct work_page *page) MUST_CHECK;
void work_page_free(struct work_page *page);

/* The next page is the first, and this one holds nothing. */
void work_page_rewind(struct work_page *page);

/* Reads the next page in the place of this one. Blocks; for the pool. */
void work_page_read(struct work_page *page, struct index *index, const struct work_turn *turn);

/* Of two times the earlier one; 0 is none. */
uint64_t work_page_earlier(uint64_t a, uint64_t b);

#endif
