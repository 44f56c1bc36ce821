/*
 * The path: flag_start → flag_turned (locked, read; or once more after a pause) → flag_committed →
 * flag_finish.
 *
 * The flag is in the record's work, so it needs the key's lock like any change of a record. Readers
 * and volumes that meet a hole come in bursts; a key that has its flag already costs a read and no
 * commit. The lock is quiet: a client's write waits for it instead of being refused.
 */
#include "master/flag.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/loop.h"
#include "common/record.h"
#include "master/bell.h"
#include "master/index.h"
#include "master/keylock.h"
#include "master/worker.h"

enum { TRIES = 40, PAUSE_MS = 50 }; /* two seconds in all */

/* Owns itself, from flag_start() to flag_finish(), on the worker's loop. */
struct flag {
    struct worker *worker;
    struct key key;
    enum flag_reason reason;
    bool locked;
    unsigned tries;           /* that found the key locked */
    struct loop_timer *pause; /* between two; NULL: none was needed */
    struct record rec;
    struct index_change change;
    struct loop_message message;
    void (*flagged)(void *arg, enum status st);
    void *arg;
};

static void flag_turned(void *arg);
static void flag_committed(void *arg, enum status st);
static void flag_finish(struct flag *flag, enum status st);

bool flag_start(struct worker *worker, const struct key *key, enum flag_reason reason,
                void (*flagged)(void *arg, enum status st), void *arg)
{
    struct flag *flag = calloc(1, sizeof *flag);
    if (!flag)
        return false;
    flag->worker = worker;
    flag->key = *key;
    flag->reason = reason;
    flag->flagged = flagged;
    flag->arg = arg;
    flag->message.fn = flag_turned;
    flag->message.arg = flag;
    loop_post(worker->loop, &flag->message);
    return true;
}

/* True where the record has changed. */
static bool set_flag(struct flag *flag)
{
    struct record *rec = &flag->rec;
    bool *bit = flag->reason == FLAG_FEW ? &rec->few_copies : &rec->suspect;
    if ((rec->state != KEY_LIVE && rec->state != KEY_UNLINKED) || *bit)
        return false;
    *bit = true;
    if (!rec->since)
        rec->since = loop_wall_ms();
    return true;
}

/* True where flag_turned() follows later. Where nobody waits for the end it is not worth it: the
 * reader who met the hole is not the last. */
static bool try_again(struct flag *flag)
{
    if (!flag->flagged || ++flag->tries > TRIES)
        return false;
    if (!flag->pause)
        flag->pause = loop_timer_new(flag->worker->loop, flag_turned, flag);
    if (flag->pause)
        loop_timer_set(flag->pause, PAUSE_MS);
    return flag->pause != NULL;
}

/* From a message and not at once, so `flagged` never runs inside of flag_start(). */
static void flag_turned(void *arg)
{
    struct flag *flag = arg;
    struct master *master = flag->worker->master;
    flag->locked = keylock_try_quietly(master->locks, &flag->key);
    if (!flag->locked && try_again(flag))
        return;
    enum status st = ST_BUSY;
    if (flag->locked)
        st = index_get_all(master->index, &flag->key, &flag->rec);
    if (st || !set_flag(flag)) {
        flag_finish(flag, st);
        return;
    }
    index_change_begin(&flag->change, flag->worker->loop, flag_committed, flag);
    index_change_record(&flag->change, &flag->key, &flag->rec);
    index_commit(master->index, &flag->change);
}

/* FLAG_FEW rings no bell: the sweep does so at its end, for all of its keys together. */
static void flag_committed(void *arg, enum status st)
{
    struct flag *flag = arg;
    if (!st && flag->reason == FLAG_SUSPECT)
        bell_ring(flag->worker->master->bell);
    flag_finish(flag, st); /* a failed write was logged */
}

/* The one end: unlocks first, so that `flagged` may have the key worked on. */
static void flag_finish(struct flag *flag, enum status st)
{
    if (flag->locked)
        keylock_release(flag->worker->master->locks, &flag->key);
    if (flag->flagged)
        flag->flagged(flag->arg, st);
    index_change_free(&flag->change);
    record_free(&flag->rec);
    loop_timer_free(flag->pause);
    free(flag);
}
