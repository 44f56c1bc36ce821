/* The volumes as the master has them (GET /admin/volumes): who they are, and where each is reached.
 */
#ifndef LARDER_TOOLS_VOLUMELIST_H
#define LARDER_TOOLS_VOLUMELIST_H

#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

struct client;
struct volumelist;

/* The texts belong to the list. */
struct volumelist_item {
    const char *name;    /* in the store: what records say */
    const char *address; /* where it is reached; NULL: an older master, where it is the name */
    const char *kind;    /* "larder", …; "" where the master does not say, as the next two */
    const char *state;   /* "up", … */
    const char *id;      /* its identity */
};

/* Asks for it; blocks. Says why where it fails: as client_request(), or ST_PEER for an answer that
 * is no list. The client's last answer is that one afterwards; the list does not hang on it. */
enum status volumelist_fetch(struct volumelist **list, struct client *client) MUST_CHECK;
void volumelist_free(struct volumelist *list);

size_t volumelist_count(const struct volumelist *list);
struct volumelist_item volumelist_item(const struct volumelist *list, size_t i);

#endif
