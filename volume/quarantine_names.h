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
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

#define QUARANTINE_DIRECTORY ".larder/quarantine" /* below the subvolume */
#define QUARANTINE_UNTOLD    ".untold"
#define QUARANTINE_TOLD      ".reason"

/* A note of which no master knows yet. */
bool quarantine_names_is_untold(const char *name);
/* How much of a note's name is its ID, which its value's name begins with; 0: it is no note. */
size_t quarantine_names_note(const char *name);
/* A value, not a note on one: whatever else is there and does not begin with a dot. */
bool quarantine_names_is_value(const char *name);

enum { QUARANTINE_FILE_NAME = 256 }; /* bytes, with the NUL */
/* The name of the value with this ID (its first `id_len` bytes) and path. */
void quarantine_names_value(const char *id, size_t id_len, const char *path,
                            char name[QUARANTINE_FILE_NAME]);

/* The entries of `directory` below the open directory `root`. The caller ends it with closedir().
 * NULL: there is none, or it cannot be opened. */
DIR *quarantine_names_list(int root, const char *directory) MUST_CHECK;

/* How many values are in the quarantine of the open directory `root` of a subvolume. Blocks. */
uint64_t quarantine_names_count(int root) MUST_CHECK;

#endif
