/*
 * GET of values that are damaged or cannot be read: whatever their size, and whichever byte it is,
 * no answer looks whole and has a wrong byte. And what was verified lately is not read once more.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/xattr.h>

#include "tests/flow/volume_fixture.h"

enum {
    CHUNK = 256 * 1024,
    MIB = 1024 * 1024,
    LARGE = 3 * MIB + 17,
    MANY_CALLS = 60,
    DEADLINE_MS = 20000
};

static const char path[] = "/sv00/aa/bb/value";
static const size_t sizes[] = {1, 1000, CHUNK + 4000, MIB, MIB + 1, LARGE};
enum { SIZES = sizeof sizes / sizeof sizes[0], FIRST_LARGE = 4 };

static char value[LARGE]; /* of which the first bytes are put */

static void begin(const char *at, size_t len)
{
    for (size_t i = 0; i < LARGE; i++)
        value[i] = (char)(i * 7 + (i >> 11));
    volume_make_dir();
    faults_reset();
    volume_start(&twin);
    ck_assert_int_eq(ask("PUT", at, value, len, NULL), 201);
}

static void end(void)
{
    volume_stop();
    volume_remove_dir();
}

/* --- The client --- */

/* GET or HEAD; ST_OK: the answer is complete. */
static enum status get(const char *method, const char *at, const char *field)
{
    char url[512];
    const char *fields[] = {field, NULL};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", server_port(volume), at);
    struct http_call_spec spec = {
        .method = method, .url = url, .fields = fields, .timeout_ms = 20000};
    return http_fetch(fetcher, &spec);
}

static bool body_has_bytes(size_t offset, size_t len)
{
    size_t got;
    const char *body = http_fetch_body(fetcher, &got);
    return got == len && (len == 0 || memcmp(body, value + offset, len) == 0);
}

/* A number of /admin/metrics. */
static unsigned metric(const char *name)
{
    char line[100];
    size_t len;
    ck_assert_int_eq(ask_plain("GET", "/admin/metrics"), 200);
    (void)snprintf(line, sizeof line, "\nlarder_volume_%s ", name);
    const char *body = http_fetch_body(fetcher, &len);
    const char *at = memmem(body, len, line, strlen(line));
    ck_assert_ptr_nonnull(at);
    return (unsigned)strtoul(at + strlen(line), NULL, 10);
}

static unsigned verified(void)
{
    return metric("reads_verified_total");
}

/* --- Damage --- */

static void full_path(const char *at, char full[400])
{
    (void)snprintf(full, 400, "%s%s", volume_dir, at);
}

/* As a disk would: neither size nor mtime tell of it. */
static void flip(const char *at, size_t offset)
{
    char full[400], byte;
    struct stat st;
    full_path(at, full);
    int fd = open(full, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_eq(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 4;
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)offset), 1);
    struct timespec times[] = {st.st_atim, st.st_mtim};
    ck_assert_int_eq(futimens(fd, times), 0);
    (void)close(fd);
}

/* Changes the ctime, and nothing else: it has to be verified again. */
static void touch(const char *at)
{
    char full[400];
    full_path(at, full);
    ck_assert_int_eq(chmod(full, 0600), 0);
}

static ino_t inode_of(const char *at)
{
    char full[400];
    struct stat st;
    full_path(at, full);
    ck_assert_int_eq(stat(full, &st), 0);
    return st.st_ino;
}

static void wait_gone(const char *at)
{
    char full[400];
    uint64_t until = loop_now_ms() + DEADLINE_MS;
    full_path(at, full);
    while (access(full, F_OK) == 0) {
        ck_assert_msg(loop_now_ms() < until, "it was not set aside");
        (void)usleep(2000);
    }
}

/* --- What was verified --- */

START_TEST(test_verified_once)
{
    size_t len = sizes[_i];
    unsigned first = len >= MIB; /* went past the page cache: nobody has read it yet */
    begin(path, len);
    for (int i = 0; i < 3; i++) /* else the PUT has hashed what is there */
        ck_assert(value_is(path, value, len));
    ck_assert_uint_eq(verified(), first);
    for (unsigned round = 1; round <= 2; round++) {
        touch(path);
        for (int i = 0; i < 3; i++)
            ck_assert(value_is(path, value, len));
        ck_assert_uint_eq(verified(), first + round);
    }
    ck_assert_uint_eq(metric("reads_damaged_total"), 0);
    end();
}
END_TEST

/* What has left the page cache comes from the disk: verified each time. */
START_TEST(test_out_of_the_cache)
{
    size_t len = sizes[_i];
    begin(path, len);
    faults.uncached = true;
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert(value_is(path, value, len));
        ck_assert_uint_eq(verified(), i);
    }
    faults.uncached = false;
    ck_assert(value_is(path, value, len));
    ck_assert_uint_eq(verified(), 3);
    end();
}
END_TEST

START_TEST(test_empty_value)
{
    begin(path, 0);
    touch(path);
    ck_assert(value_is(path, "", 0));
    ck_assert_uint_eq(verified(), 1);
    end();
}
END_TEST

/* Nobody knows what they should be. */
START_TEST(test_plain_files)
{
    char full[400];
    begin(path, 10);
    full_path("/sv00/aa/bb/plain", full);
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(value, 1, LARGE, file), LARGE);
    (void)fclose(file);
    ck_assert(value_is("/sv00/aa/bb/plain", value, LARGE));
    ck_assert_uint_eq(verified(), 0);
    end();
}
END_TEST

/* --- Damage --- */

/* The first byte, the last, one in the middle, and those around the end of a chunk. */
static size_t position(size_t len, unsigned number)
{
    const size_t positions[] = {0, len - 1, len / 2, CHUNK - 1, CHUNK, len - len % 4096};
    return number < 6 && positions[number] < len ? positions[number] : 0;
}

START_TEST(test_flipped_bits)
{
    size_t len = sizes[_i / 6];
    begin(path, len);
    flip(path, position(len, (unsigned)_i % 6));
    enum status st = get("GET", path, NULL);
    ck_assert_msg(st != ST_OK || http_fetch_status(fetcher) == 404, "%zu bytes: status %d", len,
                  http_fetch_status(fetcher));
    ck_assert_msg(_i / 6 >= FIRST_LARGE || st == ST_OK, "small ones are looked at before");
    wait_gone(path);
    ck_assert_uint_eq(metric("reads_damaged_total"), 1);
    ck_assert_int_eq(ask_plain("GET", path), 404);
    end();
}
END_TEST

static void break_digest(void)
{
    char full[400];
    full_path(path, full);
    ck_assert_int_eq(setxattr(full, "user.larder.md5", "no digest at all", 16, 0), 0);
}

/* An attribute that cannot be one is damage, too. */
START_TEST(test_broken_digest)
{
    begin(path, sizes[_i]);
    break_digest();
    enum status st = get("GET", path, NULL);
    ck_assert(st != ST_OK || http_fetch_status(fetcher) == 404);
    wait_gone(path);
    end();
}
END_TEST

START_TEST(test_ranges)
{
    size_t len = sizes[_i];
    bool large = _i >= FIRST_LARGE;
    begin(path, len);
    touch(path);
    ck_assert_int_eq(ask("GET", path, NULL, 0, "Range: bytes=100-199"), 206);
    ck_assert(body_has_bytes(100, 100));
    ck_assert_uint_eq(verified(), large ? 0 : 1);
    ck_assert_int_eq(ask("GET", path, NULL, 0, "Range: bytes=0-"), 206);
    ck_assert(body_has_bytes(0, len));
    ck_assert_uint_eq(verified(), 1);
    flip(path, len - 1);
    enum status st = get("GET", path, "Range: bytes=0-");
    ck_assert(st != ST_OK || http_fetch_status(fetcher) == 404);
    end();
}
END_TEST

/* A part of a small value is as good as the whole of it. */
START_TEST(test_range_of_a_damaged_value)
{
    begin(path, 1000);
    flip(path, 999);
    ck_assert_int_eq(ask("GET", path, NULL, 0, "Range: bytes=0-9"), 404);
    wait_gone(path);
    end();
}
END_TEST

/* For larder's own copies, which compare digests themselves; and answers without any byte. */
START_TEST(test_not_verified)
{
    size_t len = sizes[_i];
    begin(path, len);
    flip(path, len / 2);
    value[len / 2] ^= 4;
    ck_assert_int_eq(ask("GET", path, NULL, 0, "Larder-Check: none"), 200);
    ck_assert(body_has_bytes(0, len));
    ck_assert_int_eq(ask_plain("HEAD", path), 200);
    ck_assert_int_eq(ask("GET", path, NULL, 0, "If-None-Match: *"), 304);
    ck_assert_int_eq(ask("GET", path, NULL, 0, "Range: bytes=9999999-"), 416);
    ck_assert_uint_eq(verified(), 0);
    ck_assert_uint_eq(metric("reads_damaged_total"), 0);
    end();
}
END_TEST

/* --- Disks that fail --- */

START_TEST(test_unreadable)
{
    begin(path, sizes[_i]);
    touch(path);
    faults.unreadable = inode_of(path);
    ck_assert_int_eq(get("GET", path, NULL), ST_OK);
    ck_assert_int_eq(http_fetch_status(fetcher), 500);
    wait_gone(path);
    end();
}
END_TEST

/* Each call of a GET fails once: the right bytes, an error, or a cut connection. */
static bool try_fault(size_t len, int err, unsigned k)
{
    begin(path, len);
    touch(path);
    faults_arm(FAULT_ERROR, err, k);
    enum status st = get("GET", path, NULL);
    faults_disarm();
    bool fired = faults.failed[0] != 0;
    int http = st == ST_OK ? http_fetch_status(fetcher) : 0;
    ck_assert_msg(http != 200 || body_has_bytes(0, len), "%s: wrong bytes", faults.failed);
    ck_assert_msg(http == 200 || fired, "nothing failed: %d", http);
    end();
    return fired;
}

START_TEST(test_every_call_fails_once)
{
    static const int errors[] = {EIO, ENOMEM, EINTR};
    unsigned k = 1;
    unsigned step = _i < 2 ? 1 : 3; /* where a call fails matters more than how */
    while (k < MANY_CALLS && try_fault(_i % 2 ? LARGE : 1000, errors[_i / 2], k))
        k += step;
    ck_assert_msg(k > 8 && k < MANY_CALLS, "%u calls", k);
}
END_TEST

/* --- Readers that take nothing --- */

enum { READERS = 100 };

static int connect_slowly(const char *at)
{
    char text[256];
    int small = 4096;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server_port(volume))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    int len =
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", at);
    ck_assert_int_eq(write(fd, text, (size_t)len), len);
    return fd;
}

/* Reads to the end; what follows the head must be the value. */
static void finish_reading(int fd, size_t len)
{
    static char text[LARGE + 2000];
    int large = MIB;
    size_t got = 0;
    ssize_t n;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
    while ((n = read(fd, text + got, sizeof text - 1 - got)) > 0)
        got += (size_t)n;
    (void)close(fd);
    text[got] = 0;
    ck_assert_msg(strncmp(text, "HTTP/1.1 200 ", 13) == 0, "%.100s", text);
    const char *body = strstr(text, "\r\n\r\n") + 4;
    ck_assert_uint_eq((size_t)(text + got - body), len);
    ck_assert_int_eq(memcmp(body, value, len), 0);
}

/* More of them than there is memory for: the rest gets the value from the page cache, verified all
 * the same, and all of them get it whole. */
START_TEST(test_slow_readers)
{
    size_t len = sizes[_i];
    int fds[READERS];
    begin(path, len);
    faults.uncached = true; /* each of them has it verified */
    for (unsigned i = 0; i < READERS; i++)
        fds[i] = connect_slowly(path);
    uint64_t until = loop_now_ms() + DEADLINE_MS;
    while (metric("operations_total{kind=\"get\"}") < READERS && loop_now_ms() < until)
        (void)usleep(2000);
    for (unsigned i = 0; i < READERS; i++)
        finish_reading(fds[i], len);
    ck_assert_uint_eq(verified(), READERS);
    end();
}
END_TEST

/* The connection goes in the midst of a stream: nothing is left behind (the sanitizer tells). */
START_TEST(test_readers_that_go)
{
    begin(path, LARGE);
    faults.uncached = true;
    for (unsigned i = 0; i < 20; i++)
        (void)close(connect_slowly(path));
    ck_assert(value_is(path, value, LARGE));
    end();
}
END_TEST

int main(void)
{
    if (!http_client_global_init())
        return 1;
    Suite *suite = suite_create("volume get checks");
    TCase *tcase = tcase_create("get");
    tcase_set_timeout(tcase, 110);
    tcase_add_loop_test(tcase, test_verified_once, 0, SIZES);
    tcase_add_loop_test(tcase, test_out_of_the_cache, 0, SIZES);
    tcase_add_test(tcase, test_empty_value);
    tcase_add_test(tcase, test_plain_files);
    tcase_add_loop_test(tcase, test_flipped_bits, 0, SIZES * 6);
    tcase_add_loop_test(tcase, test_broken_digest, 0, SIZES);
    tcase_add_loop_test(tcase, test_ranges, 1, SIZES);
    tcase_add_test(tcase, test_range_of_a_damaged_value);
    tcase_add_loop_test(tcase, test_not_verified, 0, SIZES);
    tcase_add_loop_test(tcase, test_unreadable, 0, SIZES);
    tcase_add_loop_test(tcase, test_every_call_fails_once, 0, 6);
    tcase_add_loop_test(tcase, test_slow_readers, 3, 5);
    tcase_add_test(tcase, test_readers_that_go);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
