/*
 * A volume inside of the test's process, on a directory of its own, with the disk of
 * volume_faults.h; and a client that asks it.
 */
#ifndef LARDER_TESTS_FLOW_VOLUME_FIXTURE_H
#define LARDER_TESTS_FLOW_VOLUME_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/http_fetch.h"
#include "common/log.h"
#include "common/loop.h"
#include "tests/flow/volume_faults.h"
#include "tests/unit/suite.h"
#include "volume/config.h"
#include "volume/server.h"

/*
 * In the place of libc's: what the volume syncs beside its values (identities; all of a disk at its
 * first sight) is durable as far as these tests can see. A real disk that others use as well takes
 * a tenth of a second for each, and the tests start some hundred volumes. What must be asked to be
 * synced of values goes through that disk, which keeps count.
 */
int fsync(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

int syncfs(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

/* --- The volume --- */

static char volume_dir[64];
static struct config volume_config;
static struct server *volume;
static struct http_fetcher *fetcher;

static inline int remove_one(const char *path, const struct stat *st UNUSED, int flag UNUSED,
                             struct FTW *ftw UNUSED)
{
    return remove(path);
}

static inline void volume_make_dir(void)
{
    (void)snprintf(volume_dir, sizeof volume_dir, "/tmp/larder-volume-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(volume_dir));
}

static inline void volume_remove_dir(void)
{
    (void)nftw(volume_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Starts a volume on volume_dir; `master` is an option of it, or NULL. */
static inline void volume_start_with(const struct disk *disk, char *master)
{
    char *argv[] = {"larder-volume",     "--port=0",    "--dir",          volume_dir, "--threads=1",
                    "--pool-threads=16", "--reserve=0", "--scrub-days=0", master,     NULL};
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_level((enum log_level)(LOG_ERROR + 1)); /* faults are what these tests are about */
    ck_assert_int_eq(config_parse(&volume_config, master ? 9 : 8, argv), OPTIONS_OK);
    ck_assert_int_eq(server_start(&volume, &volume_config, disk), ST_OK);
    fetcher = http_fetcher_new();
    ck_assert_ptr_nonnull(fetcher);
}

static inline void volume_start(const struct disk *disk)
{
    volume_start_with(disk, NULL);
}

static inline void volume_stop(void)
{
    http_fetcher_free(fetcher);
    ck_assert(server_stop(volume, 10000));
    server_free(volume);
    config_free(&volume_config);
}

/* --- The client --- */

static bool in_chunks; /* bodies are sent without saying how long they are */

struct sending {
    const char *data;
    size_t len;
};

static inline size_t send_more(void *arg, char *to, size_t max)
{
    struct sending *sending = arg;
    size_t len = sending->len < max ? sending->len : max;
    memcpy(to, sending->data, len);
    sending->data += len;
    sending->len -= len;
    return len;
}

/* Asks; the status of the answer. `body` may be NULL; `field` is a further header, or NULL. */
static inline int ask(const char *method, const char *path, const char *body, size_t len,
                      const char *field)
{
    char url[512];
    struct sending sending = {body, len};
    const char *fields[] = {field, NULL};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", server_port(volume), path);
    struct http_call_spec spec = {.method = method,
                                  .url = url,
                                  .fields = fields,
                                  .has_body = body != NULL,
                                  .body_length = in_chunks ? -1 : (int64_t)len,
                                  .read = send_more,
                                  .arg = &sending,
                                  .timeout_ms = 20000};
    enum status st = http_fetch(fetcher, &spec);
    ck_assert_msg(st == ST_OK, "%s %s: %s", method, path, status_text(st));
    return http_fetch_status(fetcher);
}

static inline int ask_plain(const char *method, const char *path)
{
    return ask(method, path, NULL, 0, NULL);
}

/* True where the answer's body is exactly this. */
static inline bool body_is(const char *value, size_t len)
{
    size_t got;
    const char *body = http_fetch_body(fetcher, &got);
    return got == len && memcmp(body, value, len) == 0;
}

/* True where GET answers exactly this. */
static inline bool value_is(const char *path, const char *value, size_t len)
{
    return ask_plain("GET", path) == 200 && body_is(value, len);
}

/* True where the answer's body has this text. */
static inline bool body_has(const char *text)
{
    size_t len;
    const char *body = http_fetch_body(fetcher, &len);
    return memmem(body, len, text, strlen(text)) != NULL;
}

/* The state that health says sv00 is in. */
static inline bool state_is(const char *state)
{
    char text[64];
    ck_assert_int_eq(ask_plain("GET", "/admin/health"), 200);
    (void)snprintf(text, sizeof text, "\"sv00\":{\"state\":\"%s\"", state);
    return body_has(text);
}

/* Files below volume_dir/path, without those whose names begin with a dot. */
static inline unsigned files_in(const char *path)
{
    char full[256];
    unsigned count = 0;
    (void)snprintf(full, sizeof full, "%s/%s", volume_dir, path);
    DIR *dir = opendir(full);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    if (dir)
        (void)closedir(dir);
    return count;
}

enum { PATIENCE_MS = 20000 };

/* For what a thread of the volume, or of the test, is about to set. */
static inline void wait_until_set(atomic_bool *flag)
{
    uint64_t give_up = loop_now_ms() + PATIENCE_MS;
    while (!atomic_load(flag)) {
        ck_assert_msg(loop_now_ms() < give_up, "it never happened");
        (void)usleep(1000);
    }
}

#endif
