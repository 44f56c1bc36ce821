/*
 * A Bloom filter in blocks of 64 bytes, one to a line of the processor's cache (Putze, Sanders,
 * Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007): a key has one block, and one bit
 * in each of its eight words. So a look costs one miss of the cache, where LevelDB's search for a
 * table, for a block in its index and for that block's own filter costs a dozen.
 *
 * Bits are only ever set, each for itself, so there is no lock. Who adds a key sets its bits before
 * he writes it, and tells others of it afterwards, under locks: so whoever can know of the key sees
 * them.
 */
#include "master/roster.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/hash.h"
#include "common/pages.h"

enum { WORDS = 8 }; /* of a block */

enum state { ROSTER_FILLING, ROSTER_WHOLE, ROSTER_VOID };

struct block {
    _Atomic uint64_t words[WORDS];
};

struct roster {
    struct block *blocks;
    uint64_t count;
    uint64_t seed; /* so that nobody can choose keys that are taken for others */
    _Atomic enum state state;
};

struct roster *roster_new(size_t bytes)
{
    struct roster *roster = calloc(1, sizeof *roster);
    if (!roster)
        return NULL;
    roster->count = bytes / sizeof(struct block) + 1;
    roster->seed = hash_seed();
    roster->blocks = pages_map(roster->count * sizeof(struct block));
    if (roster->blocks)
        return roster;
    free(roster);
    return NULL;
}

void roster_free(struct roster *roster)
{
    if (!roster)
        return;
    pages_unmap(roster->blocks, roster->count * sizeof(struct block));
    free(roster);
}

static struct block *block_of(const struct roster *roster, uint64_t hash)
{
    return &roster->blocks[(hash >> 32) * roster->count >> 32];
}

/* Eight numbers of six bits each choose the bits: from the lower half of the hash, which has not
 * chosen the block, spread over a whole word. */
static uint64_t choice_of(uint64_t hash)
{
    return (hash & UINT32_MAX) * 0x9e3779b97f4a7c15 >> 16;
}

static uint64_t bit_of(uint64_t choice, unsigned word)
{
    return UINT64_C(1) << (choice >> 6 * word & 63);
}

void roster_add(struct roster *roster, const char *key, size_t len)
{
    uint64_t hash = hash_bytes(roster->seed, key, len);
    struct block *block = block_of(roster, hash);
    uint64_t choice = choice_of(hash);
    for (unsigned i = 0; i < WORDS; i++)
        (void)atomic_fetch_or_explicit(&block->words[i], bit_of(choice, i), memory_order_release);
}

void roster_complete(struct roster *roster)
{
    enum state filling = ROSTER_FILLING;
    (void)atomic_compare_exchange_strong(&roster->state, &filling, ROSTER_WHOLE);
}

void roster_void(struct roster *roster)
{
    atomic_store(&roster->state, ROSTER_VOID);
}

bool roster_lacks(const struct roster *roster, const char *key, size_t len)
{
    if (atomic_load_explicit(&roster->state, memory_order_acquire) != ROSTER_WHOLE)
        return false;
    uint64_t hash = hash_bytes(roster->seed, key, len);
    const struct block *block = block_of(roster, hash);
    uint64_t choice = choice_of(hash);
    uint64_t missing = 0;
    for (unsigned i = 0; i < WORDS; i++)
        missing |=
            bit_of(choice, i) & ~atomic_load_explicit(&block->words[i], memory_order_acquire);
    return missing != 0;
}
