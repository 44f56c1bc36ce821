/*
 * Damaged values: found, set aside, told, on a disk whose every call fails once, with a master that
 * is away, and after crashes. Whatever happens, a damaged value is never lost sight of, and a good
 * one never goes.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/flow/volume_fixture.h"

enum { MANY_CALLS = 200, DEADLINE_MS = 20000 };

static const char good[] = "/sv00/aa/bb/good";
static const char bad[] = "/sv00/aa/bb/bad";
static const char value[] = "a value of some length";

/* --- A master that takes reports --- */

static struct {
    int fd;
    pthread_t thread;
    char option[64];   /* for the volume's command line */
    atomic_int answer; /* to /admin/damaged */
    atomic_int told;   /* how often it gave the answer 204 */
    char last[1024];   /* the last report, written before `told` counts it */
} master;

static void master_answer(int fd)
{
    char text[4096];
    size_t len = 0;
    const char *body = NULL, *length = NULL;
    while (len < sizeof text - 1) {
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0)
            return;
        len += (size_t)n;
        text[len] = 0;
        body = strstr(text, "\r\n\r\n");
        length = strstr(text, "Content-Length: ");
        if (body && length && strlen(body + 4) >= strtoul(length + 16, NULL, 10))
            break;
    }
    bool damaged = strncmp(text, "POST /admin/damaged ", 20) == 0;
    int answer = damaged ? atomic_load(&master.answer) : 200;
    if (damaged && answer == 204) {
        (void)snprintf(master.last, sizeof master.last, "%s", body + 4);
        atomic_fetch_add(&master.told, 1);
    }
    (void)snprintf(text, sizeof text, "HTTP/1.1 %d X\r\n%sConnection: close\r\n\r\n", answer,
                   answer == 204 ? "" : "Content-Length: 0\r\n");
    (void)!write(fd, text, strlen(text));
}

static void *master_run(void *arg UNUSED)
{
    int fd;
    while ((fd = accept(master.fd, NULL, NULL)) >= 0) {
        master_answer(fd);
        (void)close(fd);
    }
    return NULL;
}

static void master_start(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    master.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(master.fd, 0);
    ck_assert_int_eq(bind(master.fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(master.fd, 16), 0);
    ck_assert_int_eq(getsockname(master.fd, (struct sockaddr *)&at, &size), 0);
    (void)snprintf(master.option, sizeof master.option, "--master=127.0.0.1:%u",
                   ntohs(at.sin_port));
    master.answer = 204;
    master.told = 0;
    ck_assert_int_eq(pthread_create(&master.thread, NULL, master_run, NULL), 0);
}

static void master_stop(void)
{
    (void)shutdown(master.fd, SHUT_RDWR);
    (void)pthread_join(master.thread, NULL);
    (void)close(master.fd);
}

/* --- Damage --- */

static void full_path(const char *path, char full[400])
{
    (void)snprintf(full, 400, "%s%s", volume_dir, path);
}

static bool is_there(const char *path)
{
    char full[400];
    full_path(path, full);
    return access(full, F_OK) == 0;
}

static void flip_a_bit(const char *path)
{
    char full[400], byte;
    full_path(path, full);
    int fd = open(full, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, &byte, 1, 5), 1);
    byte ^= 4;
    ck_assert_int_eq(pwrite(fd, &byte, 1, 5), 1);
    (void)close(fd);
}

static void cut_off(const char *path)
{
    char full[400];
    full_path(path, full);
    ck_assert_int_eq(truncate(full, 3), 0);
}

static void wait_for(bool (*reached)(void), const char *what)
{
    uint64_t until = loop_now_ms() + DEADLINE_MS;
    while (!reached()) {
        ck_assert_msg(loop_now_ms() < until, "not in time: %s", what);
        (void)usleep(2000);
    }
}

static bool scrub_is_over(void)
{
    ck_assert_int_eq(ask_plain("GET", "/admin/scrub"), 200);
    return body_has("\"running\":false");
}

/* When the round began that the last answer tells of; unix milliseconds. */
static uint64_t told_start(void)
{
    static const char name[] = "\"started\":";
    size_t len;
    const char *body = http_fetch_body(fetcher, &len);
    const char *at = memmem(body, len, name, sizeof name - 1);
    ck_assert_ptr_nonnull(at);
    return strtoull(at + sizeof name - 1, NULL, 10);
}

/* Two values are read in no time: the round may be over before the answer tells of it. */
static void scrub(void)
{
    uint64_t asked = loop_wall_ms();
    ck_assert_int_eq(ask("POST", "/admin/scrub", "", 0, NULL), 200);
    ck_assert(body_has("\"running\":true") || told_start() >= asked);
    wait_for(scrub_is_over, "the end of the round");
}

static bool was_told(void)
{
    return atomic_load(&master.told) > 0;
}

static bool bad_is_gone(void)
{
    return !is_there(bad);
}

/* Entries of the quarantine whose names contain `text`. */
static unsigned in_quarantine(const char *text)
{
    char full[400];
    unsigned count = 0;
    full_path("/sv00/.larder/quarantine", full);
    DIR *dir = opendir(full);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        count += strstr(entry->d_name, text) != NULL;
    if (dir)
        (void)closedir(dir);
    return count;
}

static bool is_marked(void)
{
    return in_quarantine(".untold") == 0 && in_quarantine(".reason") > 0;
}

static void begin(char *option)
{
    volume_make_dir();
    faults_reset();
    volume_start_with(&twin, option);
    ck_assert_int_eq(ask("PUT", good, value, sizeof value, NULL), 201);
    ck_assert_int_eq(ask("PUT", bad, value, sizeof value, NULL), 201);
}

static void restart(char *option)
{
    volume_stop();
    volume_start_with(&twin, option);
}

static void end(void)
{
    volume_stop();
    volume_remove_dir();
}

/* --- Finding it --- */

static void (*const ways[])(const char *path) = {flip_a_bit, cut_off};

START_TEST(test_found_and_told)
{
    master_start();
    begin(master.option);
    ways[_i](bad);
    scrub();
    ck_assert(body_has("\"damaged\":1"));
    ck_assert(body_has("\"values\":2"));
    ck_assert(!is_there(bad));
    ck_assert(value_is(good, value, sizeof value));
    ck_assert_uint_eq(in_quarantine("aa%bb%bad"), 1);
    wait_for(was_told, "the report");
    ck_assert_ptr_nonnull(strstr(master.last, "\"place\": \"/sv00\""));
    ck_assert_ptr_nonnull(strstr(master.last, "\"path\": \"aa/bb/bad\""));
    wait_for(is_marked, "the mark");
    ck_assert_int_eq(ask_plain("GET", "/admin/health"), 200);
    ck_assert(body_has("\"quarantined\":1"));
    ck_assert_int_eq(ask_plain("GET", "/admin/quarantine?place=/sv00"), 200);
    ck_assert(body_has("{\"quarantine\": [\n{\"path\": \"aa/bb/bad\"}]}\n"));
    ck_assert_int_eq(ask_plain("GET", "/admin/quarantine?place=/sv01"), 200);
    ck_assert(body_has("{\"quarantine\": []}\n"));
    restart(master.option);
    scrub();
    ck_assert(body_has("\"damaged\":0"));
    ck_assert_int_eq(atomic_load(&master.told), 1);
    end();
    master_stop();
}
END_TEST

/* A GET that meets a short value never answers with it, and has it set aside. */
START_TEST(test_get_of_a_short_value)
{
    master_start();
    begin(master.option);
    cut_off(bad);
    ck_assert_int_eq(ask_plain("GET", bad), 404);
    wait_for(bad_is_gone, "the quarantine");
    wait_for(was_told, "the report");
    end();
    master_stop();
}
END_TEST

/* Without an MD5 nothing but I/O errors can be found. */
START_TEST(test_plain_files_are_left_alone)
{
    char full[400];
    begin(NULL);
    full_path("/sv00/aa/bb/plain", full);
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("plain", file);
    (void)fclose(file);
    scrub();
    ck_assert(body_has("\"values\":3"));
    ck_assert(body_has("\"damaged\":0"));
    ck_assert(value_is("/sv00/aa/bb/plain", "plain", 5));
    end();
}
END_TEST

/* --- Disks that fail --- */

static ino_t inode_of(const char *path)
{
    char full[400];
    struct stat st;
    full_path(path, full);
    ck_assert_int_eq(stat(full, &st), 0);
    return st.st_ino;
}

/* A value that cannot be read is damaged, and its disk is not trusted with writes any more. */
START_TEST(test_unreadable)
{
    master_start();
    begin(master.option);
    faults.unreadable = inode_of(bad);
    scrub();
    ck_assert(body_has("\"damaged\":1"));
    ck_assert(!is_there(bad));
    ck_assert_uint_eq(in_quarantine("aa%bb%bad"), 1);
    wait_for(was_told, "the report");
    ck_assert(state_is("read-only"));
    ck_assert(value_is(good, value, sizeof value));
    end();
    master_stop();
}
END_TEST

/* What the volume may not open says nothing of the disk: it stays, and so does the disk. */
START_TEST(test_not_ours_to_open)
{
    begin(NULL);
    faults.locked = "aa/bb/bad";
    scrub();
    ck_assert(body_has("\"damaged\":0"));
    ck_assert(body_has("\"values\":1"));
    ck_assert(is_there(bad));
    ck_assert(state_is("up"));
    end();
}
END_TEST

/* Where the disk takes no writes any more, the value stays, and is told all the same. */
START_TEST(test_damage_on_a_read_only_disk)
{
    master_start();
    begin(master.option);
    faults_arm(FAULT_ERROR, EIO, 1);
    ck_assert_int_eq(ask("PUT", "/sv00/aa/bb/c", value, sizeof value, NULL), 500);
    faults_disarm();
    ck_assert(state_is("read-only"));
    flip_a_bit(bad);
    scrub();
    ck_assert(body_has("\"damaged\":1"));
    ck_assert(is_there(bad));
    wait_for(was_told, "the report");
    /* After a restart it is found again, and set aside. */
    restart(master.option);
    scrub();
    ck_assert(!is_there(bad));
    end();
    master_stop();
}
END_TEST

/* Every call of a round fails once. One in eight reads beside the page cache, as a volume does: for
 * the others that is only waiting for a disk. */
static bool try_fault(int err, unsigned k)
{
    through_cache = k % 8 != 0;
    begin(NULL);
    flip_a_bit(bad);
    faults_arm(FAULT_ERROR, err, k);
    scrub();
    faults_disarm();
    bool fired = faults.failed[0] != 0;
    ck_assert_msg(is_there(good), "%s: a good value is gone", faults.failed);
    ck_assert_msg(is_there(bad) != (in_quarantine("aa%bb%bad") == 1), "%s: lost, or there twice",
                  faults.failed);
    ck_assert_msg(is_there(bad) || in_quarantine(".untold") == 1, "%s: nobody knows of it",
                  faults.failed);
    ck_assert_msg(faults.open_files == 0, "%s: %d files are left open", faults.failed,
                  faults.open_files);
    ck_assert_msg(is_there(bad) || faults.dirty_count == 0 || state_is("read-only"),
                  "%s: not durable", faults.failed);
    restart(NULL);
    scrub();
    ck_assert_msg(!is_there(bad) && in_quarantine("aa%bb%bad") == 1, "%s", faults.failed);
    ck_assert(value_is(good, value, sizeof value));
    end();
    return fired;
}

START_TEST(test_every_call_fails_once)
{
    static const int errors[] = {EIO, ENOSPC};
    unsigned k = 1;
    unsigned step = _i == 0 ? 1 : 3; /* where a call fails matters more than how */
    while (k < MANY_CALLS && try_fault(errors[_i], k))
        k += step;
    through_cache = false;
    ck_assert_msg(k > 30 && k < MANY_CALLS, "%u calls", k);
}
END_TEST

/* --- Masters that are away, and crashes --- */

START_TEST(test_told_after_a_restart)
{
    master_start();
    master.answer = 503;
    begin(master.option);
    flip_a_bit(bad);
    scrub();
    ck_assert(!is_there(bad));
    ck_assert_uint_eq(in_quarantine(".untold"), 1);
    volume_stop();
    ck_assert(!was_told());
    master.answer = 204;
    volume_start_with(&twin, master.option);
    wait_for(was_told, "the report");
    ck_assert_ptr_nonnull(strstr(master.last, "aa/bb/bad"));
    wait_for(is_marked, "the mark");
    end();
    master_stop();
}
END_TEST

START_TEST(test_told_when_the_master_is_back)
{
    master_start();
    master.answer = 503;
    begin(master.option);
    flip_a_bit(bad);
    scrub();
    master.answer = 204;
    wait_for(was_told, "the report");
    end();
    master_stop();
}
END_TEST

/* Killed between the note and the move: the value is examined at the next start. */
START_TEST(test_crash_before_the_move)
{
    char full[400];
    master_start();
    begin(master.option);
    volume_stop();
    flip_a_bit(bad);
    full_path("/sv00/.larder/quarantine", full);
    ck_assert_int_eq(mkdir(full, 0755), 0);
    full_path("/sv00/.larder/quarantine/018-0.untold", full);
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("{\"path\": \"aa/bb/bad\"}\n", file);
    (void)fclose(file);
    volume_start_with(&twin, master.option);
    wait_for(bad_is_gone, "the quarantine");
    wait_for(was_told, "the report");
    wait_for(is_marked, "the mark");
    ck_assert_uint_eq(in_quarantine("018-0"), 0);
    end();
    master_stop();
}
END_TEST

int main(void)
{
    if (!http_client_global_init())
        return 1;
    Suite *suite = suite_create("volume scrub faults");
    TCase *tcase = tcase_create("scrub");
    tcase_set_timeout(tcase, 110);
    tcase_add_loop_test(tcase, test_found_and_told, 0, 2);
    tcase_add_test(tcase, test_get_of_a_short_value);
    tcase_add_test(tcase, test_plain_files_are_left_alone);
    tcase_add_test(tcase, test_unreadable);
    tcase_add_test(tcase, test_not_ours_to_open);
    tcase_add_test(tcase, test_damage_on_a_read_only_disk);
    tcase_add_loop_test(tcase, test_every_call_fails_once, 0, 2);
    tcase_add_test(tcase, test_told_after_a_restart);
    tcase_add_test(tcase, test_told_when_the_master_is_back);
    tcase_add_test(tcase, test_crash_before_the_move);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
