/*
 * One message for all rings: a message can be in a loop's queue only once, and so `rung` says
 * whether it is there. The trap is the order at the other end: it is taken back before `heard`
 * runs, so a ring that comes while `heard` looks at the work is heard again. The other way round it
 * would be lost, and the work would wait for the janitor's next round of its own.
 */
#include "master/bell.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/loop.h"

struct bell {
    struct loop *loop;
    struct loop_message message;
    _Atomic bool rung; /* the message is the loop's now */
    void (*heard)(void *arg);
    void *arg;
};

static void delivered(void *arg)
{
    struct bell *bell = arg;
    /* First: what is rung for from here on may come too late for what `heard` looks at. */
    atomic_store(&bell->rung, false);
    bell->heard(bell->arg);
}

struct bell *bell_new(struct loop *loop, void (*heard)(void *arg), void *arg)
{
    struct bell *bell = calloc(1, sizeof *bell);
    if (!bell)
        return NULL;
    bell->loop = loop;
    bell->heard = heard;
    bell->arg = arg;
    bell->message.fn = delivered;
    bell->message.arg = bell;
    return bell;
}

void bell_free(struct bell *bell)
{
    free(bell);
}

void bell_ring(struct bell *bell)
{
    if (bell && !atomic_exchange(&bell->rung, true))
        loop_post(bell->loop, &bell->message);
}
