/*
 * One client of `larder bench`, which does one operation at a time over connections of its own, one
 * to each server that it has met. All clients of a thread share what struct benchthread has.
 */
#ifndef LARDER_TOOLS_BENCHCLIENT_H
#define LARDER_TOOLS_BENCHCLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "tools/larder/benchserver.h"

struct benchclient;
struct benchplan;
struct benchtally;
struct benchvalues;

/* Bytes of one receive. */
enum { BENCHCLIENT_SCRATCH = 128 * 1024 };

/* One thread's own; only it touches this. */
struct benchthread {
    const struct benchplan *plan;
    const struct benchvalues *values;
    struct benchtally *tally;          /* the loop's, which outlives all clients */
    int epoll;                         /* the loop's; all connections of the thread are in it */
    struct benchservers servers;       /* number 0 is the one of the plan */
    char scratch[BENCHCLIENT_SCRATCH]; /* one for all: used within one receive only */
    uint64_t now_ns;                   /* CLOCK_MONOTONIC, as of the last look at it */
    /* An operation has ended, well or not, and has been counted. It may begin the next one. */
    void (*idle)(void *arg, struct benchclient *client);
    void *arg;
};

/* The client is the caller's; `thread` must outlive it. NULL: no memory. */
struct benchclient *benchclient_new(struct benchthread *thread) MUST_CHECK;
/* Closes its connections; what it was at is not counted. */
void benchclient_free(struct benchclient *client);

/* Begins operation number `number` on key `index`. Its latency counts from `intended_ns`. thread->
 * idle() is called when it has ended, never before this returns. */
void benchclient_start(struct benchclient *client, uint64_t number, uint64_t index,
                       uint64_t intended_ns);

/* What epoll reported: `wire` is the data of its event. */
void benchclient_event(void *wire, uint32_t events);

/* To be called now and then: ends what has taken too long, and what waits after a failure. */
void benchclient_tick(struct benchclient *client);

/* Looks at the clock: sets and returns thread->now_ns (CLOCK_MONOTONIC). */
uint64_t benchclient_now(struct benchthread *thread);

#endif
