#include "tools/larder/hold.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/durable.h"
#include "common/http_call.h"
#include "common/status.h"
#include "tools/larder/client.h"
#include "tools/larder/say.h"

enum {
    RENEW_SECONDS = 15, /* the master forgets after a minute */
    ANSWER_MS = 10000
};

struct hold {
    struct client *client; /* the owner's */
    struct client *own;    /* the thread's, and after its end hold_free()'s */
    char field[64];
    pthread_t thread;
    pthread_mutex_t lock; /* over all below */
    pthread_cond_t ended;
    bool ending;
};

/* False when it is to end. */
static bool wait_a_while(struct hold *hold)
{
    struct timespec until;
    int err = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RENEW_SECONDS;
    (void)pthread_mutex_lock(&hold->lock);
    while (!hold->ending && err != ETIMEDOUT)
        err = pthread_cond_timedwait(&hold->ended, &hold->lock, &until);
    bool more = !hold->ending;
    (void)pthread_mutex_unlock(&hold->lock);
    return more;
}

static void tell(const struct hold *hold, const char *path)
{
    const char *const fields[] = {hold->field, NULL};
    const struct http_call_spec spec = {
        .method = "POST", .fields = fields, .timeout_ms = ANSWER_MS};
    (void)!client_send(hold->own, &spec, path);
}

/* What fails is not said: where the name was forgotten and another has begun, the next that is sent
 * is refused, and that is said. */
static void *renew(void *arg)
{
    struct hold *hold = arg;
    while (wait_a_while(hold))
        tell(hold, "/admin/reconcile?renew");
    return NULL;
}

/* Signals are the main thread's. */
static bool start_thread(struct hold *hold)
{
    pthread_condattr_t kind;
    sigset_t all;
    sigset_t before;
    (void)pthread_condattr_init(&kind);
    (void)pthread_condattr_setclock(&kind, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&hold->lock, NULL);
    (void)pthread_cond_init(&hold->ended, &kind);
    (void)pthread_condattr_destroy(&kind);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&hold->thread, NULL, renew, hold) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

struct hold *hold_new(struct client *client, const char *masters)
{
    char name[IDENTITY_SIZE + 1];
    struct hold *hold = calloc(1, sizeof *hold);
    enum status st = hold ? durable_new_identity(name) : ST_NO_MEMORY;
    if (!st && !(hold->own = client_new(masters)))
        st = ST_NO_MEMORY;
    if (!st) {
        (void)snprintf(hold->field, sizeof hold->field, "Larder-Repair: %s", name);
        if (!start_thread(hold))
            st = ST_NO_MEMORY;
    }
    if (st) {
        say_error("could not begin the repair: %s", status_text(st));
        if (hold)
            client_free(hold->own);
        free(hold);
        return NULL;
    }
    hold->client = client;
    client_post_with(client, hold->field);
    return hold;
}

/* Where the master is away by now it forgets the name by itself. */
void hold_free(struct hold *hold)
{
    if (!hold)
        return;
    (void)pthread_mutex_lock(&hold->lock);
    hold->ending = true;
    (void)pthread_cond_signal(&hold->ended);
    (void)pthread_mutex_unlock(&hold->lock);
    (void)pthread_join(hold->thread, NULL);
    tell(hold, "/admin/reconcile?leave");
    client_post_with(hold->client, NULL);
    client_free(hold->own);
    (void)pthread_cond_destroy(&hold->ended);
    (void)pthread_mutex_destroy(&hold->lock);
    free(hold);
}
