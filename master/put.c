/*
 * PUT /key. The happy path:
 *   put_start          key locked, record read; refusals leave here, before the body
 *   put_intent_saved   the places that may get a copy are in the index; now the body is read
 *   put_body_data      … and streams to the volumes
 *   put_body_ended     all of it was given to the volumes
 *   put_replicated     enough copies are durable
 *   put_committed      the index says so
 *   put_finish         answered, unlocked, freed
 *
 * Possible failures: the client goes away or its digest does not match (nothing becomes visible),
 * too few volumes take the value (503, 507) or they do not agree on what it is (502), the index
 * cannot be written (507, 500), more old versions of the key wait to be removed than the janitor
 * could keep up with (503). Whatever a failure leaves on volumes is in the intent, which stays in
 * the index as work for the janitor.
 */
#include <stdlib.h>
#include <string.h>

#include "common/http_server.h"
#include "common/log.h"
#include "master/config.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/keylock.h"
#include "master/replicate.h"
#include "master/volumes.h"
#include "master/worker.h"

enum {
    SPARES = 2,        /* candidates beyond --replicas, for those that fail */
    GARBAGE_MAX = 2000 /* copies that wait to be removed; with more a key has to come to rest */
};

struct put {
    struct worker *worker;
    struct http_request *req;
    struct key key;
    struct record rec; /* of the key, as the index has it or will have it */
    struct index_change change;
    uint64_t generation; /* of the new version */
    struct ranked *ranked;
    const char **candidates; /* point into `ranked` */
    size_t candidate_count;
    struct replicate *rep;
    char client_md5[MD5_HEX + 1]; /* what the client says that it sends, or "" */
    uint64_t received;
    bool overwrites; /* readers see another value until then */
};

static void put_intent_saved(void *arg, enum status st);
static size_t put_body_data(void *arg, const char *data, size_t len);
static void put_body_ended(void *arg, enum status st);
static void put_replicated(void *arg, enum status st);
static void put_committed(void *arg, enum status st);
static void put_finish(struct put *put, enum status st);

static const struct http_body_sink put_body = {put_body_data, put_body_ended};

/* --- before the body --- */

/* What the request's head alone tells. */
static enum status check_head(const struct config *config, struct http_request *req,
                              char client_md5[MD5_HEX + 1])
{
    int64_t length = http_request_body_length(req);
    if (!http_request_has_body(req))
        return ST_LENGTH_REQUIRED;
    if (config->max_value && length > 0 && (uint64_t)length > config->max_value)
        return ST_TOO_LARGE;
    const char *md5 = http_request_field(req, "Content-MD5");
    client_md5[0] = 0;
    if (md5 && md5_parse(md5, client_md5))
        return ST_BAD_REQUEST;
    return ST_OK;
}

/* The volumes that can take a copy now, best first. */
static enum status choose_candidates(struct put *put)
{
    const struct config *config = put->worker->master->config;
    size_t count;
    bool full = false;
    enum status st = volumes_rank(put->worker->master->volumes, &put->key, &put->ranked, &count);
    if (st || !put->ranked)
        return st ? st : ST_UNAVAILABLE;
    size_t most = config->replicas + SPARES;
    put->candidates = calloc(most, sizeof *put->candidates);
    if (!put->candidates)
        return ST_NO_MEMORY;
    for (int slow = 0; slow < 2; slow++) /* those that are slow come last */
        for (size_t i = 0; i < count && put->candidate_count < most; i++) {
            enum volume_state state = put->ranked[i].state;
            if (volume_writable(state) && (state == VOLUME_SLOW) == slow)
                put->candidates[put->candidate_count++] = put->ranked[i].place;
            full = full || state == VOLUME_FULL;
        }
    if (put->candidate_count >= config->min_replicas)
        return ST_OK;
    return full ? ST_NO_SPACE : ST_UNAVAILABLE;
}

/* Everything that may come to hold a file of the new version is in the index before it does. */
static enum status note_intent(struct put *put)
{
    put->generation = record_next_generation(&put->rec, loop_wall_ms());
    if (put->rec.state == KEY_ABSENT)
        record_move(&put->rec, KEY_PENDING);
    for (size_t i = 0; i < put->candidate_count; i++) {
        enum status st =
            record_add_garbage(&put->rec, put->generation, NAMING_LARDER, put->candidates[i]);
        if (st)
            return st;
    }
    return ST_OK;
}

static enum status prepare(struct put *put)
{
    enum status st = index_get_all(put->worker->master->index, &put->key, &put->rec);
    if (st)
        return st;
    if (put->rec.state == KEY_LIVE && !put->worker->master->config->overwrite)
        return ST_EXISTS;
    if (put->rec.garbage.count > GARBAGE_MAX) {
        /* Every version makes more, faster than the janitor could remove them. */
        log_event(LOG_WARN, "put", "request=%s event=much-garbage copies=%zu",
                  http_request_id(put->req), put->rec.garbage.count);
        return ST_BUSY;
    }
    st = choose_candidates(put);
    return st ? st : note_intent(put);
}

void put_start(struct worker *worker, struct http_request *req, const struct key *key)
{
    char client_md5[MD5_HEX + 1];
    enum status st = check_head(worker->master->config, req, client_md5);
    if (!st && !keylock_try(worker->master->locks, key))
        st = ST_CONFLICT;
    if (st) {
        http_reply_status(req, st, NULL);
        return;
    }
    struct put *put = calloc(1, sizeof *put);
    if (!put) {
        keylock_release(worker->master->locks, key);
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    put->worker = worker;
    put->req = req;
    put->key = *key;
    memcpy(put->client_md5, client_md5, sizeof client_md5);
    st = prepare(put);
    if (st) {
        put_finish(put, st);
        return;
    }
    index_change_begin(&put->change, worker->loop, put_intent_saved, put);
    index_change_record(&put->change, &put->key, &put->rec);
    index_commit(worker->master->index, &put->change);
}

/* --- the body --- */

static void put_room(void *arg)
{
    const struct put *put = arg;
    http_request_resume_body(put->req);
}

static enum status start_replicas(struct put *put)
{
    const struct config *config = put->worker->master->config;
    struct buf path = BUF_INIT;
    enum status st = name_path(&path, &put->key, put->generation, NAMING_LARDER);
    const struct replicate_spec spec = {
        .worker = put->worker,
        .request = http_request_id(put->req),
        .path = buf_text(&path),
        .candidates = put->candidates,
        .candidate_count = put->candidate_count,
        .wanted = config->replicas,
        .minimum = config->min_replicas,
        .length = http_request_body_length(put->req),
        .type = http_request_field(put->req, "Content-Type"),
        .digest = config->md5sum,
        .expected_md5 = put->client_md5[0] ? put->client_md5 : NULL,
        .room = put_room,
        .done = put_replicated,
        .arg = put,
    };
    if (!st && !(put->rep = replicate_start(&spec)))
        st = ST_NO_MEMORY;
    buf_free(&path);
    return st;
}

static void put_intent_saved(void *arg, enum status st)
{
    struct put *put = arg;
    if (!st)
        st = start_replicas(put);
    if (st) {
        put_finish(put, st);
        return;
    }
    http_request_read_body(put->req, &put_body, put);
}

static size_t put_body_data(void *arg, const char *data, size_t len)
{
    struct put *put = arg;
    unsigned long long limit = put->worker->master->config->max_value;
    size_t taken = replicate_data(put->rep, data, len);
    put->received += taken;
    if (limit && put->received > limit) { /* a chunked body did not say so before */
        put_finish(put, ST_TOO_LARGE);
        return len;
    }
    return taken;
}

static void put_body_ended(void *arg, enum status st)
{
    struct put *put = arg;
    if (!st && put->received == 0)
        st = ST_LENGTH_REQUIRED; /* chunked, and empty */
    if (st)
        put_finish(put, st);
    else
        replicate_end(put->rep);
}

/* --- after the body --- */

/* What was live becomes garbage, which stays for a while: readers may have been sent there already.
 */
static enum status retire_old_version(struct put *put)
{
    struct record *rec = &put->rec;
    enum status st = ST_OK;
    if (rec->state != KEY_LIVE && rec->state != KEY_UNLINKED)
        return ST_OK;
    uint64_t due = loop_wall_ms() + put->worker->master->config->grace_ms;
    for (size_t i = 0; i < rec->place_count && !st; i++)
        st = record_add_late_garbage(rec, rec->generation, rec->naming, rec->places[i], due);
    return st;
}

/* How many of the copies count: a volume that began to drain, or was lost, while the value came in
 * has one that is to be replaced, and a sweep that is over by now has not seen this key there. */
static size_t count_kept(const struct put *put)
{
    size_t kept = 0;
    for (size_t i = 0; i < put->rec.place_count; i++)
        kept += volumes_keeps(put->worker->master->volumes, put->rec.places[i]);
    return kept;
}

/* Makes the record what it is to be: the new version live, the intent resolved. */
static enum status note_result(struct put *put)
{
    struct record *rec = &put->rec;
    const char **stored = calloc(put->candidate_count + 1, sizeof *stored);
    size_t count = 0;
    if (!stored)
        return ST_NO_MEMORY;
    enum status st = retire_old_version(put);
    for (size_t i = 0; i < put->candidate_count; i++) {
        enum replica_end end = replicate_result(put->rep, i);
        if (end == REPLICA_STORED)
            stored[count++] = put->candidates[i];
        if (end != REPLICA_FAILED) /* a failed one may have a file, or get one yet */
            record_drop_garbage(rec, put->generation, put->candidates[i]);
    }
    if (!st)
        st = record_set_places(rec, stored, count);
    free(stored);
    put->overwrites = rec->state == KEY_LIVE;
    record_move(rec, KEY_LIVE);
    rec->generation = put->generation;
    rec->naming = NAMING_LARDER;
    rec->few_copies = count_kept(put) < put->worker->master->config->replicas;
    rec->suspect = false;
    rec->since = rec->few_copies ? loop_wall_ms() : 0;
    bool keep_md5 = put->worker->master->config->md5sum;
    memcpy(rec->md5, keep_md5 ? replicate_md5(put->rep) : "", keep_md5 ? MD5_HEX + 1 : 1);
    return st;
}

static void put_replicated(void *arg, enum status st)
{
    struct put *put = arg;
    if (!st)
        st = note_result(put);
    if (st) {
        put_finish(put, st);
        return;
    }
    index_change_begin(&put->change, put->worker->loop, put_committed, put);
    index_change_record(&put->change, &put->key, &put->rec);
    index_change_event(&put->change, put->overwrites ? CHANGES_OVERWRITE : CHANGES_PUT, &put->key,
                       put->received, put->rec.md5);
    index_commit(put->worker->master->index, &put->change);
}

static void put_committed(void *arg, enum status st)
{
    struct put *put = arg;
    if (!st && put->rec.few_copies)
        log_event(LOG_WARN, "put", "request=%s event=few-copies stored=%zu wanted=%u",
                  http_request_id(put->req), put->rec.place_count,
                  put->worker->master->config->replicas);
    put_finish(put, st);
}

static void put_finish(struct put *put, enum status st)
{
    keylock_release(put->worker->master->locks, &put->key);
    if (st) {
        http_reply_status(put->req, st, NULL);
    } else {
        if (put->rec.md5[0])
            http_reply_field(put->req, "Content-Md5", put->rec.md5);
        http_reply(put->req, 201, NULL, 0);
    }
    replicate_free(put->rep);
    index_change_free(&put->change);
    record_free(&put->rec);
    free(put->candidates);
    free(put->ranked);
    free(put);
}
