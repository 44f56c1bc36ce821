/*
 * The path: reunite_run → visit_all (the list of keys and the scan side by side, then keys that
 * only have work) → visit (one key) → send (a few hundred records) → … → finish.
 *
 * It can be begun again at any moment: records are sent whole, so one that was sent already comes
 * out as RECONCILE_SAME, and until the last of them has arrived the master takes no writes.
 */
#include "tools/larder/reunite.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/key.h"
#include "common/record.h"
#include "tools/larder/choose.h"
#include "tools/larder/client.h"
#include "tools/larder/info.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/keylist.h"
#include "tools/larder/merge.h"
#include "tools/larder/places.h"
#include "tools/larder/progress.h"
#include "tools/larder/reconcile.h"
#include "tools/larder/roster.h"
#include "tools/larder/say.h"
#include "tools/larder/scan.h"
#include "tools/larder/survey.h"

/* BATCH_BYTES: of records in one request, each of which is one commit of the master's. The rest is
 * waited for REST_TRIES * REST_MS milliseconds. */
enum { BATCH_BYTES = 128 * 1024, REST_MS = 100, REST_TRIES = 600 };

struct reunion {
    struct client *client;
    struct survey *survey;
    const struct places *places;
    struct reconcile_options options;
    struct progress *progress;
    struct scan_group group; /* a copy of what was found of the key at hand */
    struct buf batch;        /* records as JSON, with commas between */
    uint64_t counts[RECONCILE_ENDS];
    uint64_t damaged, conflicts;
    uint64_t laid_aside; /* keys whose last copies are in quarantine */
};

/* --- what the master says --- */

static enum status fetch_status(struct client *client, struct json **status)
{
    *status = NULL;
    enum status st = client_request(client, "GET", "/admin/status");
    if (!st && client_status(client) == 200)
        *status = client_json(client);
    if (*status)
        return ST_OK;
    client_explain(client, st, "ask for the state of the master", NULL);
    return st ? st : ST_PEER;
}

enum status reunite_is_needed(struct client *client, bool *needed)
{
    struct json *status;
    enum status st = fetch_status(client, &status);
    *needed = json_bool(json_member(status, "restored"), false);
    json_free(status);
    return st;
}

static enum status post(struct client *client, const char *path, const char *text,
                        const char *doing)
{
    enum status st = client_post(client, path, text);
    if (!st && client_status(client) == 204)
        return ST_OK;
    client_explain(client, st, doing, NULL);
    if (!st && client_status(client) == 409)
        return ST_CONFLICT;
    return st ? st : ST_PEER;
}

/* Of several masters only the one that writes knows of writes that are under way. */
static bool is_at_rest(const struct json *status)
{
    const struct json *queues = json_member(status, "queues");
    return client_is_writer(status) && json_int(json_member(queues, "locked_keys"), 0) == 0 &&
           json_int(json_member(queues, "commits"), 0) == 0;
}

/* Once no lock is held nothing writes any more: no new ones are given. */
static enum status wait_for_rest(struct client *client)
{
    for (int i = 0; i < REST_TRIES && !interrupt_seen(); i++) {
        struct json *status;
        client_find_writer(client);
        enum status st = fetch_status(client, &status);
        bool rests = !st && is_at_rest(status);
        json_free(status);
        if (st || rests)
            return st;
        interrupt_sleep(REST_MS);
    }
    if (!interrupt_seen())
        say_error("writes that were under way have not ended within a minute; try again");
    return ST_BUSY;
}

enum status reunite_begin(struct client *client)
{
    enum status st = post(client, "/admin/reconcile?begin", NULL, "have writes stopped");
    return st ? st : wait_for_rest(client);
}

/* --- sending --- */

/* The batch is emptied also where it failed: a failure ends the run. */
static enum status send(struct reunion *reunion)
{
    struct buf text = BUF_INIT;
    if (!reunion->batch.len)
        return ST_OK;
    buf_addf(&text, "{\"records\":[%s]}", buf_text(&reunion->batch));
    enum status st = buf_ok(&text) && buf_ok(&reunion->batch)
                         ? post(reunion->client, "/admin/reconcile", buf_text(&text),
                                "send what the volumes tell")
                         : ST_NO_MEMORY;
    buf_free(&text);
    buf_clear(&reunion->batch);
    return st;
}

/* null: the index is to have nothing there, and drops what it has. */
static void add_text(struct buf *out, const char *name, bool there, const struct buf *text)
{
    buf_addf(out, ",\"%s\":", name);
    if (there)
        json_add_string(out, buf_text(text), text->len);
    else
        buf_adds(out, "null");
}

static enum status add_record(struct reunion *reunion, const struct key *key,
                              const struct record *record)
{
    struct buf *out = &reunion->batch;
    struct buf text = BUF_INIT;
    buf_adds(out, out->len ? ",{\"key\":\"" : "{\"key\":\"");
    key_encode(out, key->bytes, key->len);
    buf_addc(out, '"');
    bool there = record_encode(record, key, &text);
    add_text(out, "value", there, &text);
    out->failed |= !buf_ok(&text);
    buf_clear(&text);
    there = record_encode_work(record, &text);
    add_text(out, "work", there, &text);
    buf_addc(out, '}');
    out->failed |= !buf_ok(&text);
    buf_free(&text);
    return out->len < BATCH_BYTES && buf_ok(out) ? ST_OK : send(reunion);
}

/* --- one key --- */

/* The chooser sorts the files of the group that it is given, and the one at hand is the merge's.
 * Its memory is kept from key to key. */
static enum status copy_group(struct reunion *reunion, const struct scan_group *from)
{
    struct scan_group *to = &reunion->group;
    enum status st = ST_OK;
    scan_group_clear(to);
    to->key = from->key;
    to->quarantined = from->quarantined;
    to->quarantined_generation = from->quarantined_generation;
    to->quarantined_place = from->quarantined_place;
    for (size_t i = 0; i < from->file_count && !st; i++)
        st = scan_group_add_file(to, &from->files[i]);
    for (size_t i = 0; i < from->tombstone_count && !st; i++)
        st =
            scan_group_add_tombstone(to, from->tombstones[i].generation, from->tombstones[i].place);
    return st;
}

/* The first few by name: they are to be looked after by people. */
static void count_laid_aside(struct reunion *reunion, const struct scan_group *group)
{
    enum { SAID = 20 };
    struct buf key = BUF_INIT;
    if (++reunion->laid_aside > SAID)
        return;
    key_encode(&key, group->key.bytes, group->key.len);
    say_error("%s: its last copies are damaged; one is in the quarantine of %s", buf_text(&key),
              places_name(reunion->places, group->quarantined_place));
    buf_free(&key);
}

/* `known`: what the index says of it. What is as it was, or in doubt, is not sent: most keys are.
 */
static enum status visit(struct reunion *reunion, const struct record *known,
                         const struct scan_group *group)
{
    struct choice choice;
    enum reconcile_end end = RECONCILE_SAME;
    enum status st = copy_group(reunion, group);
    if (st)
        return st;
    st = reconcile_run(&reunion->options, known, &reunion->group, &choice, &end);
    if (!st && end != RECONCILE_SAME && end != RECONCILE_KEPT)
        st = add_record(reunion, &group->key, &choice.record);
    if (!st && choice.laid_aside)
        count_laid_aside(reunion, group);
    else if (!st)
        reunion->counts[end]++;
    if (!st) {
        reunion->damaged += choice.damaged;
        reunion->conflicts += choice.conflict;
    }
    record_free(&choice.record);
    progress_add(reunion->progress, group->file_count);
    return interrupt_seen() && !st ? ST_CLOSED : st;
}

/* A key that the list does not show may have a tombstone in the index, or a write under way. */
static enum status visit_unlisted(struct reunion *reunion, const struct scan_group *group)
{
    struct info info;
    info_init(&info);
    enum status st = info_fetch(reunion->client, &group->key, &info);
    if (!st || st == ST_NOT_FOUND)
        st = visit(reunion, &info.record, group);
    info_free(&info);
    return st;
}

/* --- all keys --- */

/* Both are sorted by key, so every key of either side is met once, in bounded memory. */
static enum status visit_side_by_side(struct reunion *reunion)
{
    struct merge *merge = merge_new(reunion->client, reunion->survey->scan);
    const struct info *info;
    const struct scan_group *group;
    enum status st = merge ? ST_OK : ST_NO_MEMORY;
    while (!st && !(st = merge_next(merge, &info, &group)))
        st = info ? visit(reunion, &info->record, group) : visit_unlisted(reunion, group);
    merge_free(merge);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Keys that are neither in the list nor on a volume: work that has nothing to speak of any more. */
static enum status visit_work(struct reunion *reunion)
{
    struct scan_group group = {0};
    struct info info;
    info_init(&info);
    struct keylist *list = keylist_new_work(reunion->client);
    struct scan_reader *reader = scan_reader_new(reunion->survey->scan);
    enum status st = list && reader ? ST_OK : ST_NO_MEMORY;
    while (!st && !(st = keylist_next(list, &info))) {
        if (info.record.state == KEY_LIVE || info.record.state == KEY_UNLINKED)
            continue;
        st = scan_lookup(reader, &info.key, &group);
        group.key = info.key;
        if (!st && group.file_count + group.tombstone_count == 0)
            st = visit(reunion, &info.record, &group);
    }
    info_free(&info);
    scan_group_free(&group);
    scan_reader_free(reader);
    keylist_free(list);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* What the first part found is sent before the second asks the index for its work: keys that were
 * just settled are not in it any more. */
static enum status visit_all(struct reunion *reunion)
{
    enum status st = visit_side_by_side(reunion);
    if (!st)
        st = send(reunion);
    if (!st)
        st = visit_work(reunion);
    return st ? st : send(reunion);
}

/* --- for people --- */

static void report_number(const char *what, uint64_t number, const char *meaning)
{
    struct buf text = BUF_INIT;
    progress_number(&text, number);
    if (number)
        say("  %-12s %12s  %s\n", what, buf_text(&text), meaning);
    buf_free(&text);
}

static void report(const struct reunion *reunion)
{
    const uint64_t *counts = reunion->counts;
    say("Index and volumes are together again; writes are taken.\n");
    report_number("new", counts[RECONCILE_NEW], "keys that came after the backup");
    report_number("overwritten", counts[RECONCILE_VERSION], "keys that have a newer version");
    report_number("unlinked", counts[RECONCILE_HIDDEN], "keys that were unlinked since");
    report_number("deleted", counts[RECONCILE_DELETED],
                  "keys of the backup of which no volume has a file");
    report_number("moved", counts[RECONCILE_MOVED], "keys whose copies have changed");
    report_number("as they were", counts[RECONCILE_SAME] + counts[RECONCILE_WORK], "keys");
    report_number("in doubt", counts[RECONCILE_KEPT],
                  "keys without a file, kept: a volume that was left out may have one");
    report_number("quarantined", reunion->laid_aside,
                  "keys whose last copies are damaged, and in quarantine; what the index has of "
                  "them stays");
    report_number("damaged", reunion->damaged, "copies that are not what they should be; garbage");
    report_number("conflicts", reunion->conflicts, "keys whose copies differ");
}

/* --- all of it --- */

static bool is_left_out(const void *arg, const char *place)
{
    return roster_left_out(arg, place);
}

/* The master's numbers, not ours: placement has to come out as it does there. Without volumes left
 * out there is no `unseen`, and what has no file is gone for certain. */
static enum status make_chooser(struct reunion *reunion)
{
    const struct roster *roster = reunion->survey->roster;
    struct choose_options options = {.places = roster_places(roster), .unseen_arg = roster};
    struct json *status;
    enum status st = fetch_status(reunion->client, &status);
    options.subvolumes = (unsigned)json_int(json_member(status, "subvolumes"), 0);
    options.replicas = (unsigned)json_int(json_member(status, "replicas"), 0);
    options.made_ms = (uint64_t)json_int(json_member(status, "restored_made"), 0);
    json_free(status);
    if (st)
        return st;
    options.volumes = roster_volumes(roster, &options.volume_count);
    reunion->places = options.places;
    if (roster_incomplete(roster))
        options.unseen = is_left_out;
    reunion->options.chooser = chooser_new(&options);
    reunion->options.unseen = options.unseen;
    reunion->options.unseen_arg = roster;
    return reunion->options.chooser ? ST_OK : ST_NO_MEMORY;
}

enum status reunite_run(struct client *client, struct survey *survey, bool *well)
{
    struct reunion reunion = {.client = client, .survey = survey};
    reunion.progress = progress_new("comparing", "files", survey->found.files + 1);
    enum status st = reunion.progress ? make_chooser(&reunion) : ST_NO_MEMORY;
    if (!st)
        st = visit_all(&reunion);
    if (!st)
        st = post(client, "/admin/reconcile?end", NULL, "have writes taken again");
    progress_free(reunion.progress);
    *well = reunion.laid_aside == 0;
    if (!st)
        report(&reunion);
    chooser_free(reunion.options.chooser);
    scan_group_free(&reunion.group);
    buf_free(&reunion.batch);
    return st;
}
