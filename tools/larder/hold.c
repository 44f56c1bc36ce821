/*
 * The name is random and made here, so two repairs never have the same, also on one machine. It
 * goes with everything that the client posts, and by itself every 15 s from a thread with a client
 * of its own: a client is one thread's, and the repair's is busy for as long as a batch takes.
 */
#include "tools/larder/hold.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/durable.h"
#include "common/http_call.h"
#include "common/status.h"
#include "common/thread.h"
#include "tools/larder/client.h"
#include "tools/larder/say.h"

enum {
    RENEW_MS = 15000, /* the master forgets after a minute */
    ANSWER_MS = 10000
};

struct hold {
    struct client *client; /* the owner's */
    struct client *own;    /* the thread's, and after its end hold_free()'s */
    char field[64];
    struct thread thread;
};

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
    while (!thread_pause(&hold->thread, RENEW_MS))
        tell(hold, "/admin/reconcile?renew");
    return NULL;
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
        if (!thread_begin(&hold->thread, renew, hold))
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
    thread_end(&hold->thread);
    tell(hold, "/admin/reconcile?leave");
    client_post_with(hold->client, NULL);
    client_free(hold->own);
    thread_release(&hold->thread);
    free(hold);
}
