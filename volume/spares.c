/*
 * The last that came back is the next to leave: it is the one that the processor's caches still
 * have. What nobody needs is at the other end.
 *
 * Invariant: where any are kept, used + count <= most.
 */
#include "volume/spares.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct spares {
    size_t bytes, alignment;
    unsigned most;
    pthread_mutex_t lock; /* guards what follows */
    unsigned used;        /* taken, and not given back yet */
    unsigned count;
    unsigned idle; /* the least that `count` was since the last look */
    void *kept[SPARES_MOST];
};

struct spares *spares_new(size_t bytes, size_t alignment, unsigned most)
{
    struct spares *spares = calloc(1, sizeof *spares);
    if (!spares)
        return NULL;
    spares->bytes = bytes;
    spares->alignment = alignment;
    spares->most = most < SPARES_MOST ? most : SPARES_MOST;
    if (pthread_mutex_init(&spares->lock, NULL)) {
        free(spares);
        return NULL;
    }
    return spares;
}

void spares_free(struct spares *spares)
{
    if (!spares)
        return;
    for (unsigned i = 0; i < spares->count; i++)
        free(spares->kept[i]);
    (void)pthread_mutex_destroy(&spares->lock);
    free(spares);
}

static void stop_using(struct spares *spares)
{
    (void)pthread_mutex_lock(&spares->lock);
    spares->used--;
    (void)pthread_mutex_unlock(&spares->lock);
}

void *spares_take(struct spares *spares)
{
    (void)pthread_mutex_lock(&spares->lock);
    void *piece = spares->count > 0 ? spares->kept[--spares->count] : NULL;
    if (spares->idle > spares->count)
        spares->idle = spares->count;
    spares->used++;
    (void)pthread_mutex_unlock(&spares->lock);
    if (!piece && !(piece = aligned_alloc(spares->alignment, spares->bytes)))
        stop_using(spares);
    return piece;
}

void spares_give(struct spares *spares, void *piece)
{
    if (!piece)
        return;
    (void)pthread_mutex_lock(&spares->lock);
    spares->used--;
    bool kept = spares->used + spares->count < spares->most;
    if (kept)
        spares->kept[spares->count++] = piece;
    (void)pthread_mutex_unlock(&spares->lock);
    if (!kept)
        free(piece);
}

/* One at a time, so that nobody waits for the lock while memory goes back to the kernel. */
static void *take_idle(struct spares *spares)
{
    void *piece = NULL;
    (void)pthread_mutex_lock(&spares->lock);
    if (spares->idle > 0 && spares->count > 0) {
        piece = spares->kept[0];
        spares->idle--;
        spares->count--;
        memmove(spares->kept, spares->kept + 1, spares->count * sizeof *spares->kept);
    }
    (void)pthread_mutex_unlock(&spares->lock);
    return piece;
}

void spares_shrink(struct spares *spares)
{
    for (void *piece = take_idle(spares); piece; piece = take_idle(spares))
        free(piece);
    (void)pthread_mutex_lock(&spares->lock);
    spares->idle = spares->count;
    (void)pthread_mutex_unlock(&spares->lock);
}
