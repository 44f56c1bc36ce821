/*
 * Two signals, one flag. The handler does nothing but set it: everything else is done by whoever
 * asks, at a moment that suits it. SA_RESETHAND makes the second signal an ordinary one, so that
 * work that does not ask can be ended all the same. Without SA_RESTART a blocking call returns with
 * EINTR, and its caller gets to ask.
 */
#include "tools/larder/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* Lock-free, so a signal handler may store it. */
static atomic_bool seen;

static void signal_came(int number)
{
    (void)number;
    atomic_store(&seen, true);
}

void interrupt_watch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = signal_came;
    action.sa_flags = (int)SA_RESETHAND;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool interrupt_seen(void)
{
    return atomic_load(&seen);
}

void interrupt_sleep(unsigned long long ms)
{
    /* In slices: the signal may be delivered to another thread. */
    while (ms && !interrupt_seen()) {
        unsigned long long slice = ms < 50 ? ms : 50;
        struct timespec time = {0, (long)slice * 1000000L};
        (void)nanosleep(&time, NULL);
        ms -= slice;
    }
}
