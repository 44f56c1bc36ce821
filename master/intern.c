/*
 * A hash table with open addressing that only ever grows towards a fixed size, so it needs neither
 * deletion nor a second table. Three quarters of a megabyte, of which the kernel gives no page
 * before it is written to.
 */
#include "master/intern.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2 * (INTERN_MAX + 1) }; /* a power of two; half of them at most are in use */

struct intern {
    pthread_mutex_t lock; /* of additions */
    unsigned count;       /* texts[1] to texts[count] are there, and stay */
    char *texts[INTERN_MAX + 1];
    uint16_t slots[SLOTS]; /* numbers; 0: empty */
};

struct intern *intern_new(void)
{
    struct intern *intern = calloc(1, sizeof *intern);
    if (!intern)
        return NULL;
    if (pthread_mutex_init(&intern->lock, NULL)) {
        free(intern);
        return NULL;
    }
    return intern;
}

void intern_free(struct intern *intern)
{
    if (!intern)
        return;
    for (unsigned i = 1; i <= intern->count; i++)
        free(intern->texts[i]);
    (void)pthread_mutex_destroy(&intern->lock);
    free(intern);
}

/* FNV-1a (Fowler, Noll, Vo). The texts are those of the operator's volumes, not of strangers. */
static size_t first_slot(const char *text)
{
    uint32_t hash = 0x811c9dc5;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x01000193;
    return (hash ^ hash >> 16) % SLOTS;
}

/* With the lock held. `slot` is the empty one where the search has ended. */
static uint16_t add(struct intern *intern, size_t slot, const char *text)
{
    char *copy = intern->count < INTERN_MAX ? strdup(text) : NULL;
    if (!copy)
        return 0;
    intern->texts[++intern->count] = copy;
    intern->slots[slot] = (uint16_t)intern->count;
    return intern->slots[slot];
}

uint16_t intern_number(struct intern *intern, const char *text)
{
    size_t slot = first_slot(text);
    (void)pthread_mutex_lock(&intern->lock);
    uint16_t number;
    while ((number = intern->slots[slot]) && strcmp(intern->texts[number], text) != 0)
        slot = (slot + 1) % SLOTS;
    if (!number)
        number = add(intern, slot, text);
    (void)pthread_mutex_unlock(&intern->lock);
    return number;
}

const char *intern_text(const struct intern *intern, uint16_t number)
{
    return intern->texts[number];
}
