/*
 * GET /prefix?list and ?unlinked, with start= and limit=. The keys stream: each piece of about 64
 * KiB is read from the index on the pool, sent, and forgotten before the next is read. The path:
 *   list_start → list_read (pool) → list_piece_read → list_piece_sent → list_read … → list_finish
 *
 * `next` stands before the keys, as minikeyvalue has it, though it is known only behind them. So a
 * page with a limit is read up to its end before it is sent, and ends early where it would need
 * more than 8 MiB (`next` tells where to go on); without a limit `next` is "".
 */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/http_text.h"
#include "common/json.h"
#include "common/key.h"
#include "common/pool.h"
#include "master/flows.h"
#include "master/index.h"
#include "master/worker.h"

enum {
    PIECE = 64 * 1024,
    LIMIT_MAX = 1000000,       /* minikeyvalue's own */
    HELD_MAX = 8 * 1024 * 1024 /* bytes of a page; a page that grows larger ends there */
};

struct list {
    struct worker *worker;
    struct http_request *req;
    struct pool_job job;
    struct buf prefix;
    struct buf start; /* where the next piece begins */
    struct buf keys;  /* JSON strings with commas between them */
    struct buf next;  /* the first key behind the limit */
    enum key_state wanted;
    unsigned long long limit; /* 0: none */
    unsigned long long count; /* keys so far */
    bool limited;             /* the page is held until its end is known */
    bool more;                /* the piece is full, there may be more keys */
    bool started;             /* the answer has begun */
    enum status st;
};

static void list_read(void *arg);
static void list_piece_read(void *arg);
static void list_piece_sent(void *arg, bool alive);
static void list_finish(struct list *list, bool whole);

/* --- on the pool --- */

static bool take_key(void *arg, const char *key, size_t len, enum key_state state)
{
    struct list *list = arg;
    if (state != list->wanted)
        return true;
    bool full = list->limit && (list->count == list->limit || list->keys.len >= HELD_MAX);
    if (full) {
        buf_add(&list->next, key, len);
        return false;
    }
    if (!list->limited && list->keys.len >= PIECE) {
        list->more = true;
        buf_clear(&list->start);
        buf_add(&list->start, key, len);
        return false;
    }
    if (list->count++)
        buf_addc(&list->keys, ',');
    json_add_string(&list->keys, key, len);
    return true;
}

static void list_read(void *arg)
{
    struct list *list = arg;
    list->more = false;
    list->st =
        index_scan_states(list->worker->master->index, &list->prefix, &list->start, take_key, list);
    if (!list->st && (!buf_ok(&list->keys) || !buf_ok(&list->start) || !buf_ok(&list->next)))
        list->st = ST_NO_MEMORY;
}

/* --- on the loop --- */

static enum status parse_limit(const char *text, unsigned long long *limit)
{
    char *end;
    *limit = strtoull(text, &end, 10);
    return *text && *text != '-' && *text != '+' && !*end ? ST_OK : ST_BAD_REQUEST;
}

static enum status parse(struct list *list)
{
    size_t path_len;
    size_t query_len;
    const char *path = http_request_path(list->req, &path_len);
    const char *query = http_request_query(list->req, &query_len);
    char text[KEY_MAX + 1];
    long len = key_decode(text, KEY_MAX, path, path_len);
    if (len < 0 || memchr(text, 0, (size_t)len))
        return ST_BAD_REQUEST;
    buf_add(&list->prefix, text, (size_t)len);
    len = key_query(query, query_len, "start", text, sizeof text);
    if (len == -2)
        return ST_BAD_REQUEST;
    if (len > 0)
        buf_add(&list->start, text, (size_t)len);
    len = key_query(query, query_len, "limit", text, sizeof text);
    enum status st = len == -2 ? ST_BAD_REQUEST : ST_OK;
    if (len > 0)
        st = parse_limit(text, &list->limit);
    list->limited = list->limit > 0;
    list->wanted = http_request_has(list->req, "unlinked") ? KEY_UNLINKED : KEY_LIVE;
    if (st)
        return st;
    return list->limit <= LIMIT_MAX ? ST_OK : ST_TOO_LARGE;
}

static bool submit(struct list *list)
{
    list->job = (struct pool_job){
        .run = list_read, .done = list_piece_read, .arg = list, .loop = list->worker->loop};
    return pool_submit(list->worker->master->pool, &list->job);
}

void list_start(struct worker *worker, struct http_request *req)
{
    struct list *list = calloc(1, sizeof *list);
    if (!list) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    list->worker = worker;
    list->req = req;
    list->st = parse(list);
    if (list->st == ST_TOO_LARGE) {
        http_reply_status(req, ST_TOO_LARGE,
                          "limit may be 1000000 at most; leave it out for all keys");
        list_finish(list, true);
    } else if (list->st || !submit(list)) {
        http_reply_status(req, list->st ? list->st : ST_BUSY, NULL);
        list_finish(list, true);
    }
}

static void reply_page(struct list *list)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, "{\"next\":");
    json_add_string(&text, buf_text(&list->next), list->next.len);
    buf_adds(&text, ",\"keys\":[");
    buf_add(&text, buf_text(&list->keys), list->keys.len);
    buf_adds(&text, "]}");
    http_text_reply(list->req, 200, HTTP_TEXT_JSON, &text);
    buf_free(&text);
}

/* One piece of an answer without a limit. */
static void send_piece(struct list *list)
{
    struct buf text = BUF_INIT;
    if (!list->started) {
        http_reply_field(list->req, "Content-Type", HTTP_TEXT_JSON);
        http_reply_start(list->req, 200);
        list->started = true;
        buf_adds(&text, "{\"next\":\"\",\"keys\":[");
    }
    buf_add(&text, buf_text(&list->keys), list->keys.len);
    if (!list->more)
        buf_adds(&text, "]}");
    buf_clear(&list->keys);
    bool good = buf_ok(&text);
    if (good)
        http_reply_piece(list->req, text.data, text.len, list_piece_sent, list);
    buf_free(&text);
    if (!good)
        list_finish(list, false);
}

static void list_piece_read(void *arg)
{
    struct list *list = arg;
    if (list->st && list->started) {
        list_finish(list, false); /* the client sees that the answer broke off */
    } else if (list->st) {
        http_reply_status(list->req, list->st, NULL);
        list_finish(list, true);
    } else if (list->limited) {
        reply_page(list);
        list_finish(list, true);
    } else {
        send_piece(list);
    }
}

static void list_piece_sent(void *arg, bool alive)
{
    struct list *list = arg;
    if (alive && list->more)
        pool_continue(list->worker->master->pool, &list->job);
    else
        list_finish(list, alive);
}

static void list_finish(struct list *list, bool whole)
{
    if (list->started)
        http_reply_end(list->req, whole);
    buf_free(&list->prefix);
    buf_free(&list->start);
    buf_free(&list->keys);
    buf_free(&list->next);
    free(list);
}
