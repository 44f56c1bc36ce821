/*
 * The path: spread_start → spread_looked (which copies are there) → spread_intent_saved →
 * spread_copied → spread_flagged (copies of an unlinked key are marked as such) → spread_finish.
 */
#include "master/spread.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/record.h"
#include "master/ask.h"
#include "master/config.h"
#include "master/copy.h"
#include "master/index.h"
#include "master/volumes.h"
#include "master/worker.h"

/* For a HEAD, or the mark of an unlinked copy. */
enum { LOOK_MS = 5000 };

/* Owns itself, from spread_start() to spread_finish(), on the worker's loop. */
struct spread {
    struct worker *worker;
    char request[32];
    const struct key *key; /* the owner's, locked */
    struct record *rec;    /* the owner's, who commits it; changed here */
    struct ranked *ranked;
    const char **wanted; /* into `ranked`, best first */
    size_t wanted_count;
    const char **targets; /* of those, the ones without a copy */
    size_t target_count;
    bool *has;       /* [i]: rec->places[i] was seen to hold its copy */
    bool *asked;     /* [i]: it was asked */
    bool *stored;    /* [i]: targets[i] has a durable copy now */
    uint64_t length; /* of the value, as a copy says it */
    uint64_t moved;  /* bytes written, over all targets */
    struct index_change change;
    void (*spread)(void *arg, enum status st, uint64_t moved);
    void *arg;
};

static void spread_looked(void *arg, const struct ask_answer *answers, size_t count);
static void spread_intent_saved(void *arg, enum status st);
static void spread_copied(void *arg, enum status st, const bool *stored, uint64_t bytes);
static void spread_flagged(void *arg, const struct ask_answer *answers, size_t count);
static void spread_finish(struct spread *spread, enum status st);

/* --- what is wanted, what is there --- */

/* The first --replicas places that hold a copy already or could take one. */
static enum status choose_wanted(struct spread *spread)
{
    size_t count;
    size_t most = spread->worker->master->config->replicas;
    enum status st =
        volumes_rank(spread->worker->master->volumes, spread->key, &spread->ranked, &count);
    if (st)
        return st;
    spread->wanted = calloc(most + 1, sizeof *spread->wanted);
    spread->targets = calloc(most + 1, sizeof *spread->targets);
    spread->stored = calloc(most + 1, sizeof *spread->stored);
    if (!spread->wanted || !spread->targets || !spread->stored)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < count && spread->wanted_count < most; i++) {
        const struct ranked *place = &spread->ranked[i];
        bool holds = record_has_place(spread->rec, place->place) && place->keeps;
        if (holds || volume_writable(place->state))
            spread->wanted[spread->wanted_count++] = place->place;
    }
    return ST_OK;
}

/* All copies are asked for, also those that stand right: what the record says of them may be out of
 * date, and a source must be one that answers. */
static enum status look(struct spread *spread)
{
    const struct record *rec = spread->rec;
    struct ask_item items[RECORD_COPIES_MAX];
    size_t count = 0;
    spread->has = calloc(rec->place_count + 1, sizeof *spread->has);
    spread->asked = calloc(rec->place_count + 1, sizeof *spread->asked);
    if (!spread->has || !spread->asked)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < rec->place_count; i++) {
        spread->asked[i] =
            volume_readable(volumes_state(spread->worker->master->volumes, rec->places[i]));
        if (spread->asked[i])
            items[count++] = (struct ask_item){rec->places[i], rec->generation, rec->naming, NULL};
    }
    return ask_start(spread->worker, spread->request, "HEAD", spread->key, items, count, LOOK_MS,
                     spread_looked, spread);
}

/* A copy that answers, and says nothing against the index. */
static bool is_copy(const struct record *rec, const struct ask_answer *answer)
{
    if (answer->st || answer->http != 200)
        return false;
    return !rec->md5[0] || !answer->md5[0] || strcmp(rec->md5, answer->md5) == 0;
}

static bool has_copy(const struct spread *spread, const char *place)
{
    const struct record *rec = spread->rec;
    for (size_t i = 0; i < rec->place_count; i++)
        if (strcmp(rec->places[i], place) == 0)
            /* One that cannot be asked now is believed for a while: its volume may come back. */
            return spread->has[i] ||
                   (!spread->asked[i] && volumes_keeps(spread->worker->master->volumes, place));
    return false;
}

/* Unlike has_copy() it believes nobody. */
static bool was_seen(const struct spread *spread, const char *place)
{
    for (size_t i = 0; i < spread->rec->place_count; i++)
        if (strcmp(spread->rec->places[i], place) == 0)
            return spread->has[i];
    return false;
}

/* Wanted places without a copy, as far as they can take one now. */
static void choose_targets(struct spread *spread)
{
    for (size_t i = 0; i < spread->wanted_count; i++) {
        const char *place = spread->wanted[i];
        if (!has_copy(spread, place) &&
            volume_writable(volumes_state(spread->worker->master->volumes, place)))
            spread->targets[spread->target_count++] = place;
    }
}

/* Every target goes on the garbage list before the first byte is sent: after a crash the janitor
 * knows what may lie there. move_places() takes them off again. */
static enum status save_intent(struct spread *spread)
{
    struct record *rec = spread->rec;
    for (size_t i = 0; i < spread->target_count; i++) {
        enum status st =
            record_has_place(rec, spread->targets[i])
                ? ST_OK /* its copy was lost; the place is in the record as it is */
                : record_add_garbage(rec, rec->generation, rec->naming, spread->targets[i]);
        if (st)
            return st;
    }
    index_change_begin(&spread->change, spread->worker->loop, spread_intent_saved, spread);
    index_change_record(&spread->change, spread->key, rec);
    index_commit(spread->worker->master->index, &spread->change);
    return ST_OK;
}

/* --- the result --- */

static bool was_stored(const struct spread *spread, const char *place)
{
    for (size_t i = 0; i < spread->target_count; i++)
        if (strcmp(spread->targets[i], place) == 0)
            return spread->stored[i];
    return false;
}

/* Appends the places that hold a copy, those that are wanted first, to `list`; how many. */
static size_t list_holding(const struct spread *spread, const char **list, bool only_wanted)
{
    const struct record *rec = spread->rec;
    size_t count = 0;
    for (size_t i = 0; i < spread->wanted_count; i++)
        if (has_copy(spread, spread->wanted[i]) || was_stored(spread, spread->wanted[i]))
            list[count++] = spread->wanted[i];
    for (size_t i = 0; i < rec->place_count && !only_wanted; i++) {
        bool listed = false;
        for (size_t j = 0; j < count; j++)
            listed = listed || strcmp(list[j], rec->places[i]) == 0;
        /* What a volume that is away may hold is used when it comes back. */
        if (!listed && (spread->has[i] || !spread->asked[i]))
            list[count++] = rec->places[i];
    }
    return count;
}

static bool is_listed(const char *const *list, size_t count, const char *place)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], place) == 0)
            return true;
    return false;
}

/* The places become those on the list; copies elsewhere are garbage, which is due at `due`. Of an
 * incomplete list those are places that were asked and have no good copy: what lies there, or may
 * still come (a volume that fetches it by itself), must not be forgotten. On failure the record is
 * as before: what it calls garbage is never a copy that it still counts on. */
static enum status move_places(struct record *rec, const char *const *list, size_t count,
                               uint64_t due)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < rec->place_count && !st; i++) {
        if (is_listed(list, count, rec->places[i]))
            continue;
        st = record_add_late_garbage(rec, rec->generation, rec->naming, rec->places[i], due);
    }
    if (!st && count)
        st = record_set_places(rec, list, count);
    for (size_t i = 0; i < rec->place_count; i++)
        record_drop_garbage(rec, rec->generation, rec->places[i]);
    return st;
}

/* What is still to be repaired when the copies are those on the list. */
struct need {
    bool few;
    bool suspect;
};

/* `few` also where a copy stands on a volume that does not count: it will have to be moved. A
 * suspect stays one until each copy was seen. */
static struct need judge_need(const struct spread *spread, const char *const *list, size_t count)
{
    struct volumes *volumes = spread->worker->master->volumes;
    size_t kept = 0;
    size_t unsure = 0;
    for (size_t i = 0; i < count; i++) {
        kept += volumes_keeps(volumes, list[i]);
        unsure += !was_seen(spread, list[i]) && !was_stored(spread, list[i]);
    }
    bool few = kept < spread->worker->master->config->replicas || kept < count;
    return (struct need){few, spread->rec->suspect && unsure > 0};
}

static void note_need(struct record *rec, struct need need)
{
    rec->few_copies = need.few;
    rec->suspect = need.suspect;
    if (!need.few && !need.suspect)
        rec->since = 0;
    else if (!rec->since)
        rec->since = loop_wall_ms();
}

/* Copies that nobody has seen make no others superfluous that were seen. */
static bool are_certain(const struct spread *spread, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!was_seen(spread, list[i]) && !was_stored(spread, list[i]))
            return false;
    return true;
}

/* With all wanted places filled the others' copies are garbage; else they stay where they are. */
static enum status note_result(struct spread *spread)
{
    struct record *rec = spread->rec;
    size_t replicas = spread->worker->master->config->replicas;
    const char **list = calloc(rec->place_count + spread->wanted_count + 1, sizeof *list);
    if (!list)
        return ST_NO_MEMORY;
    size_t count = list_holding(spread, list, true);
    bool complete =
        count == spread->wanted_count && count >= replicas && are_certain(spread, list, count);
    if (!complete)
        count = list_holding(spread, list, false);
    struct need need = judge_need(spread, list, count);
    uint64_t due = loop_wall_ms() + spread->worker->master->config->grace_ms;
    enum status st = move_places(rec, list, count, due);
    if (!st)
        note_need(rec, need);
    free(list);
    return st;
}

/* --- the steps --- */

/* Answers are in the order of the places that were asked, which are not all. */
static void spread_looked(void *arg, const struct ask_answer *answers, size_t count)
{
    struct spread *spread = arg;
    const struct record *rec = spread->rec;
    size_t found = 0;
    for (size_t i = 0, a = 0; i < rec->place_count && a < count; i++) {
        if (!spread->asked[i])
            continue;
        spread->has[i] = is_copy(rec, &answers[a]);
        /* No answer is no proof that it is gone. */
        if (answers[a].st || (answers[a].http != 200 && answers[a].http != 404))
            spread->asked[i] = false;
        found += spread->has[i];
        if (spread->has[i] && answers[a].length > 0)
            spread->length = (uint64_t)answers[a].length;
        a++;
    }
    choose_targets(spread);
    enum status st = ST_OK;
    if (found == 0)
        st = ST_NOT_FOUND;
    else if (spread->target_count)
        st = save_intent(spread);
    else
        st = note_result(spread);
    if (st || spread->target_count == 0)
        spread_finish(spread, st);
}

/* Sources are the copies that have just answered, in the order of the record. */
static enum status copy(struct spread *spread)
{
    const struct record *rec = spread->rec;
    struct buf path = BUF_INIT;
    const char **sources = calloc(rec->place_count + 1, sizeof *sources);
    size_t count = 0;
    for (size_t i = 0; sources && i < rec->place_count; i++)
        if (spread->has[i])
            sources[count++] = rec->places[i];
    enum status st =
        sources ? name_path(&path, spread->key, rec->generation, rec->naming) : ST_NO_MEMORY;
    const struct copy_spec spec = {
        .worker = spread->worker,
        .request = spread->request,
        .path = buf_text(&path),
        .md5 = rec->md5,
        .sources = sources,
        .source_count = count,
        .targets = spread->targets,
        .target_count = spread->target_count,
        .length = spread->length,
        .done = spread_copied,
        .arg = spread,
    };
    if (!st)
        st = copy_start(&spec);
    buf_free(&path);
    free(sources);
    return st;
}

/* The first step that changes anything on a volume. */
static void spread_intent_saved(void *arg, enum status st)
{
    struct spread *spread = arg;
    if (!st)
        st = copy(spread);
    if (st)
        spread_finish(spread, st);
}

/* Copies of an unlinked key are marked on their volumes, too: a rebuild would show the key
 * otherwise. With none to mark ask_start() calls back all the same. */
static void spread_copied(void *arg, enum status st, const bool *stored, uint64_t bytes)
{
    struct spread *spread = arg;
    struct record *rec = spread->rec;
    struct ask_item items[RECORD_COPIES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < spread->target_count; i++) {
        spread->stored[i] = stored[i];
        if (!stored[i])
            continue;
        spread->moved += bytes;
        if (rec->state == KEY_UNLINKED)
            items[count++] =
                (struct ask_item){spread->targets[i], rec->generation, rec->naming, NULL};
    }
    if (!st)
        st = ask_start(spread->worker, spread->request, "UNLINK", spread->key, items, count,
                       LOOK_MS, spread_flagged, spread);
    if (st)
        spread_finish(spread, st);
}

/* A mark that could not be set is no reason to give the copies up: one that has it suffices. */
static void spread_flagged(void *arg, const struct ask_answer *answers UNUSED, size_t count UNUSED)
{
    struct spread *spread = arg;
    spread_finish(spread, note_result(spread));
}

static void spread_free(struct spread *spread)
{
    index_change_free(&spread->change);
    free(spread->ranked);
    free(spread->wanted);
    free(spread->targets);
    free(spread->has);
    free(spread->asked);
    free(spread->stored);
    free(spread);
}

/* The one end. The key is not unlocked here: it is the owner's. */
static void spread_finish(struct spread *spread, enum status st)
{
    if (st)
        log_event(LOG_WARN, "spread", "request=%s error=\"%s\"", spread->request, status_text(st));
    spread->spread(spread->arg, st, spread->moved);
    spread_free(spread);
}

enum status spread_start(struct worker *worker, const char *request, const struct key *key,
                         struct record *rec,
                         void (*done)(void *arg, enum status st, uint64_t moved), void *arg)
{
    struct spread *spread = calloc(1, sizeof *spread);
    if (!spread)
        return ST_NO_MEMORY;
    spread->worker = worker;
    strncpy(spread->request, request, sizeof spread->request - 1);
    spread->key = key;
    spread->rec = rec;
    spread->spread = done;
    spread->arg = arg;
    enum status st = choose_wanted(spread);
    if (!st)
        st = look(spread);
    if (st)
        spread_free(spread);
    return st;
}

bool spread_would_help(struct worker *worker, const struct key *key, const struct record *rec)
{
    struct ranked *ranked;
    size_t count;
    if (volumes_rank(worker->master->volumes, key, &ranked, &count))
        return false;
    /* Fewer may be wanted than when it was noted that there are too few. */
    bool helps = rec->place_count >= worker->master->config->replicas;
    for (size_t i = 0; i < count && !helps; i++)
        helps = volume_writable(ranked[i].state) && !record_has_place(rec, ranked[i].place);
    free(ranked);
    return helps;
}
