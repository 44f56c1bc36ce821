/*
 * Requests to volumes, larder's and plain WebDAV servers alike, by blocking fetches: one fetcher a
 * thread. Every request says that it is larder's own, so that a volume answers 404 for what it does
 * not have instead of sending us to the master. Passing faults are tried again here a few times.
 *
 * Where one fails, `why` (VOLUME_WHY bytes) gets a text for people: "GET http://…: no connection".
 */
#ifndef LARDER_TOOLS_VOLUME_H
#define LARDER_TOOLS_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/md5.h"
#include "common/name.h"
#include "common/status.h"

struct http_fetcher;
struct json;
struct listing;
struct key;

enum { VOLUME_WHY = 512 };

/* --- Listings --- */

struct listing_item {
    const char *name; /* belongs to the listing */
    bool directory;
    bool unlinked;
    bool has_expected;
    uint64_t size;
    uint64_t expected;
    uint64_t created; /* unix milliseconds; the time of the file where there is no attribute */
    char md5[MD5_HEX + 1];
    const struct listing
        *below; /* a directory's own, where it came along: the listing's; or NULL */
};

/* Lists `base`/`directory`; base is "host:port[/path][/svXX]", directory "" or "aa/bb/…/" as names
 * stand in listings. With `below` the volume may send the listings of directories in it along.
 * ST_NOT_FOUND where there is no such directory; else ST_UNAVAILABLE,
 * ST_PEER_TIMEOUT, ST_PEER or ST_NO_MEMORY, with `why`. Free with listing_free(). */
enum status volume_list(struct http_fetcher *fetcher, const char *base, const char *directory,
                        bool below, struct listing **listing, char *why) MUST_CHECK;
/* Of what volume_list() gave; its parts go with it. */
void listing_free(struct listing *listing);
size_t listing_count(const struct listing *listing);

/* False for an entry that is neither file nor directory, or has no sound name. */
bool listing_item(const struct listing *listing, size_t i, struct listing_item *item) MUST_CHECK;

/* --- What a volume says of itself --- */

/* Asks for /admin/health. *health is NULL for a server that is not larder's; json_free() it. */
enum status volume_health(struct http_fetcher *fetcher, const char *volume, struct json **health,
                          char *why) MUST_CHECK;

/* The tombstones of a subvolume ("svXX", or "" for plain paths): {"tombstones": […]}, to be freed
 * with json_free(). */
enum status volume_tombstones(struct http_fetcher *fetcher, const char *volume,
                              const char *subvolume, struct json **tombstones,
                              char *why) MUST_CHECK;

/* The same of its quarantine: {"quarantine": […]}; NULL where the volume knows of no such question.
 */
enum status volume_quarantine(struct http_fetcher *fetcher, const char *volume,
                              const char *subvolume, struct json **quarantine,
                              char *why) MUST_CHECK;

/* Its scrub: begins one (`post`), or asks how far it is; *scrub is what it says of it, and may be
 * NULL after a POST; json_free() it. ST_NOT_FOUND where the volume knows of no scrub. */
enum status volume_scrub(struct http_fetcher *fetcher, const char *volume, bool post,
                         struct json **scrub, char *why) MUST_CHECK;

/* --- One copy --- */

struct volume_copy {
    bool there;
    uint64_t size;
    char md5[MD5_HEX + 1]; /* as the volume says; "": it does not */
};

/* HEAD of a copy at the place. A copy that is not there is no failure. */
enum status volume_head(struct http_fetcher *fetcher, const char *place, const struct key *key,
                        uint64_t generation, enum naming naming, struct volume_copy *copy,
                        char *why) MUST_CHECK;

/* Reads the whole copy. copy->md5 is then of what was read. `took` (may be NULL) is told of every
 * piece as it arrives, and may sleep to keep a rate. ST_CLOSED where a signal has come before. */
enum status volume_read(struct http_fetcher *fetcher, const char *place, const struct key *key,
                        uint64_t generation, enum naming naming, struct volume_copy *copy,
                        void (*took)(void *arg, size_t bytes), void *arg, char *why) MUST_CHECK;

#endif
