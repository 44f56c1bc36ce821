/*
 * The path: checkpoint_fetch → attempt (a request, until it ends) → judge: whole, or a failure that
 * ends it, or another attempt after a pause, behind the last whole block.
 */
#include "common/checkpoint_fetch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/checkpoint.h"
#include "common/http_client.h"
#include "common/key.h"
#include "common/loop.h"
#include "common/md5.h"

enum {
    PATIENCE_MS = 60 * 1000,
    TICK_MS = 500, /* between two questions whether to stop */
    PAUSE_MS = 100,
    PAUSE_MAX_MS = 2000,
    TRIES = 3, /* with one master, until the next is asked */
    REASON_MAX = 300
};

struct fetching {
    const struct checkpoint_fetch *spec;
    struct loop *loop;
    struct http_client *client;
    struct loop_timer *tick;
    struct http_call *call; /* under way, or NULL */
    size_t master;          /* that is asked */
    unsigned failures;      /* one after the other, without a block between */
    uint64_t patience_ms;
    uint64_t block_ms; /* loop_now_ms() of the last block, or of the beginning */
    uint64_t offset;   /* of the reader then */
    /* of the attempt: */
    int http;
    enum status sent; /* how the request ended */
    enum status read; /* how the reader fared */
    bool stopped;
    struct buf reason; /* the text of an answer that is no checkpoint */
};

/* --- one request --- */

static void add_rest(struct buf *url, const struct checkpoint_reader *reader)
{
    const struct checkpoint_point *point = checkpoint_reader_point(reader);
    const struct buf *key = checkpoint_reader_key(reader);
    char chain[MD5_HEX + 1];
    md5_hex(point->chain, chain);
    buf_addf(url, "?id=%s&entries=%" PRIu64 "&bytes=%" PRIu64 "&chain=%s",
             checkpoint_reader_head(reader)->id, point->entries, point->bytes, chain);
    if (key->len) {
        buf_adds(url, "&after=");
        key_encode(url, key->data, key->len);
    }
}

/* True where a block has come since it was last asked. */
static bool has_moved(struct fetching *fetching)
{
    uint64_t offset = checkpoint_reader_offset(fetching->spec->reader);
    bool moved = offset != fetching->offset;
    fetching->offset = offset;
    if (moved) {
        fetching->block_ms = loop_now_ms();
        fetching->failures = 0;
    }
    return moved;
}

static bool is_out_of_patience(struct fetching *fetching)
{
    return !has_moved(fetching) && loop_now_ms() - fetching->block_ms >= fetching->patience_ms;
}

static bool asked_to_stop(struct fetching *fetching)
{
    const struct checkpoint_fetch *spec = fetching->spec;
    fetching->stopped = fetching->stopped || (spec->stopped && spec->stopped(spec->arg));
    return fetching->stopped;
}

static void fetch_tick(void *arg)
{
    struct fetching *fetching = arg;
    if (fetching->call && (asked_to_stop(fetching) || is_out_of_patience(fetching))) {
        http_call_cancel(fetching->call);
        fetching->call = NULL;
        fetching->sent = ST_PEER_TIMEOUT;
        loop_stop(fetching->loop);
        return;
    }
    loop_timer_set(fetching->tick, TICK_MS);
}

static bool fetch_piece(void *arg, const char *data, size_t len)
{
    struct fetching *fetching = arg;
    fetching->http = http_call_status(fetching->call);
    if (fetching->http != 200) {
        size_t room = REASON_MAX - fetching->reason.len;
        buf_add(&fetching->reason, data, len < room ? len : room);
        return true;
    }
    fetching->read = checkpoint_reader_take(fetching->spec->reader, data, len);
    return !fetching->read && !asked_to_stop(fetching);
}

static void fetch_done(void *arg, struct http_call *call, enum status st)
{
    struct fetching *fetching = arg;
    fetching->sent = st;
    fetching->http = http_call_status(call);
    fetching->call = NULL;
    loop_stop(fetching->loop);
}

static void attempt(struct fetching *fetching)
{
    const struct checkpoint_fetch *spec = fetching->spec;
    struct buf url = BUF_INIT;
    checkpoint_reader_cut(spec->reader);
    buf_clear(&fetching->reason);
    fetching->http = 0;
    fetching->read = ST_OK;
    buf_addf(&url, "%s/admin/checkpoint", spec->masters[fetching->master]);
    if (checkpoint_reader_begun(spec->reader))
        add_rest(&url, spec->reader);
    const struct http_call_spec call = {.method = "GET",
                                        .url = buf_text(&url),
                                        .write = fetch_piece,
                                        .done = fetch_done,
                                        .arg = fetching,
                                        .connect_timeout_ms = 3000};
    fetching->call = buf_ok(&url) ? http_call_start(fetching->client, &call) : NULL;
    fetching->sent = ST_NO_MEMORY;
    if (fetching->call) {
        loop_timer_set(fetching->tick, TICK_MS);
        loop_run(fetching->loop);
        loop_timer_clear(fetching->tick);
    }
    buf_free(&url);
}

/* --- what came of it --- */

/* Sleeps longer from failure to failure; true where it was asked to stop meanwhile. */
static bool pause_fetch(struct fetching *fetching)
{
    unsigned shift = fetching->failures < 6 ? fetching->failures : 6;
    unsigned left = (unsigned)PAUSE_MS << shift;
    left = left < PAUSE_MAX_MS ? left : PAUSE_MAX_MS;
    for (; left >= PAUSE_MS && !asked_to_stop(fetching); left -= PAUSE_MS) {
        const struct timespec time = {.tv_nsec = PAUSE_MS * 1000000L};
        (void)nanosleep(&time, NULL);
    }
    return fetching->stopped;
}

/* The next master, where this one has failed often enough. It does not hold the checkpoint that was
 * begun, and will say so. */
static void fail_over(struct fetching *fetching)
{
    const char *const *masters = fetching->spec->masters;
    if (++fetching->failures % TRIES && checkpoint_reader_begun(fetching->spec->reader))
        return;
    fetching->master = masters[fetching->master + 1] ? fetching->master + 1 : 0;
}

static void explain(const struct fetching *fetching, enum status st, struct buf *why)
{
    const char *master = fetching->spec->masters[fetching->master];
    bool own = st == ST_CORRUPT || st == ST_NOT_IMPLEMENTED || !fetching->read;
    if (!why || !own) /* what the sink returned is for its owner to explain */
        return;
    if (st == ST_CORRUPT || st == ST_NOT_IMPLEMENTED)
        buf_addf(why, "what %s sends is damaged: %s", master,
                 checkpoint_reader_fault(fetching->spec->reader));
    else if (fetching->http && fetching->http != 200)
        buf_addf(why, "%s answered %d: %.*s", master, fetching->http,
                 (int)strcspn(buf_text(&fetching->reason), "\n"), buf_text(&fetching->reason));
    else if (st == ST_UNAVAILABLE)
        buf_addf(why, "no master answers at %s", master);
    else
        buf_addf(why, "%s: %s", master,
                 st == ST_CLOSED ? "stopped"
                 : st == ST_PEER || st == ST_PEER_TIMEOUT
                     ? "the connection breaks off again and again"
                     : status_text(st));
}

static enum status begin_anew(struct fetching *fetching)
{
    const struct checkpoint_fetch *spec = fetching->spec;
    checkpoint_reader_reset(spec->reader);
    fetching->offset = 0;
    return spec->anew ? spec->anew(spec->arg) : ST_OK;
}

/* ST_OK: another attempt may do. */
static enum status judge(struct fetching *fetching)
{
    if (fetching->read)
        return fetching->read;
    if (asked_to_stop(fetching))
        return ST_CLOSED;
    if (fetching->sent == ST_NO_MEMORY)
        return ST_NO_MEMORY;
    if (fetching->http == 410 && checkpoint_reader_begun(fetching->spec->reader))
        return begin_anew(fetching);
    /* Not begun, and refused for good: by a server of another kind, or an old one. */
    bool refused = fetching->http >= 400 && fetching->http < 500;
    bool tired = is_out_of_patience(fetching);
    bool alone = !fetching->spec->masters[1];
    if (tired || (refused && alone))
        return fetching->sent ? fetching->sent : ST_PEER;
    /* Without a first block, nobody who listens is no reason to wait, but for the last of them. */
    if (fetching->sent == ST_UNAVAILABLE && !checkpoint_reader_begun(fetching->spec->reader) &&
        !fetching->spec->masters[fetching->master + 1])
        return ST_UNAVAILABLE;
    fail_over(fetching);
    return pause_fetch(fetching) ? ST_CLOSED : ST_OK;
}

enum status checkpoint_fetch(const struct checkpoint_fetch *fetch, struct buf *why)
{
    struct fetching fetching = {.spec = fetch, .block_ms = loop_now_ms()};
    enum status st = ST_NO_MEMORY;
    fetching.patience_ms = fetch->patience_ms ? fetch->patience_ms : PATIENCE_MS;
    fetching.offset = checkpoint_reader_offset(fetch->reader);
    fetching.loop = loop_new();
    fetching.client = fetching.loop ? http_client_new(fetching.loop, 1) : NULL;
    fetching.tick = fetching.client ? loop_timer_new(fetching.loop, fetch_tick, &fetching) : NULL;
    if (fetching.tick)
        st = ST_OK;
    while (!st && !checkpoint_reader_whole(fetch->reader)) {
        attempt(&fetching);
        if (!checkpoint_reader_whole(fetch->reader) || fetching.read)
            st = judge(&fetching);
    }
    if (st)
        explain(&fetching, st, why);
    loop_timer_free(fetching.tick);
    http_client_free(fetching.client);
    loop_free(fetching.loop);
    buf_free(&fetching.reason);
    return st;
}
