/*
 * Locks of keys: whoever writes or deletes a key holds its lock from before it reads the record
 * until after its last commit. Nobody waits: a second writer is told so (409).
 */
#ifndef LARDER_MASTER_KEYLOCK_H
#define LARDER_MASTER_KEYLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/key.h"

struct keylock;

struct keylock *keylock_new(void) MUST_CHECK;
void keylock_free(struct keylock *locks);

/* From now on no lock is given while closed(arg) says so; those that are held stay. Before the
 * first lock. */
void keylock_guard(struct keylock *locks, bool (*closed)(const void *arg), const void *arg);

/* False where another has it, or memory is short. From any thread. */
bool keylock_try(struct keylock *locks, const struct key *key) MUST_CHECK;
/* The same for work that no client has asked for. */
bool keylock_try_quietly(struct keylock *locks, const struct key *key) MUST_CHECK;
/* True where the key is locked by such work. */
bool keylock_is_quiet(struct keylock *locks, const struct key *key);
/* By whoever holds it, on any thread. */
void keylock_release(struct keylock *locks, const struct key *key);
/* How many are held. */
size_t keylock_count(struct keylock *locks);

#endif
