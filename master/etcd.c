#include "master/etcd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/buf.h"
#include "common/http_fetch.h"
#include "common/loop.h"
#include "common/thread.h"

enum {
    CONNECT_MS = 500,
    ATTEMPT_MS = 1500, /* at most for one endpoint, where there are others */
    BODY_MAX = 64 * 1024 * 1024
};

/* One request at a time, so its text and its answer are kept here and their memory is used
 * again. */
struct etcd {
    char *const *endpoints;
    size_t count, current;
    struct http_fetcher *fetcher;
    struct buf request;
    struct buf body; /* of the answer */
};

struct etcd *etcd_new(char *const *endpoints, size_t count)
{
    struct etcd *etcd = calloc(1, sizeof *etcd);
    if (!etcd)
        return NULL;
    etcd->endpoints = endpoints;
    etcd->count = count;
    etcd->fetcher = http_fetcher_new();
    if (!etcd->fetcher) {
        free(etcd);
        return NULL;
    }
    return etcd;
}

void etcd_free(struct etcd *etcd)
{
    if (!etcd)
        return;
    http_fetcher_free(etcd->fetcher);
    buf_free(&etcd->request);
    buf_free(&etcd->body);
    free(etcd);
}

/* Both at once: a thread that finds its request given up is to find that it is to end, too, and one
 * that has found that must not be interrupted later, in its last word. */
void etcd_end_thread(struct etcd *etcd, struct thread *thread)
{
    (void)pthread_mutex_lock(&thread->lock);
    thread->ending = true;
    http_fetcher_interrupt(etcd->fetcher);
    (void)pthread_mutex_unlock(&thread->lock);
    thread_end(thread);
}

void etcd_resume(struct etcd *etcd)
{
    http_fetcher_resume(etcd->fetcher);
}

/* --- sending --- */

/* The limit keeps whoever answers in the place of etcd from filling the memory. */
static bool write_body(void *arg, const char *data, size_t len)
{
    struct etcd *etcd = arg;
    buf_add(&etcd->body, data, len);
    return buf_ok(&etcd->body) && etcd->body.len <= BODY_MAX;
}

/* What etcd's refusal means; see the list in the header. */
static enum status refused(const struct etcd_answer *answer)
{
    switch (answer->code) {
    case ETCD_EXHAUSTED:
        return strstr(answer->message, "space") ? ST_NO_SPACE : ST_UNAVAILABLE;
    case ETCD_NOT_FOUND:
        return ST_NOT_FOUND;
    case ETCD_INVALID:
    case ETCD_OUT_OF_RANGE:
        return ST_PEER;
    default: /* no leader, timed out, leader changed: a proposal may be under way */
        return ST_UNKNOWN;
    }
}

/* One try at one endpoint. */
static enum status try_endpoint(struct etcd *etcd, const char *path, uint64_t timeout_ms,
                                struct etcd_answer *answer)
{
    static const char *const fields[] = {"Content-Type: application/json", NULL};
    struct buf url = BUF_INIT;
    buf_addf(&url, "%s/v3/%s", etcd->endpoints[etcd->current], path);
    const struct http_call_spec spec = {
        .method = "POST",
        .url = buf_text(&url),
        .fields = fields,
        .has_body = true,
        .body_length = (int64_t)etcd->request.len,
        .body = etcd->request.data,
        .write = write_body,
        .arg = etcd,
        .connect_timeout_ms = CONNECT_MS,
        .timeout_ms = (unsigned)timeout_ms,
    };
    buf_clear(&etcd->body);
    enum status st = ST_UNAVAILABLE; /* where memory is short, nothing was sent */
    if (buf_ok(&url) && buf_ok(&etcd->request))
        st = http_fetch(etcd->fetcher, &spec);
    buf_free(&url);
    memset(answer, 0, sizeof *answer);
    /* Nothing was sent only where there was no connection. One that broke off may have carried
     * all of it. */
    if (st)
        return st == ST_UNAVAILABLE || st == ST_NO_MEMORY ? ST_UNAVAILABLE : ST_UNKNOWN;
    st = etcd_answer_parse(answer, buf_text(&etcd->body), etcd->body.len);
    if (st)
        return ST_UNKNOWN;
    return answer->code ? refused(answer) : ST_OK;
}

/* True where it makes sense to ask another endpoint. A change that may have been made is not sent
 * again here: only its caller knows whether that does harm. */
static bool try_next(enum status st, bool reads)
{
    return st == ST_UNAVAILABLE || (reads && st == ST_UNKNOWN);
}

/* Sends etcd->request to one endpoint after the other, each at most once. */
static enum status send(struct etcd *etcd, const char *path, bool reads, uint64_t deadline_ms,
                        struct etcd_answer *answer)
{
    enum status st = ST_UNAVAILABLE;
    memset(answer, 0, sizeof *answer);
    for (size_t i = 0; i < etcd->count && (i == 0 || try_next(st, reads)); i++) {
        uint64_t now = loop_now_ms();
        if (now >= deadline_ms)
            break;
        uint64_t left = deadline_ms - now;
        uint64_t share = left / (etcd->count - i); /* the later ones must have their turn */
        if (i + 1 < etcd->count && share > ATTEMPT_MS)
            share = ATTEMPT_MS;
        etcd_answer_free(answer);
        st = try_endpoint(etcd, path, share, answer);
        if (st == ST_UNAVAILABLE || st == ST_UNKNOWN)
            etcd->current = (etcd->current + 1) % etcd->count;
    }
    return reads && st == ST_UNKNOWN ? ST_UNAVAILABLE : st;
}

/* --- requests as JSON --- */

/* The gateway takes and gives all bytes as base64. */
static void add_bytes(struct buf *out, const char *name, const void *bytes, size_t len)
{
    buf_addf(out, "\"%s\":\"", name);
    base64_add(out, bytes, len);
    buf_addc(out, '"');
}

static void add_key(struct buf *out, const char *key, const char *end)
{
    add_bytes(out, "key", key, strlen(key));
    if (end) {
        buf_addc(out, ',');
        add_bytes(out, "range_end", end, strlen(end));
    }
}

enum status etcd_range(struct etcd *etcd, const struct etcd_range *range, uint64_t deadline_ms,
                       struct etcd_answer *answer)
{
    struct buf *out = &etcd->request;
    buf_clear(out);
    buf_addc(out, '{');
    add_key(out, range->key, range->end);
    if (range->limit)
        buf_addf(out, ",\"limit\":\"%u\"", range->limit);
    if (range->local)
        buf_adds(out, ",\"serializable\":true");
    if (range->keys_only)
        buf_adds(out, ",\"keys_only\":true");
    if (range->revision)
        buf_addf(out, ",\"revision\":\"%" PRId64 "\"", range->revision);
    buf_addc(out, '}');
    return send(etcd, "kv/range", true, deadline_ms, answer);
}

/* The fields as etcd's rpc.proto names them; what is compared is always equality. */
static void add_compare(struct buf *out, const struct etcd_compare *compare)
{
    buf_adds(out, "{\"result\":\"EQUAL\",");
    add_key(out, compare->key, NULL);
    if (compare->test == ETCD_VALUE) {
        buf_adds(out, ",\"target\":\"VALUE\",");
        add_bytes(out, "value", compare->value, strlen(compare->value));
    } else if (compare->test == ETCD_CREATED) {
        buf_addf(out, ",\"target\":\"CREATE\",\"create_revision\":\"%" PRId64 "\"",
                 compare->number);
    } else {
        buf_addf(out, ",\"target\":\"LEASE\",\"lease\":\"%" PRId64 "\"", compare->number);
    }
    buf_addc(out, '}');
}

static void add_op(struct buf *out, const struct etcd_op *op)
{
    buf_addf(out, "{\"request_%s\":{", op->action == ETCD_PUT ? "put" : "range");
    add_key(out, op->key, NULL);
    if (op->action == ETCD_PUT) {
        buf_addc(out, ',');
        add_bytes(out, "value", op->value, op->value_len);
        if (op->lease)
            buf_addf(out, ",\"lease\":\"%" PRId64 "\"", op->lease);
    }
    buf_adds(out, "}}");
}

/* After the compares, so it begins with a comma. */
static void add_ops(struct buf *out, const char *name, const struct etcd_op *ops, size_t count)
{
    buf_addf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_addc(out, ',');
        add_op(out, &ops[i]);
    }
    buf_addc(out, ']');
}

enum status etcd_txn(struct etcd *etcd, const struct etcd_txn *txn, uint64_t deadline_ms,
                     struct etcd_answer *answer)
{
    struct buf *out = &etcd->request;
    buf_clear(out);
    buf_adds(out, "{\"compare\":[");
    for (size_t i = 0; i < txn->compare_count; i++) {
        if (i)
            buf_addc(out, ',');
        add_compare(out, &txn->compares[i]);
    }
    buf_addc(out, ']');
    add_ops(out, "success", txn->success, txn->success_count);
    add_ops(out, "failure", txn->failure, txn->failure_count);
    buf_addc(out, '}');
    return send(etcd, "kv/txn", false, deadline_ms, answer);
}

enum status etcd_delete(struct etcd *etcd, const char *key, const char *end, uint64_t deadline_ms,
                        struct etcd_answer *answer)
{
    struct buf *out = &etcd->request;
    buf_clear(out);
    buf_addc(out, '{');
    add_key(out, key, end);
    buf_addc(out, '}');
    return send(etcd, "kv/deleterange", false, deadline_ms, answer);
}

/* Sent once: a second one would make a second lease. */
enum status etcd_grant(struct etcd *etcd, unsigned ttl_s, uint64_t deadline_ms,
                       struct etcd_answer *answer)
{
    buf_clear(&etcd->request);
    buf_addf(&etcd->request, "{\"TTL\":\"%u\"}", ttl_s);
    return send(etcd, "lease/grant", false, deadline_ms, answer);
}

/* Both ends of a lease's life may be asked for any number of times. */
static enum status send_lease(struct etcd *etcd, const char *path, int64_t lease,
                              uint64_t deadline_ms, struct etcd_answer *answer)
{
    buf_clear(&etcd->request);
    buf_addf(&etcd->request, "{\"ID\":\"%" PRId64 "\"}", lease);
    return send(etcd, path, true, deadline_ms, answer); /* twice does no harm */
}

enum status etcd_keep_alive(struct etcd *etcd, int64_t lease, uint64_t deadline_ms,
                            struct etcd_answer *answer)
{
    enum status st = send_lease(etcd, "lease/keepalive", lease, deadline_ms, answer);
    return !st && answer->ttl <= 0 ? ST_NOT_FOUND : st;
}

enum status etcd_revoke(struct etcd *etcd, int64_t lease, uint64_t deadline_ms,
                        struct etcd_answer *answer)
{
    return send_lease(etcd, "lease/revoke", lease, deadline_ms, answer);
}

enum status etcd_compact(struct etcd *etcd, int64_t revision, uint64_t deadline_ms,
                         struct etcd_answer *answer)
{
    buf_clear(&etcd->request);
    buf_addf(&etcd->request, "{\"revision\":\"%" PRId64 "\"}", revision);
    return send(etcd, "kv/compaction", true, deadline_ms, answer);
}
