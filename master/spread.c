/*
 * The path: spread_start → spread_looked (which copies are there; the first of them sends the value
 * along) → spread_intent_saved → spread_copied → spread_flagged (copies of an unlinked key are
 * marked as such) → spread_finish. Copies that do not count (of a volume that is drained) are
 * looked at only where no other is found: then spread_looked comes twice.
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
#include "master/spread_record.h"
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
    bool every;      /* all copies are looked at, also those that do not count */
    uint64_t length; /* of the value, as a copy says it */
    size_t sender;   /* rec->places[sender] was asked for the value, too; place_count: none was */
    struct ask_value value; /* that it sent */
    uint64_t moved;         /* bytes written, over all targets */
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

/* A copy will have to be made, as far as the record tells. */
static bool lacks_copies(const struct spread *spread)
{
    for (size_t i = 0; i < spread->wanted_count; i++)
        if (!record_has_place(spread->rec, spread->wanted[i]))
            return true;
    return false;
}

/* Which copies are asked for; how many. `every` is set where none was passed over. */
static size_t choose_asked(struct spread *spread)
{
    struct volumes *volumes = spread->worker->master->volumes;
    const struct record *rec = spread->rec;
    size_t readable = 0;
    size_t count = 0;
    for (size_t i = 0; i < rec->place_count; i++) {
        spread->asked[i] = volume_readable(volumes_state(volumes, rec->places[i]));
        readable += spread->asked[i];
        if (!spread->every && !volumes_keeps(volumes, rec->places[i]))
            spread->asked[i] = false;
        count += spread->asked[i];
    }
    spread->every = count == readable;
    return count;
}

/* Copies that count are asked for also where they stand right: what the record says of them may be
 * out of date, and a source must be one that answers. */
static enum status look(struct spread *spread)
{
    struct volumes *volumes = spread->worker->master->volumes;
    const struct record *rec = spread->rec;
    struct ask_item items[RECORD_COPIES_MAX];
    size_t count = 0;
    bool fetches = lacks_copies(spread);
    if (choose_asked(spread) == 0) {
        spread->every = true;
        (void)choose_asked(spread);
    }
    spread->sender = rec->place_count;
    spread->value.whole = false;
    buf_clear(&spread->value.bytes); /* of one whose digest was another */
    buf_clear(&spread->value.type);
    for (size_t i = 0; i < rec->place_count; i++) {
        if (!spread->asked[i])
            continue;
        bool sends = fetches && spread->sender == rec->place_count &&
                     volumes_kind(volumes, rec->places[i]) == VOLUME_LARDER;
        if (sends)
            spread->sender = i;
        items[count++] = (struct ask_item){.place = rec->places[i],
                                           .generation = rec->generation,
                                           .naming = rec->naming,
                                           .value = sends ? &spread->value : NULL};
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
 * knows what may lie there. spread_move_places() takes them off again. */
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

/* `few` also where a copy stands on a volume that does not count: it will have to be moved. A
 * suspect stays one until each copy was seen. */
static struct spread_need judge_need(const struct spread *spread, const char *const *list,
                                     size_t count)
{
    struct volumes *volumes = spread->worker->master->volumes;
    size_t kept = 0;
    size_t unsure = 0;
    for (size_t i = 0; i < count; i++) {
        kept += volumes_keeps(volumes, list[i]);
        unsure += !was_seen(spread, list[i]) && !was_stored(spread, list[i]);
    }
    bool few = kept < spread->worker->master->config->replicas || kept < count;
    return (struct spread_need){few, spread->rec->suspect && unsure > 0};
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
    struct spread_need need = judge_need(spread, list, count);
    uint64_t due = loop_wall_ms() + spread->worker->master->config->grace_ms;
    enum status st = spread_move_places(rec, list, count, due);
    if (!st)
        spread_note_need(rec, need);
    free(list);
    return st;
}

/* --- the steps --- */

/* What the answers say; how many copies there are. They are in the order of the places that were
 * asked, which are not all. */
static size_t note_answers(struct spread *spread, const struct ask_answer *answers, size_t count)
{
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
    return found;
}

static void spread_looked(void *arg, const struct ask_answer *answers, size_t count)
{
    struct spread *spread = arg;
    enum status st = ST_OK;
    bool found = note_answers(spread, answers, count) > 0;
    if (!found && !spread->every) {
        spread->every = true;
        st = look(spread);
        if (st)
            spread_finish(spread, st);
        return;
    }
    choose_targets(spread);
    if (!found)
        st = ST_NOT_FOUND;
    else if (spread->target_count)
        st = save_intent(spread);
    else
        st = note_result(spread);
    if (st || spread->target_count == 0)
        spread_finish(spread, st);
}

/* Sources are the copies that have just answered: the one that was asked for the value, and the
 * others in the order of the record. Behind them those that nobody was asked about. */
static size_t list_sources(const struct spread *spread, const char **list)
{
    const struct record *rec = spread->rec;
    struct volumes *volumes = spread->worker->master->volumes;
    size_t count = 0;
    if (spread->sender < rec->place_count && spread->has[spread->sender])
        list[count++] = rec->places[spread->sender];
    for (size_t i = 0; i < rec->place_count; i++)
        if (spread->has[i] && i != spread->sender)
            list[count++] = rec->places[i];
    for (size_t i = 0; i < rec->place_count && !spread->every; i++)
        if (!volumes_keeps(volumes, rec->places[i]) &&
            volume_readable(volumes_state(volumes, rec->places[i])) && !spread->has[i])
            list[count++] = rec->places[i];
    return count;
}

static enum status copy(struct spread *spread)
{
    const struct record *rec = spread->rec;
    struct buf path = BUF_INIT;
    const char **sources = calloc(rec->place_count + 1, sizeof *sources);
    size_t count = sources ? list_sources(spread, sources) : 0;
    bool here = spread->value.whole && spread->has[spread->sender];
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
        .length = here ? spread->value.bytes.len : spread->length,
        .value = here ? buf_text(&spread->value.bytes) : NULL,
        .type = here && spread->value.type.len ? buf_text(&spread->value.type) : NULL,
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
 * otherwise. */
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
                (struct ask_item){spread->targets[i], rec->generation, rec->naming, NULL, NULL};
    }
    if (!st && count == 0) {
        spread_flagged(spread, NULL, 0);
        return;
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
    buf_free(&spread->value.bytes);
    buf_free(&spread->value.type);
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
    spread->every = rec->suspect; /* each of its copies is in doubt */
    spread->has = calloc(rec->place_count + 1, sizeof *spread->has);
    spread->asked = calloc(rec->place_count + 1, sizeof *spread->asked);
    enum status st = spread->has && spread->asked ? choose_wanted(spread) : ST_NO_MEMORY;
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
