/*
 * What the disk does by itself: threads that each write new files, and sync each of them or not.
 * The limit of what a store on it can do.
 *
 * Usage: common_rawdisk DIR BYTES THREADS SECONDS FILES sync|none
 * Each thread ends after SECONDS, or after FILES files (0: no such bound), whichever is first.
 * Prints {"files":N,"bytes":N,"seconds":S}. The files stay; the caller removes DIR.
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
#include <unistd.h>

#include "tests/bench/bench.h"

enum { PIECE = 1024 * 1024, THREADS_MAX = 256 };

/* The same for all threads. */
static struct {
    const char *dir;
    uint64_t bytes; /* of a file */
    double seconds; /* a thread begins no file after them */
    uint64_t files; /* of a thread at most; 0: no bound */
    bool sync;
    double start;
    char piece[PIECE]; /* what is written, again and again */
} job;

struct writer {
    pthread_t thread;
    uint64_t files;
    unsigned number;
    int err; /* errno of what failed, 0 */
};

static int write_all(int fd)
{
    for (uint64_t left = job.bytes; left;) {
        ssize_t n = write(fd, job.piece, left < PIECE ? (size_t)left : PIECE);
        if (n < 0)
            return errno;
        left -= (uint64_t)n;
    }
    return job.sync && fsync(fd) != 0 ? errno : 0;
}

static int write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno;
    int err = write_all(fd);
    if (close(fd) != 0 && !err)
        err = errno;
    return err;
}

/* Each thread has a directory, as the places of a store have: one alone would be what all wait for.
 */
static void *work(void *arg)
{
    struct writer *writer = arg;
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%u", job.dir, writer->number);
    if (mkdir(path, 0755) != 0)
        writer->err = errno;
    while (!writer->err && (!job.files || writer->files < job.files) &&
           now() - job.start < job.seconds) {
        (void)snprintf(path, sizeof path, "%s/%u/%llu", job.dir, writer->number,
                       (unsigned long long)writer->files);
        writer->err = write_file(path);
        writer->files += writer->err == 0;
    }
    return NULL;
}

/* Random, so that nothing between here and the disk makes it smaller. */
static void fill_piece(void)
{
    uint64_t state = RANDOM_SEED;
    for (size_t i = 0; i < PIECE; i += sizeof state) {
        uint64_t word = next_random(&state);
        memcpy(job.piece + i, &word, sizeof word);
    }
}

static int run(struct writer *writers, unsigned threads)
{
    uint64_t files = 0;
    int err = 0;
    unsigned started = 0;
    job.start = now();
    for (; started < threads && !err; started++) {
        writers[started].number = started;
        err = pthread_create(&writers[started].thread, NULL, work, &writers[started]);
    }
    for (unsigned i = 0; i < started - (err != 0); i++) {
        (void)pthread_join(writers[i].thread, NULL);
        files += writers[i].files;
        err = writers[i].err ? writers[i].err : err;
    }
    if (err)
        (void)fprintf(stderr, "common_rawdisk: writing below %s: %s\n", job.dir, strerror(err));
    else
        (void)printf("{\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.6f}\n", files,
                     files * job.bytes, now() - job.start);
    return err != 0;
}

int main(int argc, char **argv)
{
    static struct writer writers[THREADS_MAX];
    unsigned long threads = argc == 7 ? strtoul(argv[3], NULL, 10) : 0;
    if (threads < 1 || threads > THREADS_MAX) {
        (void)fprintf(stderr, "Usage: common_rawdisk DIR BYTES THREADS SECONDS FILES sync|none\n");
        return 2;
    }
    job.dir = argv[1];
    job.bytes = strtoull(argv[2], NULL, 10);
    job.seconds = strtod(argv[4], NULL);
    job.files = strtoull(argv[5], NULL, 10);
    job.sync = strcmp(argv[6], "sync") == 0;
    fill_piece();
    return run(writers, (unsigned)threads);
}
