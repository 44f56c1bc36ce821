/*
 * Shards, each with a lock of its own, held for a search or a copy of some sixty bytes. A shard is
 * a hash table whose entries stand one behind the other in segments. Segments are filled in turn;
 * when the turn comes to one that is full, those of its entries that were asked for since the last
 * time move together at its beginning, and the others go (a 'clock' with entries of any length:
 * nothing is allocated, nothing is left over between them, and finding an entry writes one bit).
 *
 * Places are kept as numbers (intern.h): so an entry takes 64 bytes for a key of 17 bytes with
 * three copies, where its block in LevelDB's cache has 112 and the allocator's share.
 *
 * Stripes, groups of keys by their hash, have the time: how often one of them has changed, and
 * whether one is changing. They are finer than shards, so that writes keep few readers from leaving
 * what they have read, and coarser than keys, of which there is no end.
 */
#include "master/recall.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/pages.h"
#include "master/intern.h"
#include "master/recall_entry.h"

enum {
    SHARDS = 32,            /* powers of two, both */
    STRIPES = 32,           /* of a shard */
    SEGMENT = 16 * 1024,    /* bytes; to tidy one up takes 20 microseconds or so, under the lock */
    KEPT = SEGMENT / 4 * 3, /* what is left of a segment, at most; the rest is for new entries */
    BYTES_MIN = 2 * 1024 * 1024
};

/* Entries are named by 32 bits. */
static const size_t BYTES_MAX = (size_t)UINT32_MAX * RECALL_ALIGN;

struct stripe {
    uint32_t times;
    bool changing;
};

/* A piece of the memory, in turn. */
struct segment {
    uint32_t start;  /* offset in the memory / SEGMENT */
    uint32_t filled; /* bytes */
};

/* Entries are named by (offset in the memory) / RECALL_ALIGN + 1; 0: none. */
struct shard {
    pthread_mutex_t lock;     /* over all below */
    uint32_t *buckets;        /* the first entry of each list; part of recall->buckets */
    struct segment *segments; /* those that it has taken so far, in their turn */
    size_t segment_count;
    size_t current; /* the segment that is being filled */
    uint64_t hits, misses, keys;
    struct stripe stripes[STRIPES];
};

struct recall {
    size_t segments_each; /* of a shard, at most */
    size_t bucket_count;  /* a power of two */
    uint64_t seed;        /* so that nobody can choose keys that share a bucket */
    struct intern *places;
    char *memory;              /* all segments; both of these in large pages, since entries and
                                  their buckets are found all over them */
    uint32_t *buckets;         /* of all shards, one after the other */
    _Atomic uint32_t taken;    /* segments, from its beginning: so small indexes take little */
    uint32_t changing[SHARDS]; /* stripes, as bits; the changer's own */
    struct shard shards[SHARDS];
};

/* --- hashes --- */

static uint64_t hash_of(const struct recall *recall, const char *key, size_t len)
{
    return hash_bytes(recall->seed, key, len);
}

static uint32_t upper(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

/* Of the lower half five bits choose the shard and five the stripe; the upper half the bucket. */
static struct shard *shard_of(struct recall *recall, uint64_t hash)
{
    return &recall->shards[hash % SHARDS];
}

static struct stripe *stripe_of(struct shard *shard, uint64_t hash)
{
    return &shard->stripes[hash / SHARDS % STRIPES];
}

/* --- entries; with the shard's lock held --- */

static struct recall_entry *entry_at(const struct recall *recall, uint32_t name)
{
    return (struct recall_entry *)(void *)(recall->memory + (size_t)(name - 1) * RECALL_ALIGN);
}

static uint32_t name_of(const struct recall *recall, const struct recall_entry *entry)
{
    return (uint32_t)(((const char *)entry - recall->memory) / RECALL_ALIGN) + 1;
}

static uint32_t *bucket_of(const struct recall *recall, struct shard *shard, uint32_t hash)
{
    return &shard->buckets[hash & (recall->bucket_count - 1)];
}

/* What points to the entry of a key, or to the end of its bucket's list. */
static uint32_t *find(struct recall *recall, struct shard *shard, uint64_t hash, const char *key,
                      size_t len)
{
    uint32_t *at = bucket_of(recall, shard, upper(hash));
    while (*at) {
        struct recall_entry *entry = entry_at(recall, *at);
        if (entry->hash == upper(hash) && entry->key_len == len &&
            memcmp(recall_entry_key(entry), key, len) == 0)
            break;
        at = &entry->next;
    }
    return at;
}

/* Its bytes stay until its segment is tidied up. */
static void drop(const struct recall *recall, struct shard *shard, uint32_t *link)
{
    struct recall_entry *entry = entry_at(recall, *link);
    *link = entry->next;
    entry->bits |= RECALL_GONE;
    shard->keys--;
}

/* What points to an entry that is known to be there. */
static uint32_t *link_to(struct recall *recall, struct shard *shard,
                         const struct recall_entry *entry)
{
    uint32_t name = name_of(recall, entry);
    uint32_t *at = bucket_of(recall, shard, entry->hash);
    while (*at != name)
        at = &entry_at(recall, *at)->next;
    return at;
}

static char *start_of(const struct recall *recall, const struct segment *segment)
{
    return recall->memory + (size_t)segment->start * SEGMENT;
}

/* Makes room in a segment whose turn has come. */
static void tidy_up(struct recall *recall, struct shard *shard, struct segment *segment)
{
    char *start = start_of(recall, segment);
    size_t kept = 0;
    uint16_t size;
    for (size_t at = 0; at < segment->filled; at += size) {
        struct recall_entry *entry = (struct recall_entry *)(void *)(start + at);
        size = entry->size; /* it may be written over */
        if (entry->bits & RECALL_GONE)
            continue;
        uint32_t *link = link_to(recall, shard, entry);
        if (!(entry->bits & RECALL_USED) || kept + size > KEPT) {
            drop(recall, shard, link);
            continue;
        }
        entry->bits &= (uint8_t)~RECALL_USED;
        struct recall_entry *to = memmove(start + kept, entry, size);
        *link = name_of(recall, to);
        kept += size;
    }
    segment->filled = (uint32_t)kept;
}

/* The next segment's turn: a fresh one, as long as there are any, else that which has waited for
 * the longest time. */
static void turn(struct recall *recall, struct shard *shard)
{
    if (shard->current + 1 == shard->segment_count &&
        shard->segment_count < recall->segments_each) {
        uint32_t start = atomic_fetch_add(&recall->taken, 1);
        shard->current = shard->segment_count++;
        shard->segments[shard->current] = (struct segment){.start = start};
        return;
    }
    shard->current = (shard->current + 1) % shard->segment_count;
    tidy_up(recall, shard, &shard->segments[shard->current]);
}

static struct recall_entry *allocate(struct recall *recall, struct shard *shard, size_t size)
{
    if (shard->segments[shard->current].filled + size > SEGMENT)
        turn(recall, shard);
    struct segment *segment = &shard->segments[shard->current];
    assert(segment->filled + size <= SEGMENT);
    char *at = start_of(recall, segment) + segment->filled;
    segment->filled += (uint32_t)size;
    return (struct recall_entry *)(void *)at;
}

/* --- finding, keeping --- */

uint64_t recall_expect(struct recall *recall, const char *key, size_t len)
{
    uint64_t hash = hash_of(recall, key, len);
    /* Past the shard, which another processor may have written to just now. */
    const uint32_t *buckets = recall->buckets + hash % SHARDS * recall->bucket_count;
    __builtin_prefetch(&buckets[upper(hash) & (recall->bucket_count - 1)]);
    return hash;
}

void recall_expect_more(struct recall *recall, uint64_t expected)
{
    struct shard *shard = shard_of(recall, expected);
    (void)pthread_mutex_lock(&shard->lock);
    uint32_t name = *bucket_of(recall, shard, upper(expected));
    (void)pthread_mutex_unlock(&shard->lock);
    if (name)
        __builtin_prefetch(entry_at(recall, name));
}

bool recall_find(struct recall *recall, const struct key *key, struct record_view *view,
                 struct recall_ticket *ticket)
{
    uint64_t hash = hash_of(recall, key->bytes, key->len);
    struct shard *shard = shard_of(recall, hash);
    (void)pthread_mutex_lock(&shard->lock);
    const struct stripe *stripe = stripe_of(shard, hash);
    uint32_t name = *find(recall, shard, hash, key->bytes, key->len);
    *ticket = (struct recall_ticket){
        .hash = hash, .times = stripe->times, .open = !stripe->changing, .known = name != 0};
    if (name) {
        struct recall_entry *entry = entry_at(recall, name);
        entry->bits |= RECALL_USED;
        ticket->stamp = entry->stamp;
        recall_entry_read(entry, recall->places, view);
        shard->hits++;
    } else {
        shard->misses++;
    }
    (void)pthread_mutex_unlock(&shard->lock);
    return name != 0;
}

/* With the lock held. */
static void insert(struct recall *recall, struct shard *shard, const struct recall_entry *draft)
{
    struct recall_entry *entry = memcpy(allocate(recall, shard, draft->size), draft, draft->size);
    uint32_t *bucket = bucket_of(recall, shard, entry->hash);
    entry->next = *bucket;
    *bucket = name_of(recall, entry);
    shard->keys++;
}

void recall_keep(struct recall *recall, const struct key *key, const struct record_view *view,
                 const struct recall_ticket *ticket)
{
    union recall_draft draft;
    uint64_t hash = ticket->hash;
    if (!ticket->open || (!ticket->known && !recall_entry_write(&draft, key, view, recall->places)))
        return;
    struct shard *shard = shard_of(recall, hash);
    (void)pthread_mutex_lock(&shard->lock);
    const struct stripe *stripe = stripe_of(shard, hash);
    if (!stripe->changing && stripe->times == ticket->times) {
        uint32_t name = *find(recall, shard, hash, key->bytes, key->len);
        if (name) { /* or another reader was faster */
            entry_at(recall, name)->stamp = ticket->stamp;
        } else if (!ticket->known) {
            draft.entry.stamp = ticket->stamp;
            draft.entry.hash = upper(hash);
            insert(recall, shard, &draft.entry);
        }
    }
    (void)pthread_mutex_unlock(&shard->lock);
}

/* --- learning many --- */

struct recall_moment {
    uint32_t times[SHARDS][STRIPES];
    uint32_t open[SHARDS]; /* stripes, as bits */
};

struct recall_moment *recall_now(struct recall *recall)
{
    struct recall_moment *moment = calloc(1, sizeof *moment);
    for (size_t i = 0; i < SHARDS && moment; i++) {
        struct shard *shard = &recall->shards[i];
        (void)pthread_mutex_lock(&shard->lock);
        for (size_t j = 0; j < STRIPES; j++) {
            moment->times[i][j] = shard->stripes[j].times;
            moment->open[i] |= (uint32_t)!shard->stripes[j].changing << j;
        }
        (void)pthread_mutex_unlock(&shard->lock);
    }
    return moment;
}

/* With the lock held. */
static bool has_room(const struct recall *recall, const struct shard *shard, size_t size)
{
    return shard->segments[shard->current].filled + size <= SEGMENT ||
           shard->segment_count < recall->segments_each;
}

bool recall_learn(struct recall *recall, const struct key *key, const struct record_view *view,
                  uint64_t stamp, const struct recall_moment *moment)
{
    union recall_draft draft;
    uint64_t hash = hash_of(recall, key->bytes, key->len);
    size_t i = hash % SHARDS;
    size_t j = hash / SHARDS % STRIPES;
    if (!(moment->open[i] >> j & 1) || !recall_entry_write(&draft, key, view, recall->places))
        return true; /* there may be room for others */
    draft.entry.stamp = stamp;
    draft.entry.hash = upper(hash);
    struct shard *shard = &recall->shards[i];
    (void)pthread_mutex_lock(&shard->lock);
    bool room = has_room(recall, shard, draft.entry.size);
    if (room && !shard->stripes[j].changing && shard->stripes[j].times == moment->times[i][j] &&
        !*find(recall, shard, hash, key->bytes, key->len))
        insert(recall, shard, &draft.entry);
    (void)pthread_mutex_unlock(&shard->lock);
    return room;
}

/* --- changes --- */

void recall_changing(struct recall *recall, const char *key, size_t len)
{
    uint64_t hash = hash_of(recall, key, len);
    struct shard *shard = shard_of(recall, hash);
    recall->changing[hash % SHARDS] |= UINT32_C(1) << (hash / SHARDS % STRIPES);
    (void)pthread_mutex_lock(&shard->lock);
    struct stripe *stripe = stripe_of(shard, hash);
    stripe->changing = true;
    stripe->times++;
    uint32_t *link = find(recall, shard, hash, key, len);
    if (*link)
        drop(recall, shard, link);
    (void)pthread_mutex_unlock(&shard->lock);
}

void recall_changed(struct recall *recall)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &recall->shards[i];
        if (!recall->changing[i])
            continue;
        (void)pthread_mutex_lock(&shard->lock);
        for (size_t j = 0; j < STRIPES; j++)
            if (recall->changing[i] >> j & 1)
                shard->stripes[j].changing = false;
        (void)pthread_mutex_unlock(&shard->lock);
        recall->changing[i] = 0;
    }
}

/* Stripes that are changing stay so. */
void recall_forget(struct recall *recall)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &recall->shards[i];
        (void)pthread_mutex_lock(&shard->lock);
        memset(shard->buckets, 0, recall->bucket_count * sizeof *shard->buckets);
        for (size_t j = 0; j < shard->segment_count; j++)
            shard->segments[j].filled = 0;
        shard->current = 0;
        shard->keys = 0;
        for (size_t j = 0; j < STRIPES; j++)
            shard->stripes[j].times++;
        (void)pthread_mutex_unlock(&shard->lock);
    }
}

void recall_counters(struct recall *recall, uint64_t *hits, uint64_t *misses, uint64_t *keys)
{
    *hits = *misses = *keys = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &recall->shards[i];
        (void)pthread_mutex_lock(&shard->lock);
        *hits += shard->hits;
        *misses += shard->misses;
        *keys += shard->keys;
        (void)pthread_mutex_unlock(&shard->lock);
    }
}

/* --- making and freeing --- */

static size_t memory_of(const struct recall *recall)
{
    return SHARDS * recall->segments_each * SEGMENT;
}

static size_t buckets_of(const struct recall *recall)
{
    return SHARDS * recall->bucket_count * sizeof(uint32_t);
}

/* An eighth at most for buckets, which are a power of two; all else for segments. */
static void measure(struct recall *recall, size_t bytes)
{
    size_t each = bytes / SHARDS;
    recall->bucket_count = 1;
    while (2 * recall->bucket_count * sizeof(uint32_t) <= each / 8)
        recall->bucket_count *= 2;
    recall->segments_each = (each - recall->bucket_count * sizeof(uint32_t)) / SEGMENT;
}

/* With its first segment. */
static bool shard_init(struct recall *recall, struct shard *shard)
{
    shard->buckets = recall->buckets + (size_t)(shard - recall->shards) * recall->bucket_count;
    shard->segments = calloc(recall->segments_each, sizeof *shard->segments);
    if (!shard->segments)
        return false;
    shard->segments[0].start = atomic_fetch_add(&recall->taken, 1);
    shard->segment_count = 1;
    return true;
}

struct recall *recall_new(size_t bytes)
{
    struct recall *recall = calloc(1, sizeof *recall);
    if (!recall)
        return NULL;
    bytes = bytes < BYTES_MAX ? bytes : BYTES_MAX;
    measure(recall, bytes < BYTES_MIN ? BYTES_MIN : bytes);
    recall->seed = hash_seed();
    for (size_t i = 0; i < SHARDS; i++)
        (void)pthread_mutex_init(&recall->shards[i].lock, NULL);
    recall->memory = pages_map(memory_of(recall));
    recall->buckets = pages_map(buckets_of(recall));
    bool made = recall->memory && recall->buckets && (recall->places = intern_new());
    for (size_t i = 0; i < SHARDS && made; i++)
        made = shard_init(recall, &recall->shards[i]);
    if (made)
        return recall;
    recall_free(recall);
    return NULL;
}

void recall_free(struct recall *recall)
{
    if (!recall)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        free(recall->shards[i].segments);
        (void)pthread_mutex_destroy(&recall->shards[i].lock);
    }
    pages_unmap(recall->memory, memory_of(recall));
    pages_unmap(recall->buckets, buckets_of(recall));
    intern_free(recall->places);
    free(recall);
}
