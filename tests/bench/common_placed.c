/*
 * What the file system does by itself of what a store asks of it: threads that each stand for a
 * volume and leave files as one does. A temp file, its bytes, three attributes, a rename into
 * aa/bb of one of ten directories, made where missing. With "sync" BATCH of them share a syncfs
 * before the renames, and one behind. Nothing is sent, hashed or kept of them, so no store whose
 * values are files at such places can be faster.
 *
 * Usage: common_placed DIR BYTES THREADS SECONDS sync|none
 * Prints {"files":N,"seconds":S}. The files stay; the caller removes DIR.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { THREADS_MAX = 64, DISKS = 10, BATCH = 64, BYTES_MAX = 1024 * 1024, PATH = 128 };

/* The same for all threads. */
static struct {
    int root;
    size_t bytes;
    double seconds, start;
    bool sync;
    char body[BYTES_MAX];
} job;

struct volume {
    pthread_t thread;
    uint64_t files;
    uint64_t random;
    unsigned number;
    int err; /* errno of what failed, 0 */
    char temp[BATCH][PATH], place[BATCH][PATH];
};

static int make_temp_directories(const struct volume *v)
{
    char path[PATH];
    (void)snprintf(path, sizeof path, "v%u", v->number);
    int failed = mkdirat(job.root, path, 0755);
    for (unsigned i = 0; i < DISKS && !failed; i++) {
        (void)snprintf(path, sizeof path, "v%u/sv%02u", v->number, i);
        failed = mkdirat(job.root, path, 0755);
        (void)snprintf(path, sizeof path, "v%u/sv%02u/tmp", v->number, i);
        failed = failed || mkdirat(job.root, path, 0755);
    }
    return failed ? errno : 0;
}

static int write_temp(struct volume *v, unsigned i)
{
    static const char md5[] = "2063c1608d6e0baf80249c42e2be5804";
    uint64_t n = next_random(&v->random);
    unsigned disk = (unsigned)(n >> 20) % DISKS;
    (void)snprintf(v->temp[i], PATH, "v%u/sv%02u/tmp/%" PRIx64, v->number, disk, v->files + i);
    (void)snprintf(v->place[i], PATH, "v%u/sv%02u/%02x/%02x/L2JlbmNoLz%010" PRIu64 "=", v->number,
                   disk, (unsigned)n & 255, (unsigned)(n >> 8) & 255, v->files + i);
    int fd = openat(job.root, v->temp[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno;
    bool failed = write(fd, job.body, job.bytes) != (ssize_t)job.bytes ||
                  fsetxattr(fd, "user.larder.size", "1024", 4, 0) ||
                  fsetxattr(fd, "user.larder.created", "1795283437740", 13, 0) ||
                  fsetxattr(fd, "user.larder.md5", md5, sizeof md5 - 1, 0);
    int err = failed ? errno : 0;
    (void)close(fd);
    return err;
}

/* The directories are made when they are missed. */
static int place(struct volume *v, unsigned i)
{
    char path[PATH];
    if (renameat(job.root, v->temp[i], job.root, v->place[i]) == 0)
        return 0;
    (void)snprintf(path, sizeof path, "%s", v->place[i]);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    if (mkdirat(job.root, path, 0755) && errno == ENOENT) {
        char *above = strrchr(path, '/');
        *above = '\0';
        (void)mkdirat(job.root, path, 0755); /* the rename tells */
        *above = '/';
        (void)mkdirat(job.root, path, 0755);
    }
    return renameat(job.root, v->temp[i], job.root, v->place[i]) ? errno : 0;
}

static int sync_all(void)
{
    return job.sync && syncfs(job.root) ? errno : 0;
}

static int write_batch(struct volume *v)
{
    int err = 0;
    for (unsigned i = 0; i < BATCH && !err; i++)
        err = write_temp(v, i);
    err = err ? err : sync_all();
    for (unsigned i = 0; i < BATCH && !err; i++)
        err = place(v, i);
    err = err ? err : sync_all();
    v->files += BATCH;
    return err;
}

static void *work(void *arg)
{
    struct volume *v = arg;
    v->random = RANDOM_SEED + v->number * 7919ULL;
    v->err = make_temp_directories(v);
    while (!v->err && now() - job.start < job.seconds)
        v->err = write_batch(v);
    return NULL;
}

static int run(const char *dir, struct volume *volumes, unsigned threads)
{
    uint64_t files = 0;
    unsigned started = 0;
    int err = 0;
    job.start = now();
    for (; started < threads && !err; started += err == 0) {
        volumes[started].number = started;
        err = pthread_create(&volumes[started].thread, NULL, work, &volumes[started]);
    }
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(volumes[i].thread, NULL);
        files += volumes[i].files;
        err = volumes[i].err ? volumes[i].err : err;
    }
    if (err)
        (void)fprintf(stderr, "common_placed: writing below %s: %s\n", dir, strerror(err));
    else
        (void)printf("{\"files\":%" PRIu64 ",\"seconds\":%.6f}\n", files, now() - job.start);
    return err != 0;
}

int main(int argc, char **argv)
{
    static struct volume volumes[THREADS_MAX];
    unsigned long threads = argc == 6 ? strtoul(argv[3], NULL, 10) : 0;
    job.bytes = argc == 6 ? strtoul(argv[2], NULL, 10) : 0;
    if (threads < 1 || threads > THREADS_MAX || job.bytes > BYTES_MAX) {
        (void)fprintf(stderr, "Usage: common_placed DIR BYTES THREADS SECONDS sync|none\n");
        return 2;
    }
    job.root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (job.root < 0) {
        (void)fprintf(stderr, "common_placed: open %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    job.seconds = strtod(argv[4], NULL);
    job.sync = strcmp(argv[5], "sync") == 0;
    memset(job.body, 'x', sizeof job.body);
    int result = run(argv[1], volumes, (unsigned)threads);
    (void)close(job.root);
    return result;
}
