#include "volume/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/http_server.h"
#include "volume/condition.h"
#include "volume/date.h"
#include "volume/flow.h"
#include "volume/range.h"
#include "volume/room.h"
#include "volume/scrub.h"
#include "volume/service.h"

/* A file that leaves: whose it is. */
struct sending {
    struct scrub *scrub;
    unsigned subvolume;
    char file[];
};

/* --- Which part --- */

/* The digest where it is known, else what nginx takes. */
static void make_etag(const struct store_value *value, char etag[ANSWER_ETAG])
{
    if (value->attributes.md5[0])
        (void)snprintf(etag, ANSWER_ETAG, "\"%s\"", value->attributes.md5);
    else
        (void)snprintf(etag, ANSWER_ETAG, "\"%" PRIx64 "-%" PRIx64 "\"", (uint64_t)value->modified,
                       value->size);
}

static struct condition read_conditions(const struct http_request *req)
{
    return (struct condition){
        .if_match = http_request_field(req, "If-Match"),
        .if_none_match = http_request_field(req, "If-None-Match"),
        .if_modified_since = http_request_field(req, "If-Modified-Since"),
        .if_unmodified_since = http_request_field(req, "If-Unmodified-Since"),
        .if_range = http_request_field(req, "If-Range"),
    };
}

static int choose_status(struct answer *answer, const struct http_request *req,
                         const struct store_value *value)
{
    struct condition condition = read_conditions(req);
    enum condition_result result = condition_check(&condition, answer->etag, value->modified);
    if (result != CONDITION_SEND)
        return result == CONDITION_FAILED ? 412 : 304;
    if (!condition_range(&condition, answer->etag, value->modified))
        return 200;
    switch (range_parse(http_request_field(req, "Range"), value->size, &answer->offset,
                        &answer->length)) {
    case RANGE_UNSATISFIABLE:
        return 416;
    case RANGE_PART:
        return 206;
    default:
        return 200;
    }
}

void answer_plan(struct answer *answer, const struct http_request *req,
                 const struct store_value *value)
{
    answer->offset = 0;
    answer->length = value->size;
    make_etag(value, answer->etag);
    answer->status = choose_status(answer, req, value);
    answer->sends = answer->status / 100 == 2 && http_request_method(req) == HTTP_GET;
}

/* --- Its head --- */

static void add_identity(const struct answer *answer, struct http_request *req,
                         const struct store_value *value)
{
    char date[DATE_SIZE];
    date_format(value->modified, date);
    http_reply_field(req, "ETag", answer->etag);
    http_reply_field(req, "Last-Modified", date);
}

void answer_fields(const struct answer *answer, struct http_request *req,
                   const struct store_value *value)
{
    const struct store_attributes *attributes = &value->attributes;
    add_identity(answer, req, value);
    if (answer->status == 206)
        http_reply_fieldf(req, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                          answer->offset, answer->offset + answer->length - 1, value->size);
    http_reply_field(req, "Content-Type",
                     attributes->type[0] ? attributes->type : STORE_TYPE_USUAL);
    http_reply_field(req, "Accept-Ranges", "bytes");
    if (attributes->md5[0] && answer->status == 200) /* of what is sent: a part's is not known */
        http_reply_field(req, "Content-MD5", attributes->md5);
}

/* 412 and 304 have no body; a range that cannot be had is told the size. */
static void send_nothing(const struct answer *answer, struct http_request *req,
                         const struct store_value *value)
{
    add_identity(answer, req, value);
    if (answer->status == 416) {
        http_reply_fieldf(req, "Content-Range", "bytes */%" PRIu64, value->size);
        http_reply_status(req, ST_RANGE, NULL);
    } else {
        http_reply(req, answer->status, NULL, 0);
    }
}

/* --- Its bytes --- */

/* What is left of the request while its answer leaves. NULL (no memory): then it is not watched. */
static struct sending *make_sending(const struct flow *flow)
{
    size_t size = strlen(flow->path->file) + 1;
    struct sending *sending = malloc(sizeof *sending + size);
    if (!sending)
        return NULL;
    sending->scrub = flow->service->scrub;
    sending->subvolume = flow->path->subvolume;
    memcpy(sending->file, flow->path->file, size);
    return sending;
}

static void file_left(void *arg, int err)
{
    struct sending *sending = arg;
    if (sending && err)
        scrub_suspect(sending->scrub, sending->subvolume, sending->file);
    free(sending);
}

void answer_file(const struct answer *answer, const struct flow *flow,
                 const struct store_value *value)
{
    struct http_request *req = flow->req;
    if (answer->status / 100 != 2) {
        (void)close(value->fd);
        send_nothing(answer, req, value);
        return;
    }
    answer_fields(answer, req, value);
    if (answer->length > 0) {
        http_reply_watched_file(req, answer->status, value->fd, answer->offset, answer->length,
                                file_left, make_sending(flow));
        return;
    }
    (void)close(value->fd);
    http_reply(req, answer->status, NULL, 0);
}

void answer_bytes(const struct answer *answer, const struct flow *flow,
                  const struct store_value *value, const char *bytes)
{
    answer_fields(answer, flow->req, value);
    http_reply(flow->req, answer->status, bytes, (size_t)answer->length);
}

static void block_left(void *arg, int err UNUSED)
{
    struct answer_block *block = arg;
    room_give_back(block->room, block->taken);
    free(block);
}

void answer_memory(const struct answer *answer, const struct flow *flow,
                   const struct store_value *value, struct answer_block *block)
{
    answer_fields(answer, flow->req, value);
    http_reply_block(flow->req, answer->status, block->bytes + answer->offset,
                     (size_t)answer->length, block_left, block);
}
