/*
 * GET and HEAD /path: sends a value, but never a damaged one as if it were whole.
 *
 * get_now: a value that was verified lately, and is in the page cache, is answered at once. Else
 * get_open (on the pool): opened, and what is asked for is looked at; one that has not been
 * verified lately is read and compared with its MD5 here, if it is small → get_opened: 304, 412,
 * 416, or its bytes: 200, 206. They leave out of the page cache   where the value was verified
 * lately, cannot be, or need not be; out of memory           as they have just been read and
 * verified; in a stream             that verifies them on the way (stream.c): large values.
 *
 * What is damaged, or cannot be read, is examined and set aside by the scrub: get_suspect.
 *
 * Not here, or damaged: the reader is sent to the master for another copy, or gets 404 (hole.c). A
 * directory: 301 to the same with a '/'.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/key.h"
#include "volume/answer.h"
#include "volume/check.h"
#include "volume/disk.h"
#include "volume/flow.h"
#include "volume/hole.h"
#include "volume/room.h"
#include "volume/scrub.h"
#include "volume/service.h"
#include "volume/stream.h"
#include "volume/subvolumes.h"
#include "volume/trusted.h"

/* Values up to WHOLE_MAX bytes are verified before anything of them leaves. Up to NOW_MAX the loop
 * itself looks whether they are in the page cache: of larger ones that takes too long. What is
 * copied instead of being sent by sendfile has COPY_MAX at most. */
enum { WHOLE_MAX = 1024 * 1024, NOW_MAX = 4 * 1024 * 1024, COPY_MAX = 8 * 1024 };

enum get_way { GET_FILE, GET_MEMORY, GET_STREAM };

struct get {
    struct flow flow;
    struct store_value value; /* open where `result` is ST_OK */
    enum status result;
    bool suspect; /* it is damaged, or could not be read */
    struct answer answer;
    enum get_way way;
    struct answer_block *block; /* of GET_MEMORY */
};

static bool get_now(struct get *get);
static void get_open(void *arg); /* on the pool, and so are the next three */
static enum get_way get_choose(struct get *get);
static void get_verify(struct get *get);
static void get_set_result(struct get *get, enum check_result result);
static void get_opened(void *arg);
static void get_send(struct get *get);
static void get_redirect_to_directory(struct get *get);
static void get_suspect(struct get *get);
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
    if (!st && get_now(get)) {
        get_finish(get);
        return;
    }
    if (!st && !flow_begin(&get->flow, get_open, get_opened, get))
        st = ST_BUSY;
    if (st) {
        flow_refuse(req, st);
        get_finish(get);
    }
}

static const struct disk *get_disk(const struct get *get)
{
    return subvolume_disk(subvolumes_find(get->flow.at.all, get->flow.at.subvolume));
}

/* A small part leaves with its head in one piece. False: it could not be read so. */
static bool get_copy(const struct get *get)
{
    char bytes[COPY_MAX];
    size_t len = (size_t)get->answer.length;
    if (get_disk(get)->read_cached(get->value.fd, bytes, len, get->answer.offset) != (ssize_t)len)
        return false;
    (void)close(get->value.fd);
    answer_bytes(&get->answer, &get->flow, &get->value, bytes);
    return true;
}

/* See is_trusted(): behind the look at the page cache. */
static bool is_trusted_still(const struct get *get)
{
    struct trusted_file file = store_identify(&get->value);
    return trusted_has(get->flow.service->trusted, &file);
}

/* Without waiting for anything, and with half of the system calls. False: it takes the long way.
 * The look at the page cache comes before the first read, also before one that would not wait:
 * that, too, has the kernel fetch what is not there, and nobody could tell afterwards when it came.
 */
static bool get_now(struct get *get)
{
    const struct answer *answer = &get->answer;
    struct store_value *value = &get->value;
    if (!store_open_now(&get->flow.at, get->flow.service->trusted, value))
        return false;
    answer_plan(&get->answer, get->flow.req, value);
    if (answer->sends &&
        (value->size > NOW_MAX || get_disk(get)->cached(value->fd, 0, value->size) != 1 ||
         !is_trusted_still(get))) {
        (void)close(value->fd);
        return false;
    }
    if (!answer->sends || answer->length > COPY_MAX || !get_copy(get))
        answer_file(answer, &get->flow, value);
    return true;
}

static void get_open(void *arg)
{
    struct get *get = arg;
    get->result = store_open(&get->flow.at, &get->value);
    get->suspect = get->result == ST_IO || (get->result && get->value.damaged);
    if (get->result)
        return;
    answer_plan(&get->answer, get->flow.req, &get->value);
    get->way = get_choose(get);
    if (get->way == GET_MEMORY)
        get_verify(get);
}

/* --- Whether, and how, it is verified --- */

/* It was verified lately, and nothing of it has left the page cache since: that is what was
 * verified. (Nothing: reading one part has the kernel fetch others.) Else it is forgotten before
 * anybody reads it from the disk again, so that nobody takes what comes from there for verified. */
static bool is_trusted(const struct get *get)
{
    struct trusted *trusted = get->flow.service->trusted;
    struct trusted_file file = store_identify(&get->value);
    if (!trusted_has(trusted, &file))
        return false;
    const struct disk *disk = get_disk(get);
    /* Asked once more behind the look at the cache: another GET may have found it gone, removed the
     * entry, and be reading it from the disk, unverified, just now. */
    if (disk->cached(get->value.fd, 0, get->value.size) != 0 && trusted_has(trusted, &file)) {
        trusted_describe(trusted, &file, &get->value.attributes);
        return true;
    }
    trusted_remove(trusted, &file);
    return false;
}

/* Who compares digests himself need not wait for us to do it. */
static bool is_checked_by_reader(const struct http_request *req)
{
    const char *check = http_request_field(req, "Larder-Check");
    return check && !strcmp(check, "none");
}

static enum get_way get_choose(struct get *get)
{
    const struct store_value *value = &get->value;
    bool known = value->attributes.md5[0] || value->attributes.broken;
    /* Whether it is trusted comes first: also who does not care has its pages fetched. */
    if (!get->answer.sends || !known || is_trusted(get) || is_checked_by_reader(get->flow.req))
        return GET_FILE;
    if (value->size <= WHOLE_MAX)
        return GET_MEMORY;
    /* Of a part of a large value nothing is known, and all of it is too much to be read for it. */
    return get->answer.length == value->size ? GET_STREAM : GET_FILE;
}

/* Room for the value, if slow readers leave any. */
static void get_verify(struct get *get)
{
    struct service *service = get->flow.service;
    size_t size = (size_t)get->value.size, got;
    struct answer_block *block = malloc(sizeof *block + size);
    struct check *check = check_new(&get->flow.at, &get->value);
    enum check_result result =
        block && check ? check_next(check, block->bytes, size, &got) : CHECK_FAILED;
    check_free(check);
    get_set_result(get, result);
    if (result == CHECK_GOOD && room_take(service->room, sizeof *block + size)) {
        block->room = service->room;
        block->taken = sizeof *block + size;
        get->block = block;
        return;
    }
    /* What was just read and found good is in the page cache. */
    get->way = GET_FILE;
    free(block);
}

static void get_set_result(struct get *get, enum check_result result)
{
    struct service *service = get->flow.service;
    if (result == CHECK_GOOD) {
        struct trusted_file file = store_identify(&get->value);
        trusted_add(service->trusted, &file, &get->value.attributes);
        atomic_fetch_add(&service->counters.reads_verified, 1);
        return;
    }
    get->suspect = result == CHECK_DAMAGED || result == CHECK_UNREADABLE;
    get->result = result == CHECK_DAMAGED      ? ST_NOT_FOUND
                  : result == CHECK_UNREADABLE ? ST_IO
                                               : ST_NO_MEMORY;
    (void)close(get->value.fd);
}

/* --- The answer --- */

static void get_opened(void *arg)
{
    struct get *get = arg;
    bool hole = get->result == ST_NOT_FOUND || (get->result && get->suspect);
    if (get->suspect)
        get_suspect(get);
    if (get->result == ST_OK)
        get_send(get);
    else if (get->result == ST_CONFLICT)
        get_redirect_to_directory(get);
    else if (!hole || !hole_redirect(&get->flow))
        flow_refuse(get->flow.req, get->result);
    get_finish(get);
}

static void get_send(struct get *get)
{
    switch (get->way) {
    case GET_FILE:
        answer_file(&get->answer, &get->flow, &get->value);
        break;
    case GET_MEMORY:
        (void)close(get->value.fd);
        answer_memory(&get->answer, &get->flow, &get->value, get->block);
        break;
    case GET_STREAM:
        stream_start(&get->flow, &get->value, &get->answer);
        get->flow.path = NULL; /* the stream's */
        break;
    }
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
    struct service *service = get->flow.service;
    atomic_fetch_add(&service->counters.reads_damaged, 1);
    scrub_suspect(service->scrub, get->flow.path->subvolume, get->flow.path->file);
}

static void get_finish(struct get *get)
{
    flow_release(&get->flow);
    free(get);
}
