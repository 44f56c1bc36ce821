/*
 * The path: ask_start → (a call for each item) → question_answered, once for each → finish. An ask
 * owns itself: nobody holds it, and it cannot be cancelled, as its calls have deadlines.
 *
 * Everything that may fail is made before the first call goes out; after that a failure is an
 * answer. `left` is set to all before anything is launched, as a call that fails at once would
 * otherwise end the whole too early. Where no call could be launched at all finish() is called by a
 * timer: the caller's callback must not run inside of ask_start().
 */
#include "master/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/key.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/volumes.h"
#include "master/worker.h"

/* One of the requests under way. */
struct question {
    struct ask *ask;
    char *place;             /* its own copy: the caller's record may change meanwhile */
    struct ask_value *value; /* the asker's; NULL: he wants none */
};

/* Lives on one loop, which is the worker's; only its thread touches it. */
struct ask {
    struct worker *worker;
    char request[32]; /* for the log */
    void (*answered)(void *arg, const struct ask_answer *answers, size_t count);
    void *arg;
    size_t count;
    size_t left; /* answers that are still to come; set before anything is launched */
    struct ask_answer *answers;
    struct question *questions;
    struct loop_timer *turn; /* for when nothing could be launched */
};

static void ask_free(struct ask *ask)
{
    for (size_t i = 0; ask->questions && i < ask->count; i++)
        free(ask->questions[i].place);
    loop_timer_free(ask->turn);
    free(ask->questions);
    free(ask->answers);
    free(ask);
}

static void finish(void *arg)
{
    struct ask *ask = arg;
    ask->answered(ask->arg, ask->answers, ask->count);
    ask_free(ask);
}

static void read_digest(struct ask_answer *answer, const char *digest)
{
    if (!digest || md5_parse(digest, answer->md5))
        answer->md5[0] = 0;
}

/* Of a value that was asked for: its first bytes (206); of one without bytes there are no first
 * (416). Neither has a digest of its own, but the tag of a volume of ours is that of the value. */
static void read_part(struct ask_answer *answer, const struct http_call *call)
{
    const char *range = http_call_field(call, "Content-Range");
    const char *total = range ? strchr(range, '/') : NULL;
    const char *tag = http_call_field(call, "ETag");
    char digest[MD5_HEX + 1] = "";
    if (tag && strlen(tag) == MD5_HEX + 2)
        memcpy(digest, tag + 1, MD5_HEX);
    read_digest(answer, digest[0] ? digest : NULL);
    bool told = total && total[1] >= '0' && total[1] <= '9';
    answer->length = told ? strtoll(total + 1, NULL, 10) : -1;
    if (answer->http == 206 || answer->length == 0)
        answer->http = 200;
}

/* What memory is short for is fetched once more by whoever needs it. */
static void take_value(struct ask_value *value, const struct ask_answer *answer,
                       const struct http_call *call)
{
    size_t len;
    const char *bytes = http_call_body(call, &len);
    const char *type = http_call_field(call, "Content-Type");
    if (answer->http != 200 || answer->length != (int64_t)len || len > ASK_VALUE_MAX)
        return;
    buf_add(&value->bytes, bytes, len);
    buf_adds(&value->type, type ? type : "");
    value->whole = buf_ok(&value->bytes) && buf_ok(&value->type);
}

static void read_answer(const struct question *question, struct ask_answer *answer,
                        const struct http_call *call)
{
    const char *length = http_call_field(call, "Content-Length");
    answer->http = http_call_status(call);
    answer->length = length ? strtoll(length, NULL, 10) : -1;
    if (question->value && (answer->http == 206 || answer->http == 416))
        read_part(answer, call);
    else
        read_digest(answer, http_call_field(call, "Content-MD5"));
    if (question->value)
        take_value(question->value, answer, call);
}

/* A volume that could not be connected to, or was silent, counts as down at once, so that the next
 * request does not wait for it too. A connection that broke off proves nothing. */
static void question_answered(void *arg, struct http_call *call, enum status st)
{
    struct question *question = arg;
    struct ask *ask = question->ask;
    struct ask_answer *answer = &ask->answers[question - ask->questions];
    answer->st = st;
    if (!st) {
        read_answer(question, answer, call);
    } else {
        log_event(LOG_WARN, "ask", "request=%s place=%s error=\"%s\"", ask->request,
                  question->place, status_text(st));
        if (st == ST_UNAVAILABLE || st == ST_PEER_TIMEOUT)
            volumes_failed(ask->worker->master->volumes, question->place);
    }
    if (--ask->left == 0)
        finish(ask);
}

/* The strings of the spec are copied by the client, so they need not outlive this. */
static enum status launch(struct question *question, const char *method, const struct key *key,
                          const struct ask_item *item, unsigned timeout_ms)
{
    struct buf url = BUF_INIT;
    char identity_text[VOLUMES_FIELD];
    buf_adds(&url, "http://");
    const char *identity =
        volumes_reach(question->ask->worker->master->volumes, item->place, &url, identity_text);
    enum status st = name_path(&url, key, item->generation, item->naming);
    char term_text[MASTER_TERM_FIELD];
    const char *term = master_term_field(question->ask->worker->master, term_text);
    char range[48];
    (void)snprintf(range, sizeof range, "Range: bytes=0-%d", ASK_VALUE_MAX - 1);
    const char *fields[5] = {"Larder-Internal: 1"};
    size_t count = 1;
    const char *const optional[] = {item->field, term, identity};
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++)
        if (optional[i])
            fields[count++] = optional[i];
    /* Whoever copies the value compares it; the volume need not do it, too. */
    const char *const value_fields[] = {"Larder-Internal: 1", "Larder-Check: none", range, identity,
                                        NULL};
    const struct http_call_spec spec = {
        .method = item->value ? "GET" : method,
        .url = buf_text(&url),
        .fields = item->value ? value_fields : fields,
        .done = question_answered,
        .arg = question,
        .timeout_ms = timeout_ms,
    };
    if (!st && !http_call_start(question->ask->worker->client, &spec))
        st = ST_NO_MEMORY;
    buf_free(&url);
    return st;
}

static struct ask *ask_new(struct worker *worker, size_t count)
{
    struct ask *ask = calloc(1, sizeof *ask);
    if (!ask)
        return NULL;
    ask->worker = worker;
    ask->count = ask->left = count;
    ask->answers = calloc(count + 1, sizeof *ask->answers);
    ask->questions = calloc(count + 1, sizeof *ask->questions);
    ask->turn = loop_timer_new(worker->loop, finish, ask);
    if (!ask->answers || !ask->questions || !ask->turn) {
        ask_free(ask);
        return NULL;
    }
    return ask;
}

enum status ask_start(struct worker *worker, const char *request, const char *method,
                      const struct key *key, const struct ask_item *items, size_t count,
                      unsigned timeout_ms,
                      void (*answered)(void *arg, const struct ask_answer *answers, size_t count),
                      void *arg)
{
    struct ask *ask = ask_new(worker, count);
    if (!ask)
        return ST_NO_MEMORY;
    ask->answered = answered;
    ask->arg = arg;
    strncpy(ask->request, request, sizeof ask->request - 1);
    for (size_t i = 0; i < count; i++)
        if (!(ask->questions[i].place = strdup(items[i].place))) {
            ask_free(ask);
            return ST_NO_MEMORY;
        }
    bool may = strcmp(method, "HEAD") == 0 || master_may_write(worker->master);
    for (size_t i = 0; i < count; i++) {
        ask->questions[i].ask = ask;
        ask->questions[i].value = items[i].value;
        enum status st =
            !may ? ST_NOT_WRITER : launch(&ask->questions[i], method, key, &items[i], timeout_ms);
        if (st) {
            ask->answers[i].st = st;
            ask->left--;
        }
    }
    if (ask->left == 0)
        loop_timer_set(ask->turn, 0);
    return ST_OK;
}
