/* What the master says of a key: one record of GET /admin/keys, or of GET /KEY?record. */
#ifndef LARDER_TOOLS_INFO_H
#define LARDER_TOOLS_INFO_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/key.h"
#include "common/record.h"
#include "common/status.h"

struct json;
struct client;

struct info {
    struct key key;
    struct record record;
    char **wanted; /* where placement would put it now, best first */
    size_t wanted_count;
};

void info_init(struct info *info);
void info_free(struct info *info);

/* Reads a record; `info` is initialized, and freed by the caller whatever this returns. ST_CORRUPT
 * where it is none. */
enum status info_parse(const struct json *json, struct info *info) MUST_CHECK;

/* Asks the master for the record of a key. ST_NOT_FOUND where it has none. For all else but ST_OK
 * it has said why. */
enum status info_fetch(struct client *client, const struct key *key, struct info *info) MUST_CHECK;

/* True where its places are not those that are wanted, in their order. */
bool info_is_elsewhere(const struct info *info);
/* The same, or it has too few. */
bool info_is_misplaced(const struct info *info);

/* True where both are of one version in one state, with the same copies: nothing has happened to
 * the key in between. */
bool info_same(const struct info *a, const struct info *b);

#endif
