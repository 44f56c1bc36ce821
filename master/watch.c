/*
 * GET /prefix?watch[&since=N]: changes as server-sent events, as they become visible. The path:
 *   watch_start      where to begin: behind since=, or Last-Event-ID, or now; too far back is
 * refused watch_pump       events that are there are sent, a piece at a time watch_piece_sent the
 * piece has left: the next one watch_woken      nothing was there, and now something is watch_tick
 * nothing has come for a while: a heartbeat, which finds clients that are gone watch_finish
 *
 * A reader that takes nothing keeps one piece in memory, and nothing else: what it has not seen
 * stays in the ring, until it is dropped there; then the reader is told that it fell behind, and
 * cut off.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/http_text.h"
#include "common/key.h"
#include "common/loop.h"
#include "master/changes.h"
#include "master/config.h"
#include "master/flows.h"
#include "master/worker.h"

enum { PIECE = 64 * 1024, HEARTBEAT_MS = 15000 };

enum watch_state {
    WATCH_SENDING, /* a piece is under way */
    WATCH_WAITING, /* for an event, or the time of a heartbeat */
    WATCH_YIELDING /* there is more to look at, after other connections of the loop */
};

struct watch {
    struct worker *worker;
    struct http_request *req;
    struct changes_watcher watcher;
    struct buf prefix;
    struct buf text; /* of the piece at hand */
    struct loop_timer *timer;
    enum watch_state state;
    bool last; /* after the piece at hand it is over */
};

static void watch_pump(struct watch *watch);
static void watch_piece_sent(void *arg, bool alive);
static void watch_woken(void *arg);
static void watch_tick(void *arg);
static void watch_finish(struct watch *watch, bool whole);

/* --- where to begin --- */

/* False where it is no number. */
static bool parse_number(const char *text, uint64_t *number)
{
    char *end;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

/* A browser that connects again sends the same URL, and tells in Last-Event-ID how far it has come.
 */
static enum status parse(struct watch *watch, bool *has_since)
{
    size_t len;
    char text[KEY_MAX + 1];
    const char *path = http_request_path(watch->req, &len);
    long n = key_decode(text, KEY_MAX, path, len);
    if (n < 0 || memchr(text, 0, (size_t)n))
        return ST_BAD_REQUEST;
    buf_add(&watch->prefix, text, (size_t)n);
    watch->watcher.prefix = buf_text(&watch->prefix);
    watch->watcher.prefix_len = watch->prefix.len;
    const char *query = http_request_query(watch->req, &len);
    const char *last = http_request_field(watch->req, "Last-Event-ID");
    n = key_query(query, len, "since", text, sizeof text);
    *has_since = last || n != -1;
    if (*has_since && (n == -2 || !parse_number(last ? last : text, &watch->watcher.seen)))
        return ST_BAD_REQUEST;
    return buf_ok(&watch->prefix) ? ST_OK : ST_NO_MEMORY;
}

static void add_range(const struct watch *watch, struct buf *out)
{
    uint64_t oldest;
    uint64_t newest;
    changes_range(watch->worker->master->changes, &oldest, &newest);
    buf_addf(out, "{\"oldest\":%" PRIu64 ",\"sequence\":%" PRIu64 "}", oldest, newest);
}

/* What is missing cannot be told: list what is there, and watch from `sequence` on. */
static void refuse_gone(const struct watch *watch)
{
    struct buf text = BUF_INIT;
    add_range(watch, &text);
    buf_addc(&text, '\n');
    http_text_reply(watch->req, 410, HTTP_TEXT_JSON, &text);
    buf_free(&text);
}

/* True where it has been answered. */
static bool refuse(struct watch *watch)
{
    struct changes *changes = watch->worker->master->changes;
    bool has_since = false;
    uint64_t oldest;
    uint64_t newest;
    enum status st = parse(watch, &has_since);
    changes_range(changes, &oldest, &newest);
    if (!has_since)
        watch->watcher.seen = newest;
    if (st)
        http_reply_status(watch->req, st, st == ST_BAD_REQUEST ? "since= is a number" : NULL);
    else if (watch->watcher.seen < oldest || watch->watcher.seen > newest)
        refuse_gone(watch);
    else if (!changes_admit(changes, watch->worker->master->config->max_watchers))
        http_reply_status(watch->req, ST_BUSY, "as many watches as may be are open");
    else
        return false;
    return true;
}

static void watch_free(struct watch *watch)
{
    loop_timer_free(watch->timer);
    buf_free(&watch->prefix);
    buf_free(&watch->text);
    free(watch);
}

static void begin(struct watch *watch)
{
    http_reply_field(watch->req, "Content-Type", "text/event-stream");
    http_reply_field(watch->req, "Cache-Control", "no-store");
    http_reply_fieldf(watch->req, "Larder-Sequence", "%" PRIu64, watch->watcher.seen);
    http_reply_start(watch->req, 200);
    buf_addf(&watch->text, ": watching\nid: %" PRIu64 "\n\n", watch->watcher.seen);
    watch->last = http_request_method(watch->req) == HTTP_HEAD;
    http_reply_piece(watch->req, buf_text(&watch->text), watch->text.len, watch_piece_sent, watch);
}

void watch_start(struct worker *worker, struct http_request *req)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch)
        watch->timer = loop_timer_new(worker->loop, watch_tick, watch);
    if (!watch || !watch->timer) {
        free(watch);
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    watch->worker = worker;
    watch->req = req;
    watch->watcher.wake = watch_woken;
    watch->watcher.arg = watch;
    watch->watcher.loop = worker->loop;
    if (refuse(watch))
        watch_free(watch);
    else
        begin(watch);
}

/* --- events --- */

static bool add_item(void *arg, const struct changes_item *item)
{
    struct buf *out = arg;
    buf_addf(out, "id: %" PRIu64 "\nevent: %s\ndata: {\"key\":\"", item->sequence,
             changes_event_text(item->event));
    key_encode(out, item->key, item->key_len);
    buf_addf(out, "\",\"sequence\":%" PRIu64, item->sequence);
    if (item->has_size)
        buf_addf(out, ",\"size\":%" PRIu64, item->size);
    if (*item->md5)
        buf_addf(out, ",\"md5\":\"%s\"", item->md5);
    buf_adds(out, "}\n\n");
    return out->len < PIECE;
}

static void send_text(struct watch *watch)
{
    if (!buf_ok(&watch->text)) {
        watch_finish(watch, false);
        return;
    }
    watch->state = WATCH_SENDING;
    http_reply_piece(watch->req, buf_text(&watch->text), watch->text.len, watch_piece_sent, watch);
}

/* What it missed is not in the ring any more. */
static void tell_behind(struct watch *watch)
{
    buf_clear(&watch->text);
    buf_adds(&watch->text, "event: behind\ndata: ");
    add_range(watch, &watch->text);
    buf_adds(&watch->text, "\n\n");
    watch->last = true;
    send_text(watch);
}

static void watch_pump(struct watch *watch)
{
    struct changes *changes = watch->worker->master->changes;
    bool more;
    buf_clear(&watch->text);
    enum status st = changes_read(changes, &watch->watcher, add_item, &watch->text, &more);
    if (st == ST_GONE) {
        tell_behind(watch);
    } else if (watch->text.len) {
        send_text(watch);
    } else if (changes_stopped(changes)) {
        watch_finish(watch, true);
    } else if (more || !changes_wait(changes, &watch->watcher)) {
        watch->state = WATCH_YIELDING;
        loop_timer_set(watch->timer, 0);
    } else {
        watch->state = WATCH_WAITING;
        loop_timer_set(watch->timer, HEARTBEAT_MS);
    }
}

static void watch_piece_sent(void *arg, bool alive)
{
    struct watch *watch = arg;
    if (alive && !watch->last)
        watch_pump(watch);
    else
        watch_finish(watch, alive);
}

static void watch_woken(void *arg)
{
    struct watch *watch = arg;
    loop_timer_clear(watch->timer);
    watch_pump(watch);
}

static void watch_tick(void *arg)
{
    struct watch *watch = arg;
    if (watch->state == WATCH_YIELDING) {
        watch_pump(watch);
        return;
    }
    if (!changes_cancel(watch->worker->master->changes, &watch->watcher))
        return; /* watch_woken() is under way */
    buf_clear(&watch->text);
    /* The id has a client that sees few of the events not fall behind meanwhile. */
    buf_addf(&watch->text, ": heartbeat\nid: %" PRIu64 "\n\n", watch->watcher.seen);
    send_text(watch);
}

static void watch_finish(struct watch *watch, bool whole)
{
    http_reply_end(watch->req, whole);
    changes_leave(watch->worker->master->changes);
    watch_free(watch);
}
