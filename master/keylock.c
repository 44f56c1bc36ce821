/*
 * A hash table of the keys that are held, cut into shards. A lock of a key is an entry, not a
 * mutex: flows hold it over many turns of a loop, and may let it go on another thread than they
 * took it on. So nobody can wait for it, and there is nothing that could be locked in a wrong
 * order.
 *
 * What is held at a time are requests under way, thousands at most; so the table does not grow, and
 * an entry is allocated for each.
 */
#include "master/keylock.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 64, BUCKETS = 256 }; /* buckets of a shard */

/* One key that is held; owned by its bucket. */
struct held {
    struct held *next;
    uint64_t hash;
    bool quiet; /* no client waits for it to end */
    size_t len;
    char bytes[];
};

/* Each shard has a lock of its own, so loops rarely wait for each other. */
struct shard {
    pthread_mutex_t lock;
    size_t count; /* of the held ones */
    struct held *buckets[BUCKETS];
};

struct keylock {
    bool (*closed)(const void *arg); /* NULL: never */
    const void *closed_arg;
    struct shard shards[SHARDS];
};

/* FNV-1a, 64 bits. A client that makes collisions only slows down its own keys' shard: lists are as
 * long as there are requests under way, at most. */
static uint64_t hash_key(const struct key *key)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < key->len; i++)
        hash = (hash ^ (unsigned char)key->bytes[i]) * 0x100000001b3ULL;
    return hash;
}

struct keylock *keylock_new(void)
{
    struct keylock *locks = calloc(1, sizeof *locks);
    if (!locks)
        return NULL;
    for (int i = 0; i < SHARDS; i++)
        if (pthread_mutex_init(&locks->shards[i].lock, NULL)) {
            while (i--)
                (void)pthread_mutex_destroy(&locks->shards[i].lock);
            free(locks);
            return NULL;
        }
    return locks;
}

void keylock_guard(struct keylock *locks, bool (*closed)(const void *arg), const void *arg)
{
    locks->closed = closed;
    locks->closed_arg = arg;
}

void keylock_free(struct keylock *locks)
{
    if (!locks)
        return;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &locks->shards[i];
        for (int j = 0; j < BUCKETS; j++)
            while (shard->buckets[j]) {
                struct held *held = shard->buckets[j];
                shard->buckets[j] = held->next;
                free(held);
            }
        (void)pthread_mutex_destroy(&shard->lock);
    }
    free(locks);
}

/* Where its entry hangs, or would be hung: at the end of the bucket's list. With the shard's lock
 * held. */
static struct held **find(struct shard *shard, uint64_t hash, const struct key *key)
{
    struct held **at = &shard->buckets[hash / SHARDS % BUCKETS];
    while (*at && !((*at)->hash == hash && (*at)->len == key->len &&
                    memcmp((*at)->bytes, key->bytes, key->len) == 0))
        at = &(*at)->next;
    return at;
}

/* Allocated before the lock is taken: in between nobody waits for malloc. */
static bool try_lock(struct keylock *locks, const struct key *key, bool quiet)
{
    uint64_t hash = hash_key(key);
    struct shard *shard = &locks->shards[hash % SHARDS];
    struct held *held = malloc(sizeof *held + key->len);
    if (!held)
        return false;
    held->next = NULL;
    held->hash = hash;
    held->quiet = quiet;
    held->len = key->len;
    memcpy(held->bytes, key->bytes, key->len);

    (void)pthread_mutex_lock(&shard->lock);
    struct held **at = find(shard, hash, key);
    /* Asked in here: whoever closes it and then counts the locks sees all that got through. */
    bool closed = locks->closed && locks->closed(locks->closed_arg);
    bool taken = *at == NULL && !closed;
    if (taken) {
        *at = held;
        shard->count++;
    }
    (void)pthread_mutex_unlock(&shard->lock);
    if (!taken)
        free(held);
    return taken;
}

bool keylock_try(struct keylock *locks, const struct key *key)
{
    return try_lock(locks, key, false);
}

bool keylock_try_quietly(struct keylock *locks, const struct key *key)
{
    return try_lock(locks, key, true);
}

bool keylock_is_quiet(struct keylock *locks, const struct key *key)
{
    uint64_t hash = hash_key(key);
    struct shard *shard = &locks->shards[hash % SHARDS];
    (void)pthread_mutex_lock(&shard->lock);
    const struct held *held = *find(shard, hash, key);
    bool quiet = held && held->quiet;
    (void)pthread_mutex_unlock(&shard->lock);
    return quiet;
}

void keylock_release(struct keylock *locks, const struct key *key)
{
    uint64_t hash = hash_key(key);
    struct shard *shard = &locks->shards[hash % SHARDS];
    (void)pthread_mutex_lock(&shard->lock);
    struct held **at = find(shard, hash, key);
    struct held *held = *at;
    if (held) {
        *at = held->next;
        shard->count--;
    }
    (void)pthread_mutex_unlock(&shard->lock);
    free(held);
}

size_t keylock_count(struct keylock *locks)
{
    size_t count = 0;
    for (int i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_lock(&locks->shards[i].lock);
        count += locks->shards[i].count;
        (void)pthread_mutex_unlock(&locks->shards[i].lock);
    }
    return count;
}
