/*
 * Memory for the chunks of large values that is kept for the next ones: pages that are fresh from
 * the kernel must be faulted in and cleared, one by one, which was a sixth of all the CPU that PUTs
 * of 1 MiB took. Any thread.
 */
#ifndef LARDER_VOLUME_SPARES_H
#define LARDER_VOLUME_SPARES_H

#include <stddef.h>

#include "common/attr.h"

struct spares;

/* Pieces of `bytes`, which is a multiple of `alignment`, a power of two. None is kept while `most`
 * of them (SPARES_MOST at most) are kept or in use: then all get fresh ones. For all pages of one
 * that was used are there, so slow clients, who take many and fill none, would hold more memory
 * with those. NULL: no memory. */
enum { SPARES_MOST = 64 };
struct spares *spares_new(size_t bytes, size_t alignment, unsigned most) MUST_CHECK;
/* With all that has been given back. NULL is fine. */
void spares_free(struct spares *spares);

/* A piece with anything in it, for spares_give() or free(). NULL: no memory. */
void *spares_take(struct spares *spares) MUST_CHECK;
/* NULL is fine. */
void spares_give(struct spares *spares, void *piece);

/* Frees what nobody has needed since the last call: to be called now and then. */
void spares_shrink(struct spares *spares);

#endif
