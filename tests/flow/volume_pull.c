/*
 * Copies that a volume fetches by itself: from another subvolume of its own, from a source that the
 * test plays, from nobody; who may ask; what a DELETE does to one that is under way.
 */
#include "tests/flow/volume_fixture.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>

#include "common/md5.h"

#define FROM "/sv00/54/a9/L2s=" /* of the key /k */
#define TO   "/sv01/54/a9/L2s="

enum { SIZE = 2500001 }; /* some chunks, and a rest that is no block */

/* --- a name that the test resolves --- */

static const char *moving;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *req,
                struct addrinfo **pai)
{
    int (*real)(const char *name, const char *service, const struct addrinfo *req,
                struct addrinfo **pai);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(strcmp(name, "moving") == 0 ? moving : name, service, req, pai);
}

static char value[SIZE];
static char value_md5[MD5_HEX + 1];

static void setup_as(const struct disk *disk, char *master)
{
    unsigned char digest[MD5_SIZE];
    for (size_t i = 0; i < SIZE; i++)
        value[i] = (char)(i * 7 + i / 4099);
    ck_assert_int_eq(md5_pair(value, SIZE, "", 0, digest), ST_OK);
    md5_hex(digest, value_md5);
    volume_make_dir();
    volume_start_with(disk, master);
}

static char a_master[] = "--master=127.0.0.1:1";

static void setup(void)
{
    setup_as(&twin, a_master);
    ck_assert_int_eq(ask("PUT", FROM, value, SIZE, "Content-Type: image/png"), 201);
    ck_assert_int_eq(ask("PUT", "/sv01/other", "x", 1, NULL), 201);
}

static void teardown(void)
{
    faults_disarm();
    ck_assert_uint_eq(files_in("sv01/.larder/tmp"), 0);
    volume_stop();
    volume_remove_dir();
}

/* Asks for the copy at TO; the status. */
static int pull(const char *md5, unsigned port, const char *from)
{
    char field[512];
    (void)snprintf(field, sizeof field, "Larder-Copy-From: %s http://127.0.0.1:%u%s", md5, port,
                   from);
    return ask("PUT", TO, NULL, 0, field);
}

static bool is_stored(void)
{
    return ask_plain("HEAD", TO) == 200;
}

START_TEST(test_copies)
{
    ck_assert_int_eq(pull(value_md5, server_port(volume), FROM), 201);
    ck_assert_str_eq(http_fetch_field(fetcher, "Content-MD5"), value_md5);
    ck_assert_int_eq(ask("GET", TO, NULL, 0, "Range: bytes=2499990-"), 206);
    ck_assert(body_is(value + 2499990, 11));
    ck_assert_str_eq(http_fetch_field(fetcher, "Content-Type"), "image/png");
    ck_assert_int_eq(ask("GET", TO, NULL, 0, "Range: bytes=1048570-1048580"), 206);
    ck_assert(body_is(value + 1048570, 11));
    ck_assert_int_eq(pull(value_md5, server_port(volume), FROM), 204); /* replaced */
    ck_assert_uint_eq(faults.dirty_count, 0); /* nothing is left that a power loss would take */
}
END_TEST

START_TEST(test_refuses_another_value)
{
    char md5[] = "00000000000000000000000000000000";
    ck_assert_int_eq(pull(md5, server_port(volume), FROM), 422);
    ck_assert(!is_stored());
}
END_TEST

START_TEST(test_source_has_not_got_it)
{
    ck_assert_int_eq(ask_plain("DELETE", FROM), 204);
    ck_assert_int_eq(pull(value_md5, server_port(volume), FROM), 502);
    ck_assert_int_eq(pull(value_md5, 1, FROM), 502); /* nobody is there */
    ck_assert(!is_stored());
}
END_TEST

START_TEST(test_refuses_what_is_no_such_request)
{
    unsigned port = server_port(volume);
    char field[512];
    ck_assert_int_eq(pull("0123", port, FROM), 400);
    ck_assert_int_eq(pull(value_md5, port, "/sv00/other"), 400);
    ck_assert_int_eq(pull(value_md5, port, "/sv00/54/a9/L2s=.7"), 400); /* another version */
    ck_assert_int_eq(pull(value_md5, port, FROM " HTTP/1.1"), 400);
    ck_assert_int_eq(pull(value_md5, port, ""), 400);
    ck_assert_int_eq(ask("PUT", TO, NULL, 0, "Larder-Copy-From: here"), 400);
    (void)snprintf(field, sizeof field, "Larder-Copy-From: %s http://127.0.0.1:%u" FROM, value_md5,
                   port);
    ck_assert_int_eq(ask("PUT", TO, "text", 4, field), 400); /* one or the other */
    ck_assert_int_eq(ask("PUT", "/sv01/other", NULL, 0, field), 400);
    ck_assert(!is_stored());
}
END_TEST

/* Nobody else can have it open connections to whomever he likes. */
START_TEST(test_only_masters_may_ask)
{
    setup_as(&disk_unsynced, NULL);
    ck_assert_int_eq(ask("PUT", FROM, value, SIZE, NULL), 201);
    ck_assert_int_eq(pull(value_md5, server_port(volume), FROM), 403);
    ck_assert(!is_stored());
    ck_assert_int_eq(ask_plain("POST", "/admin/name?name=a:1"), 200);
    ck_assert_int_eq(pull(value_md5, server_port(volume), FROM), 201);
    volume_stop();
    volume_start_with(&disk_unsynced, NULL); /* it is kept */
    ck_assert_int_eq(pull(value_md5, server_port(volume), FROM), 204);
    volume_stop();
    char another[] = "--master=127.0.0.9:1";
    volume_start_with(&disk_unsynced, another);
    ck_assert_int_eq(ask_plain("POST", "/admin/name?name=a:1"), 200);
    ck_assert_int_eq(pull(value_md5, server_port(volume), FROM), 403);
    size_t len; /* both sides learn what is to be done about it */
    ck_assert_ptr_nonnull(
        strstr(http_fetch_body(fetcher, &len), "name 127.0.0.1:PORT in --master"));
    teardown();
}
END_TEST

/* A name that has another address by now: it is looked up again before its master is refused. */
START_TEST(test_a_master_that_has_moved)
{
    char master[] = "--master=moving:1";
    moving = "127.0.0.9";
    setup_as(&disk_unsynced, master);
    ck_assert_int_eq(ask("PUT", FROM, value, SIZE, NULL), 201);
    moving = "127.0.0.1";
    ck_assert_int_eq(pull(value_md5, server_port(volume), FROM), 201);
    ck_assert_int_eq(pull(value_md5, server_port(volume), FROM), 204);
    teardown();
}
END_TEST

/* Whatever call fails: an error, and nothing that looks like a copy; or all of it. */
START_TEST(test_failing_disk)
{
    static const int errors[] = {EIO, ENOSPC};
    bool was_hit = true;
    for (unsigned at = 1; was_hit; at++) {
        setup();
        faults_arm(FAULT_ERROR, errors[_i], at);
        int status = pull(value_md5, server_port(volume), FROM);
        faults_disarm();
        was_hit = faults.failed[0] != 0;
        if (status == 201 || status == 204)
            ck_assert(is_stored());
        else
            ck_assert_msg(faults.renamed || !is_stored(), "%s, %d", faults.failed, status);
        ck_assert(was_hit || status == 201);
        teardown();
    }
}
END_TEST

/* --- A source that the test plays --- */

struct asker {
    pthread_t thread;
    unsigned port;
    int status;
};

static void *ask_once(void *arg)
{
    struct asker *asker = arg;
    struct http_fetcher *own = http_fetcher_new();
    char url[256];
    char field[256];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u" TO, server_port(volume));
    (void)snprintf(field, sizeof field, "Larder-Copy-From: %s http://127.0.0.1:%u" FROM, value_md5,
                   asker->port);
    const char *const fields[] = {field, NULL};
    const struct http_call_spec spec = {
        .method = "PUT", .url = url, .fields = fields, .timeout_ms = PATIENCE_MS};
    asker->status = own && !http_fetch(own, &spec) ? http_fetch_status(own) : -1;
    http_fetcher_free(own);
    return NULL;
}

static int listen_somewhere(unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        ck_assert_int_gt(n, 0);
        data += n;
        len -= (size_t)n;
    }
}

/* Up to the first half of the value; the source's connection. */
static int begin_pull(struct asker *asker)
{
    char request[2048];
    char head[64];
    int listener = listen_somewhere(&asker->port);
    ck_assert_int_eq(pthread_create(&asker->thread, NULL, ask_once, asker), 0);
    int fd = accept(listener, NULL, NULL);
    ck_assert_int_ge(fd, 0);
    (void)close(listener);
    ssize_t n = recv(fd, request, sizeof request - 1, 0);
    ck_assert_int_gt(n, 0);
    request[n] = 0;
    ck_assert_int_eq(strncmp(request, "GET " FROM " HTTP/1.1\r\n", 29), 0);
    ck_assert_ptr_nonnull(strstr(request, "Larder-Check: none\r\n"));
    int len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", SIZE);
    send_all(fd, head, (size_t)len);
    send_all(fd, value, SIZE / 2);
    return fd;
}

static int end_pull(struct asker *asker, int fd)
{
    (void)close(fd);
    ck_assert_int_eq(pthread_join(asker->thread, NULL), 0);
    return asker->status;
}

START_TEST(test_source_ends_well)
{
    struct asker asker;
    int fd = begin_pull(&asker);
    send_all(fd, value + SIZE / 2, SIZE - SIZE / 2);
    ck_assert_int_eq(end_pull(&asker, fd), 201);
}
END_TEST

START_TEST(test_source_breaks_off)
{
    struct asker asker;
    int fd = begin_pull(&asker);
    ck_assert_int_eq(end_pull(&asker, fd), 502);
    ck_assert(!is_stored());
}
END_TEST

START_TEST(test_source_stands_still)
{
    struct asker asker;
    int fd = begin_pull(&asker);
    ck_assert_int_eq(pthread_join(asker.thread, NULL), 0);
    ck_assert_int_eq(asker.status, 504);
    (void)close(fd);
    ck_assert(!is_stored());
}
END_TEST

/* The master has given the copy up and removes what there may be of it: nothing may turn up
 * afterwards. */
START_TEST(test_delete_gives_up_what_is_under_way)
{
    struct asker asker;
    int fd = begin_pull(&asker);
    ck_assert_int_eq(ask_plain("DELETE", TO), 404);
    (void)send(fd, value + SIZE / 2, SIZE - SIZE / 2, MSG_NOSIGNAL);
    ck_assert_int_eq(end_pull(&asker, fd), 400);
    ck_assert(!is_stored());
}
END_TEST

/* --- A disk whose fsync waits --- */

static atomic_bool holds, is_held, let_go;

static int holding_sync(int fd UNUSED)
{
    if (!atomic_load(&holds))
        return 0;
    atomic_store(&is_held, true);
    wait_until_set(&let_go);
    return 0;
}

START_TEST(test_delete_of_one_that_is_about_to_end)
{
    struct disk disk = disk_real;
    disk.sync = holding_sync;
    atomic_store(&holds, false);
    atomic_store(&is_held, false);
    atomic_store(&let_go, false);
    setup_as(&disk, a_master);
    ck_assert_int_eq(ask("PUT", FROM, value, SIZE, NULL), 201);
    struct asker asker = {.port = server_port(volume)};
    atomic_store(&holds, true);
    ck_assert_int_eq(pthread_create(&asker.thread, NULL, ask_once, &asker), 0);
    wait_until_set(&is_held);
    ck_assert_int_eq(ask_plain("DELETE", TO), 503); /* try again */
    atomic_store(&let_go, true);
    ck_assert_int_eq(pthread_join(asker.thread, NULL), 0);
    ck_assert_int_eq(asker.status, 201);
    ck_assert_int_eq(ask_plain("DELETE", TO), 204);
    teardown();
}
END_TEST

int main(void)
{
    if (!http_client_global_init())
        return 1;
    static const TTest *tests[9];
    tests[0] = test_copies;
    tests[1] = test_refuses_another_value;
    tests[2] = test_source_has_not_got_it;
    tests[3] = test_refuses_what_is_no_such_request;
    tests[4] = test_source_ends_well;
    tests[5] = test_source_breaks_off;
    tests[6] = test_source_stands_still;
    tests[7] = test_delete_gives_up_what_is_under_way;
    static const TTest *own[4];
    own[0] = test_only_masters_may_ask;
    own[1] = test_delete_of_one_that_is_about_to_end;
    own[2] = test_a_master_that_has_moved;
    Suite *suite = suite_create("volume pull");
    tcase_add_checked_fixture(suite_case(suite, "pull", tests), setup, teardown);
    tcase_add_loop_test(suite_case(suite, "own", own), test_failing_disk, 0, 2);
    return suite_run(suite);
}
