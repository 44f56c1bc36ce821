#include "volume/pulls.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/options.h"
#include "common/pool.h"

/* THREADS: a copy's cost is a core's share of hashing and writing, and one fsync's wait, so more
 * would only take memory (1 MiB each). WAITING: a master that is told to come again copies by
 * itself, sooner than a long queue would. */
enum { THREADS = 16, WAITING = 64, TRUSTED = 16, ADDRESS_SIZE = 64 };

struct pulls {
    struct pool *pool;
    pthread_mutex_t lock; /* guards the rest; held for a few instructions only */
    bool stopped;
    struct pulls_entry *first;
    char trusted[TRUSTED][ADDRESS_SIZE]; /* addresses without port; "": free */
    unsigned fixed;                      /* so many of them, the first, are those of --master */
    unsigned next;                       /* of the others, to be overwritten */
};

/* With the lock held, or before anybody else knows `pulls`. */
static void remember(struct pulls *pulls, const char *address)
{
    for (size_t i = 0; i < TRUSTED; i++)
        if (strcmp(pulls->trusted[i], address) == 0)
            return;
    char *to = pulls->trusted[pulls->fixed + pulls->next++ % (TRUSTED - pulls->fixed)];
    (void)snprintf(to, ADDRESS_SIZE, "%s", address);
}

/* Without port and brackets, as getnameinfo() writes it. False: that is no address. */
static bool cut_address(const char *peer, char address[ADDRESS_SIZE])
{
    const char *colon = strrchr(peer, ':');
    size_t len = colon ? (size_t)(colon - peer) : 0;
    if (len > 1 && peer[0] == '[' && peer[len - 1] == ']') {
        peer++;
        len -= 2;
    }
    static const char mapped[] = "::ffff:"; /* an IPv4 peer of a socket that listens on '::' */
    if (len > sizeof mapped && !strncmp(peer, mapped, sizeof mapped - 1) &&
        memchr(peer, '.', len)) {
        peer += sizeof mapped - 1;
        len -= sizeof mapped - 1;
    }
    if (len == 0 || len >= ADDRESS_SIZE)
        return false;
    memcpy(address, peer, len);
    address[len] = 0;
    return true;
}

/* A name that cannot be resolved now is no reason not to start: its master tells the volume's name
 * some time, and is known from then on. */
static void remember_master(struct pulls *pulls, const char *master)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    char host[256];
    char address[ADDRESS_SIZE];
    size_t len = strcspn(master, "/");
    if (len >= sizeof host)
        return;
    memcpy(host, master, len);
    host[len] = 0;
    char *colon = strrchr(host, ':');
    char *bracket = strrchr(host, ']');
    if (colon && (!bracket || colon > bracket))
        *colon = 0;
    if (bracket)
        *bracket = 0;
    if (getaddrinfo(host + (bracket != NULL), NULL, &hints, &list))
        return;
    for (const struct addrinfo *at = list; at; at = at->ai_next)
        if (!getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0,
                         NI_NUMERICHOST))
            remember(pulls, address);
    freeaddrinfo(list);
}

struct pulls *pulls_new(const struct option_list *masters)
{
    struct pulls *pulls = calloc(1, sizeof *pulls);
    if (!pulls)
        return NULL;
    if (pthread_mutex_init(&pulls->lock, NULL))
        goto no_lock;
    pulls->pool = pool_new(THREADS, WAITING);
    if (!pulls->pool)
        goto no_pool;
    for (size_t i = 0; i < masters->count; i++)
        remember_master(pulls, masters->items[i]);
    /* At least half of the room is for those that tell a name: they may come and go. */
    pulls->fixed = pulls->next < TRUSTED / 2 ? pulls->next : TRUSTED / 2;
    pulls->next = 0;
    return pulls;

no_pool:
    (void)pthread_mutex_destroy(&pulls->lock);
no_lock:
    free(pulls);
    return NULL;
}

void pulls_free(struct pulls *pulls)
{
    if (!pulls)
        return;
    pulls_stop(pulls);
    pool_free(pulls->pool);
    (void)pthread_mutex_destroy(&pulls->lock);
    free(pulls);
}

void pulls_stop(struct pulls *pulls)
{
    (void)pthread_mutex_lock(&pulls->lock);
    pulls->stopped = true;
    (void)pthread_mutex_unlock(&pulls->lock);
}

struct pool *pulls_pool(struct pulls *pulls)
{
    return pulls->pool;
}

void pulls_trust(struct pulls *pulls, const char *peer)
{
    char address[ADDRESS_SIZE];
    if (!cut_address(peer, address))
        return;
    (void)pthread_mutex_lock(&pulls->lock);
    remember(pulls, address);
    (void)pthread_mutex_unlock(&pulls->lock);
}

bool pulls_trusts(struct pulls *pulls, const char *peer)
{
    char address[ADDRESS_SIZE];
    bool found = false;
    if (!cut_address(peer, address))
        return false;
    (void)pthread_mutex_lock(&pulls->lock);
    for (size_t i = 0; i < TRUSTED && !found; i++)
        found = strcmp(pulls->trusted[i], address) == 0;
    (void)pthread_mutex_unlock(&pulls->lock);
    return found;
}

void pulls_add(struct pulls *pulls, struct pulls_entry *entry)
{
    (void)pthread_mutex_lock(&pulls->lock);
    entry->state = PULLS_RUNS;
    entry->next = pulls->first;
    pulls->first = entry;
    (void)pthread_mutex_unlock(&pulls->lock);
}

void pulls_remove(struct pulls *pulls, struct pulls_entry *entry)
{
    (void)pthread_mutex_lock(&pulls->lock);
    struct pulls_entry **at = &pulls->first;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    (void)pthread_mutex_unlock(&pulls->lock);
}

bool pulls_goes_on(struct pulls *pulls, const struct pulls_entry *entry)
{
    (void)pthread_mutex_lock(&pulls->lock);
    bool on = !pulls->stopped && entry->state != PULLS_GIVEN_UP;
    (void)pthread_mutex_unlock(&pulls->lock);
    return on;
}

bool pulls_finish(struct pulls *pulls, struct pulls_entry *entry)
{
    (void)pthread_mutex_lock(&pulls->lock);
    bool on = !pulls->stopped && entry->state == PULLS_RUNS;
    if (on)
        entry->state = PULLS_FINISHING;
    (void)pthread_mutex_unlock(&pulls->lock);
    return on;
}

bool pulls_give_up(struct pulls *pulls, unsigned subvolume, const char *file)
{
    bool gone = true;
    (void)pthread_mutex_lock(&pulls->lock);
    for (struct pulls_entry *at = pulls->first; at; at = at->next) {
        if (at->subvolume != subvolume || strcmp(at->file, file) != 0)
            continue;
        if (at->state == PULLS_RUNS)
            at->state = PULLS_GIVEN_UP;
        gone = gone && at->state == PULLS_GIVEN_UP;
    }
    (void)pthread_mutex_unlock(&pulls->lock);
    return gone;
}
