/*
 * PUT /path with `Larder-Copy-From: MD5 URL`: fetches the value from another volume and stores it,
 * if it has that MD5. So a copy does not pass through the master that wants it.
 *
 * pull_start: the head is checked → pull_work (on a thread for this): from the source's socket into
 * a buffer, through the MD5, into the temp file, chunk by chunk; made durable → pull_finish: 201 or
 * 204, with the MD5.
 *
 * Failures: 403 for anybody but a master of ours (for one who is not known the names of the masters
 * may be resolved first, on the thread); 502 and 504 where the source has not got it or
 * stands still; 422 where it is not what the index says; those of any PUT. Nothing is stored then.
 * The master may be gone before it ends: it removes what it gave up (DELETE), and a DELETE gives up
 * what is still under way for its path, so nothing turns up after it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/http_server.h"
#include "common/key.h"
#include "common/log.h"
#include "common/md5.h"
#include "common/pool.h"
#include "volume/config.h"
#include "volume/flow.h"
#include "volume/masters.h"
#include "volume/pulls.h"
#include "volume/service.h"
#include "volume/source.h"
#include "volume/writing.h"

enum { CHUNK_BYTES = 1024 * 1024 };

struct pull {
    struct flow flow;
    struct gate_job job;
    struct pulls_entry entry;
    char expected[MD5_HEX + 1];
    const char *url; /* into the request's field */
    bool known;      /* who asks is a master of ours; else the thread looks */
    struct writing_end end;
    uint64_t length; /* of the value, once it is stored */
    enum status result;
};

static enum status pull_check_head(struct pull *pull);
static void pull_work(void *arg); /* on a thread of its own */
static void pull_finish(void *arg);

void pull_start(struct service *service, struct http_request *req, struct path *path)
{
    struct pull *pull = calloc(1, sizeof *pull);
    if (!pull) {
        free(path);
        flow_refuse(req, ST_NO_MEMORY);
        return;
    }
    flow_init(&pull->flow, service, req, path);
    atomic_fetch_add(&service->counters.puts, 1);
    pull->entry = (struct pulls_entry){.subvolume = path->subvolume, .file = path->file};
    pulls_add(service->pulls, &pull->entry);
    pull->job = (struct gate_job){
        .run = pull_work, .next = pull_finish, .arg = pull, .loop = http_request_loop(req)};
    pull->result = pull_check_head(pull);
    /* Once it has begun it belongs to the thread: not even its result may be looked at. */
    if (!pull->result && pulls_submit(service->pulls, path->subvolume, &pull->job))
        return;
    if (!pull->result)
        pull->result = ST_BUSY;
    pull_finish(pull);
}

/* A copy has the same name everywhere; only what is before it may differ. */
static enum status check_name(const struct pull *pull, const char *target)
{
    struct path *theirs = malloc(sizeof *theirs);
    struct key key;
    size_t ours_at;
    size_t theirs_at;
    if (!theirs)
        return ST_NO_MEMORY;
    enum status st = path_parse(theirs, target, strlen(target));
    if (!st && (path_key(pull->flow.path, &key, &ours_at) || path_key(theirs, &key, &theirs_at) ||
                strcmp(pull->flow.path->text + ours_at, theirs->text + theirs_at) != 0))
        st = ST_BAD_REQUEST;
    free(theirs);
    return st;
}

/* "MD5 URL" */
static enum status read_field(struct pull *pull)
{
    const char *field = http_request_field(pull->flow.req, "Larder-Copy-From");
    char host[SOURCE_HOST_SIZE];
    const char *target;
    if (strcspn(field, " ") != MD5_HEX || field[MD5_HEX] != ' ')
        return ST_BAD_REQUEST;
    memcpy(pull->expected, field, MD5_HEX);
    char checked[MD5_HEX + 1];
    if (md5_parse(pull->expected, checked))
        return ST_BAD_REQUEST;
    memcpy(pull->expected, checked, sizeof checked);
    pull->url = field + MD5_HEX + 1;
    /* It is sent on in a request of ours: no blank may end the path there. */
    if (strcspn(pull->url, " \t") != strlen(pull->url) || source_parse(pull->url, host, &target))
        return ST_BAD_REQUEST;
    return check_name(pull, target);
}

static enum status pull_check_head(struct pull *pull)
{
    struct http_request *req = pull->flow.req;
    const struct path *path = pull->flow.path;
    struct masters *masters = pull->flow.service->masters;
    /* Else anybody could have us open connections to whomever he likes. */
    pull->known = masters_know(masters, http_request_peer(req));
    if (!pull->known && !masters_may_look(masters))
        return ST_FORBIDDEN;
    if (http_request_has_body(req) || path->directory || path->file[0] == '\0')
        return ST_BAD_REQUEST;
    enum status st = read_field(pull);
    return st ? st : flow_admit(&pull->flow, SUBVOLUME_WRITE, 0);
}

/* --- on the thread --- */

/* What only the source's answer tells. */
static enum status check_length(const struct pull *pull, uint64_t length)
{
    unsigned long long most = pull->flow.service->config->max_value;
    if (most && length > most)
        return ST_TOO_LARGE;
    return flow_admit(&pull->flow, SUBVOLUME_WRITE, length);
}

static enum status fetch_all(struct pull *pull, struct source *source, struct writing *value,
                             char *chunk)
{
    for (;;) {
        size_t got;
        enum status st = source_read(source, chunk, CHUNK_BYTES, &got);
        if (!st && got)
            st = writing_add(value, chunk, got);
        if (st || !got)
            return st;
        if (!pulls_goes_on(pull->flow.service->pulls, &pull->entry))
            return ST_CLOSED;
    }
}

static enum status store(struct pull *pull, struct source *source, char *chunk)
{
    struct writing *value;
    enum status st = writing_begin(&value, &pull->flow.at);
    if (st)
        return st;
    /* Copying it into the page cache took more of a processor than hashing it, and drove out what
     * readers ask for. So it is not `trusted` either: that counts only for what is there. */
    writing_bypass_cache(value);
    st = fetch_all(pull, source, value, chunk);
    if (!st && !pulls_finish(pull->flow.service->pulls, &pull->entry))
        st = ST_CLOSED;
    if (st) {
        writing_abort(value);
        return st;
    }
    pull->end.type = source_type(source);
    pull->end.expected = pull->expected;
    return writing_finish(value, &pull->end);
}

/* By the request's own text, which stays until it is answered. */
static enum status check_stranger(struct pull *pull)
{
    const char *peer = http_request_peer(pull->flow.req);
    bool known = pull->known || masters_look_up(pull->flow.service->masters, peer);
    return known ? ST_OK : ST_FORBIDDEN;
}

static void pull_work(void *arg)
{
    struct pull *pull = arg;
    struct source *source = NULL;
    enum status st = check_stranger(pull);
    char *chunk = st ? NULL : aligned_alloc(WRITING_BLOCK, CHUNK_BYTES);
    if (!st && !chunk)
        st = ST_NO_MEMORY;
    if (!st && !pulls_goes_on(pull->flow.service->pulls, &pull->entry))
        st = ST_CLOSED;
    if (!st)
        st = source_open(&source, pull->url);
    if (!st)
        st = check_length(pull, source_length(source));
    if (!st) {
        pull->length = source_length(source);
        st = store(pull, source, chunk);
    }
    source_close(source);
    free(chunk);
    pull->result = st;
}

/* --- the end --- */

/* The master copies by itself then, and would do so for ever: so both sides are told what to do. */
static void refuse_stranger(const struct pull *pull)
{
    struct http_request *req = pull->flow.req;
    char advice[MASTERS_ADVICE];
    masters_refuse(pull->flow.service->masters, http_request_peer(req), advice);
    http_reply_status(req, ST_FORBIDDEN, advice);
}

static void pull_finish(void *arg)
{
    struct pull *pull = arg;
    struct http_request *req = pull->flow.req;
    struct service *service = pull->flow.service;
    if (pull->result == ST_FORBIDDEN) {
        refuse_stranger(pull);
    } else if (pull->result) {
        log_event(LOG_WARN, "pull", "request=%s path=\"%s\" source=\"%s\" error=\"%s\"",
                  http_request_id(req), pull->flow.path->text, pull->url ? pull->url : "",
                  status_text(pull->result));
        flow_refuse(req, pull->result);
    } else {
        atomic_fetch_add(&service->counters.bytes_written, pull->length);
        http_reply_field(req, "Content-MD5", pull->end.md5);
        http_reply(req, pull->end.replaced ? 204 : 201, NULL, 0);
    }
    pulls_remove(service->pulls, &pull->entry);
    flow_release(&pull->flow);
    free(pull);
}
