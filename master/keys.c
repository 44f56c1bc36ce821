/*
 * GET /admin/keys and GET /KEY?record: whole records for the tools, without loss: keys are
 * percent-encoded. A page is read on the pool, and sent when it is complete. The path:
 *   keys_start → keys_read (pool) → keys_page_read
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/http_text.h"
#include "common/json.h"
#include "common/key.h"
#include "common/pool.h"
#include "common/record.h"
#include "master/config.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/volumes.h"
#include "master/worker.h"

enum { LIMIT = 1000, LIMIT_MAX = 10000 }; /* records of a page; it is held in memory */

/* One request; the pool's from pool_submit() to keys_page_read(). */
struct keys {
    struct worker *worker;
    struct http_request *req;
    struct pool_job job;
    struct buf start;   /* where the page begins */
    struct buf names;   /* the keys of the page, each with a NUL behind it, which no key has */
    struct buf records; /* JSON objects with commas between them */
    struct buf next;    /* where the next one begins; empty: there is none */
    unsigned long limit;
    unsigned long count; /* of names */
    bool only_work;
    enum status st; /* of the reading */
};

static void keys_read(void *arg);
static void keys_page_read(void *arg);

/* --- a record as JSON --- */

static void add_encoded(struct buf *out, const char *key, size_t len)
{
    buf_addc(out, '"');
    key_encode(out, key, len);
    buf_addc(out, '"');
}

/* Places are printable and hold no quotes (record.c refuses others). */
static void add_strings(struct buf *out, const char *name, char *const *list, size_t count)
{
    buf_addf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%s\"%s\"", i ? "," : "", list[i]);
    buf_addc(out, ']');
}

/* Where placement would have the copies now: the tools compare it with where they are. */
static void add_wanted(struct worker *worker, struct buf *out, const struct key *key)
{
    struct ranked *ranked;
    size_t count;
    if (volumes_wanted(worker->master->volumes, key, worker->master->config->replicas, &ranked,
                       &count)) {
        out->failed = true; /* no answer is better than one without it */
        return;
    }
    buf_adds(out, ",\"wanted\":[");
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%s\"%s\"", i ? "," : "", ranked[i].place);
    buf_addc(out, ']');
    free(ranked);
}

/* Without the time at which each is due: that is the janitor's. */
static void add_garbage(struct buf *out, const struct copies *garbage)
{
    buf_adds(out, ",\"garbage\":[");
    for (size_t i = 0; i < garbage->count; i++) {
        const struct copy *copy = &garbage->list[i];
        buf_addf(out, "%s{\"generation\":%" PRIu64 ",\"naming\":\"%s\",\"volume\":\"%s\"}",
                 i ? "," : "", copy->generation, copy->naming == NAMING_MKV ? "mkv" : "larder",
                 copy->place);
    }
    buf_addc(out, ']');
}

/* Members that say nothing are left out, but for those that every record has (common/PROTOCOL.md).
 */
static void add_record(struct worker *worker, struct buf *out, const struct key *key,
                       const struct record *rec)
{
    buf_adds(out, "{\"key\":");
    add_encoded(out, key->bytes, key->len);
    buf_addf(out, ",\"state\":\"%s\",\"generation\":%" PRIu64 ",\"naming\":\"%s\",\"md5\":\"%s\"",
             key_state_text(rec->state), rec->generation,
             rec->naming == NAMING_MKV ? "mkv" : "larder", rec->md5);
    add_strings(out, "volumes", rec->places, rec->place_count);
    add_wanted(worker, out, key);
    if (rec->few_copies)
        buf_adds(out, ",\"few\":true");
    if (rec->suspect)
        buf_adds(out, ",\"suspect\":true");
    if (rec->has_tombstone)
        buf_addf(out, ",\"tombstone\":%" PRIu64, rec->tombstone);
    if (rec->garbage.count)
        add_garbage(out, &rec->garbage);
    if (rec->holder_count)
        add_strings(out, "holders", rec->holders, rec->holder_count);
    if (rec->maybe_count)
        add_strings(out, "maybes", rec->maybes, rec->maybe_count);
    buf_addc(out, '}');
}

/* --- a page --- */

/* The key behind the page's last one is where the next page begins, so no key comes twice. */
static bool take_key(struct keys *keys, const char *bytes, size_t len)
{
    struct key key;
    if (keys->count == keys->limit) {
        buf_add(&keys->next, bytes, len);
        return false;
    }
    if (key_from_bytes(&key, bytes, len))
        return true; /* no key of a client's */
    buf_add(&keys->names, key.bytes, len + 1);
    keys->count++;
    return true;
}

static bool take_any(void *arg, const char *bytes, size_t len, const struct record *rec UNUSED)
{
    return take_key(arg, bytes, len);
}

/* Not from inside of the scan: that holds the index's lock, which is not to be taken twice. */
static enum status add_records(struct keys *keys)
{
    const char *at = buf_text(&keys->names);
    enum status st = ST_OK;
    bool first = true;
    for (unsigned long i = 0; i < keys->count && !st; i++) {
        struct key key;
        struct record rec;
        size_t len = strlen(at);
        st = key_from_bytes(&key, at, len);
        at += len + 1;
        if (st || (st = index_get_all(keys->worker->master->index, &key, &rec)))
            continue;
        if (rec.state != KEY_ABSENT) { /* it may have gone meanwhile */
            buf_adds(&keys->records, first ? "\n" : ",\n");
            add_record(keys->worker, &keys->records, &key, &rec);
            first = false;
        }
        record_free(&rec);
    }
    return st;
}

/* Two passes: the scan for the keys, and then a read for each. A record may change in between; it
 * is whole all the same. */
static void keys_read(void *arg)
{
    struct keys *keys = arg;
    struct index *index = keys->worker->master->index;
    struct buf all = BUF_INIT;
    keys->st = keys->only_work ? index_scan_work(index, &keys->start, take_any, keys)
                               : index_scan(index, &all, &keys->start, take_any, keys);
    if (!keys->st)
        keys->st = buf_ok(&keys->names) ? add_records(keys) : ST_NO_MEMORY;
}

/* An empty ?start= is the beginning; one with a broken escape is refused, as it could skip keys. */
static enum status parse(struct keys *keys)
{
    size_t len;
    const char *query = http_request_query(keys->req, &len);
    char text[KEY_MAX + 1];
    long n = key_query(query, len, "start", text, sizeof text);
    if (n == -2)
        return ST_BAD_REQUEST;
    if (n > 0)
        buf_add(&keys->start, text, (size_t)n);
    keys->limit = LIMIT;
    n = key_query(query, len, "limit", text, sizeof text);
    if (n > 0) {
        char *end;
        keys->limit = strtoul(text, &end, 10);
        if (*end || keys->limit < 1 || keys->limit > LIMIT_MAX)
            return ST_BAD_REQUEST;
    }
    keys->only_work = http_request_has(keys->req, "work");
    return buf_ok(&keys->start) ? ST_OK : ST_NO_MEMORY;
}

/* Not while the pool has it. */
static void keys_free(struct keys *keys)
{
    buf_free(&keys->start);
    buf_free(&keys->names);
    buf_free(&keys->records);
    buf_free(&keys->next);
    free(keys);
}

/* A pool that is full is told to the client (503). */
void keys_start(struct worker *worker, struct http_request *req)
{
    struct keys *keys = calloc(1, sizeof *keys);
    if (!keys) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    keys->worker = worker;
    keys->req = req;
    keys->job = (struct pool_job){
        .run = keys_read, .done = keys_page_read, .arg = keys, .loop = worker->loop};
    enum status st = parse(keys);
    if (!st && !pool_submit(worker->master->pool, &keys->job))
        st = ST_BUSY;
    if (st) {
        http_reply_status(req, st, NULL);
        keys_free(keys);
    }
}

/* Back on the loop; the page is whole, so its length is known. */
static void keys_page_read(void *arg)
{
    struct keys *keys = arg;
    struct buf text = BUF_INIT;
    buf_adds(&text, "{\"next\":");
    add_encoded(&text, buf_text(&keys->next), keys->next.len);
    buf_adds(&text, ",\"records\":[");
    buf_add(&text, buf_text(&keys->records), keys->records.len);
    buf_adds(&text, "]}\n");
    enum status st = keys->st;
    if (!st && (!buf_ok(&keys->records) || !buf_ok(&keys->next)))
        st = ST_NO_MEMORY;
    if (st)
        http_reply_status(keys->req, st, NULL);
    else
        http_text_reply(keys->req, 200, HTTP_TEXT_JSON, &text);
    buf_free(&text);
    keys_free(keys);
}

/* One key, read on the loop as a GET is: two point reads. */
void keys_record(struct worker *worker, struct http_request *req, const struct key *key)
{
    struct record rec;
    struct buf text = BUF_INIT;
    enum status st = index_get_all(worker->master->index, key, &rec);
    if (!st && rec.state == KEY_ABSENT)
        st = ST_NOT_FOUND;
    if (!st) {
        add_record(worker, &text, key, &rec);
        buf_addc(&text, '\n');
    }
    if (st)
        http_reply_status(req, st, NULL);
    else
        http_text_reply(req, 200, HTTP_TEXT_JSON, &text);
    buf_free(&text);
    record_free(&rec);
}
