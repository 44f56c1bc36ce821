/*
 * Keeps the index of one of several masters up to date: a thread that attaches it to the store,
 * fetches entries of the log and applies them, and fetches a checkpoint where entries are gone.
 */
#ifndef LARDER_MASTER_FOLLOW_H
#define LARDER_MASTER_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct follow;
struct index;
struct oplog_keys;

enum follow_state {
    FOLLOW_ATTACHING, /* etcd has not answered yet */
    FOLLOW_GOING,     /* it has what a member has, or will have soon */
    FOLLOW_JOINING,   /* waits for a checkpoint: what it has is old */
    FOLLOW_EMPTY,     /* the same, and it has nothing at all */
    FOLLOW_REFUSED    /* the index does not belong to this store */
};

struct follow_options {
    const struct oplog_keys *keys;
    char *const *endpoints;
    size_t endpoint_count;
    const char *address; /* ours */
    struct index *index;
    /* An entry of so many bytes was applied, or found applied. On follow's thread. */
    void (*fetched)(void *arg, uint64_t last, size_t bytes);
    /* The index was replaced by another: what was read from it before is to be read again. */
    void (*replaced)(void *arg);
    void *arg;
};

/* Starts the thread. NULL: no memory or threads. The options' strings must outlive it. */
struct follow *follow_new(const struct follow_options *options) MUST_CHECK;
/* Ends the thread. */
void follow_stop(struct follow *follow);
/* The same, and frees it. */
void follow_free(struct follow *follow);

/* Any thread. */
enum follow_state follow_state(struct follow *follow);
const char *follow_state_text(enum follow_state state);
/* True where it is FOLLOW_GOING, and has been at the end of the log since it is. */
bool follow_has_caught_up(struct follow *follow);
/* The log ends before what the index has: it is refused from now on. True where it was before. */
bool follow_refuse(struct follow *follow);
/* The log has come to this sequence: fetch until there, without pause. */
void follow_want(struct follow *follow, uint64_t sequence);

#endif
