/*
 * How the files in a quarantine are named, and how many are values:
 *
 *   ID.aa%bb%NAME   the value, with its attributes; what is too long is cut off
 *   ID.untold       JSON: path, reason, time. No master knows of it yet
 *   ID.reason       the same, afterwards
 *
 * Apart from quarantine.c, which works on a subvolume: a look at a disk counts them, too.
 */
#ifndef LARDER_VOLUME_QUARANTINE_NAMES_H
#define LARDER_VOLUME_QUARANTINE_NAMES_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

#define QUARANTINE_DIRECTORY ".larder/quarantine" /* below the subvolume */
#define QUARANTINE_UNTOLD    ".untold"
#define QUARANTINE_TOLD      ".reason"

/* A note of which no master knows yet. */
bool quarantine_names_is_untold(const char *name);
/* A value, not a note on one: whatever else is there and does not begin with a dot. */
bool quarantine_names_is_value(const char *name);

/* The entries of `directory` below the open directory `root`. The caller ends it with closedir().
 * NULL: there is none, or it cannot be opened. */
DIR *quarantine_names_list(int root, const char *directory) MUST_CHECK;

/* How many values are in the quarantine of the open directory `root` of a subvolume. Blocks. */
uint64_t quarantine_names_count(int root) MUST_CHECK;

#endif
