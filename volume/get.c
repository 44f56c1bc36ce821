/*
 * GET and HEAD /path: sends a value.
 *
 * get_open (on the pool) → get_opened: the conditions of the request → 304, 412, 416, or the file
 * by sendfile: 200, 206.
 *
 * What is damaged, or cannot be read, is examined and set aside by the scrub: get_suspect, or
 * get_sent where it was found only while it left.
 *
 * Not here, or damaged: the reader is sent to the master for another copy, or gets 404 (hole.c). A
 * directory: 301 to the same with a '/'.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/key.h"
#include "volume/condition.h"
#include "volume/date.h"
#include "volume/flow.h"
#include "volume/hole.h"
#include "volume/range.h"
#include "volume/scrub.h"
#include "volume/service.h"

enum { ETAG_SIZE = MD5_HEX + 16 };

struct get {
    struct flow flow;
    struct store_value value; /* open where `result` is ST_OK */
    enum status result;
};

/* An answer that leaves: whose file it is. */
struct sending {
    struct scrub *scrub;
    unsigned subvolume;
    char file[];
};

static void get_open(void *arg); /* on the pool */
static void get_opened(void *arg);
static void get_send(struct get *get);
static void get_redirect_to_directory(struct get *get);
static void get_suspect(struct get *get);
static void get_sent(void *arg, int err);
static void get_finish(struct get *get);

void get_start(struct service *service, struct http_request *req, struct path *path)
{
    struct get *get = calloc(1, sizeof *get);
    if (!get) {
        free(path);
        flow_refuse(req, ST_NO_MEMORY);
        return;
    }
    flow_init(&get->flow, service, req, path);
    atomic_fetch_add(&service->counters.gets, 1);
    enum status st = flow_admit(&get->flow, SUBVOLUME_READ, 0);
    if (!st && !flow_begin(&get->flow, get_open, get_opened, get))
        st = ST_BUSY;
    if (st) {
        flow_refuse(req, st);
        get_finish(get);
    }
}

static void get_open(void *arg)
{
    struct get *get = arg;
    get->result = store_open(&get->flow.at, &get->value);
}

static void get_opened(void *arg)
{
    struct get *get = arg;
    if (get->result == ST_IO || (get->result == ST_NOT_FOUND && get->value.damaged))
        get_suspect(get);
    if (get->result == ST_OK)
        get_send(get);
    else if (get->result == ST_CONFLICT)
        get_redirect_to_directory(get);
    else if (get->result != ST_NOT_FOUND || !hole_redirect(&get->flow))
        flow_refuse(get->flow.req, get->result);
    get_finish(get);
}

/* --- The answer --- */

/* The digest where it is known, else what nginx takes. */
static void make_etag(const struct store_value *value, char etag[ETAG_SIZE])
{
    if (value->attributes.md5[0])
        (void)snprintf(etag, ETAG_SIZE, "\"%s\"", value->attributes.md5);
    else
        (void)snprintf(etag, ETAG_SIZE, "\"%" PRIx64 "-%" PRIx64 "\"", (uint64_t)value->modified,
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

static void add_fields(struct http_request *req, const struct store_value *value, const char *etag)
{
    char date[DATE_SIZE];
    date_format(value->modified, date);
    http_reply_field(req, "ETag", etag);
    http_reply_field(req, "Last-Modified", date);
}

/* What is left of the request while its answer leaves. NULL (no memory): then it is not watched. */
static struct sending *make_sending(const struct get *get)
{
    size_t size = strlen(get->flow.path->file) + 1;
    struct sending *sending = malloc(sizeof *sending + size);
    if (!sending)
        return NULL;
    sending->scrub = get->flow.service->scrub;
    sending->subvolume = get->flow.path->subvolume;
    memcpy(sending->file, get->flow.path->file, size);
    return sending;
}

static void get_sent(void *arg, int err)
{
    struct sending *sending = arg;
    if (sending && err)
        scrub_suspect(sending->scrub, sending->subvolume, sending->file);
    free(sending);
}

/* Owns the descriptor from here on. */
static void send_bytes(struct get *get, int status, uint64_t offset, uint64_t length)
{
    struct http_request *req = get->flow.req;
    const struct store_attributes *attributes = &get->value.attributes;
    http_reply_field(req, "Content-Type",
                     attributes->type[0] ? attributes->type : "application/octet-stream");
    http_reply_field(req, "Accept-Ranges", "bytes");
    if (attributes->md5[0] && status == 200) /* of what is sent: a part's is not known */
        http_reply_field(req, "Content-MD5", attributes->md5);
    if (length > 0) {
        http_reply_watched_file(req, status, get->value.fd, offset, length, get_sent,
                                make_sending(get));
        return;
    }
    (void)close(get->value.fd);
    http_reply(req, status, NULL, 0);
}

/* 412 and 304 have no body; a range that cannot be had is told the size. */
static void send_nothing(struct get *get, int status)
{
    (void)close(get->value.fd);
    if (status == 416) {
        http_reply_fieldf(get->flow.req, "Content-Range", "bytes */%" PRIu64, get->value.size);
        http_reply_status(get->flow.req, ST_RANGE, NULL);
    } else {
        http_reply(get->flow.req, status, NULL, 0);
    }
}

static void get_send(struct get *get)
{
    struct http_request *req = get->flow.req;
    const struct store_value *value = &get->value;
    struct condition condition = read_conditions(req);
    char etag[ETAG_SIZE];
    uint64_t offset = 0, length = value->size;
    make_etag(value, etag);
    add_fields(req, value, etag);

    enum condition_result result = condition_check(&condition, etag, value->modified);
    if (result != CONDITION_SEND) {
        send_nothing(get, result == CONDITION_FAILED ? 412 : 304);
        return;
    }
    enum range_result range = RANGE_WHOLE;
    if (condition_range(&condition, etag, value->modified))
        range = range_parse(http_request_field(req, "Range"), value->size, &offset, &length);
    if (range == RANGE_UNSATISFIABLE) {
        send_nothing(get, 416);
        return;
    }
    if (range == RANGE_PART)
        http_reply_fieldf(req, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, offset,
                          offset + length - 1, value->size);
    send_bytes(get, range == RANGE_PART ? 206 : 200, offset, length);
}

/* As nginx, but relative: the client knows best under which address it reached us. */
static void get_redirect_to_directory(struct get *get)
{
    struct buf location = BUF_INIT;
    size_t len;
    const char *query = http_request_query(get->flow.req, &len);
    key_encode(&location, get->flow.path->text, get->flow.path->len);
    buf_addc(&location, '/');
    if (len > 0) {
        buf_addc(&location, '?');
        buf_add(&location, query, len);
    }
    if (buf_ok(&location)) {
        http_reply_field(get->flow.req, "Location", buf_text(&location));
        http_reply(get->flow.req, 301, NULL, 0);
    } else {
        flow_refuse(get->flow.req, ST_NO_MEMORY);
    }
    buf_free(&location);
}

static void get_suspect(struct get *get)
{
    scrub_suspect(get->flow.service->scrub, get->flow.path->subvolume, get->flow.path->file);
}

static void get_finish(struct get *get)
{
    flow_release(&get->flow);
    free(get);
}
