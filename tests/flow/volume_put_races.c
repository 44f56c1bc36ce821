/*
 * Requests that meet: one relies on a directory that another has made and not synced yet; many put
 * into the same new directories, and over each other; a body stops in the middle.
 */
#include "tests/flow/volume_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>

enum { WRITERS = 16, PUTS_EACH = 20, SHORT_WHILE_MS = 300 };

/* --- A disk whose n-th fsync waits until it is let go --- */

static atomic_uint sync_to_hold;
static atomic_uint syncs_seen;
static atomic_bool sync_is_held;
static atomic_bool let_go;

static int holding_sync(int fd UNUSED)
{
    if (atomic_fetch_add(&syncs_seen, 1) + 1 == atomic_load(&sync_to_hold)) {
        atomic_store(&sync_is_held, true);
        wait_until_set(&let_go);
    }
    return 0;
}

static struct disk holding_disk(unsigned n)
{
    struct disk disk = disk_real;
    disk.sync = holding_sync;
    atomic_store(&sync_to_hold, n);
    atomic_store(&syncs_seen, 0);
    atomic_store(&sync_is_held, false);
    atomic_store(&let_go, false);
    return disk;
}

/* --- A client on a thread of its own --- */

struct writer {
    pthread_t thread;
    const char *path;
    const char *field; /* of the request, or NULL */
    atomic_bool ended;
    int status;
};

static int put_with(struct http_fetcher *own, const char *path, const char *field, const char *data,
                    size_t len)
{
    char url[256];
    const char *const fields[] = {field, NULL};
    struct sending sending = {data, len};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", server_port(volume), path);
    struct http_call_spec spec = {.method = "PUT",
                                  .url = url,
                                  .fields = fields,
                                  .has_body = true,
                                  .body_length = (int64_t)len,
                                  .read = send_more,
                                  .arg = &sending,
                                  .timeout_ms = PATIENCE_MS};
    return http_fetch(own, &spec) ? -1 : http_fetch_status(own);
}

static void *put_once(void *arg)
{
    struct writer *writer = arg;
    struct http_fetcher *own = http_fetcher_new();
    writer->status = own ? put_with(own, writer->path, writer->field, "x", 1) : -1;
    http_fetcher_free(own);
    atomic_store(&writer->ended, true);
    return NULL;
}

static void start(struct writer *writer, const char *path)
{
    *writer = (struct writer){.path = path};
    ck_assert_int_eq(pthread_create(&writer->thread, NULL, put_once, writer), 0);
}

static void join(struct writer *writer)
{
    ck_assert_int_eq(pthread_join(writer->thread, NULL), 0);
    ck_assert_int_eq(writer->status, 201);
}

/* The fsync of a directory that the first has made is held, and the second has put into it. */
static void meet(struct writer *first, struct writer *second, const struct disk *disk)
{
    volume_make_dir();
    volume_start(disk);
    ck_assert_int_eq(ask("PUT", "/sv00/x", "x", 1, NULL), 201);
    atomic_store(&syncs_seen, 0);

    start(first, "/sv00/aa/bb/first");
    wait_until_set(&sync_is_held);
    start(second, "/sv00/aa/bb/second");
    uint64_t until = loop_now_ms() + PATIENCE_MS;
    while (ask_plain("GET", "/sv00/aa/bb/second") != 200) /* it is in its place … */
        ck_assert_uint_lt(loop_now_ms(), until);
    (void)usleep(SHORT_WHILE_MS * 1000);
    ck_assert(!atomic_load(&second->ended)); /* … and not acknowledged */
}

/* The first makes aa/bb, and its fsync of the directory above aa takes its time: what the second
 * puts into aa/bb would be lost with the directory, so it is not acknowledged before. */
START_TEST(test_waits_for_a_directory_of_another)
{
    struct writer first, second;
    struct disk disk = holding_disk(4); /* the file, bb, aa, sv00 */
    meet(&first, &second, &disk);
    ck_assert_int_eq(ask("PUT", "/sv00/cc/other", "x", 1, NULL), 201); /* shares no directory */

    atomic_store(&let_go, true);
    join(&first);
    join(&second);
    volume_stop();
    volume_remove_dir();
}
END_TEST

/* --- A wake-up that is lost --- */

static atomic_bool losing;

int __real_pthread_cond_broadcast(pthread_cond_t *condition);
int __wrap_pthread_cond_broadcast(pthread_cond_t *condition);

/* As glibc before 2.41 may do it (its bug 25847), only more often. */
int __wrap_pthread_cond_broadcast(pthread_cond_t *condition)
{
    return atomic_load(&losing) ? 0 : __real_pthread_cond_broadcast(condition);
}

/* Who waits for another's directory goes on all the same. */
START_TEST(test_does_not_need_to_be_woken)
{
    struct writer first, second;
    struct disk disk = holding_disk(4);
    meet(&first, &second, &disk);
    atomic_store(&losing, true);
    atomic_store(&let_go, true);
    join(&first);
    join(&second);
    atomic_store(&losing, false);
    volume_stop();
    volume_remove_dir();
}
END_TEST

/* --- Many at once --- */

static atomic_int refused;

static void *put_many(void *arg)
{
    const unsigned *number = arg;
    struct http_fetcher *own = http_fetcher_new();
    char path[64], data[2048];
    memset(data, 'a' + (int)*number % 26, sizeof data);
    for (unsigned i = 0; own && i < PUTS_EACH; i++) {
        /* Half of them into directories of all, half over one value. */
        if (i % 2)
            (void)snprintf(path, sizeof path, "/sv00/%02x/%02x/v%u", i, i, *number);
        else
            (void)snprintf(path, sizeof path, "/sv00/same/value");
        int status = put_with(own, path, NULL, data, sizeof data);
        if (status != 201 && status != 204)
            atomic_fetch_add(&refused, 1);
    }
    http_fetcher_free(own);
    return NULL;
}

START_TEST(test_many_at_once)
{
    pthread_t threads[WRITERS];
    unsigned numbers[WRITERS];
    volume_make_dir();
    volume_start(&disk_unsynced);
    for (unsigned i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, put_many, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(atomic_load(&refused), 0);

    size_t len;
    ck_assert_int_eq(ask_plain("GET", "/sv00/same/value"), 200);
    const char *body = http_fetch_body(fetcher, &len);
    ck_assert_uint_eq(len, 2048);
    for (size_t i = 1; i < len; i++)
        ck_assert_int_eq(body[i], body[0]); /* one of them, whole */
    for (unsigned i = 1; i < PUTS_EACH; i += 2) {
        char path[64];
        (void)snprintf(path, sizeof path, "sv00/%02x/%02x", i, i);
        ck_assert_uint_eq(files_in(path), WRITERS);
    }
    ck_assert_uint_eq(files_in("sv00/.larder/tmp"), 0);
    volume_stop();
    volume_remove_dir();
}
END_TEST

/* --- A body that does not end --- */

static int send_part(void)
{
    static const char head[] =
        "PUT /sv00/part HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    char part[600000];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server_port(volume))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(part, 'p', sizeof part);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_eq(send(fd, head, sizeof head - 1, 0), sizeof head - 1);
    ck_assert_int_eq(send(fd, part, sizeof part, 0), sizeof part);
    return fd;
}

START_TEST(test_client_that_goes_away)
{
    volume_make_dir();
    volume_start(&disk_real);
    ck_assert_int_eq(ask("PUT", "/sv00/part", "old", 3, NULL), 201);
    int fd = send_part();
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    while (files_in("sv00/.larder/tmp") == 0)
        ck_assert_uint_lt(loop_now_ms(), give_up);
    (void)close(fd);
    while (files_in("sv00/.larder/tmp") > 0)
        ck_assert_uint_lt(loop_now_ms(), give_up);
    ck_assert(value_is("/sv00/part", "old", 3));
    volume_stop();
    volume_remove_dir();
}
END_TEST

/* A stop in the middle of a request waits for it. */
START_TEST(test_stop_waits_for_a_put)
{
    struct writer writer;
    struct disk disk = holding_disk(1);
    volume_make_dir();
    volume_start(&disk);
    start(&writer, "/sv00/last");
    wait_until_set(&sync_is_held);
    atomic_store(&let_go, true);
    volume_stop(); /* asserts that all were answered */
    join(&writer);
    volume_remove_dir();
}
END_TEST

/* --- Masters that write one after the other --- */

/* An upload of the one before is on its way when the next one is heard of: it is not stored. */
START_TEST(test_a_term_that_is_over)
{
    struct writer late = {.path = "/sv00/late", .field = "Larder-Term: 5"};
    struct disk disk = holding_disk(1000);
    volume_make_dir();
    volume_start(&disk);
    ck_assert_int_eq(ask("PUT", "/sv00/x", "x", 1, "Larder-Term: 5"), 201);
    atomic_store(&syncs_seen, 0);
    atomic_store(&sync_to_hold, 1);
    ck_assert_int_eq(pthread_create(&late.thread, NULL, put_once, &late), 0);
    wait_until_set(&sync_is_held);
    ck_assert_int_eq(ask("GET", "/admin/health", NULL, 0, "Larder-Term: 6"), 200);
    atomic_store(&let_go, true);
    ck_assert_int_eq(pthread_join(late.thread, NULL), 0);
    ck_assert_int_eq(late.status, 503);
    ck_assert_int_eq(ask_plain("GET", "/sv00/late"), 404);
    ck_assert_uint_eq(files_in("sv00/.larder/tmp"), 0);

    /* Nor does it do anything else; reading is harmless. */
    ck_assert_int_eq(ask("DELETE", "/sv00/x", NULL, 0, "Larder-Term: 5"), 503);
    ck_assert_int_eq(ask("PUT", "/sv00/y", "y", 1, "Larder-Term: 5"), 503);
    ck_assert_int_eq(ask("GET", "/sv00/x", NULL, 0, "Larder-Term: 5"), 200);
    ck_assert_int_eq(ask("DELETE", "/sv00/x", NULL, 0, "Larder-Term: 6"), 204);
    ck_assert_int_eq(ask("PUT", "/sv00/x", "x", 1, NULL), 201); /* an only master has no term */
    volume_stop();
    volume_remove_dir();
}
END_TEST

/* The master's request was for the volume that was at this address before. */
START_TEST(test_another_volume_is_meant)
{
    char other[] = "Larder-Identity: 0123456789abcdef0123456789abcdef";
    char own[80];
    size_t len;
    volume_make_dir();
    volume_start(&disk_unsynced);
    ck_assert_int_eq(ask("GET", "/admin/health", NULL, 0, other), 200);
    const char *id = strstr(http_fetch_body(fetcher, &len), "\"id\":\"");
    ck_assert_ptr_nonnull(id);
    (void)snprintf(own, sizeof own, "Larder-Identity: %.32s", id + 6);
    ck_assert_int_eq(ask("PUT", "/sv00/x", "x", 1, other), 503);
    ck_assert_int_eq(ask_plain("GET", "/sv00/x"), 404);
    ck_assert_int_eq(ask("PUT", "/sv00/x", "x", 1, own), 201);
    ck_assert_int_eq(ask("DELETE", "/sv00/x", NULL, 0, other), 503);
    ck_assert_int_eq(ask("UNLINK", "/sv00/x", NULL, 0, other), 503);
    ck_assert_int_eq(ask("HEAD", "/sv00/x", NULL, 0, other), 503);
    ck_assert_int_eq(ask("GET", "/sv00/x", NULL, 0, other), 503);
    ck_assert_int_eq(ask("GET", "/sv00/x", NULL, 0, own), 200);
    ck_assert(value_is("/sv00/x", "x", 1));
    ck_assert_int_eq(ask("DELETE", "/sv00/x", NULL, 0, own), 204);
    volume_stop();
    volume_remove_dir();
}
END_TEST

int main(void)
{
    if (!http_client_global_init())
        return 1;
    static const TTest *tests[8];
    tests[0] = test_waits_for_a_directory_of_another;
    tests[1] = test_many_at_once;
    tests[2] = test_client_that_goes_away;
    tests[3] = test_stop_waits_for_a_put;
    tests[4] = test_a_term_that_is_over;
    tests[5] = test_does_not_need_to_be_woken;
    tests[6] = test_another_volume_is_meant;
    Suite *suite = suite_create("volume put races");
    (void)suite_case(suite, "races", tests);
    return suite_run(suite);
}
