/*
 * A directory as nginx's `autoindex_format json` shows it, in pieces of bounded size. Everything
 * here blocks, and runs on the pool.
 */
#ifndef LARDER_VOLUME_LISTING_H
#define LARDER_VOLUME_LISTING_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"
#include "volume/store.h"

struct buf;
struct listing;

/* Opens the directory `at`. With `meta` the attributes of each file are added. `at` must outlive
 * the listing. ST_NOT_FOUND where it is missing, or no directory. */
enum status listing_begin(struct listing **listing, const struct store_at *at,
                          bool meta) MUST_CHECK;

/* Appends the next part of the text; *more is false when that was the end. */
enum status listing_next(struct listing *listing, struct buf *out, bool *more) MUST_CHECK;

void listing_free(struct listing *listing);

#endif
