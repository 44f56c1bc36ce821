#include "volume/pulls.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/log.h"
#include "common/options.h"
#include "common/pool.h"
#include "volume/gate.h"
#include "volume/path.h"

/* THREADS: a copy's cost is a core's share of hashing and writing, and one fsync's wait, so more
 * would only take memory (1 MiB each). WAITING: a master that is told to come again copies by
 * itself, sooner than a long queue would. INSIDE: so many of them one disk may have. */
enum {
    THREADS = 16,
    INSIDE = THREADS - THREADS / 4,
    WAITING = 64,
    TRUSTED = 16,
    ADDRESS_SIZE = 64
};

#define FILE_NAME "master"

struct pulls {
    struct pool *pool;
    struct gates *gates;  /* the ways into it, one a subvolume */
    pthread_mutex_t lock; /* guards the rest; held for a few instructions only */
    bool stopped;
    struct pulls_entry *first;
    char trusted[TRUSTED][ADDRESS_SIZE]; /* addresses without port; "": free */
    unsigned next;                       /* of them, to be overwritten */
    const struct option_list *masters;   /* the caller's */
    int dir_fd;                          /* the caller's */
    pthread_mutex_t keeping;             /* held while the file is read or written */
    bool kept;                           /* somebody is trusted for ever */
};

static bool knows(const struct pulls *pulls, const char *address)
{
    for (size_t i = 0; i < TRUSTED; i++)
        if (strcmp(pulls->trusted[i], address) == 0)
            return true;
    return false;
}

/* In the place of the one that came longest ago: a master's addresses may change. */
static void remember(struct pulls *pulls, const char *address)
{
    (void)pthread_mutex_lock(&pulls->lock);
    if (!knows(pulls, address))
        (void)snprintf(pulls->trusted[pulls->next++ % TRUSTED], ADDRESS_SIZE, "%s", address);
    (void)pthread_mutex_unlock(&pulls->lock);
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

/* A name that cannot be resolved now is no reason not to start: it is tried again when somebody
 * tells the volume's name, as masters do. */
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

static void remember_masters(struct pulls *pulls)
{
    for (size_t i = 0; i < pulls->masters->count; i++)
        remember_master(pulls, pulls->masters->items[i]);
}

/* The one that was the first, in an earlier life of this volume. What is no address trusts nobody.
 */
static void read_kept(struct pulls *pulls)
{
    struct buf text = BUF_INIT;
    enum status st = durable_read(pulls->dir_fd, FILE_NAME, &text);
    size_t len = strcspn(buf_text(&text), "\n");
    if (!st && len > 0 && len < ADDRESS_SIZE) {
        buf_truncate(&text, len);
        remember(pulls, buf_text(&text));
        pulls->kept = true;
    } else if (st != ST_NOT_FOUND) {
        log_event(LOG_WARN, "pull", "doing=\"read .larder/%s\" error=\"%s\"", FILE_NAME,
                  status_text(st ? st : ST_CORRUPT));
    }
    buf_free(&text);
}

static enum status make_threads(struct pulls *pulls)
{
    pulls->pool = pool_new(THREADS, WAITING);
    if (pulls->pool)
        pulls->gates = gates_new(pulls->pool, PATH_SUBVOLUMES, INSIDE, WAITING);
    return pulls->gates ? ST_OK : ST_NO_MEMORY;
}

struct pulls *pulls_new(const struct option_list *masters, int dir_fd)
{
    struct pulls *pulls = calloc(1, sizeof *pulls);
    if (!pulls)
        return NULL;
    (void)pthread_mutex_init(&pulls->lock, NULL);
    (void)pthread_mutex_init(&pulls->keeping, NULL);
    pulls->masters = masters;
    pulls->dir_fd = dir_fd;
    if (make_threads(pulls)) {
        pulls_free(pulls);
        return NULL;
    }
    if (masters->count)
        remember_masters(pulls);
    else
        read_kept(pulls);
    return pulls;
}

void pulls_free(struct pulls *pulls)
{
    if (!pulls)
        return;
    pulls_stop(pulls);
    pool_free(pulls->pool);
    gates_free(pulls->gates);
    (void)pthread_mutex_destroy(&pulls->keeping);
    (void)pthread_mutex_destroy(&pulls->lock);
    free(pulls);
}

void pulls_stop(struct pulls *pulls)
{
    (void)pthread_mutex_lock(&pulls->lock);
    pulls->stopped = true;
    (void)pthread_mutex_unlock(&pulls->lock);
}

bool pulls_submit(struct pulls *pulls, unsigned subvolume, struct gate_job *job)
{
    return gates_submit(pulls->gates, subvolume, job);
}

/* The first one, for ever. Where that cannot be written he is the first until the restart. */
static void keep(struct pulls *pulls, const char *address)
{
    char line[ADDRESS_SIZE + 1];
    int len = snprintf(line, sizeof line, "%s\n", address);
    enum status st = durable_write(pulls->dir_fd, FILE_NAME, line, (size_t)len);
    log_event(st ? LOG_WARN : LOG_INFO, "pull", "event=master-kept address=%s status=\"%s\"",
              address, status_text(st));
    remember(pulls, address);
    pulls->kept = true;
}

void pulls_trust(struct pulls *pulls, const char *peer)
{
    char address[ADDRESS_SIZE];
    if (!cut_address(peer, address) || pulls_trusts(pulls, peer))
        return;
    (void)pthread_mutex_lock(&pulls->keeping);
    if (pulls->masters->count)
        remember_masters(pulls);
    else if (!pulls->kept)
        keep(pulls, address);
    (void)pthread_mutex_unlock(&pulls->keeping);
}

bool pulls_trusts(struct pulls *pulls, const char *peer)
{
    char address[ADDRESS_SIZE];
    if (!cut_address(peer, address))
        return false;
    (void)pthread_mutex_lock(&pulls->lock);
    bool found = knows(pulls, address);
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
