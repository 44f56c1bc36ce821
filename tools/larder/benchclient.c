/*
 * The path of an operation:
 *
 *   benchclient_start → step_begin → request_begin → [connected] → request_send → answer_arrives
 *     → answered → step_ended → (the next step of a cycle) → finish
 *              ↘ redirected → request_begin (at the server that it names)
 * and where something fails:
 *   connection_lost → request_begin, once, where the connection had been idle before; else fail
 *   fail → finish; or a pause first, where there is no connection to be had → benchclient_tick
 *
 * All of it runs on the client's thread, and nothing blocks but the resolving of a server's name at
 * its first redirect. finish() hands the client back to the loop, which may begin its next
 * operation before it returns: so a step calls the next one last, and touches nothing afterwards.
 */
#include "tools/larder/benchclient.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "common/buf.h"
#include "common/http_answer.h"
#include "tools/larder/benchcheck.h"
#include "tools/larder/benchplan.h"
#include "tools/larder/benchrequest.h"
#include "tools/larder/benchtally.h"
#include "tools/larder/benchwire.h"

enum { HOPS_MAX = 5, PAUSE_NS = 100 * 1000 * 1000 };

enum phase {
    PHASE_IDLE,
    PHASE_CONNECTING,
    PHASE_SENDING,
    PHASE_WAITING, /* the request has left */
    PHASE_PAUSING, /* it failed; the next one waits a little */
    PHASES
};

struct benchclient {
    struct benchthread *thread;
    struct benchwire *wires[BENCHSERVER_MAX]; /* by the number of the server; NULL: never met */
    struct benchwire *wire;                   /* the one in use, while not idle or pausing */
    enum phase phase;
    int step;        /* of a cycle; 0 else */
    uint64_t number; /* of the operation */
    struct benchrequest request;
    struct http_answer answer;
    struct http_answer_sink sink; /* of its body: `check` */
    struct benchcheck check;
    int hops;        /* redirects followed in this step */
    bool tried_anew; /* this request was sent a second time */
    uint64_t intended_ns, step_ns;
    uint64_t until_ns; /* deadline of the operation, or end of the pause */
};

static void step_begin(struct benchclient *client);
static void request_begin(struct benchclient *client, int server);
static void connected(struct benchclient *client);
static void request_send(struct benchclient *client);
static void answer_arrives(struct benchclient *client);
static void answered(struct benchclient *client);
static void redirected(struct benchclient *client);
static void step_ended(struct benchclient *client);
static void connection_lost(struct benchclient *client);
static void fail(struct benchclient *client, enum benchtally_fault fault, const char *why);
static void finish(struct benchclient *client);

/* SENDING to SENDING: the answer came before all of the request had left, and the next request goes
 * out on another connection. */
static void move(struct benchclient *client, enum phase to)
{
    static const bool may[PHASES][PHASES] = {
        [PHASE_IDLE] = {[PHASE_CONNECTING] = true, [PHASE_SENDING] = true, [PHASE_PAUSING] = true},
        [PHASE_CONNECTING] = {[PHASE_SENDING] = true, [PHASE_PAUSING] = true, [PHASE_IDLE] = true},
        [PHASE_SENDING] = {[PHASE_WAITING] = true,
                           [PHASE_CONNECTING] = true,
                           [PHASE_SENDING] = true,
                           [PHASE_PAUSING] = true,
                           [PHASE_IDLE] = true},
        [PHASE_WAITING] = {[PHASE_CONNECTING] = true,
                           [PHASE_SENDING] = true,
                           [PHASE_PAUSING] = true,
                           [PHASE_IDLE] = true},
        [PHASE_PAUSING] = {[PHASE_IDLE] = true},
    };
    assert(may[client->phase][to]);
    client->phase = to;
}

/* Once an operation's end is taken as the next one's beginning, so there is one look at the clock
 * for both. */
uint64_t benchclient_now(struct benchthread *thread)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    thread->now_ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
    return thread->now_ns;
}

struct benchclient *benchclient_new(struct benchthread *thread)
{
    struct benchclient *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->thread = thread;
    benchcheck_init(&client->check, thread->plan, thread->values, &client->answer);
    client->sink = (struct http_answer_sink){benchcheck_take, &client->check};
    client->answer.sink = &client->sink;
    return client;
}

void benchclient_free(struct benchclient *client)
{
    if (!client)
        return;
    for (int i = 0; i < BENCHSERVER_MAX; i++) {
        if (client->wires[i])
            benchwire_close(client->wires[i]);
        free(client->wires[i]);
    }
    benchrequest_free(&client->request);
    http_answer_free(&client->answer);
    benchcheck_free(&client->check);
    free(client);
}

/* --- what is asked --- */

/* The request that this step makes. */
static enum benchplan_op request_of(const struct benchclient *client)
{
    static const enum benchplan_op cycle[] = {BENCHPLAN_PUT, BENCHPLAN_GET_FOLLOW,
                                              BENCHPLAN_DELETE};
    enum benchplan_op op = client->thread->plan->op;
    return op == BENCHPLAN_CYCLE ? cycle[client->step] : op;
}

/* The deadline counts from here and not from `intended_ns`: an operation that began late is not to
 * be given up the sooner for it. */
void benchclient_start(struct benchclient *client, uint64_t number, uint64_t index,
                       uint64_t intended_ns)
{
    struct benchthread *thread = client->thread;
    client->number = number;
    client->step = 0;
    client->intended_ns = intended_ns;
    client->until_ns = thread->now_ns + thread->plan->timeout_ns;
    benchrequest_of_key(&client->request, thread->plan, thread->values, index);
    step_begin(client);
}

static void step_begin(struct benchclient *client)
{
    client->step_ns = client->thread->now_ns;
    client->hops = 0;
    benchrequest_to_key(&client->request, client->thread->plan);
    request_begin(client, 0);
}

/* The connection to a server; NULL: no memory. */
static struct benchwire *wire_to(struct benchclient *client, int server)
{
    struct benchwire *wire = client->wires[server];
    if (!wire && (wire = calloc(1, sizeof *wire))) {
        wire->fd = -1;
        wire->user = client;
        wire->server = server;
        client->wires[server] = wire;
    }
    return wire;
}

/* What this machine lacks is told apart from what the server refuses: both are errno. */
static void open_wire(struct benchclient *client)
{
    const struct benchserver *server = &client->thread->servers.list[client->wire->server];
    int err = benchwire_open(client->wire, client->thread->epoll, server);
    if (err) {
        bool local = err == EMFILE || err == ENFILE || err == ENOMEM || err == EADDRNOTAVAIL;
        fail(client, local ? BENCHTALLY_LOCAL : BENCHTALLY_CONNECT, strerror(err));
        return;
    }
    move(client, PHASE_CONNECTING);
}

/* Mostly the connection is there, and the request leaves within this call. */
static void send_or_connect(struct benchclient *client)
{
    if (client->wire->fd < 0) {
        open_wire(client);
    } else {
        move(client, PHASE_SENDING);
        request_send(client);
    }
}

/* Asks for the request's path at a server. */
static void request_begin(struct benchclient *client, int server)
{
    client->wire = wire_to(client, server);
    benchrequest_write(&client->request, request_of(client),
                       client->thread->servers.list[server].name);
    http_answer_begin(&client->answer, request_of(client) == BENCHPLAN_HEAD);
    benchcheck_begin(&client->check, &client->request.value, client->request.size, client->number);
    client->tried_anew = false;
    if (!client->wire || !benchrequest_ok(&client->request))
        fail(client, BENCHTALLY_LOCAL, "no memory");
    else
        send_or_connect(client);
}

/* The outcome of connect(): EPOLLOUT comes for a failure, too. */
static void connected(struct benchclient *client)
{
    int err = benchwire_connected(client->wire);
    if (err) {
        fail(client, BENCHTALLY_CONNECT, strerror(err));
        return;
    }
    move(client, PHASE_SENDING);
    request_send(client);
}

/* A connection that breaks here is told by what is read from it: an answer may have come first, as
 * 413 does before a large body has left. */
static void request_send(struct benchclient *client)
{
    if (benchwire_send(client->wire, client->thread->values, &client->request.wire) != 0)
        move(client, PHASE_WAITING);
}

/* --- what is answered --- */

/* One receive. False where nothing more has come. A body that nobody looks at stays in the kernel:
 * copying it would cost as much as its sending. An error of the socket ends the connection. */
static bool receive(struct benchclient *client)
{
    struct http_answer *answer = &client->answer;
    char *scratch = client->thread->scratch;
    uint64_t left = http_answer_left(answer);
    bool drop = left > 0 && !benchcheck_wants(&client->check);
    size_t room = drop && left < BENCHCLIENT_SCRATCH ? (size_t)left : BENCHCLIENT_SCRATCH;
    ssize_t got = benchwire_receive(client->wire, scratch, room, drop);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        http_answer_end(answer);
    else if (drop)
        http_answer_skip(answer, (size_t)got);
    else if (http_answer_feed(answer, scratch, (size_t)got) < (size_t)got)
        http_answer_spoil(answer); /* more than was asked for: there is no second request */
    return true;
}

/* Reads until the answer is whole or the socket empty: its next readiness is told only once. */
static void answer_arrives(struct benchclient *client)
{
    const struct http_answer *answer = &client->answer;
    while (answer->state == HTTP_ANSWER_HEAD || answer->state == HTTP_ANSWER_BODY)
        if (!receive(client))
            return;
    if (answer->state == HTTP_ANSWER_DONE)
        answered(client);
    else
        connection_lost(client);
}

/* An idle connection that the server closed just when a request was sent is no fault (RFC 9112,
 * 9.5): it has answered before, no byte of this answer has come, and it is the first time. */
static void connection_lost(struct benchclient *client)
{
    benchwire_close(client->wire);
    if (!client->answer.cut) {
        fail(client, BENCHTALLY_MALFORMED,
             "what came is no HTTP, or has a head of more than 16 KiB");
        return;
    }
    if (!client->wire->used || client->tried_anew || client->answer.begun) {
        fail(client, BENCHTALLY_BROKEN, "the connection ended before the answer did");
        return;
    }
    client->thread->tally->reconnects++;
    client->tried_anew = true;
    client->request.wire.sent = 0;
    http_answer_begin(&client->answer, client->answer.to_head);
    open_wire(client);
}

/* A whole answer. From here on the connection is free for the next request, or closed. */
static void answered(struct benchclient *client)
{
    const struct http_answer *answer = &client->answer;
    enum benchplan_op op = request_of(client);
    char why[BENCHTALLY_EXAMPLE] = "";
    enum benchtally_fault fault;
    client->wire->used = true;
    /* What has not left of a request that was answered early would be taken for the next one. */
    if (!answer->reusable || client->phase == PHASE_SENDING)
        benchwire_close(client->wire);
    if (op == BENCHPLAN_GET_FOLLOW && benchcheck_is_redirect(answer->status))
        redirected(client);
    else if (!benchcheck_end(&client->check, op, &fault, why))
        fail(client, fault, why);
    else
        step_ended(client);
}

/* "http://host:port/path": the only form that servers of this API send. */
static void redirected(struct benchclient *client)
{
    static const char scheme[] = "http://";
    const char *location = http_answer_field(&client->answer, "Location");
    const char *why = "not to http://HOST:PORT/PATH, or more than five times";
    int server = -1;
    if (location && strncmp(location, scheme, sizeof scheme - 1) == 0 &&
        client->hops++ < HOPS_MAX) {
        const char *name = location + sizeof scheme - 1;
        size_t len = strcspn(name, "/");
        server = name[len] ? benchservers_find(&client->thread->servers, name, len, &why) : -1;
        buf_clear(&client->request.path);
        buf_adds(&client->request.path, name + len);
    }
    if (server < 0)
        fail(client, BENCHTALLY_REDIRECT, why);
    else
        request_begin(client, server);
}

/* --- the end --- */

/* What went well. Only whole operations count: two good steps of a cycle and a bad one are an
 * error, though the histograms of the good steps have them. */
static void step_ended(struct benchclient *client)
{
    struct benchthread *thread = client->thread;
    struct benchtally *tally = thread->tally;
    uint64_t now = benchclient_now(thread);
    if (client->request.wire.size)
        tally->bytes += client->request.wire.size;
    else if (client->answer.status == 200)
        tally->bytes += client->answer.got;
    if (thread->plan->op == BENCHPLAN_CYCLE) {
        benchhist_add(&tally->steps[client->step], now - client->step_ns);
        if (++client->step < BENCHTALLY_STEPS) {
            step_begin(client);
            return;
        }
    }
    tally->operations++;
    benchhist_add(&tally->whole, now - client->intended_ns);
    finish(client);
}

/* A connection is kept only after an answer that was whole. Where there is none to be had the next
 * try waits: else a server that is down would be asked as often as the processor can. */
static void fail(struct benchclient *client, enum benchtally_fault fault, const char *why)
{
    char text[BENCHTALLY_EXAMPLE];
    const struct benchthread *thread = client->thread;
    const char *server = client->wire ? thread->servers.list[client->wire->server].name : "";
    (void)snprintf(text, sizeof text, "%.60s at %.60s: %.120s", buf_text(&client->request.key),
                   server, why);
    benchtally_fail(thread->tally, fault, client->answer.status, text);
    bool kept = fault == BENCHTALLY_STATUS || fault == BENCHTALLY_MD5 || fault == BENCHTALLY_LIST ||
                fault == BENCHTALLY_BYTES || fault == BENCHTALLY_LENGTH;
    if (!kept && client->wire)
        benchwire_close(client->wire);
    if (fault == BENCHTALLY_CONNECT || fault == BENCHTALLY_LOCAL) {
        move(client, PHASE_PAUSING);
        client->until_ns = thread->now_ns + PAUSE_NS;
    } else {
        finish(client);
    }
}

/* The client is the loop's again from idle() on, which may begin the next operation with it. */
static void finish(struct benchclient *client)
{
    struct benchthread *thread = client->thread;
    move(client, PHASE_IDLE);
    client->wire = NULL;
    thread->tally->last_ns = benchclient_now(thread);
    thread->idle(thread->arg, client);
}

/* --- what happens to it --- */

/* One event may say several things: connected and readable, say. Each is done in its order, and the
 * state looked at anew in between, since anything may have ended the operation. */
void benchclient_event(void *wire_data, uint32_t events)
{
    struct benchwire *wire = wire_data;
    struct benchclient *client = wire->user;
    if (wire != client->wire || wire->fd < 0) {
        /* Nobody waits for anything on it: the server has closed it, or talks out of turn. */
        if (events & ~(uint32_t)EPOLLOUT)
            benchwire_close(wire);
        return;
    }
    if (client->phase == PHASE_CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        connected(client);
    else if (client->phase == PHASE_SENDING && (events & EPOLLOUT))
        request_send(client);
    if (client->wire == wire && wire->fd >= 0 && (events & ~(uint32_t)EPOLLOUT) &&
        (client->phase == PHASE_SENDING || client->phase == PHASE_WAITING))
        answer_arrives(client);
}

void benchclient_tick(struct benchclient *client)
{
    if (client->phase == PHASE_IDLE || client->thread->now_ns < client->until_ns)
        return;
    if (client->phase == PHASE_PAUSING)
        finish(client);
    else
        fail(client, BENCHTALLY_TIMEOUT, "no whole answer in time");
}
