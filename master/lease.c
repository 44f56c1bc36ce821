#include "master/lease.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct lease {
    uint64_t ms;
    pthread_mutex_t lock;            /* over all below */
    char holder[LEASE_NAME_MAX + 1]; /* "": nobody */
    uint64_t until_ms;               /* of loop_now_ms() */
};

struct lease *lease_new(uint64_t ms)
{
    struct lease *lease = calloc(1, sizeof *lease);
    if (!lease)
        return NULL;
    lease->ms = ms;
    (void)pthread_mutex_init(&lease->lock, NULL);
    return lease;
}

void lease_free(struct lease *lease)
{
    if (!lease)
        return;
    (void)pthread_mutex_destroy(&lease->lock);
    free(lease);
}

bool lease_take(struct lease *lease, const char *name, uint64_t now)
{
    if (!name)
        name = "";
    size_t len = strlen(name);
    if (len > LEASE_NAME_MAX)
        return false;
    (void)pthread_mutex_lock(&lease->lock);
    /* One whose time is over still has it where nobody else has come. */
    bool taken = !lease->holder[0] || strcmp(lease->holder, name) == 0 || now >= lease->until_ms;
    if (taken) {
        memcpy(lease->holder, name, len + 1);
        lease->until_ms = now + lease->ms;
    }
    (void)pthread_mutex_unlock(&lease->lock);
    return taken;
}

void lease_give_back(struct lease *lease, const char *name)
{
    (void)pthread_mutex_lock(&lease->lock);
    if (name && strcmp(lease->holder, name) == 0)
        lease->holder[0] = 0;
    (void)pthread_mutex_unlock(&lease->lock);
}
