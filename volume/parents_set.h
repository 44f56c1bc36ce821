/*
 * The list of those that make directories in a subvolume, which parents.c joins, leaves and waits
 * for. Apart from it, because a subvolume has such a list, and parents.c works on a subvolume.
 */
#ifndef LARDER_VOLUME_PARENTS_SET_H
#define LARDER_VOLUME_PARENTS_SET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct parents;

/* Those that make directories in a subvolume now. */
struct parents_set {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t gone;  /* one has left the list; for thread_wait() */
    struct parents *first;
    uint64_t number; /* of the last that joined */
};

/* False where the system has no room for its locks: there is nothing to destroy. */
bool parents_set_init(struct parents_set *set) MUST_CHECK;
/* Nobody is in it, nor waits. */
void parents_set_destroy(struct parents_set *set);

#endif
