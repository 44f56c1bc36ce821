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

/* What is told beyond nginx's members (common/PROTOCOL.md has them): nothing; of files their
 * attributes; that, and of directories their own listings, where that is cheap. */
enum listing_form { LISTING_PLAIN, LISTING_META, LISTING_BELOW };

/* Opens the directory `at`, which stays open until listing_free(). `at` must outlive the listing.
 * ST_NOT_FOUND where it is missing, or no directory; ST_UNAVAILABLE, ST_IO …; ST_NO_MEMORY. */
enum status listing_begin(struct listing **listing, const struct store_at *at,
                          enum listing_form form) MUST_CHECK;

/* Appends the next part of the text, of about 64 KiB; *more is false when that was the end. After
 * an error the listing can only be freed. An entry that goes away meanwhile is left out. */
enum status listing_next(struct listing *listing, struct buf *out, bool *more) MUST_CHECK;

/* NULL is fine. */
void listing_free(struct listing *listing);

#endif
