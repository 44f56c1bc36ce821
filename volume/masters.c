/*
 * Addresses are remembered, never forgotten but for want of room: a name with many addresses gives
 * some of them now and others later, and a master that was one is no enemy. What costs time
 * (getaddrinfo) is done by one thread at a time and seldom, however many strangers ask.
 */
#include "volume/masters.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/options.h"

enum {
    KNOWN = 64,       /* addresses of masters; each of them may have several */
    STRANGERS = 32,   /* that are told to the log; there may be very many */
    AGAIN_MS = 10000, /* between two times that names are resolved */
    ADDRESS_SIZE = 64
};

#define FILE_NAME "master"

struct masters {
    const struct option_list *list;  /* the caller's */
    int dir_fd;                      /* the caller's */
    pthread_mutex_t keeping;         /* held while the file is written */
    atomic_bool kept;                /* somebody is known for ever; set with `keeping` held */
    pthread_mutex_t lock;            /* guards the rest; held for a few instructions only */
    char known[KNOWN][ADDRESS_SIZE]; /* addresses without port; "": free */
    unsigned next;                   /* of them, to be overwritten */
    char strangers[STRANGERS][ADDRESS_SIZE];
    unsigned stranger_count;
    bool looking;       /* somebody resolves the names */
    uint64_t looked_ms; /* loop_now_ms() when that was last done */
};

/* --- addresses --- */

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

static bool is_known(const struct masters *masters, const char *address)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (strcmp(masters->known[i], address) == 0)
            return true;
    return false;
}

/* In the place of the one that came longest ago. */
static void remember(struct masters *masters, const char *address)
{
    (void)pthread_mutex_lock(&masters->lock);
    if (!is_known(masters, address))
        (void)snprintf(masters->known[masters->next++ % KNOWN], ADDRESS_SIZE, "%s", address);
    (void)pthread_mutex_unlock(&masters->lock);
}

/* --- names --- */

/* "host", "host:port", "[v6]:port", each with a path or without. False: too long. */
static bool cut_host(const char *master, char *host, size_t size)
{
    size_t len = strcspn(master, "/");
    bool bracketed = master[0] == '[';
    if (bracketed) {
        master++;
        len = strcspn(master, "]/");
    } else if (memchr(master, ':', len)) {
        len = strcspn(master, ":");
    }
    if (len >= size)
        return false;
    memcpy(host, master, len);
    host[len] = 0;
    return true;
}

/* All addresses that the host has. A name that cannot be resolved now is no reason not to start: it
 * is tried again when somebody comes who is not known. */
static void resolve(struct masters *masters, const char *master)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    char host[256];
    char address[ADDRESS_SIZE];
    if (!cut_host(master, host, sizeof host) || getaddrinfo(host, NULL, &hints, &list))
        return;
    for (const struct addrinfo *at = list; at; at = at->ai_next)
        if (!getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0,
                         NI_NUMERICHOST))
            remember(masters, address);
    freeaddrinfo(list);
}

/* With the lock held. */
static bool is_due(const struct masters *masters)
{
    return masters->list->count && !masters->looking &&
           (!masters->looked_ms || loop_now_ms() - masters->looked_ms >= AGAIN_MS);
}

bool masters_may_look(struct masters *masters)
{
    (void)pthread_mutex_lock(&masters->lock);
    bool due = is_due(masters);
    (void)pthread_mutex_unlock(&masters->lock);
    return due;
}

/* Nobody waits for a look that is another's: he is told of what is known, and may come again. */
static void look(struct masters *masters)
{
    (void)pthread_mutex_lock(&masters->lock);
    bool mine = is_due(masters);
    masters->looking = masters->looking || mine;
    (void)pthread_mutex_unlock(&masters->lock);
    if (!mine)
        return;
    for (size_t i = 0; i < masters->list->count; i++)
        resolve(masters, masters->list->items[i]);
    (void)pthread_mutex_lock(&masters->lock);
    masters->looking = false;
    masters->looked_ms = loop_now_ms();
    (void)pthread_mutex_unlock(&masters->lock);
}

bool masters_know(struct masters *masters, const char *peer)
{
    char address[ADDRESS_SIZE];
    if (!cut_address(peer, address))
        return false;
    (void)pthread_mutex_lock(&masters->lock);
    bool known = is_known(masters, address);
    (void)pthread_mutex_unlock(&masters->lock);
    return known;
}

bool masters_look_up(struct masters *masters, const char *peer)
{
    if (masters_know(masters, peer))
        return true;
    look(masters);
    return masters_know(masters, peer);
}

/* --- the first one, where there is no list --- */

/* The one that was the first, in an earlier life of this volume. What is no address is nobody. */
static void read_kept(struct masters *masters)
{
    struct buf text = BUF_INIT;
    enum status st = durable_read(masters->dir_fd, FILE_NAME, &text);
    size_t len = strcspn(buf_text(&text), "\n");
    if (!st && len > 0 && len < ADDRESS_SIZE) {
        buf_truncate(&text, len);
        remember(masters, buf_text(&text));
        atomic_store(&masters->kept, true);
    } else if (st != ST_NOT_FOUND) {
        log_event(LOG_WARN, "pull", "doing=\"read .larder/%s\" error=\"%s\"", FILE_NAME,
                  status_text(st ? st : ST_CORRUPT));
    }
    buf_free(&text);
}

/* For ever. Where that cannot be written he is the first until the restart. */
static void keep(struct masters *masters, const char *address)
{
    char line[ADDRESS_SIZE + 1];
    int len = snprintf(line, sizeof line, "%s\n", address);
    enum status st = durable_write(masters->dir_fd, FILE_NAME, line, (size_t)len);
    log_event(st ? LOG_WARN : LOG_INFO, "pull", "event=master-kept address=%s status=\"%s\"",
              address, status_text(st));
    remember(masters, address);
    atomic_store(&masters->kept, true);
}

void masters_named(struct masters *masters, const char *peer)
{
    char address[ADDRESS_SIZE];
    if (!cut_address(peer, address) || masters_look_up(masters, peer) || masters->list->count)
        return;
    (void)pthread_mutex_lock(&masters->keeping);
    if (!atomic_load(&masters->kept))
        keep(masters, address);
    (void)pthread_mutex_unlock(&masters->keeping);
}

/* --- begin and end --- */

struct masters *masters_new(const struct option_list *list, int dir_fd)
{
    struct masters *masters = calloc(1, sizeof *masters);
    if (!masters)
        return NULL;
    (void)pthread_mutex_init(&masters->lock, NULL);
    (void)pthread_mutex_init(&masters->keeping, NULL);
    masters->list = list;
    masters->dir_fd = dir_fd;
    if (list->count) {
        look(masters);
        masters->looked_ms = 0; /* the first stranger is looked for at once */
    } else {
        read_kept(masters);
    }
    return masters;
}

void masters_free(struct masters *masters)
{
    if (!masters)
        return;
    (void)pthread_mutex_destroy(&masters->keeping);
    (void)pthread_mutex_destroy(&masters->lock);
    free(masters);
}

/* --- strangers --- */

/* True the first time, as long as there is room to remember it: else it would be a line for every
 * copy, or for every address that somebody makes up. */
static bool is_news(struct masters *masters, const char *address)
{
    bool news = true;
    (void)pthread_mutex_lock(&masters->lock);
    for (unsigned i = 0; i < masters->stranger_count && news; i++)
        news = strcmp(masters->strangers[i], address) != 0;
    news = news && masters->stranger_count < STRANGERS;
    if (news)
        (void)snprintf(masters->strangers[masters->stranger_count++], ADDRESS_SIZE, "%s", address);
    (void)pthread_mutex_unlock(&masters->lock);
    return news;
}

/* Three ways to be in this place, and each has its own way out. */
void masters_refuse(struct masters *masters, const char *peer, char advice[MASTERS_ADVICE])
{
    char address[ADDRESS_SIZE];
    if (!cut_address(peer, address))
        (void)snprintf(address, sizeof address, "%.60s", peer);
    if (masters->list->count)
        (void)snprintf(
            advice, MASTERS_ADVICE,
            "this volume fetches copies for its masters only, and %s is no address of "
            "those that its --master names; if a master's requests come from there (NAT, "
            "another interface), name %s:PORT in --master as well, behind the others",
            address, address);
    else if (atomic_load(&masters->kept))
        (void)snprintf(advice, MASTERS_ADVICE,
                       "this volume has no --master, and fetches copies only for the first that "
                       "told it its name (.larder/%s has the address), which is not %s; if the "
                       "master is there now, give --master, or remove that file, and restart the "
                       "volume",
                       FILE_NAME, address);
    else
        (void)snprintf(advice, MASTERS_ADVICE,
                       "this volume has no --master, and none has told it its name yet, so it does "
                       "not fetch copies for %s; give --master, or add the volume to a master",
                       address);
    if (is_news(masters, address))
        log_event(LOG_WARN, "pull", "peer=%s error=\"refused\" advice=\"%s\"", address, advice);
}
