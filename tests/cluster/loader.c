/*
 * Clients in C, for tests that measure: those in Python would take the processors for themselves.
 * Usage: loader put URL COUNT SIZE THREADS     puts /load/0 … /load/COUNT-1, each of SIZE bytes
 *        loader get URL COUNT SECONDS THREADS  gets them at random, the value from its volume too
 * Prints "DONE FAILED": how many requests of either kind there were.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_fetch.h"
#include "common/loop.h"

enum { THREADS_MAX = 64, REDIRECTS_MAX = 4, TIMEOUT_MS = 60000 };

static struct {
    const char *url;
    unsigned long count, size;
    uint64_t until_ms;
    char *value; /* the same bytes for all, but for the number at their beginning */
} load;
static _Atomic unsigned long next_key, done, failed;

/* --- put --- */

struct body {
    char head[24];
    size_t at;
};

static size_t read_body(void *arg, char *to, size_t max)
{
    struct body *body = arg;
    size_t n = load.size - body->at < max ? load.size - body->at : max;
    memcpy(to, load.value + body->at, n);
    if (body->at == 0 && n >= sizeof body->head)
        memcpy(to, body->head, sizeof body->head);
    body->at += n;
    return n;
}

static void put_one(struct http_fetcher *fetcher, unsigned long key)
{
    char url[256];
    struct body body = {.at = 0};
    (void)snprintf(body.head, sizeof body.head, "%020lu", key);
    (void)snprintf(url, sizeof url, "%s/load/%lu", load.url, key);
    const struct http_call_spec spec = {.method = "PUT",
                                        .url = url,
                                        .has_body = true,
                                        .body_length = (int64_t)load.size,
                                        .read = read_body,
                                        .arg = &body,
                                        .timeout_ms = TIMEOUT_MS};
    bool good = http_fetch(fetcher, &spec) == ST_OK && http_fetch_status(fetcher) == 201;
    atomic_fetch_add(good ? &done : &failed, 1);
}

static void *put_all(void *arg)
{
    unsigned long key;
    while ((key = atomic_fetch_add(&next_key, 1)) < load.count)
        put_one(arg, key);
    return NULL;
}

/* --- get --- */

static bool drop(void *arg, const char *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return true;
}

/* As a client that follows redirects: from the master to a volume, and perhaps back. */
static bool get_one(struct http_fetcher *fetcher, unsigned long key)
{
    char url[2048];
    (void)snprintf(url, sizeof url, "%s/load/%lu", load.url, key);
    for (int i = 0; i < REDIRECTS_MAX; i++) {
        const struct http_call_spec spec = {
            .method = "GET", .url = url, .write = drop, .timeout_ms = TIMEOUT_MS};
        if (http_fetch(fetcher, &spec))
            return false;
        const char *location = http_fetch_field(fetcher, "Location");
        if (http_fetch_status(fetcher) != 302 || !location)
            return http_fetch_status(fetcher) == 200;
        (void)snprintf(url, sizeof url, "%s", location);
    }
    return false;
}

static void *get_some(void *arg)
{
    unsigned seed = (unsigned)atomic_fetch_add(&next_key, 1) + 1;
    while (loop_now_ms() < load.until_ms)
        atomic_fetch_add(get_one(arg, (unsigned)rand_r(&seed) % load.count) ? &done : &failed, 1);
    return NULL;
}

static int run(void *(*work)(void *arg), unsigned threads)
{
    pthread_t ids[THREADS_MAX];
    struct http_fetcher *fetchers[THREADS_MAX];
    for (unsigned i = 0; i < threads; i++)
        if (!(fetchers[i] = http_fetcher_new()) ||
            pthread_create(&ids[i], NULL, work, fetchers[i])) {
            (void)fprintf(stderr, "loader: no thread\n");
            return 1;
        }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        http_fetcher_free(fetchers[i]);
    }
    (void)printf("%lu %lu\n", (unsigned long)done, (unsigned long)failed);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long number[3] = {0};
    for (int i = 3; i < argc && i < 6; i++)
        number[i - 3] = strtoul(argv[i], NULL, 10);
    if (argc != 6 || !number[0] || !number[2] || number[2] > THREADS_MAX ||
        !http_client_global_init()) {
        (void)fprintf(stderr, "Usage: loader put|get URL COUNT SIZE|SECONDS THREADS\n");
        return 2;
    }
    bool puts = strcmp(argv[1], "put") == 0;
    load.url = argv[2];
    load.count = number[0];
    load.size = puts ? number[1] : 0;
    load.until_ms = loop_now_ms() + 1000 * number[1];
    load.value = malloc(load.size + 1);
    if (!load.value)
        return 1;
    for (size_t i = 0; i < load.size; i++)
        load.value[i] = (char)(i * 2654435761U >> 13);
    int status = run(puts ? put_all : get_some, (unsigned)number[2]);
    free(load.value);
    return status;
}
