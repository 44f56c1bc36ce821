/*
 * Only the making and the end of the list and its locks: what is done with it is parents.c's.
 */
#include "volume/parents_set.h"

#include "common/thread.h"

bool parents_set_init(struct parents_set *set)
{
    set->first = NULL;
    set->number = 0;
    if (pthread_mutex_init(&set->lock, NULL))
        return false;
    if (!thread_condition_init(&set->gone)) {
        (void)pthread_mutex_destroy(&set->lock);
        return false;
    }
    return true;
}

void parents_set_destroy(struct parents_set *set)
{
    (void)pthread_cond_destroy(&set->gone);
    (void)pthread_mutex_destroy(&set->lock);
}
