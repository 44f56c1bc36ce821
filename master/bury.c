/*
 * The path: bury_start → bury_erased (copies) → bury_noted → bury_marked, or bury_unmarked
 * (tombstones) → the owner. Each step may be done twice without harm, so a crash anywhere only
 * means that it is done again. A volume that gets a tombstone is in the index before (as a
 * `maybe`): one that was forgotten would cover what the key holds later, in an index made anew.
 */
#include "master/bury.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/record.h"
#include "master/ask.h"
#include "master/config.h"
#include "master/index.h"
#include "master/volumes.h"
#include "master/worker.h"

enum {
    TIMEOUT_MS = 10000,
    CAREFUL_MAX = 64 /* copies at a time: a key that is written all the time has thousands */
};

struct bury {
    struct worker *worker;
    char request[32];
    const struct key *key;  /* the owner's, as is the record; locked */
    struct record *rec;     /* changed step by step; the owner commits it at the end */
    bool careful;           /* bury.h */
    char field[48];         /* "Larder-Tombstone: GENERATION" */
    struct ask_item *items; /* of the question under way; their places belong to `places` */
    char **places;
    size_t count;
    struct index_change change; /* where new maybes are noted */
    void (*buried)(void *arg);
    void *arg;
};

static void bury_erased(void *arg, const struct ask_answer *answers, size_t count);
static void bury_noted(void *arg, enum status st);
static void bury_marked(void *arg, const struct ask_answer *answers, size_t count);
static void bury_unmarked(void *arg, const struct ask_answer *answers, size_t count);
static void bury_finish(struct bury *bury);

/* What is left stays on the lists, for another time. */
static void bury_fail(struct bury *bury, enum status st)
{
    log_event(LOG_WARN, "bury", "request=%s error=\"%s\"", bury->request, status_text(st));
    bury_finish(bury);
}

/* The answers to them have been looked at: the places are not needed any more. */
static void clear_items(struct bury *bury)
{
    for (size_t i = 0; i < bury->count; i++)
        free(bury->places[i]);
    bury->count = 0;
}

/* Room for `most` items. */
static enum status reserve_items(struct bury *bury, size_t most)
{
    struct ask_item *items = realloc(bury->items, (most + 1) * sizeof *items);
    if (items)
        bury->items = items;
    char **places = realloc(bury->places, (most + 1) * sizeof *places);
    if (places)
        bury->places = places;
    return items && places ? ST_OK : ST_NO_MEMORY;
}

/* Where reserve_items() has made room. The place is copied: record_drop_garbage() frees the
 * record's own while answers are still gone through. */
static enum status add_item(struct bury *bury, const char *place, uint64_t generation,
                            enum naming naming, const char *field)
{
    char *copy = strdup(place);
    if (!copy)
        return ST_NO_MEMORY;
    bury->places[bury->count] = copy;
    bury->items[bury->count] = (struct ask_item){copy, generation, naming, field, NULL};
    bury->count++;
    return ST_OK;
}

/* 404 is as good as 204: the copy need not be there to be gone. */
static bool is_gone(const struct ask_answer *answer)
{
    return answer->st == ST_OK &&
           (answer->http == 204 || answer->http == 200 || answer->http == 404);
}

/* All are DELETEs: of a copy, or of the path of a tombstone with its field. */
static enum status ask_items(struct bury *bury,
                             void (*answered)(void *, const struct ask_answer *, size_t))
{
    return ask_start(bury->worker, bury->request, "DELETE", bury->key, bury->items, bury->count,
                     TIMEOUT_MS, answered, bury);
}

/* --- copies --- */

/* What is on volumes that were taken out of the store is nobody's business any more. */
static void forget_removed(struct bury *bury)
{
    struct volumes *volumes = bury->worker->master->volumes;
    struct record *rec = bury->rec;
    for (size_t i = rec->garbage.count; i-- > 0;) {
        const struct copy *copy = &rec->garbage.list[i];
        if (volumes_is_removed(volumes, copy->place))
            record_drop_garbage(rec, copy->generation, copy->place);
    }
    for (size_t i = rec->holder_count; i-- > 0;)
        if (volumes_is_removed(volumes, rec->holders[i]))
            record_drop_holder(rec, rec->holders[i]);
    for (size_t i = rec->maybe_count; i-- > 0;)
        if (volumes_is_removed(volumes, rec->maybes[i]))
            record_drop_holder(rec, rec->maybes[i]);
}

/* The first question. Also asked with no items at all, since the steps behind it are to be done in
 * any case. */
static enum status erase(struct bury *bury)
{
    struct volumes *volumes = bury->worker->master->volumes;
    const struct copies *garbage = &bury->rec->garbage;
    uint64_t now = loop_wall_ms();
    forget_removed(bury);
    size_t most = bury->careful && garbage->count > CAREFUL_MAX ? CAREFUL_MAX : garbage->count;
    enum status st = reserve_items(bury, most);
    for (size_t i = 0; i < garbage->count && bury->count < most && !st; i++) {
        const struct copy *copy = &garbage->list[i];
        if (copy->due <= now && volume_erasable(volumes_state(volumes, copy->place)) &&
            (!bury->careful || volumes_settled(volumes, copy->place)))
            st = add_item(bury, copy->place, copy->generation, copy->naming, NULL);
    }
    return st ? st : ask_items(bury, bury_erased);
}

/* A file that was not there may be one whose upload was given up while the volume hung, and which
 * it completes just after it wakes. */
static bool may_come_yet(const struct bury *bury, size_t i, const struct ask_answer *answer)
{
    return answer->http == 404 && !volumes_settled(bury->worker->master->volumes, bury->places[i]);
}

/* Volumes of ours that are up, in the order of placement, up to --replicas of them. */
static enum status choose_holders(struct bury *bury)
{
    struct ranked *ranked;
    size_t count;
    enum status st = volumes_rank(bury->worker->master->volumes, bury->key, &ranked, &count);
    if (st)
        return st;
    clear_items(bury);
    size_t most = bury->worker->master->config->replicas;
    st = reserve_items(bury, most);
    for (size_t i = 0; i < count && bury->count < most && !st; i++)
        if (ranked[i].kind == VOLUME_LARDER && volume_erasable(ranked[i].state))
            st = add_item(bury, ranked[i].place, 0, NAMING_LARDER, bury->field);
    free(ranked);
    return st;
}

/* Puts the tombstone on volumes. Places that were no `maybe` before are committed first; where all
 * were (a crash, or an answer that was lost) there is nothing to commit. */
static enum status mark(struct bury *bury)
{
    struct record *rec = bury->rec;
    size_t before = rec->maybe_count;
    (void)snprintf(bury->field, sizeof bury->field, "Larder-Tombstone: %" PRIu64, rec->tombstone);
    enum status st = choose_holders(bury);
    for (size_t i = 0; i < bury->count && !st; i++)
        st = record_add_maybe(rec, bury->places[i]);
    if (st)
        return st;
    if (rec->maybe_count == before)
        return ask_items(bury, bury_marked);
    index_change_begin(&bury->change, bury->worker->loop, bury_noted, bury);
    index_change_record(&bury->change, bury->key, rec);
    index_commit(bury->worker->master->index, &bury->change);
    return ST_OK;
}

/* Takes the tombstone off all volumes that have it, or may have it. */
static enum status unmark(struct bury *bury)
{
    const struct record *rec = bury->rec;
    clear_items(bury);
    enum status st = reserve_items(bury, rec->holder_count + rec->maybe_count);
    for (size_t i = 0; i < rec->holder_count + rec->maybe_count && !st; i++) {
        const char *place =
            i < rec->holder_count ? rec->holders[i] : rec->maybes[i - rec->holder_count];
        if (volume_erasable(volumes_state(bury->worker->master->volumes, place)))
            st = add_item(bury, place, 0, NAMING_LARDER, "Larder-Tombstone: drop");
    }
    return st ? st : ask_items(bury, bury_unmarked);
}

/* What comes next hangs on what is left. Where nothing is to be marked or unmarked that was it. */
static void bury_erased(void *arg, const struct ask_answer *answers, size_t count)
{
    struct bury *bury = arg;
    struct record *rec = bury->rec;
    for (size_t i = 0; i < count; i++)
        if (is_gone(&answers[i]) && !may_come_yet(bury, i, &answers[i]))
            record_drop_garbage(rec, bury->items[i].generation, bury->places[i]);
    enum status st = ST_OK;
    if (rec->garbage.count && rec->has_tombstone && rec->holder_count == 0)
        st = mark(bury);
    else if (rec->garbage.count == 0 && rec->holder_count + rec->maybe_count)
        st = unmark(bury);
    else
        bury_finish(bury);
    if (st)
        bury_fail(bury, st);
}

/* Only now a volume may get the tombstone: the index knows of it. */
static void bury_noted(void *arg, enum status st)
{
    struct bury *bury = arg;
    if (!st)
        st = ask_items(bury, bury_marked);
    if (st)
        bury_fail(bury, st);
}

/* A place that took the tombstone is a holder from now on; all others stay maybes. */
static void bury_marked(void *arg, const struct ask_answer *answers, size_t count)
{
    struct bury *bury = arg;
    for (size_t i = 0; i < count; i++)
        if (is_gone(&answers[i]) && answers[i].http != 404 &&
            record_add_holder(bury->rec, bury->places[i]))
            log_event(LOG_WARN, "bury", "request=%s error=\"out of memory\"", bury->request);
    bury_finish(bury);
}

/* Those that did not answer stay holders, and are asked again the next time. */
static void bury_unmarked(void *arg, const struct ask_answer *answers, size_t count)
{
    struct bury *bury = arg;
    for (size_t i = 0; i < count; i++)
        if (is_gone(&answers[i]))
            record_drop_holder(bury->rec, bury->places[i]);
    bury_finish(bury);
}

static void bury_free(struct bury *bury)
{
    clear_items(bury);
    index_change_free(&bury->change);
    free(bury->items);
    free(bury->places);
    free(bury);
}

static void bury_finish(struct bury *bury)
{
    /* A tombstone has done its work when nothing is left that it speaks of. */
    struct record *rec = bury->rec;
    if (rec->garbage.count + rec->holder_count + rec->maybe_count == 0)
        rec->has_tombstone = false;
    bury->buried(bury->arg);
    bury_free(bury);
}

enum status bury_start(struct worker *worker, const char *request, const struct key *key,
                       struct record *rec, bool careful, void (*buried)(void *arg), void *arg)
{
    struct bury *bury = calloc(1, sizeof *bury);
    if (!bury)
        return ST_NO_MEMORY;
    bury->worker = worker;
    strncpy(bury->request, request, sizeof bury->request - 1);
    bury->key = key;
    bury->rec = rec;
    bury->careful = careful;
    bury->buried = buried;
    bury->arg = arg;
    enum status st = erase(bury);
    if (st)
        bury_free(bury);
    return st;
}
