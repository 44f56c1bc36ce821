/*
 * A bare LevelDB, with records as an index has them: what the master's index can do at best.
 *
 * Usage: common_ldbloop DIR KEYS THREADS SECONDS get|put|putsync
 * Makes the database where it is missing, with KEYS keys. Prints {"operations":N,"seconds":S}.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/ldb.h"
#include "tests/bench/bench.h"

enum { THREADS_MAX = 64, FILL_BATCH = 1000 };

/* As long as a record with three copies is. */
static const char value[] = "HASHd41d8cd98f00b204e9800998ecf8427e127.0.0.1:3001/sv01,"
                            "127.0.0.1:3002/sv02,127.0.0.1:3003/sv03";

/* The same for all threads. */
static struct {
    struct ldb *db;
    uint64_t keys;
    double seconds;
    bool put, sync;
    double start;
} job;

struct looper {
    pthread_t thread;
    uint64_t random; /* next_random()'s */
    uint64_t operations;
    bool failed;
};

static size_t key_of(uint64_t number, char key[64])
{
    return (size_t)snprintf(key, 64, "/bench/%010llu", (unsigned long long)number);
}

static bool fill(void)
{
    char key[64];
    struct ldb_batch *batch = ldb_batch_new();
    bool good = batch != NULL;
    for (uint64_t i = 0; good && i < job.keys; i++) {
        size_t len = key_of(i, key);
        ldb_batch_put(batch, key, len, value, sizeof value - 1);
        if (i % FILL_BATCH == FILL_BATCH - 1 || i + 1 == job.keys) {
            good = ldb_write(job.db, batch, false, NULL) == ST_OK;
            ldb_batch_clear(batch);
        }
    }
    ldb_batch_free(batch);
    return good;
}

static bool put_one(struct ldb_batch *batch, const char *key, size_t len)
{
    ldb_batch_clear(batch);
    ldb_batch_put(batch, key, len, value, sizeof value - 1);
    return ldb_write(job.db, batch, job.sync, NULL) == ST_OK;
}

static void *work(void *arg)
{
    struct looper *looper = arg;
    struct ldb_batch *batch = ldb_batch_new();
    struct buf found = BUF_INIT;
    char key[64];
    looper->failed = batch == NULL;
    while (!looper->failed && now() - job.start < job.seconds) {
        size_t len = key_of(next_random(&looper->random) % job.keys, key);
        buf_clear(&found);
        bool good = job.put ? put_one(batch, key, len)
                            : ldb_get(job.db, key, len, &found) == ST_OK && buf_ok(&found);
        looper->failed = !good;
        looper->operations++;
    }
    buf_free(&found);
    ldb_batch_free(batch);
    return NULL;
}

static bool run(unsigned threads)
{
    static struct looper loopers[THREADS_MAX];
    uint64_t operations = 0;
    unsigned started = 0;
    bool failed = false;
    job.start = now();
    for (; started < threads && !failed; started++) {
        loopers[started].random = RANDOM_SEED + started;
        failed = pthread_create(&loopers[started].thread, NULL, work, &loopers[started]) != 0;
    }
    for (unsigned i = 0; i < started - failed; i++) {
        (void)pthread_join(loopers[i].thread, NULL);
        operations += loopers[i].operations;
        failed = failed || loopers[i].failed;
    }
    if (!failed)
        (void)printf("{\"operations\":%llu,\"seconds\":%.6f}\n", (unsigned long long)operations,
                     now() - job.start);
    return !failed;
}

int main(int argc, char **argv)
{
    unsigned long threads = argc == 6 ? strtoul(argv[3], NULL, 10) : 0;
    job.keys = argc == 6 ? strtoull(argv[2], NULL, 10) : 0;
    if (threads < 1 || threads > THREADS_MAX || !job.keys) {
        (void)fprintf(stderr, "Usage: common_ldbloop DIR KEYS THREADS SECONDS get|put|putsync\n");
        return 2;
    }
    job.seconds = strtod(argv[4], NULL);
    job.put = argv[5][0] == 'p';
    job.sync = strcmp(argv[5], "putsync") == 0;
    const struct ldb_options options = {.create = true, .cache_bytes = (size_t)64 << 20};
    struct buf found = BUF_INIT;
    char first[64];
    size_t len = key_of(0, first);
    char *error = NULL;
    if (ldb_open(&job.db, argv[1], &options, &error)) {
        (void)fprintf(stderr, "common_ldbloop: %s\n", error ? error : "cannot open the database");
        free(error);
        return 1;
    }
    bool good = ldb_get(job.db, first, len, &found) != ST_NOT_FOUND || fill();
    good = good && run((unsigned)threads);
    if (!good)
        (void)fprintf(stderr, "common_ldbloop: an operation on %s failed\n", argv[1]);
    buf_free(&found);
    ldb_close(job.db);
    return !good;
}
