/*
 * A reader who goes while a large value is read to its end before anything is sent, because there
 * is no room for it to be sent as it is read: it is not read on for nobody.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/flow/volume_fixture.h"

struct room;

enum { MIB = 1024 * 1024, LARGE = 3 * MIB + 17, DEADLINE_MS = 20000 };

static char value[LARGE];

static atomic_bool no_room, holds, is_held, let_go;
static atomic_uint reads;

bool __real_room_take(struct room *room, size_t bytes);
bool __wrap_room_take(struct room *room, size_t bytes);
bool __wrap_room_take(struct room *room, size_t bytes)
{
    return !atomic_load(&no_room) && __real_room_take(room, bytes);
}

static void wait_until(atomic_bool *flag)
{
    for (int ms = 0; ms < DEADLINE_MS && !atomic_load(flag); ms++)
        (void)usleep(1000);
    ck_assert(atomic_load(flag));
}

static ssize_t holding_read(int fd, void *to, size_t len, uint64_t offset)
{
    unsigned number = atomic_fetch_add(&reads, 1);
    if (atomic_load(&holds) && number == 2) {
        atomic_store(&is_held, true);
        wait_until(&let_go);
    }
    return disk_real.read(fd, to, len, offset);
}

/* Asks for the value, and leaves in the midst of its being read: with a reset, or, where it is
 * `orderly`, by a shutdown of its sending side only; that one waits for its answer. */
static size_t ask_and_leave(bool orderly)
{
    static const char request[] = "GET /sv00/aa/bb/value HTTP/1.1\r\nHost: h\r\n\r\n";
    static char answer[MIB];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server_port(volume))};
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    size_t got = 0;
    ssize_t n = 0;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_eq(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    wait_until(&is_held);
    if (orderly)
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    else
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    if (!orderly)
        (void)close(fd);
    atomic_store(&let_go, true);
    while (orderly && (n = recv(fd, answer, sizeof answer, 0)) > 0) {
        got += (size_t)n;
        if (got > LARGE) /* the head and the value: the connection stays open */
            break;
    }
    if (orderly)
        (void)close(fd);
    return got;
}

/* Its ctime changes, so it has to be verified again. */
static void forget_trust(void)
{
    char full[400];
    (void)snprintf(full, sizeof full, "%s/sv00/aa/bb/value", volume_dir);
    ck_assert_int_eq(chmod(full, 0600), 0);
}

/* One that has only closed its side wants its answer. */
START_TEST(test_not_read_on_for_nobody)
{
    struct disk disk = disk_real;
    disk.read = holding_read;
    volume_make_dir();
    volume_start(&disk);
    ck_assert_int_eq(ask("PUT", "/sv00/aa/bb/value", value, LARGE, NULL), 201);
    forget_trust();
    atomic_store(&no_room, true);
    atomic_store(&holds, true);
    atomic_store(&reads, 0);
    size_t got = ask_and_leave(_i == 1);
    volume_stop(); /* what is under way has come to its end */
    if (_i == 1)
        ck_assert_uint_gt(got, LARGE); /* head and value */
    else
        ck_assert_uint_le(atomic_load(&reads), 4); /* of thirteen */
    volume_remove_dir();
}
END_TEST

int main(void)
{
    if (!http_client_global_init())
        return 1;
    static const TTest *none[1];
    Suite *suite = suite_create("volume get gone");
    tcase_add_loop_test(suite_case(suite, "gone", none), test_not_read_on_for_nobody, 0, 2);
    return suite_run(suite);
}
