/*
 * PUT /path: stores a value.
 *
 * The head is looked at → the body fills a chunk → it is full, or the body ends: a job writes it,
 * while the next one fills → … → the last chunk's job makes the value durable → 201 or 204.
 * A value that fits one chunk is one job from the temp file to the last fsync; small ones of a disk
 * that come at the same time are written together, by one thread (batch.h).
 *
 * Failures: what the head tells is answered before the body. Later ones wait for the job that is
 * under way, since it uses the chunk and the temp file; a further job removes the temp file where
 * the failed one has not, and then comes the answer. A client that goes away is such a failure.
 */
#include <stdlib.h>
#include <string.h>

#include "common/http_server.h"
#include "common/md5.h"
#include "volume/config.h"
#include "volume/flow.h"
#include "volume/service.h"
#include "volume/spares.h"
#include "volume/trusted.h"
#include "volume/writing.h"

/* From DIRECT_MIN on a value passes by the page cache: copying it there costs more of a processor
 * than hashing it, and it would drive out what readers ask for. Such writes wait for the disk, so
 * there are fewer and larger ones. */
enum {
    SMALL = 64 * 1024,
    CHUNK_BYTES = 256 * 1024,
    DIRECT_CHUNK_BYTES = 512 * 1024,
    DIRECT_MIN = 1024 * 1024,
    SPARE_CHUNKS = 64
};

enum put_state {
    PUT_RECEIVING, /* the body comes */
    PUT_RECEIVED,  /* it is complete; chunks may still have to be written */
    PUT_FAILED     /* `failure` is to be answered as soon as no job is under way */
};

struct chunk {
    char *data; /* NULL until there is something to put in */
    size_t len;
};

struct put {
    struct flow flow;
    enum put_state state;
    enum status failure;
    struct chunk filling;    /* the loop's */
    struct chunk writing;    /* the job's, while one is under way */
    size_t chunk_bytes;      /* the most that one holds */
    bool working;            /* a job is under way */
    uint64_t received, room; /* bytes so far; at most so many may come */
    int64_t length;          /* that was announced; -1: chunked */
    char expected[MD5_HEX + 1];
    const char *type; /* the request's */
    /* The job's, while one is under way: */
    struct writing *value; /* NULL before the first chunk */
    struct writing_end end;
    bool last; /* this chunk ends the value */
    enum status result;
};

static enum status put_check_head(struct put *put);
static size_t put_received(void *arg, const char *data, size_t len);
static void put_body_ended(void *arg, enum status st);
static void put_write_next(struct put *put, bool last);
static enum status put_write_chunk(struct put *put);
static void put_write(void *arg); /* on the pool */
static void put_written(void *arg);
static void put_fail(struct put *put, enum status st);
static void put_discard(void *arg); /* on the pool */
static void put_finish(void *arg);

static const struct http_body_sink put_sink = {put_received, put_body_ended};

struct spares *put_chunks_new(void)
{
    return spares_new(DIRECT_CHUNK_BYTES, WRITING_BLOCK, SPARE_CHUNKS);
}

void put_start(struct service *service, struct http_request *req, struct path *path)
{
    struct put *put = calloc(1, sizeof *put);
    if (!put) {
        free(path);
        flow_refuse(req, ST_NO_MEMORY);
        return;
    }
    flow_init(&put->flow, service, req, path);
    atomic_fetch_add(&service->counters.puts, 1);
    enum status st = put_check_head(put);
    if (st) {
        put->state = PUT_FAILED;
        put->failure = st;
        put_finish(put);
        return;
    }
    http_request_read_body(req, &put_sink, put);
}

/* The client's digest, if it sent one. */
static enum status read_digest(struct put *put)
{
    const char *digest = http_request_field(put->flow.req, "Content-MD5");
    if (!digest)
        return ST_OK;
    return md5_parse(digest, put->expected) ? ST_BAD_REQUEST : ST_OK;
}

static bool is_direct(const struct put *put)
{
    return put->length >= DIRECT_MIN;
}

static enum status put_check_head(struct put *put)
{
    const struct http_request *req = put->flow.req;
    const struct path *path = put->flow.path;
    if (http_request_no_length(req))
        return ST_LENGTH_REQUIRED;
    if (http_request_field(req, "Content-Range")) /* RFC 9110, 14.5: never as if it were whole */
        return ST_BAD_REQUEST;
    if (path->directory || path->file[0] == '\0')
        return ST_CONFLICT;
    enum status st = read_digest(put);
    if (st)
        return st;
    put->length = http_request_body_length(req);
    put->chunk_bytes = is_direct(put) ? DIRECT_CHUNK_BYTES : CHUNK_BYTES;
    put->type = http_request_field(req, "Content-Type");
    unsigned long long most = put->flow.service->config->max_value;
    put->room = most ? most : UINT64_MAX;
    if (put->length > 0 && (uint64_t)put->length > put->room)
        return ST_TOO_LARGE;
    return flow_admit(&put->flow, SUBVOLUME_WRITE, put->length > 0 ? (uint64_t)put->length : 0);
}

/* --- The body --- */

/* Memory for a chunk, no more than the rest of the body needs. */
static bool have_chunk(struct put *put)
{
    size_t size = put->chunk_bytes;
    if (put->filling.data)
        return true;
    if (is_direct(put)) {
        put->filling.data = spares_take(put->flow.service->chunks);
        return put->filling.data != NULL;
    }
    if (put->length >= 0 && (uint64_t)put->length - put->received < size)
        size = (size_t)((uint64_t)put->length - put->received);
    put->filling.data = malloc(size);
    return put->filling.data != NULL;
}

static size_t put_received(void *arg, const char *data, size_t len)
{
    struct put *put = arg;
    size_t taken = 0;
    while (taken < len && put->state == PUT_RECEIVING) {
        if (put->filling.len == put->chunk_bytes) {
            if (put->working)
                break; /* both are full: the client waits until put_written */
            put_write_next(put, false);
        }
        if (put->received == put->room) {
            put_fail(put, ST_TOO_LARGE);
            break;
        }
        if (!have_chunk(put)) {
            put_fail(put, ST_NO_MEMORY);
            break;
        }
        size_t more = put->chunk_bytes - put->filling.len;
        if (more > len - taken)
            more = len - taken;
        if (more > put->room - put->received)
            more = (size_t)(put->room - put->received);
        memcpy(put->filling.data + put->filling.len, data + taken, more);
        put->filling.len += more;
        put->received += more;
        taken += more;
    }
    return taken;
}

static void put_body_ended(void *arg, enum status st)
{
    struct put *put = arg;
    if (put->state == PUT_FAILED)
        return;
    if (st) {
        put_fail(put, st);
        return;
    }
    put->state = PUT_RECEIVED;
    if (!put->working)
        put_write_next(put, true);
}

/* --- Writing --- */

/* A value that came whole and is small is written with others (put_write_many). */
static bool is_small(const struct put *put)
{
    return put->last && !put->value && put->writing.len <= SMALL;
}

/* False: too much waits for the disk. */
static bool begin_work(struct put *put)
{
    if (put->value) {
        flow_continue(&put->flow, put_write, put_written, put);
        return true;
    }
    return (is_small(put) && flow_join(&put->flow, put_written, put)) ||
           flow_begin(&put->flow, put_write, put_written, put);
}

/* Hands the filled chunk to a job; the memory of the one before is filled next. */
static void put_write_next(struct put *put, bool last)
{
    struct chunk empty = put->writing;
    put->writing = put->filling;
    put->filling = empty;
    put->filling.len = 0;
    put->last = last;
    put->working = true;
    if (!begin_work(put)) {
        put->working = false;
        put_fail(put, ST_BUSY);
    }
}

/* On the pool. */
static enum status put_write_chunk(struct put *put)
{
    enum status st = ST_OK;
    if (!put->value) {
        st = writing_begin(&put->value, &put->flow.at);
        if (!st && is_direct(put))
            writing_bypass_cache(put->value);
    }
    if (!st && put->writing.len > 0)
        st = writing_add(put->value, put->writing.data, put->writing.len);
    if (st) {
        writing_abort(put->value);
        put->value = NULL;
    }
    put->end.type = put->type;
    put->end.expected = put->expected[0] ? put->expected : NULL;
    return st;
}

/* What was written was hashed, and is in the page cache, but for what went past it: that has never
 * been read. */
static void trust(struct put *put)
{
    if (!put->result && !is_direct(put))
        trusted_add(put->flow.service->trusted, &put->end.stored, NULL);
}

static void put_write(void *arg)
{
    struct put *put = arg;
    put->result = put_write_chunk(put);
    if (put->result || !put->last)
        return;
    put->result = writing_finish(put->value, &put->end);
    put->value = NULL;
    trust(put);
}

/* On the pool: values that are one chunk each, of one disk. */
void put_write_many(void *const *puts, unsigned count, struct batch *batch)
{
    struct writing_last list[BATCH_MANY];
    struct put *whose[BATCH_MANY];
    unsigned n = 0;
    _Static_assert((int)BATCH_MANY <= (int)WRITING_MANY, "they are finished at once");
    for (unsigned i = 0; i < count; i++) {
        struct put *put = puts[i];
        put->result = put_write_chunk(put);
        if (put->result)
            continue;
        list[n] = (struct writing_last){.value = put->value, .end = &put->end};
        whose[n++] = put;
    }
    if (n > 0 && whose[0]->flow.service->config->sync != CONFIG_SYNC_NONE)
        batch_waits(batch);
    writing_finish_many(list, n);
    for (unsigned i = 0; i < n; i++) {
        whose[i]->value = NULL;
        whose[i]->result = list[i].result;
        trust(whose[i]);
    }
}

static void put_written(void *arg)
{
    struct put *put = arg;
    put->working = false;
    put->writing.len = 0;
    if (put->result && put->state != PUT_FAILED) {
        put->state = PUT_FAILED;
        put->failure = put->result;
    }
    if (put->state == PUT_FAILED)
        put_fail(put, put->failure);
    else if (put->last)
        put_finish(put);
    else if (put->state == PUT_RECEIVED)
        put_write_next(put, true);
    else
        http_request_resume_body(put->flow.req);
}

/* --- The end --- */

static void put_fail(struct put *put, enum status st)
{
    put->state = PUT_FAILED;
    put->failure = st;
    /* Through the pool also where there is nothing to remove: the answer must not come from inside
     * of the body's reading. */
    if (!put->working) {
        put->working = true;
        flow_continue(&put->flow, put_discard, put_finish, put);
    }
}

static void put_discard(void *arg)
{
    struct put *put = arg;
    writing_abort(put->value);
    put->value = NULL;
}

static void free_chunk(const struct put *put, const struct chunk *chunk)
{
    if (is_direct(put))
        spares_give(put->flow.service->chunks, chunk->data);
    else
        free(chunk->data);
}

static void put_finish(void *arg)
{
    struct put *put = arg;
    struct http_request *req = put->flow.req;
    if (put->state == PUT_FAILED) {
        flow_refuse(req, put->failure);
    } else {
        atomic_fetch_add(&put->flow.service->counters.bytes_written, put->received);
        http_reply_field(req, "Content-MD5", put->end.md5);
        http_reply(req, put->end.replaced ? 204 : 201, NULL, 0);
    }
    free_chunk(put, &put->filling);
    free_chunk(put, &put->writing);
    flow_release(&put->flow);
    free(put);
}
