/*
 * A new index beside the old one: DIR.rebuild-new, which takes the place of DIR in one step when it
 * is whole and on the disk. Until then DIR is not touched but for a lock, which keeps a master from
 * starting on it.
 */
#ifndef LARDER_TOOLS_NEWINDEX_H
#define LARDER_TOOLS_NEWINDEX_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"

struct newindex;
struct key;
struct record;

/* Takes hold of DIR: an index that nobody uses, an empty directory, or nothing at all. What an
 * interrupted run left is removed. Says why where it fails: ST_LOCKED where the index is in use,
 * ST_EXISTS where DIR is something else than an index. */
enum status newindex_begin(struct newindex **made, const char *dir) MUST_CHECK;

/* True where there is an old index, which this one is to replace. */
bool newindex_replaces(const struct newindex *index);
/* DIR, without '/' at its end. */
const char *newindex_dir(const struct newindex *index);

/* Adds what the index should know of a key; nothing where the record says nothing. Keys may come in
 * any order, each once. */
enum status newindex_add(struct newindex *index, const struct key *key,
                         const struct record *record) MUST_CHECK;
/* Adds a volume by its name, and the address at which it is reached; identity "" where it has
 * none. */
enum status newindex_add_volume(struct newindex *index, const char *name, const char *address,
                                const char *identity) MUST_CHECK;

/* Makes it durable, and puts it in the place of DIR. *old (allocated) is where the old index is
 * now, NULL where there was none. */
enum status newindex_finish(struct newindex *index, char **old) MUST_CHECK;

/* Lets go of DIR. What was not finished is removed. */
void newindex_free(struct newindex *index);

#endif
