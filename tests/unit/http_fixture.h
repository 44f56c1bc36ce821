/*
 * A server on a thread of its own, with a handler for each path that the tests need.
 */
#ifndef LARDER_TESTS_UNIT_HTTP_FIXTURE_H
#define LARDER_TESTS_UNIT_HTTP_FIXTURE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "tests/unit/http_wire.h"
#include "tests/unit/suite.h"

enum { FILE_BYTES = 3 * 1024 * 1024 };

/* --- The server's side; all on its thread, but what is atomic --- */

struct flow;

static struct loop *server_loop;
static struct http_server *server;
static pthread_t server_thread;
static struct http_request *held; /* of /hold */
static struct flow *stuck;        /* of /narrow?0, which never ends by itself */
static atomic_int last_end;       /* status that a sink's `end` got; -1: none yet */
static atomic_int drains;         /* `drained` calls, and their `alive` */
static atomic_int last_alive;
static atomic_int blocks;       /* of /block that have not left */
static atomic_ulong body_bytes; /* that the sinks of this server have taken */

/* What a flow of a test keeps; freed with its answer. */
struct flow {
    struct http_request *req;
    struct loop_timer *timer;
    struct buf body;
    size_t portion;  /* what the sink takes at a time */
    unsigned pieces; /* still to be sent */
    uint64_t sum;
};

static inline struct flow *flow_new(struct http_request *req)
{
    struct flow *flow = calloc(1, sizeof *flow);
    ck_assert_ptr_nonnull(flow);
    flow->req = req;
    flow->portion = SIZE_MAX;
    return flow;
}

static inline void flow_free(struct flow *flow)
{
    loop_timer_free(flow->timer);
    buf_free(&flow->body);
    free(flow);
}

static inline void flow_later(struct flow *flow, void (*fn)(void *arg), uint64_t ms)
{
    flow->timer = loop_timer_new(http_request_loop(flow->req), fn, flow);
    ck_assert_ptr_nonnull(flow->timer);
    loop_timer_set(flow->timer, ms);
}

/* /echo: the body comes back; /sum: its length and a checksum. */
static inline size_t keep_data(void *arg, const char *data, size_t len)
{
    struct flow *flow = arg;
    buf_add(&flow->body, data, len);
    return len;
}

static inline size_t sum_data(void *arg, const char *data, size_t len)
{
    struct flow *flow = arg;
    if (len > flow->portion)
        len = flow->portion;
    for (size_t i = 0; i < len; i++)
        flow->sum = flow->sum * 31 + (unsigned char)data[i];
    atomic_fetch_add(&body_bytes, len);
    flow->body.len += len; /* only counted */
    if (flow->timer)
        loop_timer_set(flow->timer, 1);
    return len;
}

static inline void echo_end(void *arg, enum status st)
{
    struct flow *flow = arg;
    atomic_store(&last_end, (int)st);
    if (st)
        http_reply_status(flow->req, st, NULL);
    else
        http_reply(flow->req, 200, buf_text(&flow->body), flow->body.len);
    flow_free(flow);
}

static inline void sum_end(void *arg, enum status st)
{
    struct flow *flow = arg;
    char text[64];
    int len =
        snprintf(text, sizeof text, "%zu %llx", flow->body.len, (unsigned long long)flow->sum);
    atomic_store(&last_end, (int)st);
    flow->body = (struct buf)BUF_INIT;
    if (flow == stuck)
        stuck = NULL;
    if (st)
        http_reply_status(flow->req, st, NULL);
    else
        http_reply(flow->req, 200, text, (size_t)len);
    flow_free(flow);
}

static inline uint64_t sum_of(const char *data, size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + (unsigned char)data[i];
    return sum;
}

/* /eager: answers from inside the sink's first `data`. */
static inline size_t eager_data(void *arg, const char *data UNUSED, size_t len)
{
    struct flow *flow = arg;
    http_reply_status(flow->req, ST_CONFLICT, NULL);
    flow_free(flow);
    return len / 2;
}

static inline void never_end(void *arg UNUSED, enum status st UNUSED)
{
    abort(); /* the request was answered */
}

static inline void resume_sum(void *arg)
{
    struct flow *flow = arg;
    http_request_resume_body(flow->req);
}

static const struct http_body_sink echo_sink = {keep_data, echo_end};
static const struct http_body_sink sum_sink = {sum_data, sum_end};
static const struct http_body_sink eager_sink = {eager_data, never_end};

static inline void slow_due(void *arg)
{
    struct flow *flow = arg;
    http_reply(flow->req, 200, "slow\n", 5);
    flow_free(flow);
}

static inline void piece_drained(void *arg, bool alive)
{
    struct flow *flow = arg;
    atomic_fetch_add(&drains, 1);
    atomic_store(&last_alive, alive);
    if (alive && flow->pieces) {
        flow->pieces--;
        http_reply_piece(flow->req, flow->body.data, flow->body.len, piece_drained, flow);
        return;
    }
    http_reply_end(flow->req,
                   strncmp(http_request_path(flow->req, &flow->portion), "/cut", 4) != 0);
    flow_free(flow);
}

/* /pieces?NUMBER: so many of 1000 bytes. /cut: the same, and then it breaks off. */
static inline void start_pieces(struct http_request *req)
{
    size_t len;
    struct flow *flow = flow_new(req);
    flow->pieces = (unsigned)atoi(http_request_query(req, &len));
    for (int i = 0; i < 100; i++)
        buf_adds(&flow->body, "0123456789");
    http_reply_start(req, 200);
    http_reply_piece(req, "", 0, piece_drained, flow);
}

/* /length?NUMBER: the same as /pieces, with the length announced. */
static inline void start_length(struct http_request *req)
{
    size_t len;
    struct flow *flow = flow_new(req);
    flow->pieces = (unsigned)atoi(http_request_query(req, &len));
    for (int i = 0; i < 100; i++)
        buf_adds(&flow->body, "0123456789");
    http_reply_start_length(req, 200, flow->pieces * (uint64_t)1000);
    http_reply_piece(req, "", 0, piece_drained, flow);
}

/* /block?SIZE: so many bytes of memory of ours, counted while they are in use. */
static inline void block_over(void *arg, int err)
{
    ck_assert_int_eq(err, 0);
    free(arg);
    atomic_fetch_sub(&blocks, 1);
}

static inline void send_block(struct http_request *req)
{
    size_t len;
    size_t size = (size_t)atol(http_request_query(req, &len));
    char *block = malloc(size + 1);
    ck_assert_ptr_nonnull(block);
    for (size_t i = 0; i < size; i++)
        block[i] = (char)('0' + i % 10);
    atomic_fetch_add(&blocks, 1);
    http_reply_block(req, 200, block, size, block_over, block);
}

/* /file?OFFSET-LENGTH of a file in which each byte is the lowest of its offset / 3. */
static inline char file_byte(uint64_t offset)
{
    return (char)(offset / 3);
}

static inline void send_test_file(struct http_request *req)
{
    char name[] = "/tmp/larder-http-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    (void)unlink(name);
    char *bytes = malloc(FILE_BYTES);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = file_byte(i);
    ck_assert_int_eq(write(fd, bytes, FILE_BYTES), FILE_BYTES);
    free(bytes);
    size_t len;
    char *end;
    unsigned long long offset = strtoull(http_request_query(req, &len), &end, 10);
    http_reply_file(req, 206, fd, offset, strtoull(end + 1, NULL, 10));
}

static inline void reply_stats(struct http_request *req)
{
    const struct http_server_stats *stats = http_server_stats(server);
    struct buf text = BUF_INIT;
    buf_addf(&text, "connections %llu requests %llu refused %llu in %llu", //
             (unsigned long long)stats->connections, (unsigned long long)stats->requests,
             (unsigned long long)stats->refused, (unsigned long long)stats->bytes_in);
    http_reply(req, 200, buf_text(&text), text.len);
    buf_free(&text);
}

static inline void reply_described(struct http_request *req)
{
    size_t path;
    size_t query;
    char text[200];
    int len = snprintf(text, sizeof text, "%s %s %s %d %d %lld", http_request_method_name(req),
                       http_request_path(req, &path), http_request_query(req, &query),
                       http_request_has_body(req), http_request_no_length(req),
                       (long long)http_request_body_length(req));
    http_reply_field(req, "Good", "value");
    http_reply_field(req, "Bad", "a\r\nEvil: b");
    http_reply_fieldf(req, "Long", "%0300d", 7);
    http_reply(req, 200, text, (size_t)len);
}

static inline void read_with(struct http_request *req, const struct http_body_sink *sink)
{
    http_request_read_body(req, sink, flow_new(req));
}

/* /narrow?SIZE: the sink takes so much, and again a millisecond later. */
static inline void read_narrow(struct http_request *req)
{
    size_t len;
    struct flow *flow = flow_new(req);
    flow->portion = (size_t)atol(http_request_query(req, &len));
    if (!flow->portion)
        stuck = flow;
    flow_later(flow, resume_sum, 1);
    http_request_read_body(req, &sum_sink, flow);
}

static inline void release(struct http_request *req)
{
    ck_assert_ptr_nonnull(held);
    http_reply(held, 200, "held\n", 5);
    held = NULL;
    http_reply(req, 200, "", 0);
}

static inline void handle(struct http_request *req, void *arg UNUSED)
{
    size_t len;
    const char *path = http_request_path(req, &len);
    if (strcmp(path, "/hello") == 0 || strcmp(path, "/admin/hello") == 0)
        http_reply(req, 200, "hello\n", 6);
    else if (strcmp(path, "/echo") == 0)
        read_with(req, &echo_sink);
    else if (strcmp(path, "/sum") == 0)
        read_with(req, &sum_sink);
    else if (strcmp(path, "/eager") == 0)
        read_with(req, &eager_sink);
    else if (strcmp(path, "/narrow") == 0)
        read_narrow(req);
    else if (strcmp(path, "/slow") == 0)
        flow_later(flow_new(req), slow_due, 30);
    else if (strcmp(path, "/hold") == 0)
        held = req;
    else if (strcmp(path, "/release") == 0)
        release(req);
    else if (strcmp(path, "/file") == 0)
        send_test_file(req);
    else if (strcmp(path, "/pieces") == 0 || strcmp(path, "/cut") == 0)
        start_pieces(req);
    else if (strcmp(path, "/length") == 0)
        start_length(req);
    else if (strcmp(path, "/block") == 0)
        send_block(req);
    else if (strcmp(path, "/describe") == 0)
        reply_described(req);
    else if (strcmp(path, "/peer") == 0)
        http_reply(req, 200, http_request_peer(req), strlen(http_request_peer(req)));
    else if (strcmp(path, "/stats") == 0)
        reply_stats(req);
    else if (strncmp(path, "/status/", 8) == 0)
        http_reply_status(req, (enum status)atoi(path + 8), NULL);
    else if (strncmp(path, "/code/", 6) == 0)
        http_reply(req, atoi(path + 6), "body", 4);
    else
        http_reply_status(req, ST_NOT_FOUND, NULL);
}

static inline void *server_main(void *arg UNUSED)
{
    loop_run(server_loop);
    return NULL;
}

/* Starts a server with these limits; its loop, listen address, port and handler are filled in. */
static inline void start_server(struct http_server_options options)
{
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERROR);
    atomic_store(&last_end, -1);
    atomic_store(&last_alive, -1);
    server_loop = loop_new();
    ck_assert_ptr_nonnull(server_loop);
    options.loop = server_loop;
    options.listen = options.listen ? options.listen : "127.0.0.1";
    options.handler = handle;
    options.name = "larder-test";
    if (!options.max_connections)
        options.max_connections = 100;
    ck_assert_int_eq(http_server_start(&server, &options), ST_OK);
    server_port = http_server_port(server);
    ck_assert_int_eq(pthread_create(&server_thread, NULL, server_main, NULL), 0);
}

static inline void stop_server(void)
{
    loop_stop(server_loop);
    ck_assert_int_eq(pthread_join(server_thread, NULL), 0);
    http_server_free(server);
    if (stuck)
        flow_free(stuck);
    loop_free(server_loop);
}

/* --- What the tests ask it --- */

/* One number out of /stats. */
static inline unsigned long long stat_of(const char *name)
{
    struct buf body = BUF_INIT;
    ck_assert_int_eq(ask("GET /stats HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", &body),
                     200);
    const char *at = strstr(buf_text(&body), name);
    ck_assert_ptr_nonnull(at);
    unsigned long long value = strtoull(at + strlen(name), NULL, 10);
    buf_free(&body);
    return value;
}

/* Asks again and again until the number is what it should be. */
static inline void wait_for_stat(const char *name, unsigned long long value)
{
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    while (stat_of(name) != value)
        ck_assert_msg(loop_now_ms() < give_up, "%s never became %llu", name, value);
}

#endif
