/* All records of the index in the order of keys, by pages of GET /admin/keys. */
#ifndef LARDER_TOOLS_KEYLIST_H
#define LARDER_TOOLS_KEYLIST_H

#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

struct keylist;
struct client;
struct info;

/* From the first key on that is not below `start` (`len` bytes). The client must outlive it, and
 * may be used for other requests meanwhile. NULL: no memory. */
struct keylist *keylist_new(struct client *client, const void *start, size_t len) MUST_CHECK;
/* The same over the keys that the janitor has work for, also those that nobody sees. */
struct keylist *keylist_new_work(struct client *client) MUST_CHECK;
void keylist_free(struct keylist *list);

/* The next record, into an `info` that is initialized or was used before; the caller frees it at
 * the end. ST_NOT_FOUND after the last; for all else but ST_OK it has said why. */
enum status keylist_next(struct keylist *list, struct info *info) MUST_CHECK;

#endif
