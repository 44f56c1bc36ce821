/*
 * A large value that has not been verified lately: sent while its MD5 is computed.
 *
 *   stream_read      (on the pool) a chunk is read and hashed; after the last the MD5 is compared
 *   stream_was_read  it leaves, and the next is read meanwhile; or the value is damaged
 *   stream_drained   it has left: the next one, or the end
 *
 * The last chunk is only sent when the MD5 is known. So a damaged value never arrives whole: the
 * connection is cut before its end, or, where the first chunk cannot be read already, the reader is
 * sent to another copy.
 *
 * A stream holds memory for as long as its reader takes. Where too many do, the value is read to
 * its end before anything is sent, in chunks that live only on the pool, and then goes out of the
 * page cache: its reader waits longer for the first byte, and holds nothing. That one has gone is
 * seen only where his connection was reset (http_request_is_lost): else it is read to its end.
 */
#include "volume/stream.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/http_server.h"
#include "volume/answer.h"
#include "volume/check.h"
#include "volume/flow.h"
#include "volume/hole.h"
#include "volume/room.h"
#include "volume/scrub.h"
#include "volume/service.h"
#include "volume/trusted.h"

/* A chunk, and its copy in the connection's output, whose buffer doubles as it grows. */
enum { CHUNK = 256 * 1024, HELD = CHUNK + 2 * CHUNK + CHUNK / 4 };

struct stream {
    struct flow flow;
    struct store_value value; /* open */
    struct answer answer;
    struct check *check; /* the job's, while one is under way; so are the next three */
    char *chunk;         /* NULL: nothing is sent before the end is known */
    size_t got;          /* bytes in it */
    enum check_result result;
    bool reading; /* a job is under way */
    bool waiting; /* the chunk is full, and the one before has not left yet */
    bool leaving; /* a chunk is in the connection's output */
    bool started; /* the head has left */
    bool gone;    /* so has the reader */
};

static void stream_next(struct stream *stream);
static void stream_read(void *arg); /* on the pool */
static void stream_was_read(void *arg);
static void stream_send(struct stream *stream);
static void stream_drained(void *arg, bool alive);
static void stream_verified(struct stream *stream);
static void stream_fail(struct stream *stream);
static void stream_finish(struct stream *stream);

/* Memory for a chunk; none where it is short, or slow readers have too much of it. */
static char *take_chunk(struct room *room)
{
    if (!room_take(room, HELD))
        return NULL;
    char *chunk = malloc(CHUNK);
    if (!chunk)
        room_give_back(room, HELD);
    return chunk;
}

void stream_start(const struct flow *flow, const struct store_value *value,
                  const struct answer *answer)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        flow_refuse(flow->req, ST_NO_MEMORY);
        (void)close(value->fd);
        free(flow->path);
        return;
    }
    stream->flow = *flow;
    stream->value = *value;
    stream->answer = *answer;
    stream->result = CHECK_FAILED;
    stream->chunk = take_chunk(flow->service->room);
    stream->check = check_new(&stream->flow.at, &stream->value);
    if (stream->check)
        stream_next(stream);
    else
        stream_fail(stream);
}

static void stream_next(struct stream *stream)
{
    stream->reading = true;
    flow_continue(&stream->flow, stream_read, stream_was_read, stream);
}

static void stream_read(void *arg)
{
    struct stream *stream = arg;
    char *to = stream->chunk ? stream->chunk : malloc(CHUNK);
    stream->result = CHECK_FAILED;
    if (to)
        stream->result = check_next(stream->check, to, CHUNK, &stream->got);
    if (!stream->chunk)
        free(to);
}

static void stream_was_read(void *arg)
{
    struct stream *stream = arg;
    stream->reading = false;
    if (stream->result == CHECK_GOOD)
        stream_verified(stream);
    /* Where nothing is sent yet, nothing else would tell that nobody waits for it any more. */
    if (stream->result == CHECK_MORE && !stream->chunk)
        stream->gone = http_request_is_lost(stream->flow.req);
    if (stream->gone || (stream->result != CHECK_MORE && stream->result != CHECK_GOOD))
        stream_fail(stream);
    else if (stream->chunk && stream->leaving)
        stream->waiting = true;
    else if (stream->chunk)
        stream_send(stream);
    else if (stream->result == CHECK_MORE)
        stream_next(stream);
    else
        stream_finish(stream);
}

/* The chunk is copied into the output, so the next one can be read at once. */
static void stream_send(struct stream *stream)
{
    struct http_request *req = stream->flow.req;
    if (!stream->started) {
        answer_fields(&stream->answer, req, &stream->value);
        http_reply_start_length(req, stream->answer.status, stream->answer.length);
        stream->started = true;
    }
    stream->waiting = false;
    stream->leaving = true;
    http_reply_piece(req, stream->chunk, stream->got, stream_drained, stream);
    if (stream->result == CHECK_MORE)
        stream_next(stream);
}

static void stream_drained(void *arg, bool alive)
{
    struct stream *stream = arg;
    stream->leaving = false;
    stream->gone = !alive;
    if (stream->reading)
        return;
    if (stream->gone)
        stream_fail(stream);
    else if (stream->waiting)
        stream_send(stream);
    else
        stream_finish(stream);
}

static void stream_verified(struct stream *stream)
{
    const struct store_value *value = &stream->value;
    struct trusted_file file = store_identify(value);
    trusted_add(stream->flow.service->trusted, &file, &value->attributes);
    atomic_fetch_add(&stream->flow.service->counters.reads_verified, 1);
}

/* The answer breaks off, or becomes another. */
static void stream_fail(struct stream *stream)
{
    const struct flow *flow = &stream->flow;
    enum status st = ST_NO_MEMORY;
    if (stream->result == CHECK_DAMAGED || stream->result == CHECK_UNREADABLE) {
        st = stream->result == CHECK_DAMAGED ? ST_NOT_FOUND : ST_IO;
        atomic_fetch_add(&flow->service->counters.reads_damaged, 1);
        scrub_suspect(flow->service->scrub, flow->path->subvolume, flow->path->file);
    }
    if (stream->started)
        http_reply_end(flow->req, false);
    else if (st == ST_NO_MEMORY || !hole_redirect(&stream->flow))
        flow_refuse(flow->req, st);
    stream->started = stream->gone = true; /* it is answered */
    stream_finish(stream);
}

static void stream_finish(struct stream *stream)
{
    if (!stream->gone && stream->started) {
        http_reply_end(stream->flow.req, true);
    } else if (!stream->gone) {
        answer_file(&stream->answer, &stream->flow, &stream->value);
        stream->value.fd = -1;
    }
    if (stream->chunk)
        room_give_back(stream->flow.service->room, HELD);
    free(stream->chunk);
    check_free(stream->check);
    if (stream->value.fd >= 0)
        (void)close(stream->value.fd);
    flow_release(&stream->flow);
    free(stream);
}
