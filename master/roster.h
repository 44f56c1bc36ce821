/*
 * Which keys may be in the index: a filter in memory, ahead of LevelDB. It never says of a key that
 * is there that it is not; of one that is not there it says so nearly always. Every key of the
 * index is added to it before it can be found there; none is ever taken out.
 *
 * It says nothing before all keys that were there at the start have been added (index_warm.c), and
 * nothing any more once the index has been replaced by another.
 */
#ifndef LARDER_MASTER_ROSTER_H
#define LARDER_MASTER_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

struct roster;

/* Of `bytes` of memory; with ten bits a key it is wrong of one missing key in a hundred. NULL: no
 * memory. */
struct roster *roster_new(size_t bytes) MUST_CHECK;
/* NULL is fine. */
void roster_free(struct roster *roster);

/* The key is about to be put into the index, or is there already. Any thread. */
void roster_add(struct roster *roster, const char *key, size_t len);
/* All keys were added that the index had when the first of roster_add() was called. Any thread. */
void roster_complete(struct roster *roster);
/* The index is about to be another one: from now on it says nothing. Any thread. */
void roster_void(struct roster *roster);

/* True where the key is not in the index for sure. Any thread. */
bool roster_lacks(const struct roster *roster, const char *key, size_t len) MUST_CHECK;

#endif
