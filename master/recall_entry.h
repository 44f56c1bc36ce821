/*
 * What recall.c keeps of a key: its record in few bytes. Nobody else's business. The places are
 * numbers (intern.h).
 */
#ifndef LARDER_MASTER_RECALL_ENTRY_H
#define LARDER_MASTER_RECALL_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/record.h"

struct intern;

/* In `bits`, beside the state; the rest is recall_entry.c's. */
enum {
    RECALL_USED = 64, /* asked for since its segment was tidied up */
    RECALL_GONE = 128 /* forgotten; its bytes are still there */
};

/* Begins at a multiple of RECALL_ALIGN, as its size is one. */
struct recall_entry {
    uint64_t stamp; /* recall_keep()'s */
    uint32_t next;  /* in its bucket's list; recall.c's */
    uint32_t hash;  /* of the key: the upper half */
    uint16_t size;  /* of all of it, bytes */
    uint16_t key_len;
    uint8_t place_count;
    uint8_t bits;
    uint8_t dirs[2]; /* name_dirs() of the key; what is behind them: see recall_entry.c */
};

enum { RECALL_ALIGN = 8, RECALL_ENTRY_MAX = 2048 };

/* An entry that has no place among the others yet. */
union recall_draft {
    struct recall_entry entry;
    char bytes[RECALL_ENTRY_MAX];
};

/* Everything but `next`, `hash` and `stamp`, which are 0. False: a place has no number, and gets
 * none; or the key's digest cannot be had. */
bool recall_entry_write(union recall_draft *draft, const struct key *key,
                        const struct record_view *view, struct intern *places) MUST_CHECK;

void recall_entry_read(const struct recall_entry *entry, const struct intern *places,
                       struct record_view *view);

/* Its key_len bytes. */
const char *recall_entry_key(const struct recall_entry *entry);

#endif
