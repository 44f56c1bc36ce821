/* The server when it is pressed: slow clients, too many of them, sinks that are full, a drain. */
#include <poll.h>
#include <sys/resource.h>
#include <time.h>

#include "common/http_head.h"
#include "tests/unit/http_fixture.h"

#define HOST      " HTTP/1.1\r\nHost: h\r\n"
#define GET(path) "GET " path HOST "\r\n"

enum { SHORT_MS = 150 };

static struct client *client;

static void start(void)
{
    start_server((struct http_server_options){.max_connections = 100,
                                              .head_timeout_ms = SHORT_MS,
                                              .body_timeout_ms = SHORT_MS,
                                              .idle_timeout_ms = 2 * SHORT_MS,
                                              .write_timeout_ms = 4 * SHORT_MS});
    client = client_new();
}

/* The usual limits, so that nothing ends by itself. */
static void start_patient(void)
{
    start_server((struct http_server_options){.max_connections = 100});
    client = client_new();
}

static void start_few(void)
{
    start_server((struct http_server_options){.max_connections = 3, .admin_reserve = 2});
    client = client_new();
}

static void end(void)
{
    client_free(client);
    stop_server();
}

static void expect_refusal(int status)
{
    struct answer answer = client_answer(client);
    ck_assert_msg(answer.status == status, "%d expected: %s", status, answer.head);
    ck_assert(answer_has(&answer, "\r\nConnection: close\r\n"));
    answer_free(&answer);
    client_expect_end(client);
}

/* --- slow clients --- */

START_TEST(slow_heads)
{
    client_send(client, "GET /hello HTTP/1.1\r\nHost:");
    expect_refusal(408);
    ck_assert_uint_eq(stat_of("requests "), 1); /* this one */
}
END_TEST

/* Byte after byte does not buy time. */
START_TEST(trickled_heads)
{
    uint64_t began = loop_now_ms();
    struct pollfd answered = {.fd = client->fd, .events = POLLIN};
    client_send(client, "G");
    while (poll(&answered, 1, 5) == 0) {
        ck_assert_uint_lt(loop_now_ms() - began, PATIENCE_MS);
        (void)send(client->fd, "G", loop_now_ms() % 2, MSG_NOSIGNAL);
    }
    ck_assert_uint_ge(loop_now_ms() - began, SHORT_MS - 10);
    struct answer answer = client_answer(client);
    ck_assert(answer.status == 408 || answer.status == 400);
    answer_free(&answer);
}
END_TEST

START_TEST(clients_that_send_nothing)
{
    expect_refusal(408);
}
END_TEST

START_TEST(idle_connections_end_silently)
{
    client_send(client, GET("/hello"));
    client_expect(client, 200, "hello\n");
    client_expect_end(client);
}
END_TEST

START_TEST(bodies_that_stand_still)
{
    client_send(client, "PUT /echo" HOST "Content-Length: 5\r\n\r\nabc");
    expect_refusal(408);
    ck_assert_int_eq(atomic_load(&last_end), ST_TIMEOUT);
}
END_TEST

/* The client is not to blame where the sink is slow. */
START_TEST(full_sinks_have_time)
{
    client_send(client, "PUT /narrow?0" HOST "Content-Length: 5\r\n\r\nabcde");
    struct pollfd answered = {.fd = client->fd, .events = POLLIN};
    ck_assert_int_eq(poll(&answered, 1, 3 * SHORT_MS), 0);
}
END_TEST

START_TEST(rests_of_bodies_that_do_not_come)
{
    client_send(client, "PUT /hello" HOST "Content-Length: 5\r\n\r\nabc");
    client_expect(client, 200, "hello\n");
    client_expect_end(client);
}
END_TEST

START_TEST(clients_that_do_not_read)
{
    client_send(client, GET("/pieces?1000000"));
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    while (atomic_load(&last_alive) != 0)
        ck_assert_msg(loop_now_ms() < give_up, "the answer was not given up");
}
END_TEST

/* --- memory --- */

/* How many bytes the server has read when it reads no more. */
static unsigned long long bytes_in_at_rest(void)
{
    unsigned long long before;
    unsigned long long now = 0;
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    do {
        ck_assert_uint_lt(loop_now_ms(), give_up);
        before = now;
        struct pollfd writable = {.fd = client->fd, .events = POLLOUT};
        static const char bytes[64 * 1024];
        while (poll(&writable, 1, 20) == 1 &&
               send(client->fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
            continue;
        now = stat_of(" in ");
    } while (now - before > 1000); /* each question is some bytes, too */
    return now;
}

START_TEST(full_sinks_hold_the_client_back)
{
    client_send(client, "PUT /narrow?0" HOST "Content-Length: 900000000\r\n\r\n");
    ck_assert_uint_lt(bytes_in_at_rest(), 300000);
    ck_assert_uint_eq(atomic_load(&body_bytes), 0);
}
END_TEST

START_TEST(unwanted_bodies_are_not_read)
{
    client_send(client, "PUT /hold" HOST "Content-Length: 900000000\r\n\r\n");
    ck_assert_uint_lt(bytes_in_at_rest(), 20000);
    client_free(client);
    ck_assert_int_eq(ask(GET("/release"), NULL), 200);
    client = client_new();
}
END_TEST

START_TEST(pipelines_wait)
{
    client_send(client, GET("/hold") "GET /");
    ck_assert_uint_lt(bytes_in_at_rest(), 20000);
    client_free(client);
    ck_assert_int_eq(ask(GET("/release"), NULL), 200);
    client = client_new();
}
END_TEST

/* --- sizes --- */

START_TEST(long_uris_and_heads)
{
    static char text[HTTP_HEAD_MAX];
    memset(text, 'a', sizeof text);
    client_send(client, "GET /");
    client_send_bytes(client, text, 9000);
    expect_refusal(414);
    client_free(client);
    client = client_new();
    client_send(client, "GET /" HOST "X: ");
    client_send_bytes(client, text, sizeof text);
    expect_refusal(431);
}
END_TEST

/* --- too many --- */

/* A request of its own is answered, so the server knows of the connection; it stays open. */
static struct client *settled(const char *request, int status)
{
    struct client *other = client_new();
    client_send(other, request);
    client_expect(other, status, NULL);
    return other;
}

START_TEST(too_many_connections)
{
    struct client *others[2];
    client_send(client, GET("/hello"));
    client_expect(client, 200, NULL);
    for (int i = 0; i < 2; i++)
        others[i] = settled(GET("/hello"), 200);
    client_free(settled(GET("/hello"), 503));
    client_free(settled(GET("/admin/hello"), 200));
    client_free(others[0]);
    client_free(others[1]);
    client_send(client, GET("/hello"));
    client_expect(client, 200, NULL);
}
END_TEST

/* Connections that nobody uses do not keep others out: one of them goes. */
START_TEST(idle_connections_make_room)
{
    struct client *others[2];
    client_send(client, GET("/hello"));
    client_expect(client, 200, NULL);
    for (int i = 0; i < 2; i++)
        others[i] = settled(GET("/hello"), 200);
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    int status;
    do {
        ck_assert_uint_lt(loop_now_ms(), give_up);
        struct client *more = client_new();
        client_send(more, GET("/hello"));
        struct answer answer = client_answer(more);
        status = answer.status;
        answer_free(&answer);
        client_free(more);
    } while (status == 503);
    ck_assert_int_eq(status, 200);
    struct pollfd all[] = {{.fd = client->fd, .events = POLLIN},
                           {.fd = others[0]->fd, .events = POLLIN},
                           {.fd = others[1]->fd, .events = POLLIN}};
    ck_assert_int_eq(poll(all, 3, PATIENCE_MS), 1);
    client_free(others[0]);
    client_free(others[1]);
    client_free(client);
    client = client_new();
}
END_TEST

/* Beyond the reserve there is an end to it, and room again once the others are gone. */
START_TEST(far_too_many_connections)
{
    struct client *others[20];
    for (int i = 0; i < 20; i++)
        others[i] = client_new();
    client_free(client);
    int closed = 0;
    for (int i = 0; i < 20; i++) {
        struct pollfd answered = {.fd = others[i]->fd, .events = POLLIN};
        closed += poll(&answered, 1, i ? 0 : SHORT_MS / 2);
    }
    ck_assert_int_ge(closed, 15);
    for (int i = 0; i < 20; i++)
        client_free(others[i]);
    wait_for_stat("connections ", 1);
    client = client_new();
}
END_TEST

/* The clients wait in the kernel meanwhile, and the server does not spin. */
START_TEST(no_descriptors)
{
    client_send(client, GET("/hello"));
    client_expect(client, 200, NULL);
    struct client *waiting = client_new();
    struct client *after = client_new();
    struct rlimit usual;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
    client_send(after, GET("/hello"));
    client_expect(after, 200, NULL);
    client_free(after);

    struct rlimit few = {.rlim_cur = 3, .rlim_max = usual.rlim_max};
    int spare = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    clock_t cpu = clock();
    ck_assert_int_eq(connect(spare, (struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_gt(send(spare, GET("/hello"), strlen(GET("/hello")), MSG_NOSIGNAL), 0);
    struct pollfd answered = {.fd = spare, .events = POLLIN};
    ck_assert_int_eq(poll(&answered, 1, 350), 0);
    ck_assert_int_lt(clock() - cpu, CLOCKS_PER_SEC / 10);
    client_send(client, GET("/hello")); /* the others are served as ever */
    client_expect(client, 200, NULL);

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
    ck_assert_int_eq(poll(&answered, 1, PATIENCE_MS), 1);
    (void)close(spare);
    client_free(waiting);
}
END_TEST

/* --- the end --- */

static void drain_now(void *arg)
{
    http_server_drain(server);
    atomic_store((atomic_int *)arg, 1);
}

static atomic_int idle;

static void ask_idle(void *arg UNUSED)
{
    atomic_store(&idle, http_server_idle(server) ? 1 : 2);
}

static bool is_idle(void)
{
    struct loop_message message = {.fn = ask_idle};
    atomic_store(&idle, 0);
    loop_post(server_loop, &message);
    while (!atomic_load(&idle))
        continue;
    return atomic_load(&idle) == 1;
}

START_TEST(drain)
{
    struct client *quiet = settled(GET("/hello"), 200);
    struct client *fresh = client_new();
    client_send(client, GET("/slow"));
    client_send(fresh, GET("/slow"));
    atomic_int drained = 0;
    struct loop_message message = {.fn = drain_now, .arg = &drained};
    loop_post(server_loop, &message);
    client_expect_end(quiet);
    /* What was sent before is answered, and says that it is the end. */
    struct answer answer = client_answer(fresh);
    ck_assert_int_eq(answer.status, 200);
    ck_assert(answer_has(&answer, "\r\nConnection: close\r\n"));
    answer_free(&answer);
    expect_refusal(200);
    ck_assert_int_eq(atomic_load(&drained), 1);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_lt(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    (void)close(fd);
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    while (!is_idle())
        ck_assert_uint_lt(loop_now_ms(), give_up);
    client_free(quiet);
    client_free(fresh);
}
END_TEST

/* It may go away under its clients. */
START_TEST(free_with_connections)
{
    client_send(client, GET("/hold") GET("/hello"));
    struct client *other = settled(GET("/hello"), 200);
    ck_assert(!is_idle());
    client_free(other);
}
END_TEST

START_TEST(listening_fails_with_a_reason)
{
    struct http_server *second = NULL;
    struct http_server_options options = {
        .loop = server_loop, .listen = "203.0.113.1", .handler = handle, .name = "larder-test"};
    log_set_level((enum log_level)(LOG_ERROR + 1));
    ck_assert_int_eq(http_server_start(&second, &options), ST_IO);
    options.listen = "no such name";
    ck_assert_int_eq(http_server_start(&second, &options), ST_IO);
    ck_assert_ptr_null(second);
}
END_TEST

/* Several loops share a port. */
START_TEST(two_servers_on_a_port)
{
    struct loop *loop = loop_new();
    ck_assert_ptr_nonnull(loop);
    struct http_server *second = NULL;
    struct http_server_options options = {.loop = loop,
                                          .listen = "127.0.0.1",
                                          .port = (uint16_t)server_port,
                                          .handler = handle,
                                          .name = "larder-test"};
    ck_assert_int_eq(http_server_start(&second, &options), ST_OK);
    ck_assert_int_eq(http_server_port(second), server_port);
    http_server_free(second);
    /* The first of a program is not to share it with another program's. */
    options.exclusive = true;
    log_set_level((enum log_level)(LOG_ERROR + 1));
    ck_assert_int_eq(http_server_start(&second, &options), ST_IO);
    loop_free(loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("common_http_limits");
    const struct {
        const char *name;
        const TTest *const *tests;
        void (*start)(void);
    } cases[] = {
        {"slow",
         (const TTest *const[]){slow_heads, trickled_heads, clients_that_send_nothing,
                                idle_connections_end_silently, bodies_that_stand_still,
                                full_sinks_have_time, rests_of_bodies_that_do_not_come,
                                clients_that_do_not_read, NULL},
         start},
        {"many",
         (const TTest *const[]){too_many_connections, idle_connections_make_room,
                                far_too_many_connections, NULL},
         start_few},
        {"large",
         (const TTest *const[]){full_sinks_hold_the_client_back, unwanted_bodies_are_not_read,
                                pipelines_wait, long_uris_and_heads, no_descriptors, NULL},
         start_patient},
        {"end",
         (const TTest *const[]){drain, free_with_connections, listening_fails_with_a_reason,
                                two_servers_on_a_port, NULL},
         start_patient},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        tcase_add_checked_fixture(suite_case(suite, cases[i].name, cases[i].tests), cases[i].start,
                                  end);
    return suite_run(suite);
}
