/*
 * Names of files on a volume, minikeyvalue's with two mends (see common/PROTOCOL.md, 'Names').
 *
 *   /aa/bb/NAME[.GENERATION]     aa, bb: the first two bytes of MD5(key), in hex
 *
 * NAME is standard base64 of the key (RFC 4648, section 4), '/' replaced by '_'; where NAME with
 * its suffix is longer than 255 bytes it is cut into directories of 250 bytes and a '-' each. The
 * old naming, NAMING_MKV, has neither mend: a '/' of the base64 makes a directory.
 */
#ifndef LARDER_COMMON_NAME_H
#define LARDER_COMMON_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/key.h"
#include "common/status.h"

enum naming { NAMING_LARDER, NAMING_MKV };

/* Appends the path of a version of the key, beginning with "/aa/". Generation 0 has no suffix. What
 * it appends is a path below the place, not percent-encoded (base64 has a '+' and a '=').
 * ST_NO_MEMORY, ST_INTERNAL where MD5 failed. */
enum status name_path(struct buf *out, const struct key *key, uint64_t generation,
                      enum naming naming) MUST_CHECK;

/* The same in two steps, for whoever keeps the first: aa and bb, and the path that begins with
 * them. */
enum status name_dirs(const struct key *key, unsigned char dirs[2]) MUST_CHECK;
enum status name_path_in(struct buf *out, const unsigned char dirs[2], const struct key *key,
                         uint64_t generation, enum naming naming) MUST_CHECK;

/* True where both namings give the same path for generation 0: no '/' in the base64, and short
 * enough for one component. */
bool name_same(const struct key *key);

/*
 * The inverse. `path` is what stands below a subvolume, "aa/bb/NAME" with or without a leading '/',
 * NAME with its directories. ST_NOT_FOUND where it is no name of a key (wrong alphabet, wrong
 * length, or MD5(key) does not begin with aa bb): a stray file. '//' that a web server merged into
 * '/' is found again by trying (the MD5 tells).
 */
enum status name_parse(const char *path, size_t len, struct key *key, uint64_t *generation,
                       enum naming *naming) MUST_CHECK;

#endif
