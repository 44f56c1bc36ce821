/*
 * A hash table of sets of WAYS entries, as a processor's cache: a file can only be in the set that
 * its device and inode choose, and a new entry takes the place of the one that expires first. So
 * nothing ever grows or is moved, and a look-up reads a few lines of memory. A few locks, each
 * for every LOCKS-th set, so that loops and pool seldom meet.
 */
#include "volume/trusted.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "volume/attributes.h"

/* A value with a longer Content-Type is known without its attributes. */
enum { WAYS = 8, SETS = TRUSTED_ENTRIES / WAYS, LOCKS = 64, TYPE = 38 };

struct entry {
    struct trusted_file file;
    uint64_t until; /* loop_now_ms(); 0: empty */
    bool described; /* what follows is known */
    char md5[MD5_HEX + 1];
    char type[TYPE];
};

struct trusted {
    pthread_mutex_t locks[LOCKS]; /* of set i: i % LOCKS */
    struct entry sets[SETS][WAYS];
};

struct trusted_file trusted_identify(dev_t device, ino_t inode, struct timespec changed,
                                     uint64_t size)
{
    return (struct trusted_file){
        .device = device,
        .inode = inode,
        .changed_ns = (uint64_t)changed.tv_sec * 1000000000U + (uint64_t)changed.tv_nsec,
        .size = size,
    };
}

struct trusted *trusted_new(void)
{
    struct trusted *trusted = calloc(1, sizeof *trusted);
    if (!trusted)
        return NULL;
    for (unsigned i = 0; i < LOCKS; i++) {
        if (pthread_mutex_init(&trusted->locks[i], NULL)) {
            while (i > 0)
                (void)pthread_mutex_destroy(&trusted->locks[--i]);
            free(trusted);
            return NULL;
        }
    }
    return trusted;
}

void trusted_free(struct trusted *trusted)
{
    if (!trusted)
        return;
    for (unsigned i = 0; i < LOCKS; i++)
        (void)pthread_mutex_destroy(&trusted->locks[i]);
    free(trusted);
}

/* Inodes come in rows, and devices are few: a multiplication spreads them (Knuth's, 2^64 / phi). */
static unsigned set_of(const struct trusted_file *file)
{
    uint64_t mixed = (file->inode ^ file->device << 40) * 0x9e3779b97f4a7c15U;
    return (unsigned)(mixed >> 32) % SETS;
}

static bool is_same_file(const struct entry *entry, const struct trusted_file *file)
{
    return entry->file.inode == file->inode && entry->file.device == file->device;
}

/* The entry of this file, in whatever state; else NULL. With the lock held. */
static struct entry *find(struct entry *set, const struct trusted_file *file)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (is_same_file(&set[i], file))
            return &set[i];
    return NULL;
}

static struct entry *first_to_expire(struct entry *set)
{
    struct entry *first = set;
    for (unsigned i = 1; i < WAYS; i++)
        if (set[i].until < first->until)
            first = &set[i];
    return first;
}

/* What an answer needs of them, where it fits. */
static void describe(struct entry *entry, const struct store_attributes *attributes)
{
    if (!attributes || attributes->broken || strlen(attributes->type) >= TYPE)
        return;
    memcpy(entry->md5, attributes->md5, sizeof entry->md5);
    memcpy(entry->type, attributes->type, TYPE);
    entry->described = true;
}

void trusted_add_at(struct trusted *trusted, const struct trusted_file *file,
                    const struct store_attributes *attributes, uint64_t now_ms)
{
    if (file->inode == 0)
        return;
    unsigned number = set_of(file);
    struct entry *set = trusted->sets[number];
    (void)pthread_mutex_lock(&trusted->locks[number % LOCKS]);
    struct entry *entry = find(set, file);
    if (!entry)
        entry = first_to_expire(set);
    *entry = (struct entry){.file = *file, .until = now_ms + TRUSTED_MS};
    describe(entry, attributes);
    (void)pthread_mutex_unlock(&trusted->locks[number % LOCKS]);
}

/* The entry of the file in this very state, that holds still; else NULL. With the lock held. */
static struct entry *find_good(struct entry *set, const struct trusted_file *file, uint64_t now_ms)
{
    struct entry *entry = find(set, file);
    bool good = entry && entry->until > now_ms && entry->file.size == file->size &&
                entry->file.changed_ns == file->changed_ns;
    return good ? entry : NULL;
}

bool trusted_has_at(struct trusted *trusted, const struct trusted_file *file, uint64_t now_ms)
{
    unsigned number = set_of(file);
    (void)pthread_mutex_lock(&trusted->locks[number % LOCKS]);
    bool has = find_good(trusted->sets[number], file, now_ms) != NULL;
    (void)pthread_mutex_unlock(&trusted->locks[number % LOCKS]);
    return has;
}

bool trusted_attributes(struct trusted *trusted, const struct trusted_file *file,
                        struct store_attributes *attributes)
{
    unsigned number = set_of(file);
    (void)pthread_mutex_lock(&trusted->locks[number % LOCKS]);
    const struct entry *entry = find_good(trusted->sets[number], file, loop_now_ms());
    bool described = entry && entry->described;
    if (described) {
        memcpy(attributes->md5, entry->md5, sizeof entry->md5);
        memcpy(attributes->type, entry->type, TYPE);
        attributes->size = file->size;
        attributes->has_size = true;
        attributes->created = 0;
        attributes->unlinked = attributes->broken = false;
    }
    (void)pthread_mutex_unlock(&trusted->locks[number % LOCKS]);
    return described;
}

void trusted_describe(struct trusted *trusted, const struct trusted_file *file,
                      const struct store_attributes *attributes)
{
    unsigned number = set_of(file);
    (void)pthread_mutex_lock(&trusted->locks[number % LOCKS]);
    struct entry *entry = find_good(trusted->sets[number], file, loop_now_ms());
    if (entry && !entry->described)
        describe(entry, attributes);
    (void)pthread_mutex_unlock(&trusted->locks[number % LOCKS]);
}

void trusted_remove(struct trusted *trusted, const struct trusted_file *file)
{
    unsigned number = set_of(file);
    (void)pthread_mutex_lock(&trusted->locks[number % LOCKS]);
    struct entry *entry = find(trusted->sets[number], file);
    if (entry)
        *entry = (struct entry){.until = 0};
    (void)pthread_mutex_unlock(&trusted->locks[number % LOCKS]);
}

void trusted_add(struct trusted *trusted, const struct trusted_file *file,
                 const struct store_attributes *attributes)
{
    trusted_add_at(trusted, file, attributes, loop_now_ms());
}

bool trusted_has(struct trusted *trusted, const struct trusted_file *file)
{
    return trusted_has_at(trusted, file, loop_now_ms());
}
