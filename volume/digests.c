/*
 * One place is enough for what is offered: who finds something there takes it, so nothing ever
 * waits there beside it.
 *
 * Who may touch a part's `more`: its owner, until it is offered; from DIGESTS_TAKEN on who took it;
 * its owner again from DIGESTS_DONE on, or when he has taken it back. Then he hashes what is left.
 */
#include "volume/digests.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/thread.h"

enum { LOOK_MS = 100 };

struct digests {
    pthread_mutex_t lock; /* also over the parts' states */
    pthread_cond_t done;  /* one has become DIGESTS_DONE */
    struct digests_part *offered;
};

struct digests *digests_new(void)
{
    struct digests *digests = calloc(1, sizeof *digests);
    if (!digests)
        return NULL;
    if (pthread_mutex_init(&digests->lock, NULL)) {
        free(digests);
        return NULL;
    }
    if (!thread_condition_init(&digests->done)) {
        (void)pthread_mutex_destroy(&digests->lock);
        free(digests);
        return NULL;
    }
    return digests;
}

void digests_free(struct digests *digests)
{
    if (!digests)
        return;
    (void)pthread_cond_destroy(&digests->done);
    (void)pthread_mutex_destroy(&digests->lock);
    free(digests);
}

void digests_offer(struct digests *digests, struct digests_part *part)
{
    (void)pthread_mutex_lock(&digests->lock);
    struct digests_part *other = digests->offered;
    digests->offered = other ? NULL : part;
    part->state = DIGESTS_OFFERED;
    if (other)
        other->state = DIGESTS_TAKEN;
    (void)pthread_mutex_unlock(&digests->lock);
    if (!other)
        return;

    md5_run_add_both(&part->more, &other->more);
    part->state = DIGESTS_DONE; /* nobody else knows of it */
    (void)pthread_mutex_lock(&digests->lock);
    other->state = DIGESTS_DONE;
    (void)pthread_cond_broadcast(&digests->done);
    (void)pthread_mutex_unlock(&digests->lock);
}

void digests_collect(struct digests *digests, struct digests_part *part)
{
    (void)pthread_mutex_lock(&digests->lock);
    while (part->state == DIGESTS_TAKEN) {
        const struct timespec until = thread_time(LOOK_MS); /* glibc's bug 25847 loses signals */
        (void)thread_wait(&digests->done, &digests->lock, &until);
    }
    if (part->state == DIGESTS_OFFERED)
        digests->offered = NULL;
    (void)pthread_mutex_unlock(&digests->lock);
    md5_run_add(&part->more);
}
