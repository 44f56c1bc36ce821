/*
 * The directory of an index while a command makes another index for it (`rebuild`, `restore`): made
 * where it is not there, and locked as LevelDB itself locks it, from the first moment to the swap.
 * So no master starts on it meanwhile, and no second command begins; and nothing in it changes.
 */
#ifndef LARDER_TOOLS_INDEXDIR_H
#define LARDER_TOOLS_INDEXDIR_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"

struct indexdir;

/* Takes hold of `dir`: an index that nobody uses, damaged or not, an empty directory, or nothing at
 * all. Where it fails it has said why: ST_LOCKED where it is in use, ST_EXISTS where it is
 * something else than an index; then `dir` is as it was. */
enum status indexdir_hold(struct indexdir **held, const char *dir) MUST_CHECK;

/* `dir`, without '/' at its end. */
const char *indexdir_path(const struct indexdir *held);
/* True where there is no index, nothing but the lock: nothing in it is worth keeping. */
bool indexdir_is_fresh(const struct indexdir *held);

/* Lets go of it. With `failed` one that was fresh is what it was before, so one that was made is
 * removed. NULL is fine. */
void indexdir_release(struct indexdir *held, bool failed);

#endif
