/*
 * A value while it is read for somebody and compared with its MD5. Blocks: for the pool.
 */
#ifndef LARDER_VOLUME_CHECK_H
#define LARDER_VOLUME_CHECK_H

#include <stddef.h>

#include "common/attr.h"
#include "volume/store.h"

enum check_result {
    CHECK_MORE,       /* good so far: nothing is known before the end */
    CHECK_GOOD,       /* these were the last bytes, and the MD5 is that of the value */
    CHECK_DAMAGED,    /* it is not, or the file has become shorter (logged) */
    CHECK_UNREADABLE, /* a read failed (logged) */
    CHECK_FAILED      /* memory is short, or the digest could not be computed */
};

struct check;

/* Of an open value that has an MD5; both must outlive it. NULL: no memory. */
struct check *check_new(const struct store_at *at, const struct store_value *value) MUST_CHECK;
void check_free(struct check *check);

/* Reads the next `max` bytes, or those that are left, into `to`; *got of them. Nothing more may be
 * read after any result but CHECK_MORE. */
enum check_result check_next(struct check *check, char *to, size_t max, size_t *got) MUST_CHECK;

#endif
